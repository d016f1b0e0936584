"""Frames and readings whose values no column holds: each costs itself, and what comes beside it is stored."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fleet.headend.test_push_values import NATIVES, data_of, obis
from tests.fleet.headend.test_route_runner import a_job

from meterops.fleet.headend.contents import ALL_CONTENTS
from meterops.fleet.headend.lanes import Lane
from meterops.fleet.headend.meter_session import MeterVisit
from meterops.fleet.headend.push import PushDesk, PushFrame
from meterops.fleet.headend.reading import LayoutMismatch, MeterReading, ProfileLayout, scaled
from meterops.fleet.headend.route_runner import MeterTask
from meterops.fleet.headend.sink import EventOrigin, Harvest, NotStorable
from meterops.fleet.headend.worker import Worker, WorkerSettings
from meterops.fleet.telemetry import api as telemetry
from meterops.fleet.telemetry.reading_types import READING_TYPES
from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.apdu import DataNotification
from meterops.protocols.dlms.obis import Obis
from meterops.protocols.dlms.profile_rows import ProfileRows

pytestmark = pytest.mark.django_db
NOON = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp())
NAMES = ("0.0.96.1.0.255", "1.0.1.8.0.255", "0.0.97.98.0.255", "0.0.96.11.1.255", "1.0.32.7.0.255")
LATE = bytes.fromhex("270F0C1FFF173B3B0002D000")
"""23:59:59 on the last day that a date can name, in a zone in which the next year has begun."""


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[telemetry.Lake]:
    lake = telemetry.Lake(telemetry.LakeConfig(folder=str(tmp_path / "lake")))
    yield lake
    lake.close()


def pushed(values: dict[str, Any], when: bytes | None = None) -> PushFrame:
    objects = [[1, obis(name), 2, 0] for name in values]
    body = axdr.encode(data_of([objects, *values.values()]))
    return PushFrame(DataNotification(1, when, body).encode(), "udp", "192.0.2.1:9", float(NOON))


POISON = {
    "a code of 64 bits": pushed({"0.0.96.11.0.255": 2**63}),
    "an alarm register that is no number": pushed({"0.0.97.98.0.255": math.nan}),
    "an endless code": pushed({"0.0.96.11.0.255": math.inf}),
    "a name with a zero in it": pushed({"0.0.96.1.0.255": b"SIM\x000001", "0.0.96.11.1.255": 44}),
    "a name of a page": pushed({"0.0.96.1.0.255": b"x" * 5000, "0.0.96.11.1.255": 44}),
    "the year 10000": pushed({"0.0.96.11.1.255": 44}, LATE),
}


@pytest.mark.parametrize("what", POISON)
def test_one_frame_from_anybody_stops_nothing(lake: telemetry.Lake, what: str) -> None:
    good = pushed({"0.0.96.1.0.255": b"KNOWN-LATER", "0.0.96.11.1.255": 44})
    PushDesk(lake).store([POISON[what], good])
    assert len(telemetry.list_notifications(lake)) == 2
    rows = telemetry.list_events(lake, limit=10)
    assert all(isinstance(row.occurred_at, datetime) for row in rows), "and whoever asks for events is answered"
    assert 44 in {row.code for row in rows}


BODIES = st.dictionaries(st.sampled_from(NAMES), NATIVES, max_size=4)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(BODIES, st.none() | st.binary(min_size=12, max_size=12)), min_size=1, max_size=25))
def test_whatever_is_pushed_is_stored(lake: telemetry.Lake, bodies: list[tuple[dict[str, Any], bytes | None]]) -> None:
    before = len(telemetry.list_notifications(lake, limit=10_000))
    PushDesk(lake).store([pushed(values, when) for values, when in bodies])
    assert len(telemetry.list_notifications(lake, limit=10_000)) == before + len(bodies)


@pytest.mark.parametrize("value", [math.nan, math.inf, "twelve", None, b"\x01"])
def test_a_value_that_is_no_number_is_the_meters_fault(value: object) -> None:
    with pytest.raises(LayoutMismatch, match="no number"):
        scaled([1, value], 3)


def test_readings_that_fit_no_column_are_refused_whole() -> None:
    harvest = Harvest()
    for at, value in ((2**33, 1), (-1, 1), (NOON, 2**63), (NOON, -(2**63) - 1)):
        with pytest.raises(NotStorable):
            harvest.add_column(1, 1, [NOON, at], [1, value], [0, 0])
        with pytest.raises(NotStorable):
            harvest.add_reading(1, 1, at, value)
    for code, at in ((2**31, NOON), (1, 2**32)):
        with pytest.raises(NotStorable):
            harvest.add_event(1, 0, code, at, NOON, EventOrigin.READ_LOG)
    assert not harvest


def test_what_one_meter_brought_joins_the_rest() -> None:
    mine, all_of = Harvest(), Harvest()
    all_of.add_reading(1, 1, NOON, 5)
    mine.add_reading(2, 1, NOON, 7)
    mine.add_event(2, 0, 1, NOON, NOON, EventOrigin.READ_LOG)
    all_of.take(mine)
    columns = all_of.reading_columns()
    assert columns is not None
    assert columns["end_device_id"].tolist() == [1, 2]
    assert all_of.events == mine.events


def test_profile_rows_without_a_usable_time_are_left_out() -> None:
    layout = ProfileLayout(Obis.parse("1.0.99.1.0.255"), clock=0, status=None, values=((1, 1, 0),))
    rows = ProfileRows(([NOON, None, 2**40], [1, 2, 3]), 3)
    reading, harvest = MeterReading(profile=rows, profile_layout=layout), Harvest()
    reading.registers = [(READING_TYPES[1], 12)]
    assert reading.store(harvest, 1, NOON) == (NOON, None)
    assert harvest.at.tolist() == [NOON, NOON]
    assert reading.profile_until() == NOON


def test_a_meter_whose_value_fits_no_column_fails_alone(lake: telemetry.Lake) -> None:
    worker = Worker(lake, WorkerSettings(b"MOP00001"))
    kind = READING_TYPES[1]
    for meter, value in ((1, 12_000), (2, 2**70)):
        task = MeterTask(
            1,
            meter,
            (a_job(1, range(meter, meter + 1)),),
            ALL_CONTENTS,
            86_400,
            Lane.ON_DEMAND,
            datetime(2040, 1, 1, tzinfo=UTC),
            1,
        )
        worker._take_home(MeterVisit(task, float(NOON), MeterReading(registers=[(kind, value)])))
    worker._append(worker._harvest)
    sessions = {row.end_device_id: row for row in telemetry.list_sessions(lake)}
    assert (sessions[1].error_class, sessions[1].readings) == ("", 1)
    assert (sessions[2].error_class, sessions[2].readings) == ("data", 0)
    assert "more than 64 bits" in sessions[2].error_detail
