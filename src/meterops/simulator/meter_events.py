"""Event logs and alarms of a simulated meter: codes as Dutch meters use them, kept in one log per kind of event."""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from typing import Final


class EventLog(IntEnum):
    """The logs 0.0.99.98.E.255 and the event code objects 0.0.96.11.E.255."""

    STANDARD = 0
    FRAUD = 1
    DISCONNECT = 2
    COMMUNICATION = 4
    POWER_QUALITY = 5


class EventCode(IntEnum):
    """What a meter notes in its logs."""

    POWER_FAILURE = 1
    POWER_RETURNED = 2
    CLOCK_UPDATE = 3
    CLOCK_ADJUSTED_OLD_TIME = 4
    CLOCK_ADJUSTED_NEW_TIME = 5
    CLOCK_INVALID = 6
    REPLACE_BATTERY = 7
    BATTERY_VOLTAGE_LOW = 8
    ERROR_REGISTER_CLEARED = 10
    ALARM_REGISTER_CLEARED = 11
    HARDWARE_ERROR_NV_MEMORY = 14
    WATCHDOG_ERROR = 15
    HARDWARE_ERROR_MEASUREMENT_SYSTEM = 16
    FIRMWARE_READY_FOR_ACTIVATION = 17
    FIRMWARE_ACTIVATED = 18
    COMMUNICATION_MODULE_REMOVED = 21
    COMMUNICATION_MODULE_INSERTED = 22
    TERMINAL_COVER_REMOVED = 40
    TERMINAL_COVER_CLOSED = 41
    STRONG_DC_FIELD_DETECTED = 42
    NO_STRONG_DC_FIELD_ANYMORE = 43
    METER_COVER_REMOVED = 44
    METER_COVER_CLOSED = 45
    FAILED_LOGIN_ATTEMPT = 46
    CONFIGURATION_CHANGE = 47
    MANUAL_DISCONNECTION = 60
    MANUAL_CONNECTION = 61
    REMOTE_DISCONNECTION = 62
    REMOTE_CONNECTION = 63
    LOCAL_DISCONNECTION = 64
    LIMITER_THRESHOLD_EXCEEDED = 65
    UNDER_VOLTAGE_L1 = 77
    UNDER_VOLTAGE_L2 = 78
    UNDER_VOLTAGE_L3 = 79
    OVER_VOLTAGE_L1 = 80
    OVER_VOLTAGE_L2 = 81
    OVER_VOLTAGE_L3 = 82
    VOLTAGE_L1_NORMAL = 83
    VOLTAGE_L2_NORMAL = 84
    VOLTAGE_L3_NORMAL = 85
    PHASE_OUTAGE_L1 = 86
    PHASE_OUTAGE_L2 = 87
    PHASE_OUTAGE_L3 = 88
    PHASE_RETURNED_L1 = 90
    PHASE_RETURNED_L2 = 91
    PHASE_RETURNED_L3 = 92
    COMMUNICATION_ERROR = 100
    LOG_CLEARED = 255


LOG_ENTRIES: Final = 100
"""How many entries a log keeps before the oldest falls out."""

_FRAUD: Final = range(40, 50)
_DISCONNECT: Final = range(60, 70)
_POWER_QUALITY: Final = range(77, 100)
_COMMUNICATION: Final = range(100, 110)

# Alarm register 1 of the Dutch companion standard: event code -> bit.
_ALARM_BITS: Final[dict[int, int]] = {
    EventCode.CLOCK_INVALID: 0,
    EventCode.REPLACE_BATTERY: 1,
    EventCode.POWER_RETURNED: 2,
    EventCode.HARDWARE_ERROR_NV_MEMORY: 10,
    EventCode.HARDWARE_ERROR_MEASUREMENT_SYSTEM: 11,
    EventCode.WATCHDOG_ERROR: 12,
    EventCode.TERMINAL_COVER_REMOVED: 13,
    EventCode.STRONG_DC_FIELD_DETECTED: 13,
    EventCode.METER_COVER_REMOVED: 13,
    EventCode.FAILED_LOGIN_ATTEMPT: 13,
    EventCode.COMMUNICATION_ERROR: 16,
    EventCode.UNDER_VOLTAGE_L1: 25,
    EventCode.UNDER_VOLTAGE_L2: 26,
    EventCode.UNDER_VOLTAGE_L3: 27,
    EventCode.PHASE_OUTAGE_L1: 28,
    EventCode.PHASE_OUTAGE_L2: 29,
    EventCode.PHASE_OUTAGE_L3: 30,
}


def log_of(code: int) -> EventLog:
    """The log in which an event is kept."""
    if code in _FRAUD and code != EventCode.CONFIGURATION_CHANGE:
        return EventLog.FRAUD
    if code in _DISCONNECT:
        return EventLog.DISCONNECT
    if code in _POWER_QUALITY:
        return EventLog.POWER_QUALITY
    if code in _COMMUNICATION:
        return EventLog.COMMUNICATION
    return EventLog.STANDARD


def alarm_bit_of(code: int) -> int:
    """The mask that an event sets in the alarm register, 0 for most."""
    bit = _ALARM_BITS.get(code)
    return 0 if bit is None else 1 << bit


class EventLogs:
    """The logs of one meter: (meter's UTC epoch, code), oldest first, made when the first event happens."""

    __slots__ = ("_logs",)

    def __init__(self) -> None:
        """Start with nothing noted."""
        self._logs: dict[int, deque[tuple[int, int]]] = {}

    def note(self, at: int, code: int) -> None:
        """Keep an event in its log."""
        log = self._logs.get(log_of(code))
        if log is None:
            log = self._logs[log_of(code)] = deque(maxlen=LOG_ENTRIES)
        log.append((at, code))

    def entries(self, log: int) -> tuple[tuple[int, int], ...]:
        """All entries of a log."""
        return tuple(self._logs.get(log, ()))

    def last_code(self, log: int) -> int:
        """The code noted last, 0 in an empty log."""
        kept = self._logs.get(log)
        return kept[-1][1] if kept else 0

    def clear(self, log: int, at: int) -> None:
        """Empty a log; that it was emptied is its first entry."""
        self._logs[log] = deque([(at, EventCode.LOG_CLEARED)], maxlen=LOG_ENTRIES)
