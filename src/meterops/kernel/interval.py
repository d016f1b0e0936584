"""Half-open periods of time."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """[starts_at, ends_at): the start belongs to it, the end does not. Both are aware.

    Raises:
        ValueError: when a bound is naive or the end lies before the start.
    """

    starts_at: datetime
    ends_at: datetime

    def __post_init__(self) -> None:
        if self.starts_at.tzinfo is None or self.ends_at.tzinfo is None:
            raise ValueError("an interval's bounds carry their time zone")
        if self.ends_at < self.starts_at:
            raise ValueError(f"an interval ends at or after its start, not at {self.ends_at} after {self.starts_at}")

    def __contains__(self, moment: datetime) -> bool:
        return self.starts_at <= moment < self.ends_at

    @property
    def duration(self) -> timedelta:
        """How long it is."""
        return self.ends_at - self.starts_at

    def overlaps(self, other: "Interval") -> bool:
        """Whether some moment lies in both."""
        return self.starts_at < other.ends_at and other.starts_at < self.ends_at

    def intersection(self, other: "Interval") -> "Interval | None":
        """The part that lies in both, or None."""
        if not self.overlaps(other):
            return None
        return Interval(max(self.starts_at, other.starts_at), min(self.ends_at, other.ends_at))
