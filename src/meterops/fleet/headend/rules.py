"""Decisions of the head-end: when a schedule is due, and what follows a failure."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from meterops.fleet.headend.errors import ErrorClass
from meterops.fleet.headend.lanes import Lane

MAX_CATCH_UP_SLOTS = 10_000


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often: every `period_s` seconds, `offset_s` after the period's start.

    Periods shorter than a day are counted from 1970-01-01 in UTC. A cadence in local time has a period of one day, and its
    offset is the time of day on the clock on the wall: on the two days a year that have 23 or 25 hours it still happens once.
    """

    period_s: int
    offset_s: int = 0
    zone: ZoneInfo | None = None

    def __post_init__(self) -> None:
        if self.period_s < 10:
            raise ValueError("a schedule's period is at least 10 seconds")
        if not 0 <= self.offset_s < self.period_s:
            raise ValueError("a schedule's offset lies within its period")
        if self.zone is not None and self.period_s != 86_400:
            raise ValueError("a schedule in local time has a period of one day (86400 s)")


def next_slot(cadence: Cadence, after: datetime) -> datetime:
    """The first slot later than `after`."""
    if cadence.zone is None:
        seconds = after.timestamp() - cadence.offset_s
        return datetime.fromtimestamp((seconds // cadence.period_s + 1) * cadence.period_s + cadence.offset_s, UTC)
    day = after.astimezone(cadence.zone).date() - timedelta(days=1)
    while True:
        wall = datetime.combine(day, time(0), cadence.zone) + timedelta(seconds=cadence.offset_s)
        slot = wall.astimezone(UTC)
        if slot > after:
            return slot
        day += timedelta(days=1)


def due_slots(cadence: Cadence, last_slot_at: datetime, now: datetime) -> list[datetime]:
    """Every slot in (last_slot_at, now], oldest first: after an outage these are the ones to catch up."""
    slots: list[datetime] = []
    slot = next_slot(cadence, last_slot_at)
    while slot <= now and len(slots) < MAX_CATCH_UP_SLOTS:
        slots.append(slot)
        slot = next_slot(cadence, slot)
    return slots


@dataclass(frozen=True, slots=True)
class RetryRule:
    """How often a meter is tried for one operation when it fails in a class, and how long the job waits between passes."""

    attempts: int
    first_pause_s: float


RETRY_RULES: dict[ErrorClass, RetryRule] = {
    ErrorClass.UNREACHABLE: RetryRule(attempts=8, first_pause_s=5),
    ErrorClass.TIMEOUT: RetryRule(attempts=5, first_pause_s=5),
    ErrorClass.REFUSED: RetryRule(attempts=1, first_pause_s=0),
    ErrorClass.AUTHENTICATION: RetryRule(attempts=2, first_pause_s=10),
    ErrorClass.COUNTER: RetryRule(attempts=3, first_pause_s=0.5),
    ErrorClass.PROTOCOL: RetryRule(attempts=4, first_pause_s=2),
    ErrorClass.DATA: RetryRule(attempts=2, first_pause_s=2),
    ErrorClass.INTERNAL: RetryRule(attempts=2, first_pause_s=10),
}
LONGEST_PAUSE_S = 300.0
ATTEMPTS_PER_LANE: dict[Lane, int] = {Lane.OUTAGE_CHECK: 2}
"""A power check wants to know who is silent now: a meter that does not answer twice has answered."""


def may_retry(error: ErrorClass, attempts_made: int, lane: Lane = Lane.SCHEDULED_READ) -> bool:
    """Whether a meter that failed so, after that many attempts, is tried again in this lane."""
    most = RETRY_RULES[error].attempts
    return attempts_made < min(most, ATTEMPTS_PER_LANE.get(lane, most))


def pause_before_next_pass(errors: set[ErrorClass], passes_made: int) -> float:
    """Seconds until the meters that failed are tried again; doubles with every pass."""
    first = min((RETRY_RULES[error].first_pause_s for error in errors), default=1.0)
    return float(min(LONGEST_PAUSE_S, first * 2 ** min(passes_made, 12)))
