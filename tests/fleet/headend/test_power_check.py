"""A power check over an imported inventory and a real lake: whom it asks, and what its sessions say."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.interfaces.console import seed

from meterops.fleet.headend import api as headend
from meterops.fleet.headend.models import RouteJob
from meterops.fleet.telemetry import api as telemetry
from meterops.kernel.actor import Actor
from meterops.kernel.models import Job

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
WHO = Actor("J. Ortiz")


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[telemetry.Lake]:
    opened = telemetry.Lake(telemetry.LakeConfig(str(tmp_path / "lake")))
    yield opened
    opened.close()


@pytest.fixture
def fleet(tmp_path: Path) -> seed.Fleet:
    return seed.make_inventory(tmp_path / "files", transformers=2, per_transformer=6, now=NOW)


def sessions(lake: telemetry.Lake, rows: list[tuple[int, int, datetime, str]]) -> None:
    """(meter, route, started, error)"""
    count = len(rows)
    numbers = {name: np.zeros(count, np.int32) for name in ("duration_ms", "bytes_sent", "bytes_received", "apdus")}
    lake.append(
        sessions={
            **numbers,
            "end_device_id": np.array([r[0] for r in rows], np.int32),
            "route_id": np.array([r[1] for r in rows], np.int32),
            "operation_id": [""] * count,
            "lane": np.full(count, 30, np.int16),
            "started_at": np.array([r[2].replace(tzinfo=None) for r in rows], "datetime64[ms]"),
            "round_trips": np.zeros(count, np.int32),
            "outcome": np.array([1 if r[3] else 0 for r in rows], np.int16),
            "error_class": [r[3] for r in rows],
            "error_detail": [""] * count,
            "readings": np.zeros(count, np.int32),
            "attempt": np.ones(count, np.int16),
            "clock_drift_ms": [None] * count,
        }
    )


def voltages(lake: telemetry.Lake, meters: list[int], at: datetime, volts: float) -> None:
    lake.append(
        readings={
            "end_device_id": np.array(meters, np.int32),
            "reading_type": np.full(len(meters), 11, np.int16),
            "ts": np.full(len(meters), at.replace(tzinfo=None), "datetime64[us]"),
            "value": np.full(len(meters), int(volts * 1000), np.int64),
            "quality": np.zeros(len(meters), np.int16),
        }
    )


def gasp(lake: telemetry.Lake, meter: int, at: datetime) -> None:
    when = np.array([at.replace(tzinfo=None)], "datetime64[us]")
    lake.append(
        events={
            "end_device_id": np.array([meter], np.int32),
            "identity": [""],
            "log": np.array([0], np.int16),
            "code": np.array([1], np.int32),
            "occurred_at": when,
            "received_at": when,
            "origin": np.array([2], np.int16),
            "detail": [""],
        }
    )


def test_one_urgent_job_per_route_with_a_short_deadline(fleet: seed.Fleet) -> None:
    operation = headend.request_power_check(end_device_ids=fleet.ids, actor=WHO, at=NOW)
    jobs = list(RouteJob.objects.filter(operation_id=operation))
    assert [job.total for job in jobs] == [6, 6]
    assert set(Job.objects.values_list("lane", flat=True)) == {headend.Lane.OUTAGE_CHECK}
    view = headend.get_operation(operation)
    assert view.contents == ("clock", "voltage")
    assert view.deadline_at - NOW < timedelta(minutes=1)


def test_each_meter_gets_one_of_five_answers(fleet: seed.Fleet, lake: telemetry.Lake) -> None:
    on, off, gasped, silent, locked, late = fleet.ids[:6]
    routes = dict(
        zip(fleet.ids, (row for row in _routes(fleet)), strict=True),
    )
    sessions(lake, [(m, routes[m], NOW - timedelta(hours=1), "") for m in fleet.ids])
    gasp(lake, gasped, NOW - timedelta(minutes=2))
    operation = headend.request_power_check(
        end_device_ids=[*fleet.ids[:6], 999_999], unknown=["NOBODY"], actor=WHO, at=NOW
    )
    asked_at = NOW + timedelta(seconds=3)
    sessions(
        lake,
        [
            (on, routes[on], asked_at, ""),
            (off, routes[off], asked_at, ""),
            (gasped, routes[gasped], asked_at, "timeout"),
            (silent, routes[silent], asked_at, "unreachable"),
            (locked, routes[locked], asked_at, "authentication"),
        ],
    )
    voltages(lake, [on], asked_at, 229.4)
    voltages(lake, [off], asked_at, 3.0)
    running = headend.power_check_answers(operation, now=NOW + timedelta(seconds=10), lake=lake)
    assert [running.of(m) for m in fleet.ids[:6]] == ["ON", "OFF", "OFF", "NO_CONTACT", "UNKNOWN", None]
    assert running.view.pending == 1
    assert running.view.asked == 8
    assert running.view.unknown == ("NOBODY", "999999")
    assert running.view.counts == {"ON": 1, "OFF": 2, "UNKNOWN": 1, "NO_CONTACT": 1, "UNKNOWN_ID": 2}
    headend.end_operations(now=NOW + timedelta(hours=1))
    over = headend.power_check_answers(operation, now=NOW + timedelta(hours=1), lake=lake)
    assert over.view.is_over
    assert over.of(late) is headend.SupplyAnswer.NO_CONTACT
    assert over.ids_with(headend.SupplyAnswer.OFF).tolist() == [off, gasped]


def test_neighbors_are_asked_along_so_that_silence_says_something(fleet: seed.Fleet, lake: telemetry.Lake) -> None:
    routes = dict(zip(fleet.ids, _routes(fleet), strict=True))
    dark, neighbors = fleet.ids[:2], fleet.ids[2:6]
    gasp(lake, dark[0], NOW - timedelta(minutes=2))
    operation = headend.request_power_check(end_device_ids=dark, actor=WHO, at=NOW)
    (job,) = RouteJob.objects.filter(operation_id=operation)
    asked = set(headend.meter_sets.unpack(job.outstanding or b"").tolist())
    witnesses = asked - set(dark)
    assert len(witnesses) == 2
    assert witnesses < set(neighbors)
    at = NOW + timedelta(seconds=2)
    sessions(lake, [(m, routes[m], at, "timeout") for m in dark] + [(m, routes[m], at, "") for m in witnesses])
    answers = headend.power_check_answers(operation, now=at, lake=lake)
    assert [answers.of(m) for m in dark] == ["OFF", "NO_CONTACT"]
    assert answers.view.asked == 2


def test_a_read_after_the_check_does_not_change_its_answers(fleet: seed.Fleet, lake: telemetry.Lake) -> None:
    meter = fleet.ids[0]
    operation = headend.request_power_check(end_device_ids=[meter], actor=WHO, at=NOW)
    headend.end_operations(now=NOW + timedelta(minutes=5))
    sessions(lake, [(meter, 1, NOW + timedelta(minutes=6), "")])
    voltages(lake, [meter], NOW + timedelta(minutes=6), 230)
    answers = headend.power_check_answers(operation, now=NOW + timedelta(minutes=7), lake=lake)
    assert answers.of(meter) is headend.SupplyAnswer.NO_CONTACT


def test_without_a_route_nobody_can_be_asked(fleet: seed.Fleet) -> None:
    with pytest.raises(headend.EndDeviceHasNoRoute, match="nobody can be asked"):
        headend.request_power_check(end_device_ids=[999_999], actor=WHO, at=NOW)


def test_what_is_no_power_check_is_refused(fleet: seed.Fleet, lake: telemetry.Lake) -> None:
    operation = headend.request_read(end_device_ids=fleet.ids[:1], actor=WHO, at=NOW)
    with pytest.raises(headend.OperationUnknown, match="no power check"):
        headend.power_check_answers(operation, now=NOW, lake=lake)


def _routes(fleet: seed.Fleet) -> list[int]:
    from meterops.fleet.inventory import api as inventory

    columns = inventory.columns_of_end_devices(("route_id",))
    by_id = dict(zip(columns["id"].tolist(), columns["route_id"].tolist(), strict=True))
    return [by_id[m] for m in fleet.ids]
