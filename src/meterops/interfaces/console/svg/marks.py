"""Shapes for states. A shape never stands without its word, and no two states differ by colour only."""

from django.utils.safestring import SafeString, mark_safe

_BODY = {
    "ok": '<circle class="quiet" cx="7" cy="7" r="3.5"/>',
    "silent": '<circle class="ring" cx="7" cy="7" r="4.5"/>',
    "never": '<path class="ring" stroke-dasharray="2 2" d="M2.5 2.5h9v9h-9z"/>',
    "failed": '<path class="cross" d="M3 3l8 8M11 3l-8 8"/>',
    "running": '<path class="quiet" d="M4 2l8 5-8 5z"/>',
    "paused": '<path class="quiet" d="M3 2h3v10H3zM8 2h3v10H8z"/>',
    "waiting": '<path class="ring" d="M3 2.5h8L3 11.5h8z"/>',
    "box-ok": '<path class="box ok" d="M2 2h10v10H2z"/>',
    "box-dark": '<path class="box dark" d="M2 2h10v10H2z"/>',
    "box-silent": '<path class="box silent" d="M2 2h10v10H2z"/>',
    "box-phase": '<path class="box phase" d="M2 2h10v10H2zM2 12L12 2"/>',
    "box-answers": '<path class="box answers" d="M2 2h10v10H2zM6 6h2v2H6z"/>',
    "2": '<path class="p2" d="M7 1l6.5 12H.5z"/>',
    "3": '<circle class="p3" cx="7" cy="7" r="5.5"/>',
    "4": '<path class="ring" d="M2 2h10v10H2z"/>',
    "1": '<path class="p1" d="M1 1h12v12H1z"/>',
}


def draw(kind: str) -> SafeString:
    """The mark of a state: ok, silent, never, failed, running, paused, waiting, a box of a diagram, or a priority 1 to 4.

    Raises:
        KeyError: for a state that has no mark.
    """
    return mark_safe(f'<svg class="mark" viewBox="0 0 14 14" aria-hidden="true">{_BODY[kind]}</svg>')  # noqa: S308
