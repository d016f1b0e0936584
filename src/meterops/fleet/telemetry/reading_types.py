"""What a reading is a reading of. Numbers are stored in the lake, so an id once given keeps its meaning."""

from dataclasses import dataclass
from enum import IntFlag

INTERVAL_OFFSET = 100
"""A register captured by the load profile has its register's id plus this."""


@dataclass(frozen=True, slots=True)
class ReadingType:
    """A kind of reading. Values are stored in thousandths of `unit`; `cumulative` ones only ever count up."""

    id: int
    name: str
    obis: str
    unit: str
    phase: str = ""
    cumulative: bool = False

    @property
    def is_interval(self) -> bool:
        """Whether the meter captured it in its load profile."""
        return self.id >= INTERVAL_OFFSET


_REGISTERS = (
    ReadingType(1, "Active energy import", "1.0.1.8.0.255", "Wh", cumulative=True),
    ReadingType(2, "Active energy export", "1.0.2.8.0.255", "Wh", cumulative=True),
    ReadingType(3, "Reactive energy import", "1.0.3.8.0.255", "varh", cumulative=True),
    ReadingType(4, "Reactive energy export", "1.0.4.8.0.255", "varh", cumulative=True),
    ReadingType(11, "Voltage L1", "1.0.32.7.0.255", "V", "L1"),
    ReadingType(12, "Voltage L2", "1.0.52.7.0.255", "V", "L2"),
    ReadingType(13, "Voltage L3", "1.0.72.7.0.255", "V", "L3"),
    ReadingType(21, "Current L1", "1.0.31.7.0.255", "A", "L1"),
    ReadingType(22, "Current L2", "1.0.51.7.0.255", "A", "L2"),
    ReadingType(23, "Current L3", "1.0.71.7.0.255", "A", "L3"),
    ReadingType(31, "Active power import", "1.0.1.7.0.255", "W"),
    ReadingType(32, "Active power export", "1.0.2.7.0.255", "W"),
)

READING_TYPES: dict[int, ReadingType] = {t.id: t for t in _REGISTERS} | {
    t.id + INTERVAL_OFFSET: ReadingType(t.id + INTERVAL_OFFSET, t.name, t.obis, t.unit, t.phase, t.cumulative)
    for t in _REGISTERS
}

VOLTAGE_TYPES = (11, 12, 13)
"""The phase voltages as registers: what shows that a meter has supply."""


class QualityFlag(IntFlag):
    """What is known against a reading; 0 is a good one."""

    POWER_FAILURE = 1
    CLOCK_ADJUSTED = 2
    DAYLIGHT_SAVING = 4
    NOT_VALID = 8
    CLOCK_INVALID = 16
    CRITICAL_ERROR = 32


_STATUS_BITS = {
    0x80: QualityFlag.POWER_FAILURE,
    0x20: QualityFlag.CLOCK_ADJUSTED,
    0x08: QualityFlag.DAYLIGHT_SAVING,
    0x04: QualityFlag.NOT_VALID,
    0x02: QualityFlag.CLOCK_INVALID,
    0x01: QualityFlag.CRITICAL_ERROR,
}


def _flags(status: int) -> QualityFlag:
    flags = QualityFlag(0)
    for bit, flag in _STATUS_BITS.items():
        if status & bit:
            flags |= flag
    return flags


_BY_STATUS = tuple(_flags(status) for status in range(256))


def quality_of_status(status: int) -> QualityFlag:
    """The quality of a profile row by its AMR status octet (DSMR/IDIS: 0x80 power down ... 0x01 critical error)."""
    return _BY_STATUS[status & 0xFF]
