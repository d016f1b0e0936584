"""Hints for open screens: which topic changed. Content always comes from an ordinary, permission-checked view."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from meterops.kernel.models import Hint

LOOK_BACK = 200
"""How many numbers behind the newest one a hint may still become visible: its transaction took the number and ended later."""


@dataclass(frozen=True, slots=True)
class HintRecord:
    """A hint as the stream sends it."""

    id: int
    topic: str
    reference: str


def publish(topic: str, reference: str = "") -> None:
    """Leave a hint in the caller's transaction."""
    Hint.objects.create(topic=topic, reference=reference)


def last_id() -> int:
    """The newest hint's number, 0 where there is none: where a new stream starts."""
    return Hint.objects.order_by("-id").values_list("id", flat=True).first() or 0


def after(hint_id: int, limit: int = 500) -> list[HintRecord]:
    """Hints newer than `hint_id`, oldest first."""
    rows = Hint.objects.filter(id__gt=hint_id).order_by("id").values_list("id", "topic", "reference")[:limit]
    return [HintRecord(*row) for row in rows]


class Tail:
    """Reads hints as they become visible, each once, from now on.

    Numbers are given when a hint is written, and hints are seen when their transaction ends: on PostgreSQL a lower number may
    come after a higher one. So every look goes back a little and leaves out what was seen.
    """

    def __init__(self) -> None:
        self._last_id = last_id()
        self._seen = {hint.id for hint in after(self._last_id - LOOK_BACK, LOOK_BACK)}

    def read(self, limit: int = 500) -> list[HintRecord]:
        """Hints that were not there at the last look, by number; at most `limit`, the others at the next one."""
        found = after(self._last_id - LOOK_BACK, LOOK_BACK + limit)
        new = [hint for hint in found if hint.id not in self._seen][:limit]
        told = {hint.id for hint in new}
        self._last_id = max(self._last_id, *told) if told else self._last_id
        self._seen = {number for number in self._seen | told if number > self._last_id - LOOK_BACK}
        return new


def prune(*, now: datetime, keep: timedelta = timedelta(minutes=30)) -> int:
    """Forget hints older than `keep`; a screen that was away longer reloads. Returns how many."""
    deleted, _ = Hint.objects.filter(at__lt=now - keep).delete()
    return deleted
