"""The buffer of a profile generic object (class 7) as columns.

Rows of one profile nearly always look alike: the same types in the same order. So the first row gives a `struct`
layout, every tag and length octet of all rows is checked against it, and one `iter_unpack` reads the whole buffer.
When a row differs, the generic decoder reads it; both give the same result. Clocks become integers, seconds since
1970 UTC.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from meterops.protocols.dlms import axdr, cosem_time
from meterops.protocols.dlms.axdr import Octets, Tag
from meterops.protocols.dlms.errors import DecodeError


@dataclass(slots=True)
class ProfileRows:
    """A profile's rows by column.

    `columns` has one sequence per captured column, all of `row_count` values: epochs (int) in clock columns, else
    what `axdr.decode_plain` gives. None stands for a clock that names no instant and for a null without a value
    before it. `raw_clocks` are the octets of the first clock column, whose status octet tells doubtful clocks; None
    where it was null.
    """

    columns: tuple[Sequence[Any], ...]
    row_count: int
    raw_clocks: Sequence[bytes | None] = ()

    def __len__(self) -> int:
        return self.row_count

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Go through the rows."""
        return zip(*self.columns, strict=True)


def decode_profile(
    buf: Octets,
    clock_columns: tuple[int, ...] = (0,),
    period_s: int = 0,
    default_deviation_minutes: int = 0,
) -> ProfileRows:
    """Read the buffer attribute of a profile: an A-XDR array (or compact array) of structures.

    `clock_columns` counts from 0; a clock column holds date-times or integers, anything else in it is refused. A
    null clock is the one of the row before plus `period_s` seconds, any other null the value of the row before;
    delta values are added to the value of the row before. A clock without a deviation is taken to deviate
    `default_deviation_minutes` from UTC (UTC minus local time). Octets after the array are passed over.
    """
    octets = bytes(buf)
    if not octets:
        raise DecodeError("profile: empty", 0)
    context = _Context(clock_columns, period_s, default_deviation_minutes)
    if octets[0] == Tag.COMPACT_ARRAY:
        return _from_rows(_compact_rows(octets), context)
    if octets[0] != Tag.ARRAY:
        raise DecodeError("profile: neither array nor compact array", 0)
    count, start = axdr.decode_length(octets, 1, "number of rows")
    if count > len(octets) - start:
        raise DecodeError(f"profile: {count} rows announced, {len(octets) - start} octets left", 1)
    if count == 0:
        return ProfileRows((), 0)
    return _alike(octets, start, count, context) or _from_rows(_array_rows(octets, start, count), context)


class _Context:
    """What the columns mean."""

    __slots__ = ("clock_columns", "deviation_minutes", "epochs", "period_s")

    def __init__(self, clock_columns: tuple[int, ...], period_s: int, deviation_minutes: int) -> None:
        self.clock_columns = clock_columns
        self.period_s = period_s
        self.deviation_minutes = deviation_minutes
        self.epochs = _epoch_cache(deviation_minutes)


# --- clocks ---------------------------------------------------------------------------------------

_EPOCHS: Final[dict[int, dict[bytes, int | None]]] = {}
_EPOCHS_KEPT: Final = 50_000


def _epoch_cache(deviation_minutes: int) -> dict[bytes, int | None]:
    """Give the epochs already worked out: meters of a fleet capture at the same instants. Emptied when it grows
    large.
    """
    cache = _EPOCHS.get(deviation_minutes)
    if cache is None or len(cache) > _EPOCHS_KEPT:
        if len(_EPOCHS) > 64:
            _EPOCHS.clear()
        cache = _EPOCHS[deviation_minutes] = {}
    return cache


def _epoch(octets: bytes, context: _Context) -> int | None:
    """Give the epoch of a clock, None if it names no instant."""
    cache = context.epochs
    if octets in cache:
        return cache[octets]
    epoch: int | None
    try:
        epoch = cosem_time.decode_epoch(octets, 0, context.deviation_minutes)
    except DecodeError:  # a meter that lost its clock still has its readings
        epoch = None
    if len(cache) <= 2 * _EPOCHS_KEPT:
        cache[octets] = epoch
    return epoch


def _epochs(clocks: Sequence[bytes], context: _Context) -> Sequence[int | None]:
    try:
        return list(map(context.epochs.__getitem__, clocks))
    except KeyError:
        return [_epoch(clock, context) for clock in clocks]


# --- rows that look alike -------------------------------------------------------------------------

_PLAIN, _CLOCK, _LATIN, _UTF8, _NULL = range(5)
_DELTAS: Final = frozenset(range(Tag.DELTA_INT8, Tag.DELTA_UINT32 + 1))
_FORMATS: Final = {tag: code for tag, code in axdr.STRUCT_FORMAT.items() if tag not in _DELTAS}
_STRING_KINDS: Final = {9: _PLAIN, 10: _LATIN, 12: _UTF8}


class _Layout:
    """What one row looks like: its size, the octets that must not change, and how to unpack the others."""

    __slots__ = ("first_clock", "fixed", "kinds", "size", "unpacker")

    def __init__(self, form: str, fixed: tuple[tuple[int, bytes], ...], kinds: tuple[int, ...]) -> None:
        self.unpacker = struct.Struct(">" + form)
        self.size = self.unpacker.size
        self.fixed = fixed
        self.kinds = kinds
        self.first_clock = kinds.index(_CLOCK) if _CLOCK in kinds else None

    def matches(self, buf: bytes, start: int, count: int) -> bool:
        """Tell whether `count` rows from `start` all have this layout."""
        size = self.size
        end = start + size * count
        if end > len(buf):
            return False
        for offset, octet in self.fixed:  # noqa: SIM110  # this is the hot path, and a generator costs a microsecond
            if buf[start + offset : end : size] != octet * count:
                return False
        return True

    def columns(self, buf: bytes, start: int, count: int) -> list[Sequence[Any]]:
        """Read the rows; null columns are left out."""
        rows = self.unpacker.iter_unpack(memoryview(buf)[start : start + self.size * count])
        return list(zip(*rows, strict=True))


_LAYOUTS: Final[dict[tuple[int, int, tuple[int, ...]], _Layout]] = {}
_LAYOUTS_KEPT: Final = 1024


def _alike(buf: bytes, start: int, count: int, context: _Context) -> ProfileRows | None:
    """Read rows of one layout, or a first row and others of one layout; None when they differ more than that."""
    key = (count, len(buf), context.clock_columns)
    known = _LAYOUTS.get(key)
    if known is not None and known.matches(buf, start, count):
        return _one_layout(known, buf, start, count, context)
    first = _layout_of(buf, start, context.clock_columns)
    if first is None:
        return None
    if first.matches(buf, start, count):
        if len(_LAYOUTS) >= _LAYOUTS_KEPT:
            _LAYOUTS.clear()
        _LAYOUTS[key] = first
        return _one_layout(first, buf, start, count, context)
    if count < 3 or not first.matches(buf, start, 1):
        return None
    others = _layout_of(buf, start + first.size, context.clock_columns)
    if (
        others is None
        or len(others.kinds) != len(first.kinds)
        or not others.matches(buf, start + first.size, count - 1)
    ):
        return None
    return _two_layouts(first, others, buf, start, count, context)


def _layout_of(buf: bytes, start: int, clock_columns: tuple[int, ...]) -> _Layout | None:
    """Derive the layout of the row at `start`; None when it holds something whose size its tag and length do not
    fix.
    """
    try:
        if buf[start] != 2 or buf[start + 1] > 0x7F:
            return None
        form: list[str] = ["2x"]
        fixed = [0, 1]
        kinds: list[int] = []
        offset = start + 2
        for column in range(buf[start + 1]):
            tag = buf[offset]
            fixed.append(offset - start)
            if tag in _FORMATS:
                code = _FORMATS[tag]
                offset += 1 + struct.calcsize(">" + code)
                is_clock = tag == Tag.DATE_TIME and column in clock_columns
                kinds.append(_CLOCK if is_clock else _PLAIN)
                form.append("x" + code)
            elif tag in _STRING_KINDS and buf[offset + 1] < 0x80:
                length = buf[offset + 1]
                fixed.append(offset + 1 - start)
                offset += 2 + length
                if column not in clock_columns:
                    kinds.append(_STRING_KINDS[tag])
                elif tag == Tag.OCTET_STRING and length == 12:
                    kinds.append(_CLOCK)
                else:
                    return None
                form.append(f"2x{length}s")
            elif tag == Tag.NULL:
                offset += 1
                kinds.append(_NULL)
                form.append("x")
            else:
                return None
        octets = tuple([(at, buf[start + at : start + at + 1]) for at in fixed])
    except IndexError:
        return None
    return _Layout("".join(form), octets, tuple(kinds))


def _one_layout(layout: _Layout, buf: bytes, start: int, count: int, context: _Context) -> ProfileRows:
    found = iter(layout.columns(buf, start, count))
    columns: list[Sequence[Any]] = []
    raw_clocks: Sequence[bytes] = ()
    for kind in layout.kinds:
        if kind == _PLAIN:
            columns.append(next(found))
        elif kind == _CLOCK:
            clocks = next(found)
            raw_clocks = raw_clocks or clocks
            columns.append(_epochs(clocks, context))
        elif kind == _NULL:
            columns.append((None,) * count)
        else:
            columns.append(_texts(next(found), kind))
    return ProfileRows(tuple(columns), count, raw_clocks)


def _goes_on(first: _Layout, others: _Layout) -> bool:
    """Tell whether rows of both layouts have the same columns, and their clocks in the same one."""
    same_clock = first.first_clock is None or others.first_clock is None or first.first_clock == others.first_clock
    return same_clock and len(first.kinds) == len(others.kinds)


def _two_layouts(first: _Layout, others: _Layout, buf: bytes, start: int, count: int, context: _Context) -> ProfileRows:
    """Put a first row before others, whose nulls go on from it."""
    head = _one_layout(first, buf, start, 1, context)
    rest = _one_layout(others, buf, start + first.size, count - 1, context)
    columns: list[Sequence[Any]] = []
    for index, kind in enumerate(others.kinds):
        value = head.columns[index][0]
        if kind != _NULL:
            columns.append([value, *rest.columns[index]])
        elif index in context.clock_columns and isinstance(value, int):
            columns.append([value + context.period_s * row for row in range(count)])
        else:
            columns.append([value] * count)
    raw_clocks: Sequence[bytes | None] = ()
    if head.raw_clocks or rest.raw_clocks:
        raw_clocks = [*(head.raw_clocks or (None,)), *(rest.raw_clocks or (None,) * (count - 1))]
    return ProfileRows(tuple(columns), count, raw_clocks)


def _texts(values: Sequence[bytes], kind: int) -> list[str]:
    if kind == _LATIN:
        return [value.decode("latin-1") for value in values]
    return [value.decode("utf-8", "replace") for value in values]


# --- any rows -------------------------------------------------------------------------------------

_Cell = tuple[int, Any]


def _array_rows(buf: bytes, offset: int, count: int) -> list[list[_Cell]]:
    """Read rows cell by cell, with the tag of each."""
    rows: list[list[_Cell]] = []
    for index in range(count):
        if offset >= len(buf) or buf[offset] != Tag.STRUCTURE:
            raise DecodeError(f"profile row {index + 1}: not a structure", offset)
        columns, offset = axdr.decode_length(buf, offset + 1, f"profile row {index + 1}: number of columns")
        row: list[_Cell] = []
        for _ in range(columns):
            tag = buf[offset] if offset < len(buf) else 0
            value, offset = axdr.decode_plain(buf, offset)
            row.append((tag, value))
        rows.append(row)
    return rows


def _compact_rows(buf: bytes) -> list[list[_Cell]]:
    rows: list[list[_Cell]] = []
    for element in axdr.decode(buf)[0].elements:
        if element.tag is not Tag.STRUCTURE:
            raise DecodeError("profile: a compact array of something else than structures", 0)
        rows.append([(cell.tag, axdr.to_plain(cell)) for cell in element.value])
    return rows


def _from_rows(rows: list[list[_Cell]], context: _Context) -> ProfileRows:
    width = len(rows[0]) if rows else 0
    for index, row in enumerate(rows):
        if len(row) != width:
            raise DecodeError(f"profile row {index + 1}: {len(row)} columns where {width} were expected")
    columns = [[row[column] for row in rows] for column in range(width)]
    raw_clocks: Sequence[bytes | None] = ()
    values: list[Sequence[Any]] = []
    for index, cells in enumerate(columns):
        if index in context.clock_columns:
            values.append(_clock_column(cells, context))
            octets = [value if isinstance(value, bytes) else None for _, value in cells]
            if not raw_clocks and any(octets):
                raw_clocks = octets
        else:
            values.append(_value_column(cells))
    return ProfileRows(tuple(values), len(rows), raw_clocks)


def _clock_column(cells: list[_Cell], context: _Context) -> list[Any]:
    values: list[Any] = []
    for tag, value in cells:
        if tag == Tag.NULL:
            before = values[-1] if values else None
            values.append(before + context.period_s if isinstance(before, int) else before)
        elif isinstance(value, bytes) and len(value) == 12:
            values.append(_epoch(value, context))
        elif isinstance(value, int):  # some profiles count seconds
            values.append(_after_delta(tag, value, values))
        else:
            raise DecodeError(f"profile row {len(values) + 1}: {str(value)[:40]!r} where a clock was expected")
    return values


def _value_column(cells: list[_Cell]) -> list[Any]:
    values: list[Any] = []
    for tag, value in cells:
        if tag == Tag.NULL:
            values.append(values[-1] if values else None)
        else:
            values.append(_after_delta(tag, value, values))
    return values


def _after_delta(tag: int, value: Any, values: list[Any]) -> Any:
    if tag not in _DELTAS:
        return value
    before = values[-1] if values else None
    if not isinstance(before, int):
        raise DecodeError(f"profile row {len(values) + 1}: a delta without a number before it")
    return before + value
