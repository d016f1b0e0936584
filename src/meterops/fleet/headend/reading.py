"""What is read in one association, as a flow, and what it becomes.

`read_meter` fills a `MeterReading` as it goes: when a session breaks off, what was read before is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from meterops.fleet.headend.contents import Content
from meterops.fleet.headend.sink import EventOrigin, Harvest, is_code, is_time
from meterops.fleet.telemetry.api import (
    INTERVAL_OFFSET,
    READING_TYPES,
    VOLTAGE_TYPES,
    QualityFlag,
    ReadingType,
    quality_of_status,
)
from meterops.protocols.dlms import flows
from meterops.protocols.dlms.apdu import Attribute, CaptureObject
from meterops.protocols.dlms.association.client import ClientAssociation
from meterops.protocols.dlms.axdr import Data
from meterops.protocols.dlms.cosem_time import decode_epoch
from meterops.protocols.dlms.errors import DecodeError, ServiceRefused
from meterops.protocols.dlms.obis import Obis
from meterops.protocols.dlms.profile_rows import ProfileRows

REGISTER, PROFILE_GENERIC, CLOCK, DATA = 3, 7, 8, 1
CLOCK_TIME = Attribute(CLOCK, Obis.parse("0.0.1.0.0.255"), 2)
STATUS_OBIS = "0.0.96.10."
MILLI = 3


@dataclass(frozen=True, slots=True)
class RegisterLayout:
    """A register the meter has, and the decimal places that turn its value into thousandths."""

    attribute: Attribute
    reading_type: ReadingType
    exponent: int


@dataclass(frozen=True, slots=True)
class ProfileLayout:
    """The load profile's columns: where the clock and the status are, and which columns are readings (with exponents)."""

    obis: Obis
    clock: int
    status: int | None
    values: tuple[tuple[int, int, int], ...]
    """(column, reading type id, exponent to thousandths)"""


@dataclass(frozen=True, slots=True)
class EventLog:
    """An event log of the meter and the number it has in the lake."""

    number: int
    obis: Obis


@dataclass(frozen=True, slots=True)
class MeterLayout:
    """What a kind of meter (manufacturer, model, firmware, profile) has and where."""

    registers: tuple[RegisterLayout, ...]
    profile: ProfileLayout | None
    event_logs: tuple[EventLog, ...]
    alarms: Attribute | None


@dataclass(slots=True)
class LayoutBook:
    """Layouts learned so far; one read of a kind's scalers and columns serves every meter of the kind."""

    _known: dict[tuple[str, ...], MeterLayout] = field(default_factory=dict)

    def find(self, kind: tuple[str, ...]) -> MeterLayout | None:
        """The layout of a kind, None when no meter of it has been read yet."""
        return self._known.get(kind)

    def keep(self, kind: tuple[str, ...], layout: MeterLayout) -> None:
        """Remember a layout."""
        self._known[kind] = layout

    def forget(self, kind: tuple[str, ...]) -> None:
        """A meter did not fit its kind's layout: learn it anew from the next one."""
        self._known.pop(kind, None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one session is to bring; `profile_from` and `events_from` in epoch seconds, both included."""

    contents: tuple[Content, ...]
    profile_from: int
    events_from: int
    now: int


class LayoutMismatch(DecodeError):
    """The meter's answer does not fit the layout of its kind."""


@dataclass(slots=True)
class MeterReading:
    """What a session has brought so far; times in epoch seconds, values in thousandths of the reading type's unit."""

    is_associated: bool = False
    clock_drift_ms: int | None = None
    alarms: int | None = None
    registers: list[tuple[ReadingType, int]] = field(default_factory=list)
    profile: ProfileRows | None = None
    profile_layout: ProfileLayout | None = None
    events: list[tuple[int, int, int]] = field(default_factory=list)
    """(log, code, occurred)"""
    events_until: int | None = None
    refused: dict[Content, str] = field(default_factory=dict)
    """Contents this meter does not give, and what it said: the session goes on without them."""

    def store(self, harvest: Harvest, meter: int, read_at: int) -> tuple[int | None, int | None]:
        """Put everything into the harvest's columns.

        Returns up to when the load profile and the event logs are stored with it (None where they were not read).
        """
        for reading_type, value in self.registers:
            harvest.add_reading(meter, reading_type.id, read_at, value)
        for log, code, occurred in self.events:
            harvest.add_event(meter, log, code, occurred, read_at, EventOrigin.READ_LOG)
        return self._store_profile(harvest, meter), self.events_until

    def profile_until(self) -> int | None:
        """The stamp of the newest row read, None where there is none."""
        if self.profile is None or self.profile_layout is None or not self.profile.row_count:
            return None  # an answer without rows has no columns either
        return max(filter(is_time, self.profile.columns[self.profile_layout.clock]), default=None)

    def _store_profile(self, harvest: Harvest, meter: int) -> int | None:
        rows, layout = self.profile, self.profile_layout
        if rows is None or layout is None or not rows.row_count:
            return None
        at = rows.columns[layout.clock]
        usable = None if all(map(is_time, at)) else [i for i, t in enumerate(at) if is_time(t)]
        times = list(at) if usable is None else [at[i] for i in usable]
        if not times:
            return None
        quality = _quality(rows, layout, usable)
        for column, reading_type, exponent in layout.values:
            values = rows.columns[column]
            picked = list(values) if usable is None else [values[i] for i in usable]
            _add_values(harvest, meter, reading_type, times, picked, quality, exponent)
        return int(max(times))


def _add_values(
    harvest: Harvest, meter: int, reading_type: int, at: list[int], values: list[Any], quality: list[int], exponent: int
) -> None:
    if None in values:
        kept = [i for i, value in enumerate(values) if value is not None]
        at, values = [at[i] for i in kept], [values[i] for i in kept]
        quality = [quality[i] for i in kept]
    harvest.add_column(meter, reading_type, at, scaled(values, exponent), quality)


def _quality(rows: ProfileRows, layout: ProfileLayout, usable: list[int] | None) -> list[int]:
    count = rows.row_count if usable is None else len(usable)
    if layout.status is None:
        return [0] * count
    statuses = rows.columns[layout.status]
    if not any(statuses):
        return [0] * count
    flags = [int(quality_of_status(status)) if isinstance(status, int) else 0 for status in statuses]
    return flags if usable is None else [flags[i] for i in usable]


def scaled(values: Sequence[Any], exponent: int) -> list[int]:
    """Values times 10**exponent as whole thousandths.

    Raises:
        LayoutMismatch: when a value is no number.
    """
    try:
        if exponent >= 0:
            factor = 10**exponent
            return [int(value * factor) for value in values]
        divisor = 10**-exponent
        return [round(value / divisor) for value in values]
    except (TypeError, ValueError, OverflowError) as error:
        raise LayoutMismatch("a value is no number") from error


def read_meter(
    association: ClientAssociation, wanted: Wanted, layout: MeterLayout, reading: MeterReading
) -> flows.Flow[None]:
    """Fetch everything wanted in an open association, cheap things first, into `reading`."""
    steps = {
        Content.CLOCK: _read_clock,
        Content.ALARMS: _read_alarms,
        Content.REGISTERS: _read_registers,
        Content.LOAD_PROFILE: _read_profile,
        Content.EVENTS: _read_events,
        Content.VOLTAGE: _read_voltage,
    }
    for content in wanted.contents:
        try:
            yield from steps[content](association, wanted, layout, reading)
        except ServiceRefused as error:
            reading.refused[content] = str(error)


def _read_clock(a: ClientAssociation, wanted: Wanted, layout: MeterLayout, reading: MeterReading) -> flows.Flow[None]:
    sent_at = datetime.now(UTC).timestamp()
    octets = yield from flows.read_plain(a, CLOCK_TIME)
    now = (sent_at + datetime.now(UTC).timestamp()) / 2
    reading.clock_drift_ms = round((decode_epoch(bytes(octets)) - now) * 1000)


def _read_alarms(a: ClientAssociation, wanted: Wanted, layout: MeterLayout, reading: MeterReading) -> flows.Flow[None]:
    if layout.alarms is not None:
        value = yield from flows.read_plain(a, layout.alarms)
        reading.alarms = value if isinstance(value, int) else None


def _read_registers(
    a: ClientAssociation, wanted: Wanted, layout: MeterLayout, reading: MeterReading
) -> flows.Flow[None]:
    yield from _read_some(a, layout.registers, reading)


def _read_voltage(a: ClientAssociation, wanted: Wanted, layout: MeterLayout, reading: MeterReading) -> flows.Flow[None]:
    if Content.REGISTERS not in wanted.contents:
        voltages = [register for register in layout.registers if register.reading_type.id in VOLTAGE_TYPES]
        yield from _read_some(a, voltages, reading)


def _read_some(a: ClientAssociation, registers: Sequence[RegisterLayout], reading: MeterReading) -> flows.Flow[None]:
    answers = yield from flows.read_many(a, [register.attribute for register in registers])
    for register, answer in zip(registers, answers, strict=True):
        if isinstance(answer, Data) and isinstance(answer.value, int | float):
            reading.registers.append((register.reading_type, scaled([answer.value], register.exponent)[0]))


def _read_profile(a: ClientAssociation, wanted: Wanted, layout: MeterLayout, reading: MeterReading) -> flows.Flow[None]:
    if layout.profile is None:
        return
    rows = yield from flows.read_profile(
        a, layout.profile.obis, wanted.profile_from, wanted.now + 1, clock_columns=(layout.profile.clock,)
    )
    if rows.row_count and len(rows.columns) <= max(column for column, _, _ in layout.profile.values):
        raise LayoutMismatch(f"load profile: {len(rows.columns)} columns do not fit the meter's layout")
    reading.profile, reading.profile_layout = rows, layout.profile


def _read_events(a: ClientAssociation, wanted: Wanted, layout: MeterLayout, reading: MeterReading) -> flows.Flow[None]:
    for log in layout.event_logs:
        rows = yield from flows.read_profile(a, log.obis, wanted.events_from, wanted.now + 1)
        for row in rows.rows():
            if is_time(row[0]) and len(row) > 1 and is_code(row[1]):
                reading.events.append((log.number, row[1], row[0]))
    reading.events_until = max((occurred for _, _, occurred in reading.events), default=wanted.events_from)


def learn_layout(
    a: ClientAssociation,
    registers: Sequence[Obis],
    profile: Obis | None,
    event_logs: Sequence[EventLog],
    alarms: Obis | None,
) -> flows.Flow[MeterLayout]:
    """Ask a meter which of these it has, with which scalers and columns."""
    types = {t.obis: t for t in READING_TYPES.values() if t.id < INTERVAL_OFFSET}
    known = [obis for obis in registers if str(obis) in types]
    answers = yield from flows.read_many(a, [Attribute(REGISTER, obis, 3) for obis in known])
    exponents = {obis: _exponent(answer) for obis, answer in zip(known, answers, strict=True)}
    return MeterLayout(
        registers=tuple(
            RegisterLayout(Attribute(REGISTER, obis, 2), types[str(obis)], exponent + MILLI)
            for obis, exponent in exponents.items()
            if exponent is not None
        ),
        profile=(yield from _learn_profile(a, profile, types)) if profile is not None else None,
        event_logs=tuple(event_logs),
        alarms=None if alarms is None else Attribute(DATA, alarms, 2),
    )


def _learn_profile(a: ClientAssociation, obis: Obis, types: dict[str, ReadingType]) -> flows.Flow[ProfileLayout | None]:
    try:
        answer = yield from flows.read(a, Attribute(PROFILE_GENERIC, obis, 3))
    except ServiceRefused:
        return None
    captured = [CaptureObject.of(one) for one in answer.value]
    clock = next((i for i, c in enumerate(captured) if c.class_id == CLOCK), None)
    if clock is None:
        raise LayoutMismatch(f"load profile {obis}: no clock among its columns")
    wanted = [(i, c) for i, c in enumerate(captured) if str(c.obis) in types and c.attribute == 2]
    scalers = yield from flows.read_many(a, [Attribute(c.class_id, c.obis, 3) for _, c in wanted])
    values = [
        (i, types[str(c.obis)].id + INTERVAL_OFFSET, (_exponent(scaler) or 0) + MILLI)
        for (i, c), scaler in zip(wanted, scalers, strict=True)
    ]
    status = next((i for i, c in enumerate(captured) if str(c.obis).startswith(STATUS_OBIS)), None)
    return ProfileLayout(obis, clock, status, tuple(values))


def _exponent(answer: object) -> int | None:
    """The scaler of a `scal_unit_type` (IEC 62056-6-2, 4.3.2): structure of int8 scaler and enum unit."""
    if isinstance(answer, Data) and isinstance(answer.value, tuple) and len(answer.value) == 2:
        scaler = answer.value[0].value
        return scaler if isinstance(scaler, int) else None
    return None


__all__ = [
    "EventLog",
    "LayoutBook",
    "LayoutMismatch",
    "MeterLayout",
    "MeterReading",
    "QualityFlag",
    "Wanted",
    "learn_layout",
    "read_meter",
    "scaled",
]
