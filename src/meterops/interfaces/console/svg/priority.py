"""Badges of priorities: square, triangle, disc and box with their numbers, so that no two differ by color only."""

from django.utils.safestring import SafeString, mark_safe

_SHAPES = {
    1: ('<path class="shape" d="M2.5 1.5h15v13h-15z"/>', 11.6),
    2: ('<path class="shape" d="M10 1l9 14H1z"/>', 12.9),
    3: ('<circle class="shape" cx="10" cy="8" r="7"/>', 11.6),
    4: ('<path class="shape" d="M3.5 1.5h13v13h-13z"/>', 11.6),
}


def badge(priority: int, *, acknowledged: bool = False, shelved: bool = False, fresh: bool = False) -> SafeString:
    """The badge of a priority from 1 (highest) to 4, with its words for those who hear the page.

    Filled is unacknowledged, outline acknowledged, a dashed outline shelved. A `fresh` first priority pulses three times.

    Raises:
        KeyError: for a priority that there is not.
    """
    shape, baseline = _SHAPES[priority]
    words = "shelved" if shelved else "acknowledged" if acknowledged else "unacknowledged"
    look = " shelved" if shelved else " seen" if acknowledged else " fresh" if fresh and priority == 1 else ""
    # Only numbers and words of this module stand in it.
    return mark_safe(  # noqa: S308
        f'<svg class="priority p{priority}{look}" viewBox="0 0 20 16" role="img" aria-label="Priority {priority}, {words}">'
        f'{shape}<text x="10" y="{baseline}" aria-hidden="true">{priority}</text></svg>'
    )
