"""Hints for open screens: which topic changed. Content always comes from an ordinary, permission-checked view."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from meterops.kernel.models import Hint


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


def prune(*, now: datetime, keep: timedelta = timedelta(minutes=30)) -> int:
    """Forget hints older than `keep`; a screen that was away longer reloads. Returns how many."""
    deleted, _ = Hint.objects.filter(at__lt=now - keep).delete()
    return deleted
