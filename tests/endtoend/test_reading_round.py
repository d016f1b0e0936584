"""A simulated fleet is read by the real processes, and any of them may be killed in the middle."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.endtoend.fleet import Installation, installation

pytestmark = [pytest.mark.endtoend, pytest.mark.timeout(240)]
METERS = 60


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Installation]:
    with installation(tmp_path, meters=METERS) as one:
        one.start("simulator")
        yield one


def start_round(fleet: Installation) -> str:
    fleet.run("schedule", "set", "Everything", "--every", "1h", "--lookback", "1d")
    answer = fleet.json("schedule", "run", "Everything")
    return str(answer["operation"])


def operation(fleet: Installation, name: str) -> dict[str, Any]:
    answer = fleet.json("operations", "show", name)
    return dict(answer["operation"])


def stored(fleet: Installation) -> dict[str, int]:
    """What the lake holds: meters with a whole day of rows, rows, distinct rows, successful sessions."""
    script = (
        "from meterops.interfaces.cli.state import open_state; open_state()\n"
        "from meterops.fleet.telemetry import api as t; import json\n"
        "lake = t.lake()\n"
        "rows = lake.query('SELECT end_device_id, count(*), count(DISTINCT (reading_type, ts)), count(DISTINCT ts) '\n"
        "                  'FROM lake.readings WHERE reading_type > 100 GROUP BY ALL').fetchall()\n"
        "ok = lake.query('SELECT count(DISTINCT end_device_id) FROM lake.sessions WHERE outcome = 0').fetchone()[0]\n"
        "print(json.dumps({'whole': sum(r[3] >= 95 for r in rows), 'rows': sum(r[1] for r in rows),\n"
        "                  'distinct': sum(r[2] for r in rows), 'read': ok}))\n"
    )
    import json
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-c", script], env=fleet.environment, capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_every_meter_of_a_fleet_is_read_into_the_lake(fleet: Installation) -> None:
    fleet.start("engine")
    fleet.start("worker")
    name = start_round(fleet)
    fleet.until(lambda: operation(fleet, name)["state"] == "COMPLETED", "the round completes", 90)
    view = operation(fleet, name)
    assert (view["total"], view["succeeded"], view["failed"]) == (METERS, METERS, 0)
    lake = stored(fleet)
    assert lake["whole"] == METERS
    assert lake["rows"] == lake["distinct"], "nothing is stored twice when nothing was killed"
    serial = fleet.json("meters", "list", "--limit", 1)["meters"][0]["serial"]
    started = time.monotonic()
    answer = fleet.json("read", serial, "--content", "registers")["results"][serial]
    assert answer["ok"], answer
    assert any(register["name"] == "Active energy import" and register["value"] > 0 for register in answer["registers"])
    assert answer["duration_ms"] < 1000
    assert time.monotonic() - started < 15
    sessions = fleet.json("sessions", serial)
    assert sessions[0]["round_trips"] > 3
    assert fleet.json("doctor")["clean"]


@pytest.mark.parametrize("victim", ["worker", "engine", "simulator"])
def test_a_process_killed_in_the_middle_of_a_round_loses_nothing(fleet: Installation, victim: str) -> None:
    fleet.start("engine")
    fleet.start("worker")
    name = start_round(fleet)
    fleet.until(lambda: stored(fleet)["read"] > 5 if victim == "worker" else True, "some meters are read", 60)
    fleet.kill(victim)
    time.sleep(0.5)
    fleet.start(victim)
    fleet.until(lambda: operation(fleet, name)["state"] == "COMPLETED", "the round completes after the kill", 120)
    view = operation(fleet, name)
    assert (view["succeeded"], view["failed"]) == (METERS, 0), view
    assert stored(fleet)["whole"] == METERS
    doctor = fleet.json("doctor", check=False)
    assert doctor["clean"], doctor


def test_slots_missed_while_nothing_ran_are_caught_up(fleet: Installation) -> None:
    fleet.run("schedule", "set", "Every ten seconds", "--every", "10s", "--lookback", "1h", "--content", "registers")
    fleet.start("engine")
    fleet.start("worker")
    first = fleet.until(lambda: fleet.json("operations", "list"), "the first slot starts", 30)
    fleet.kill("engine")
    fleet.kill("worker")
    time.sleep(22)
    fleet.start("engine")
    fleet.start("worker")

    def caught_up() -> Any:
        newest = fleet.json("operations", "list")
        spans = [o for o in newest if o["first_slot_at"] and o["first_slot_at"] != o["slot_at"]]
        return spans and len(newest) > len(first) and spans[0]["state"] == "COMPLETED"

    fleet.until(caught_up, "one operation covers the missed slots", 60)
    assert fleet.json("schedule", "show", "Every ten seconds")["schedule"]["enabled"]
    assert fleet.json("doctor")["clean"]
