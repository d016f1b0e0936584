"""A small grid, facts as events tells them, and a lake for answers."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.interfaces.console import seed

from meterops.fleet.inventory import api as inventory
from meterops.fleet.telemetry import api as telemetry
from meterops.kernel.actor import Actor
from meterops.practices.events.events import SituationChanged, SituationOpened

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
WHO = Actor("J. Ortiz")


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[telemetry.Lake]:
    opened = telemetry.Lake(telemetry.LakeConfig(str(tmp_path / "lake")))
    yield opened
    opened.close()


@pytest.fixture
def fleet(tmp_path: Path, db: None) -> seed.Fleet:
    return seed.make_inventory(tmp_path / "files", transformers=4, per_transformer=12, now=NOW)


def situation(
    number: int, mrid: str, *, at: datetime = NOW, changed: bool = False, kind: str = "OUTAGE", **values: Any
) -> Any:
    """A situation at a node, as a fact."""
    item = inventory.get_item(mrid)
    tree = "COMMUNICATION" if kind == "COMMUNICATION" else "ELECTRICAL"
    given = {
        "situation_id": f"00000000-0000-7000-8000-{number:012d}",
        "kind": kind,
        "tree": tree,
        "node_id": item.id,
        "node_mrid": mrid,
        "started_at": NOW - timedelta(minutes=1),
        "at": at,
        "expected": 12,
        "heard": 9,
        "silent": 3,
        "answered": 0,
        "power_score": 0.9,
        "communication_score": 0.1,
        "confidence": 0.95,
    } | values
    return SituationChanged(**given) if changed else SituationOpened(**given)


def answer(
    lake: telemetry.Lake, meters: Iterable[int], at: datetime, *, error: str = "", volts: float | None = 230.0
) -> None:
    """Let meters have answered (or failed) a session at a moment."""
    ids = list(meters)
    count = len(ids)
    numbers = {name: np.zeros(count, np.int32) for name in ("duration_ms", "bytes_sent", "bytes_received", "apdus")}
    sessions = {
        **numbers,
        "end_device_id": np.array(ids, np.int32),
        "route_id": np.ones(count, np.int32),
        "operation_id": [""] * count,
        "lane": np.full(count, 30, np.int16),
        "started_at": np.full(count, at.replace(tzinfo=None), "datetime64[ms]"),
        "round_trips": np.zeros(count, np.int32),
        "outcome": np.full(count, 1 if error else 0, np.int16),
        "error_class": [error] * count,
        "error_detail": [""] * count,
        "readings": np.zeros(count, np.int32),
        "attempt": np.ones(count, np.int16),
        "clock_drift_ms": [None] * count,
    }
    readings = {
        "end_device_id": np.array(ids, np.int32),
        "reading_type": np.full(count, 11, np.int16),
        "ts": np.full(count, at.replace(tzinfo=None), "datetime64[us]"),
        "value": np.full(count, int((volts or 0) * 1000), np.int64),
        "quality": np.zeros(count, np.int16),
    }
    lake.append(sessions=sessions, readings=readings if volts is not None and not error else None)


def below(mrid: str) -> list[int]:
    """The meters below a node."""
    return list(inventory.ids_of_end_devices(inventory.EndDeviceFilter(under=(mrid,))).tolist())
