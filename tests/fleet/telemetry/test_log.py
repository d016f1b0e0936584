"""The lake as a log: rows keep their numbers whatever maintenance does, and the newest sessions are found wherever they lie."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from meterops.fleet.telemetry import api as telemetry
from meterops.fleet.telemetry import maintenance
from meterops.fleet.telemetry.columns import TABLES

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).replace(tzinfo=None)
SORTED = (
    "SELECT t.table_name FROM __ducklake_metadata_lake.ducklake_sort_info s "
    "JOIN __ducklake_metadata_lake.ducklake_table t USING (table_id) WHERE s.end_snapshot IS NULL"
)


@pytest.fixture
def config(tmp_path: Path) -> telemetry.LakeConfig:
    return telemetry.LakeConfig(folder=str(tmp_path / "lake"))


@pytest.fixture
def lake(config: telemetry.LakeConfig) -> Iterator[telemetry.Lake]:
    lake = telemetry.Lake(config)
    yield lake
    lake.close()


def say(lake: telemetry.Lake, devices: list[int], at: datetime) -> None:
    n, when = len(devices), np.full(len(devices), np.datetime64(at, "us"))
    none = np.zeros(n, np.int16)
    same = {"identity": [""] * n, "detail": [""] * n, "log": none, "code": none.astype(np.int32), "origin": none}
    lake.append(events={"end_device_id": np.array(devices, np.int32), "occurred_at": when, "received_at": when, **same})


def look_after(lake: telemetry.Lake) -> None:
    maintenance.maintain(lake, now=datetime.now(UTC) + timedelta(days=1))


def test_rows_keep_their_numbers_through_maintenance(lake: telemetry.Lake) -> None:
    dice, at = random.Random(5), NOON
    for _ in range(6):
        for _ in range(4):
            say(lake, dice.sample(range(100), dice.choice((3, 40))), at)
            at += timedelta(hours=1)
        before = telemetry.rows_after(lake, "events", -1).rows
        look_after(lake)
        assert telemetry.rows_after(lake, "events", -1).rows == before


def files_of(lake: telemetry.Lake) -> int:
    return len(lake.query("SELECT * FROM ducklake_list_files('lake', 'events')").fetchall())


def test_a_commit_of_one_row_is_a_file(lake: telemetry.Lake) -> None:
    say(lake, [3], NOON)
    assert files_of(lake) == 1


def test_what_lakes_from_before_kept_in_the_catalog_comes_into_files(config: telemetry.LakeConfig) -> None:
    old = telemetry.Lake(config)
    old.query("CALL lake.set_option('data_inlining_row_limit', 10)")
    say(old, [3, 1, 2], NOON)
    assert not files_of(old)
    old.close()
    lake = telemetry.Lake(config)
    look_after(lake)
    assert files_of(lake) == 1
    assert telemetry.rows_after(lake, "events", -1).rows.column("end_device_id").to_pylist() == [1, 2, 3]
    lake.close()


def test_a_lake_from_before_is_no_longer_sorted_where_it_is_a_log(config: telemetry.LakeConfig) -> None:
    old = telemetry.Lake(config)
    for name in TABLES:
        old.query(f"ALTER TABLE lake.{name} SET SORTED BY (end_device_id)")
    old.close()
    lake = telemetry.Lake(config)
    assert {row[0] for row in lake.query(SORTED).fetchall()} == {"readings", "notifications"}
    lake.close()


def test_the_newest_sessions_come_first_however_far_back_they_lie(lake: telemetry.Lake) -> None:
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    ages = [timedelta(hours=1), timedelta(days=3), timedelta(days=30), timedelta(days=300)]
    n = len(ages)
    whole, short = np.zeros(n, np.int32), np.zeros(n, np.int16)
    numbers = ("route_id", "duration_ms", "bytes_sent", "bytes_received", "apdus", "round_trips", "readings")
    lake.append(
        sessions={
            "end_device_id": np.full(n, 7, np.int32),
            "operation_id": [""] * n,
            "started_at": np.array([now - age for age in ages], "datetime64[ms]"),
            **dict.fromkeys(numbers, whole),
            **dict.fromkeys(("lane", "outcome", "attempt"), short),
            "error_class": [""] * n,
            "error_detail": [""] * n,
            "clock_drift_ms": [None] * n,
        }
    )
    for limit in range(1, n + 2):
        found = telemetry.list_sessions(lake, end_device_id=7, limit=limit)
        assert [one.started_at.replace(tzinfo=None) for one in found] == [now - age for age in ages][:limit]
    earlier = telemetry.list_sessions(lake, end_device_id=7, before=(now - timedelta(days=30)).replace(tzinfo=UTC))
    assert len(earlier) == 1
