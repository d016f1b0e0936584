"""Lines without axes, and bars: a figure's trend beside the figure."""

from collections.abc import Sequence

from django.utils.safestring import SafeString, mark_safe

WIDTH, HEIGHT, EDGE = 84, 28, 3


def line(values: Sequence[float | None], *, band: tuple[float, float] | None = None) -> SafeString:
    """A line through `values` (None is a gap) over the usual range; nothing where fewer than two values are known."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return SafeString("")
    low, high = min(known + list(band or ())), max(known + list(band or ()))
    spread = (high - low) or 1.0

    def at(index: int, value: float) -> tuple[float, float]:
        x = EDGE + index * (WIDTH - 2 * EDGE) / (len(values) - 1)
        return round(x, 1), round(HEIGHT - EDGE - (value - low) / spread * (HEIGHT - 2 * EDGE), 1)

    parts = []
    if band is not None:
        top, bottom = at(0, band[1])[1], at(0, band[0])[1]
        parts.append(f'<path class="band" d="M0 {top}H{WIDTH}V{max(bottom, top + 1)}H0z"/>')
    points = [None if value is None else at(index, value) for index, value in enumerate(values)]
    parts.append(f'<path class="line" d="{_path(points)}"/>')
    if points[-1] is not None:
        parts.append(f'<circle class="end" cx="{points[-1][0]}" cy="{points[-1][1]}" r="2"/>')
    return _svg("spark", f"0 0 {WIDTH} {HEIGHT}", parts, f'width="{WIDTH}" height="{HEIGHT}"')


def bar(done: float, failed: float = 0.0, target: float | None = None) -> SafeString:
    """A bar of 100 units: `done`, then `failed`, on what is left; all shares of one."""
    good = round(max(0.0, min(1.0, done)) * 100, 2)
    bad = round(max(0.0, min(1.0 - good / 100, failed)) * 100, 2)
    parts = [
        '<rect class="rest" width="100" height="10"/>',
        f'<rect class="done" width="{good}" height="10"/>',
        f'<rect class="failed" x="{good}" width="{bad}" height="10"/>',
    ]
    if target is not None:
        parts.append(f'<path class="target" vector-effect="non-scaling-stroke" d="M{round(target * 100, 2)} 0v10"/>')
    return _svg("bar", "0 0 100 10", parts, 'preserveAspectRatio="none"')


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    path, pen_down = [], False
    for point in points:
        if point is not None:
            path.append(f"{'L' if pen_down else 'M'}{point[0]} {point[1]}")
        pen_down = point is not None
    return "".join(path)


def _svg(name: str, box: str, parts: list[str], more: str) -> SafeString:
    # Only numbers made here stand in it.
    return mark_safe(f'<svg class="{name}" viewBox="{box}" {more} aria-hidden="true">{"".join(parts)}</svg>')  # noqa: S308
