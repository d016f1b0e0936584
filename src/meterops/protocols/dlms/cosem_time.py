"""COSEM dates and times (Blue Book, 4.1.6.1): 12 octets date-time, 5 octets date, 4 octets time.

In the hot path a clock is an integer: seconds since 1970-01-01 00:00 UTC. No `datetime` is made on the way.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from meterops.protocols.dlms.errors import DecodeError, EncodeError

UNSPECIFIED_YEAR: Final = 0xFFFF
UNSPECIFIED: Final = 0xFF
UNSPECIFIED_DEVIATION: Final = -0x8000
UNSPECIFIED_CLOCK: Final = bytes.fromhex("ffffffffffffffffff800000")
"""A date-time of which nothing is specified and the status is zero."""

STATUS_INVALID: Final = 0x01
STATUS_DOUBTFUL: Final = 0x02
STATUS_DIFFERENT_BASE: Final = 0x04
STATUS_INVALID_CLOCK_STATUS: Final = 0x08
STATUS_DAYLIGHT_SAVING: Final = 0x80
STATUS_UNSPECIFIED: Final = 0xFF

_DATE_TIME: Final = struct.Struct(">HBBBBBBBhB")
_DATE: Final = struct.Struct(">HBBB")
_DAYS_BEFORE_MONTH: Final = (0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_DAYS_IN_MONTH: Final = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_EPOCH_DAYS: Final = 719_162
_SECONDS_A_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class CosemDate:
    """A date of which any part may be unspecified (None).

    `month` 0xFE and 0xFD mean the end and begin of daylight saving, `day` 0xFE and 0xFD the last and last but one
    of a month. `weekday` counts from Monday, 1.
    """

    year: int | None = None
    month: int | None = None
    day: int | None = None
    weekday: int | None = None

    def encode(self) -> bytes:
        """Write the 5 octets."""
        try:
            return _DATE.pack(
                UNSPECIFIED_YEAR if self.year is None else self.year,
                _octet(self.month),
                _octet(self.day),
                _octet(self.weekday),
            )
        except struct.error:
            raise EncodeError(f"{self!r} does not fit a date") from None


@dataclass(frozen=True, slots=True)
class CosemTime:
    """A time of day of which any part may be unspecified (None)."""

    hour: int | None = None
    minute: int | None = None
    second: int | None = None
    hundredths: int | None = None

    def encode(self) -> bytes:
        """Write the 4 octets."""
        try:
            return bytes((_octet(self.hour), _octet(self.minute), _octet(self.second), _octet(self.hundredths)))
        except ValueError:
            raise EncodeError(f"{self!r} does not fit a time") from None


@dataclass(frozen=True, slots=True)
class CosemDateTime:
    """A date-time of which any part may be unspecified (None).

    `deviation_minutes` is UTC minus local time, as the standard has it: Central European Time is -60. `status` is
    the clock status octet (`STATUS_...`).
    """

    year: int | None = None
    month: int | None = None
    day: int | None = None
    weekday: int | None = None
    hour: int | None = None
    minute: int | None = None
    second: int | None = None
    hundredths: int | None = None
    deviation_minutes: int | None = None
    status: int = 0

    def to_epoch(self, default_deviation_minutes: int = 0) -> int:
        """Give seconds since 1970 UTC; an unspecified deviation is `default_deviation_minutes`, unspecified time
        parts are 0.

        Without year, month and day, or with a date that does not exist, a `DecodeError`.
        """
        return decode_epoch(self.encode(), 0, default_deviation_minutes)

    def encode(self) -> bytes:
        """Write the 12 octets."""
        try:
            return _DATE_TIME.pack(
                UNSPECIFIED_YEAR if self.year is None else self.year,
                _octet(self.month),
                _octet(self.day),
                _octet(self.weekday),
                _octet(self.hour),
                _octet(self.minute),
                _octet(self.second),
                _octet(self.hundredths),
                UNSPECIFIED_DEVIATION if self.deviation_minutes is None else self.deviation_minutes,
                self.status,
            )
        except struct.error:
            raise EncodeError(f"{self!r} does not fit a date-time") from None


def decode_date_time(octets: bytes) -> CosemDateTime:
    """Read the 12 octets of a date-time; values are not checked against the calendar."""
    if len(octets) != 12:
        raise DecodeError(f"date-time: {len(octets)} octets where 12 were expected")
    year, month, day, weekday, hour, minute, second, hundredths, deviation, status = _DATE_TIME.unpack(octets)
    return CosemDateTime(
        None if year == UNSPECIFIED_YEAR else year,
        _part(month),
        _part(day),
        _part(weekday),
        _part(hour),
        _part(minute),
        _part(second),
        _part(hundredths),
        None if deviation == UNSPECIFIED_DEVIATION else deviation,
        status,
    )


def decode_date(octets: bytes) -> CosemDate:
    """Read the 5 octets of a date."""
    if len(octets) != 5:
        raise DecodeError(f"date: {len(octets)} octets where 5 were expected")
    year, month, day, weekday = _DATE.unpack(octets)
    return CosemDate(None if year == UNSPECIFIED_YEAR else year, _part(month), _part(day), _part(weekday))


def decode_time(octets: bytes) -> CosemTime:
    """Read the 4 octets of a time."""
    if len(octets) != 4:
        raise DecodeError(f"time: {len(octets)} octets where 4 were expected")
    hour, minute, second, hundredths = octets
    return CosemTime(_part(hour), _part(minute), _part(second), _part(hundredths))


def decode_epoch(buf: bytes, offset: int = 0, default_deviation_minutes: int = 0) -> int:
    """Read the 12 octets at `offset` as seconds since 1970 UTC.

    Unspecified hour, minute and second count as 0, an unspecified deviation as `default_deviation_minutes`;
    hundredths are dropped. A date with an unspecified part, or one that does not exist, is a `DecodeError`.
    """
    try:
        fields: tuple[int, ...] = _DATE_TIME.unpack_from(buf, offset)
    except struct.error:
        raise DecodeError("date-time: cut short", offset) from None
    year, month, day, _, hour, minute, second, _, deviation, _ = fields
    if deviation == UNSPECIFIED_DEVIATION:
        deviation = default_deviation_minutes
    return days_since_1970(year, month, day) * _SECONDS_A_DAY + seconds_of_day(hour, minute, second) + deviation * 60


def days_since_1970(year: int, month: int, day: int) -> int:
    """Count the days from 1970-01-01; a date that does not exist is a `DecodeError`."""
    if not 1 <= year <= 9999 or not 1 <= month <= 12 or not 1 <= day <= _DAYS_IN_MONTH[month]:
        raise DecodeError(f"date-time: no such date, year {year} month {month} day {day}")
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if day == 29 and month == 2 and not leap:
        raise DecodeError(f"date-time: no such date, year {year} month {month} day {day}")
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 + _DAYS_BEFORE_MONTH[month] + day - 1
    return days - _EPOCH_DAYS + (1 if leap and month > 2 else 0)


def seconds_of_day(hour: int, minute: int, second: int) -> int:
    """Count seconds since midnight; 0xFF parts count as 0, 24:00:00 is the end of the day, others out of range
    refused.
    """
    if hour == UNSPECIFIED:
        hour = 0
    if minute == UNSPECIFIED:
        minute = 0
    if second == UNSPECIFIED:
        second = 0
    if hour > 23 and (hour, minute, second) != (24, 0, 0):
        raise DecodeError(f"date-time: no such time, hour {hour}")
    if minute > 59 or second > 60:
        raise DecodeError(f"date-time: no such time, minute {minute} second {second}")
    return hour * 3600 + minute * 60 + second


def encode_epoch(epoch: int, deviation_minutes: int = 0, status: int = 0) -> bytes:
    """Write seconds since 1970 UTC as a date-time in local time with its deviation (UTC minus local, in minutes).

    Hundredths are 0, the weekday is given. Years outside 1 to 9999 are an `EncodeError`.
    """
    days, seconds = divmod(epoch - deviation_minutes * 60, _SECONDS_A_DAY)
    year, month, day = _civil(days)
    if not 1 <= year <= 9999 or not -720 <= deviation_minutes <= 840:
        raise EncodeError(f"{epoch} s with a deviation of {deviation_minutes} minutes does not fit a date-time")
    hour, seconds = divmod(seconds, 3600)
    minute, second = divmod(seconds, 60)
    weekday = (days + 3) % 7 + 1
    return _DATE_TIME.pack(year, month, day, weekday, hour, minute, second, 0, deviation_minutes, status)


def _civil(days: int) -> tuple[int, int, int]:
    """Turn days since 1970 into year, month, day: eras of 400 years that begin in March, so a leap day is the last."""
    days += 719_468
    era, of_era = divmod(days, 146_097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    day_of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    return year_of_era + era * 400 + (1 if month <= 2 else 0), month, day


def _part(value: int) -> int | None:
    return None if value == UNSPECIFIED else value


def _octet(value: int | None) -> int:
    return UNSPECIFIED if value is None else value
