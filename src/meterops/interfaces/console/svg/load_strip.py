"""The alarm load: new alarms per ten minutes over the last two hours, with the line above which they are a flood."""

from collections.abc import Sequence

from django.utils.safestring import SafeString, mark_safe

BARS = 12
FLOOD_AT = 10
"""Alarms in ten minutes that one person cannot follow any more (EEMUA 191)."""

_WIDTH, _HEIGHT, _STEP, _BAR = 84, 26, 7, 5
_SCALE = 1.5
"""How far the drawing reaches above the line; more than that is cut off and told by the words beside it."""


def strip(counts: Sequence[int], *, large: bool = False) -> SafeString:
    """Bars of the newest twelve counts, the newest to the right; fewer leave room at the left. `large` fills its column."""
    shown = list(counts)[-BARS:]
    top = FLOOD_AT * _SCALE
    parts = []
    for place, count in enumerate(shown, BARS - len(shown)):
        height = round(min(count / top, 1.0) * (_HEIGHT - 2), 1) if count > 0 else 0
        if height:
            look = "load over" if count > FLOOD_AT else "load"
            y = round(_HEIGHT - 1 - height, 1)
            parts.append(f'<rect class="{look}" x="{place * _STEP + 1}" y="{y}" width="{_BAR}" height="{height}"/>')
    limit = round(_HEIGHT - 1 - (_HEIGHT - 2) / _SCALE, 1)
    parts.append(f'<path class="base" d="M0 {_HEIGHT - 0.5}H{_WIDTH}"/><path class="limit" d="M0 {limit}H{_WIDTH}"/>')
    words = f"New alarms per 10 minutes, oldest first: {', '.join(str(count) for count in shown) or 'none'}"
    name = "load-strip large" if large else "load-strip"
    ratio = ' preserveAspectRatio="none"' if large else ""
    # Only numbers stand in it.
    return mark_safe(  # noqa: S308
        f'<svg class="{name}" viewBox="0 0 {_WIDTH} {_HEIGHT}"{ratio} role="img" aria-label="{words}; flood above '
        f'{FLOOD_AT}">{"".join(parts)}</svg>'
    )
