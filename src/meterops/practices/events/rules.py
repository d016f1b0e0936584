"""Decisions about alarms: reduction, chattering, floods, figures of alarm health. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from meterops.practices.events.catalogue import EventClass, EventType, Severity

SUPPLY_LOST: Final = "POWER_FAILURE"
SUPPLY_BACK: Final = "POWER_RETURNED"
PHASE_LOST: Final = {phase: f"PHASE_OUTAGE_{phase}" for phase in ("L1", "L2", "L3")}
PHASE_BACK: Final = {phase: f"PHASE_RETURNED_{phase}" for phase in ("L1", "L2", "L3")}
AUTHENTICATION_FAILED: Final = "AUTHENTICATION_FAILED"
COUNTER_LOST: Final = "COUNTER_LOST"
SILENT_METER: Final = "SILENT_METER"
UNKNOWN_PREFIX: Final = "UNKNOWN_"

HEAD_END_TYPES: Final = {
    "authentication": EventType(
        AUTHENTICATION_FAILED, Severity.EXCEPTION, EventClass.ALARM, (), True, "Keys or password do not fit", "head-end"
    ),
    "counter": EventType(
        COUNTER_LOST, Severity.WARNING, EventClass.ADVISORY, (), True, "Invocation counter behind", "head-end"
    ),
}
"""What failed sessions say about single meters, by the session's error class."""
SILENT: Final = EventType(
    SILENT_METER, Severity.WARNING, EventClass.ADVISORY, (), False, "Silent, though asked again", "head-end"
)
"""A meter that did not answer, nor when it was tried again, while nothing explains it."""

MAX_SHELVED: Final = timedelta(days=7)
CHATTER_SHELVED: Final = timedelta(hours=1)
SINGLE_HOLD_S: Final = 60.0
"""A meter dark or silent by itself is an alarm when no situation has explained it for this long."""
MAX_SINGLES: Final = 1000
"""That many are looked at in a step, the longest so first; more come with the next."""

CHATTER_SHORT: Final = (3, 60.0)
CHATTER_LONG: Final = (6, 300.0)
"""Chattering: raised three times in a minute, or more than five changes in five minutes."""
CHATTERS: Final = "It chatters."
"""Why a chattering alarm is shelved."""
KEPT_CHANGES: Final = 8

MAX_SAFETY: Final = 20
"""That many safety alarms of one type within ten minutes are told one by one; those above are one flood."""
FLOOD_ENTER: Final = 10
FLOOD_LEAVE: Final = 5
WINDOW_S: Final = 600


def reduction_key(event_type: str, end_device_id: int, identity: str) -> str:
    """Events of one key are one alarm."""
    return f"{event_type}:{end_device_id or identity}"


def is_chattering(changes: Sequence[float]) -> bool:
    """Whether the last changes of an alarm (epoch seconds, ascending) come too fast for anybody to act on."""
    return any(
        len(changes) >= count and changes[-1] - changes[-count] <= within
        for count, within in (CHATTER_SHORT, CHATTER_LONG)
    )


def priority_of(event: EventType) -> int:
    """1 to 4 for an alarm of a single meter: only what concerns safety or tampering is above the third."""
    if event.event_class is EventClass.ALARM:
        return 2 if event.is_security else 3
    return 4


@dataclass(frozen=True, slots=True)
class Flood:
    """Windows of ten minutes with too many alarms for one operator: from the first above ten until the first below five."""

    windows: int
    flooded: int
    is_flooded_now: bool
    lasting: int = 0
    """How many windows the present flood has taken so far."""

    @property
    def share(self) -> float:
        """Share of the time in flood."""
        return self.flooded / self.windows if self.windows else 0.0


def find_flood(per_window: Sequence[float]) -> Flood:
    """`per_window` are alarms per operator in windows of ten minutes, oldest first."""
    flooded, lasting = 0, 0
    for count in per_window:
        inside = count > FLOOD_ENTER or (lasting > 0 and count >= FLOOD_LEAVE)
        lasting = lasting + 1 if inside else 0
        flooded += inside
    return Flood(len(per_window), flooded, lasting > 0, lasting)
