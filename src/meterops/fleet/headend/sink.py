"""Gathers what sessions bring home as columns, and says which meters' outcomes become durable with them."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any, Final, TypeGuard

import numpy as np

from meterops.fleet.headend.errors import ErrorClass
from meterops.fleet.headend.route_runner import MeterTask


def is_time(value: Any) -> TypeGuard[int]:
    """Whether rows may have it as epoch seconds, 1970 to 2106: no meter means a later year, and few calendars show them all."""
    return _is_whole(value) and 0 <= value < 2**32


def is_code(value: Any) -> TypeGuard[int]:
    """Whether an event may have it as its code."""
    return _is_whole(value) and -(2**31) <= value < 2**31


def is_amount(value: Any) -> TypeGuard[int]:
    """Whether a reading may have it as thousandths of its unit."""
    return _is_whole(value) and -(2**63) <= value < 2**63


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


class NotStorable(ValueError):
    """A meter gave a value that no column of the lake holds; nothing of what was given with it is kept."""


class EventOrigin(IntEnum):
    """How an event came to be known; stored in the lake, so a number keeps its meaning."""

    READ_LOG = 1
    PUSHED = 2


@dataclass(slots=True)
class SessionRecord:
    """One session as the lake keeps it. Times in epoch seconds, durations in milliseconds."""

    end_device_id: int
    route_id: int
    operation_id: str
    lane: int
    started_at: float
    duration_ms: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    apdus: int = 0
    round_trips: int = 0
    error_class: ErrorClass | None = None
    error_detail: str = ""
    readings: int = 0
    attempt: int = 1
    clock_drift_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes true of a meter's jobs once its rows are durable."""

    task: MeterTask
    error: ErrorClass | None
    profile_read_until: int | None
    events_read_until: int | None


@dataclass(slots=True)
class Harvest:
    """Rows gathered since the last flush, column by column, and the settlements that wait for them."""

    meter: array[int] = field(default_factory=lambda: array("i"))
    reading_type: array[int] = field(default_factory=lambda: array("h"))
    at: array[int] = field(default_factory=lambda: array("q"))
    value: array[int] = field(default_factory=lambda: array("q"))
    quality: array[int] = field(default_factory=lambda: array("h"))
    events: list[tuple[int, str, int, int, int, int, int]] = field(default_factory=list)
    """(end device, identity, log, code, occurred, received, origin)"""
    sessions: list[SessionRecord] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)

    def add_column(self, meter: int, reading_type: int, at: list[int], values: list[int], quality: list[int]) -> None:
        """Add n readings of one type: `at` in epoch seconds, `values` in thousandths of the type's unit.

        Raises:
            NotStorable: when one of them fits no column.
        """
        count = len(at)
        if count and not (is_time(min(at)) and is_time(max(at))):
            raise NotStorable(f"a reading's time is not between 1970 and 2106: {min(at)} to {max(at)}")
        if count and not (is_amount(min(values)) and is_amount(max(values))):
            raise NotStorable(f"a value of reading type {reading_type} has more than 64 bits")
        self.meter.extend([meter] * count)
        self.reading_type.extend([reading_type] * count)
        self.at.extend(at)
        self.value.extend(values)
        self.quality.extend(quality)

    def add_reading(self, meter: int, reading_type: int, at: int, value: int, quality: int = 0) -> None:
        """Add one reading; raises as `add_column` does."""
        self.add_column(meter, reading_type, [at], [value], [quality])

    def add_event(
        self, meter: int, log: int, code: int, occurred: int, received: int, origin: EventOrigin, identity: str = ""
    ) -> None:
        """Add an event, its times in epoch seconds; `identity` names the device where `meter` is 0.

        Raises:
            NotStorable: when its code or time fits no column.
        """
        if not (is_code(code) and is_time(occurred)):
            raise NotStorable(f"event {code} of log {log} at {occurred} fits no column")
        self.events.append((meter, identity, log, code, occurred, received, int(origin)))

    def take(self, other: Harvest) -> None:
        """Add everything that another one holds."""
        for name in _LISTS:
            getattr(self, name).extend(getattr(other, name))

    @property
    def rows(self) -> int:
        """How many reading rows wait."""
        return len(self.at)

    def __bool__(self) -> bool:
        return bool(self.settlements or self.sessions or self.events or self.at)

    def reading_columns(self) -> dict[str, Any] | None:
        """The readings as numpy columns for the lake."""
        if not self.at:
            return None
        return {
            "end_device_id": np.frombuffer(self.meter, dtype=np.int32),
            "reading_type": np.frombuffer(self.reading_type, dtype=np.int16),
            "ts": np.frombuffer(self.at, dtype=np.int64).astype("datetime64[s]"),
            "value": np.frombuffer(self.value, dtype=np.int64),
            "quality": np.frombuffer(self.quality, dtype=np.int16),
        }

    def event_columns(self) -> dict[str, Any] | None:
        """The events as columns for the lake."""
        if not self.events:
            return None
        meters, identities, logs, codes, occurred, received, origins = zip(*self.events, strict=True)
        return {
            "end_device_id": np.array(meters, dtype=np.int32),
            "identity": list(identities),
            "log": np.array(logs, dtype=np.int16),
            "code": np.array(codes, dtype=np.int32),
            "occurred_at": np.array(occurred, dtype="datetime64[s]"),
            "received_at": np.array(received, dtype="datetime64[s]"),
            "origin": np.array(origins, dtype=np.int16),
            "detail": [""] * len(self.events),
        }

    def session_columns(self) -> dict[str, Any] | None:
        """The sessions as columns for the lake; `clock_drift_ms` is None where the clock was not read."""
        if not self.sessions:
            return None
        return {
            "end_device_id": np.array([s.end_device_id for s in self.sessions], dtype=np.int32),
            "route_id": np.array([s.route_id for s in self.sessions], dtype=np.int32),
            "operation_id": [s.operation_id for s in self.sessions],
            "lane": np.array([s.lane for s in self.sessions], dtype=np.int16),
            "started_at": np.array([int(s.started_at * 1000) for s in self.sessions], dtype="datetime64[ms]"),
            "duration_ms": np.array([s.duration_ms for s in self.sessions], dtype=np.int32),
            "bytes_sent": np.array([s.bytes_sent for s in self.sessions], dtype=np.int32),
            "bytes_received": np.array([s.bytes_received for s in self.sessions], dtype=np.int32),
            "apdus": np.array([s.apdus for s in self.sessions], dtype=np.int32),
            "round_trips": np.array([s.round_trips for s in self.sessions], dtype=np.int32),
            "outcome": np.array([0 if s.error_class is None else 1 for s in self.sessions], dtype=np.int16),
            "error_class": [s.error_class or "" for s in self.sessions],
            "error_detail": [s.error_detail[:500] for s in self.sessions],
            "readings": np.array([s.readings for s in self.sessions], dtype=np.int32),
            "attempt": np.array([s.attempt for s in self.sessions], dtype=np.int16),
            "clock_drift_ms": [s.clock_drift_ms for s in self.sessions],
        }


_LISTS: Final = tuple(one.name for one in fields(Harvest))
