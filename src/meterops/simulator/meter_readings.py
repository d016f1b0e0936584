"""What a simulated meter measures: the boundary between the metered world (grid, loads) and the DLMS side of a meter."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import ClassVar, Protocol


class Channel(IntEnum):
    """What can be asked of a meter's readings; the numbers are the reading type ids of the telemetry lake.

    Energies in Wh and varh, voltages in tenths of a volt, currents in hundredths of an ampere, powers in W.
    """

    STATUS = 0
    IMPORT_WH = 1
    EXPORT_WH = 2
    IMPORT_VARH = 3
    EXPORT_VARH = 4
    VOLTAGE_L1 = 11
    VOLTAGE_L2 = 12
    VOLTAGE_L3 = 13
    CURRENT_L1 = 21
    CURRENT_L2 = 22
    CURRENT_L3 = 23
    IMPORT_W = 31
    EXPORT_W = 32


class MeterReadings(Protocol):
    """The measured values of one meter. Times are UTC epoch seconds; a row is stamped with the end of its interval.

    One instance may serve one meter, or be a small handle into arrays shared by the whole fleet.
    """

    def value(self, channel: int, at: int) -> int:
        """Give the value of a channel at the moment `at` (a running total or a present value), not negative."""
        ...

    def window(self, period: int, at: int) -> tuple[int, int]:
        """Give (stamp of the oldest row kept, number of rows) of the profile with that period, as of `at`."""
        ...

    def column(self, channel: int, period: int, first_at: int, count: int, width: int) -> bytes:
        """Give `count` values stamped `first_at`, `first_at + period`, ... as big-endian numbers of `width` octets."""
        ...

    def missing(self, period: int, first_at: int, count: int) -> bytes | None:
        """Give one octet a row, non-zero where the meter captured nothing (no supply); None when no row is missing."""
        ...


class SteadyReadings:
    """A meter alone on a bench: energies rise by a fixed amount each quarter-hour from a given start.

    The load profile holds `rows` rows from `starts_at`, whatever the clock says, so that tests and demonstrations can
    ask for known dates.
    """

    __slots__ = ("_count", "_period", "_starts_at", "_steps")

    _FIXED: ClassVar[dict[int, int]] = {
        Channel.STATUS: 0,
        Channel.VOLTAGE_L1: 2301,
        Channel.VOLTAGE_L2: 2312,
        Channel.VOLTAGE_L3: 2296,
        Channel.CURRENT_L1: 152,
        Channel.CURRENT_L2: 87,
        Channel.CURRENT_L3: 43,
        Channel.IMPORT_W: 640,
        Channel.EXPORT_W: 0,
    }

    def __init__(self, starts_at: int, rows: int, period: int = 900, step_wh: int = 7) -> None:
        """Hold `rows` rows of `period` seconds, the first stamped `starts_at` (UTC epoch)."""
        self._starts_at = starts_at
        self._count = rows
        self._period = period
        self._steps: dict[int, int] = {Channel.IMPORT_WH: step_wh, Channel.EXPORT_WH: 1, Channel.IMPORT_VARH: 2}

    def value(self, channel: int, at: int) -> int:
        """Give a present value (fixed) or a total (rising with the rows)."""
        fixed = self._FIXED.get(channel)
        if fixed is not None:
            return fixed
        done = min(max((at - self._starts_at) // self._period, 0), self._count)
        return 100_000 + channel * 1_000 + self._steps.get(channel, 0) * done

    def window(self, period: int, at: int) -> tuple[int, int]:
        """Give the bench rows; for another period (daily), the whole multiples that they cover."""
        if period == self._period:
            return self._starts_at, self._count
        first = -(-self._starts_at // period) * period
        ends = self._starts_at + self._count * self._period
        return first, max(0, -((first - ends) // period))

    def column(self, channel: int, period: int, first_at: int, count: int, width: int) -> bytes:
        """Give the values at the rows' stamps."""
        if channel in self._FIXED:
            return self._FIXED[channel].to_bytes(width, "big") * count
        code = {1: "B", 2: "H", 4: "I", 8: "Q"}[width]
        values = (self.value(channel, first_at + number * period) for number in range(count))
        return struct.pack(f">{count}{code}", *values)

    def missing(self, period: int, first_at: int, count: int) -> bytes | None:
        """Nothing is ever missing."""
        return None
