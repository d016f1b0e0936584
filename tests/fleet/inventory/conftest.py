"""A street to import: two transformers below a feeder, eight meters, one route."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from meterops.fleet.inventory import api as inventory
from meterops.kernel.actor import process_actor

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACTOR = process_actor("test")
NODES = """mrid,kind,name,parent_electrical,parent_communication,latitude,longitude
HE,HEAD_END,Head-end,,,,
R1,ROUTE,Route 1,,HE,,
SS1,SUBSTATION,North,,,52.1,5.1
F1,FEEDER,North east,SS1,,,
T1,POWER_TRANSFORMER,Mill Lane,F1,,52.2,5.2
T2,POWER_TRANSFORMER,Weir Street,F1,,52.3,5.3
"""
POINTS = "".join(f"P{n},USAGE_POINT,,T{1 + n % 2},,,\n" for n in range(8))
DEVICES = "serial,manufacturer,model,system_title,usage_point,route,host\n" + "".join(
    f"M{n},SIM,S1,{n + 1:016X},P{n},R1,127.0.0.{n + 1}\n" for n in range(8)
)


def files(nodes: str = NODES + POINTS, devices: str = DEVICES) -> list[inventory.ImportFile]:
    found = [inventory.ImportFile("nodes.csv", nodes.encode()), inventory.ImportFile("devices.csv", devices.encode())]
    return [file for file in found if file.data]


@pytest.fixture
def street(db: None) -> dict[str, int]:
    """Ids by serial."""
    inventory.apply_import(files=files(), actor=ACTOR, at=NOW)
    return inventory.ids_by_serial([f"M{n}" for n in range(8)])
