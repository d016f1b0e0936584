"""A power check of a simulated transformer by the real processes."""

from pathlib import Path

import pytest
from tests.endtoend.fleet import installation

pytestmark = [pytest.mark.endtoend, pytest.mark.timeout(170)]


def test_meters_with_supply_say_so_within_seconds(tmp_path: Path) -> None:
    with installation(tmp_path, meters=24) as fleet:
        fleet.start("simulator")
        fleet.start("engine")
        fleet.start("worker")
        node = next(item for item in fleet.json("meters", "list", "--limit", 1)["meters"])["serial"]
        one = fleet.json("power-check", node, "NOBODY-HAS-THIS", "--wait", 60, check=False)
        assert one["counts"] == {"ON": 1, "OFF": 0, "UNKNOWN": 0, "NO_CONTACT": 0, "UNKNOWN_ID": 1}
        assert 200 < one["answers"][0]["voltage_v"] < 260
        fleet.kill("simulator")
        gone = fleet.json("power-check", node, "--wait", 1, check=False)
        assert gone["counts"]["ON"] == 0
        assert gone["pending"] + gone["counts"]["NO_CONTACT"] == 1
