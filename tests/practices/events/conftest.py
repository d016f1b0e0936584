"""An installation with a street of meters, a lake of its own, and intake over both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from meterops.fleet.inventory import api as inventory
from meterops.fleet.telemetry import api as telemetry
from meterops.kernel import facts
from meterops.kernel.actor import process_actor
from meterops.kernel.models import OutboxFact
from meterops.practices.events import events as told
from meterops.practices.events.intake import Intake

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEST = process_actor("test")
NODES = """mrid,kind,name,parent_electrical,parent_communication
HE,HEAD_END,Head-end,,
R1,ROUTE,Route 1,,HE
SS1,SUBSTATION,North,,
F1,FEEDER,North east,SS1,
F2,FEEDER,North west,SS1,
"""
TRANSFORMERS, METERS = 6, 25


@dataclass
class Plant:
    """The installation at a moment of a clock that the test moves."""

    lake: telemetry.Lake
    ids: dict[str, list[int]]
    now: datetime = BEGAN
    intake: Intake | None = None
    heard: list[object] = field(default_factory=list)

    def events(
        self, devices: Iterable[int], code: int, *, log: int = 0, pushed: bool = True, at: datetime | None = None
    ) -> None:
        """Let devices say something, now unless another time is given."""
        ids = list(devices)
        n = len(ids)
        occurred = np.full(n, np.datetime64((at or self.now).replace(tzinfo=None), "us"))
        self.lake.append(
            events={
                "end_device_id": np.array(ids, np.int32),
                "identity": ["" if one else "4D455249" for one in ids],
                "log": np.full(n, log, np.int16),
                "code": np.full(n, code, np.int32),
                "occurred_at": occurred,
                "received_at": np.full(n, np.datetime64(self.now.replace(tzinfo=None), "us")),
                "origin": np.full(n, 2 if pushed else 1, np.int16),
                "detail": [""] * n,
            },
            recorded_at=self.now,
        )

    def sessions(self, devices: Iterable[int], *, error: str = "") -> None:
        """Let sessions with devices end now."""
        ids = list(devices)
        n = len(ids)
        whole = np.zeros(n, np.int32)
        self.lake.append(
            sessions={
                "end_device_id": np.array(ids, np.int32),
                "route_id": whole,
                "operation_id": [""] * n,
                "lane": np.full(n, 50, np.int16),
                "started_at": np.full(n, np.datetime64(self.now.replace(tzinfo=None), "ms")),
                "duration_ms": whole,
                "bytes_sent": whole,
                "bytes_received": whole,
                "apdus": whole,
                "round_trips": whole,
                "outcome": np.full(n, 1 if error else 0, np.int16),
                "error_class": [error] * n,
                "error_detail": [""] * n,
                "readings": whole,
                "attempt": np.full(n, 2, np.int16),
                "clock_drift_ms": [None] * n,
            },
            recorded_at=self.now,
        )

    def wait(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass, with an intake that takes in what there is each second."""
        until = self.now + timedelta(seconds=seconds)
        while self.now < until:
            self.now += timedelta(seconds=step)
            self.intake = self.intake or Intake(self.lake)
            self.intake.step(now=self.now)

    def kill(self) -> None:
        """Let the process that takes in die: only what is stored is left."""
        self.intake = None

    def told(self, kind: type) -> list[dict[str, object]]:
        """The facts of a kind, in order."""
        return [row.payload for row in OutboxFact.objects.filter(name=kind.__name__).order_by("id")]


@pytest.fixture
def plant(db: None, tmp_path: Path) -> Iterator[Plant]:
    points, devices = [], ["serial,profile,usage_point,route"]
    transformers = []
    for t in range(TRANSFORMERS):
        transformers.append(f"T{t},POWER_TRANSFORMER,Street {t},F{1 + t // 3},")
        for m in range(METERS):
            points.append(f"P{t}-{m},USAGE_POINT,,T{t},")
            devices.append(f"M{t}-{m},dsmr5,P{t}-{m},R1")
    nodes = NODES + "\n".join(transformers + points) + "\n"
    files = [
        inventory.ImportFile("nodes.csv", nodes.encode()),
        inventory.ImportFile("devices.csv", "\n".join(devices).encode()),
    ]
    inventory.apply_import(files=files, actor=TEST, at=BEGAN - timedelta(days=1))
    ids = inventory.ids_by_serial([f"M{t}-{m}" for t in range(TRANSFORMERS) for m in range(METERS)])
    by_transformer = {f"T{t}": [ids[f"M{t}-{m}"] for m in range(METERS)] for t in range(TRANSFORMERS)}
    lake = telemetry.Lake(telemetry.LakeConfig(folder=str(tmp_path / "lake")))
    kinds = (
        told.SituationOpened, told.SituationChanged, told.SituationMerged, told.SituationCleared,
        told.SafetyAlarmRaised, told.AlarmCleared,
    )  # fmt: skip
    for kind in kinds:
        facts.subscribe(kind, _listen)
    yield Plant(lake, by_transformer)
    for kind in kinds:
        facts._subscribers[kind.__name__].remove(_listen)
    lake.close()


def _listen(_fact: object) -> None:
    """Facts are kept only where somebody listens."""
