"""A storm of ciphered last gasps, while listener, engine and worker are killed in turn: the end is that of a quiet run."""

import contextlib
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.endtoend.fleet import Installation, installation

pytestmark = [pytest.mark.endtoend, pytest.mark.timeout(170)]
METERS = 120

GASPS = """
import sys, json
from meterops.protocols.dlms.framing.wrapper import WrapperLink
from meterops.simulator import api as simulator
from meterops.simulator.meter_bench import BenchMeter
from meterops.simulator.meter_events import EventCode
from meterops.simulator.meter_objects import make_model
from meterops.simulator.meter_push import build_push, event_objects
meters, seed = map(int, sys.argv[1:])
region = simulator.generate_region(seed=seed, meters=meters)
model = make_model(profile_period=900, max_pdu_size=1024)
for number in range(region.grid.customers):
    if region.grid.customer_transformer[number] == 0:
        meter = BenchMeter(region.keys(number), region.system_title(number), region.serial(number), model=model).make()
        meter.note(EventCode.POWER_FAILURE)
        print(WrapperLink(1, 1).send(build_push(meter, event_objects(EventCode.POWER_FAILURE))).hex())
"""
"""What every meter of the first transformer says when it goes dark, a frame a line."""


def last_gasps(one: Installation) -> list[bytes]:
    command = [sys.executable, "-c", GASPS, str(one.meters), str(one.seed)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    frames = [bytes.fromhex(line) for line in lines]
    random.Random(4).shuffle(frames)
    return frames


@dataclass
class Crowd:
    """Meters that push over a connection each, and know which of their frames the listener has read."""

    port: int
    unsure: list[bytes] = field(default_factory=list)
    read_at: dict[bytes, float] = field(default_factory=dict)

    def push(self, frames: list[bytes], *, pause_s: float = 0.0) -> None:
        for frame in frames:
            time.sleep(pause_s)
            if self._is_read(frame):
                self.read_at[frame] = time.monotonic()
            else:
                self.unsure.append(frame)

    def _is_read(self, frame: bytes) -> bool:
        """The listener ends a connection in order only when it has read what came before its end."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as link:
            link.sendall(frame)
            link.shutdown(socket.SHUT_WR)
            return link.recv(1) == b""
        return False

    def push_again(self, *, killed_at: float) -> None:
        """Repeat what was not read, or so close to the kill that nobody can say."""
        again = self.unsure + [frame for frame, at in self.read_at.items() if abs(at - killed_at) < 0.02]
        self.unsure = []
        self.push(again)


def killed(one: Installation, name: str, after_s: float) -> float:
    time.sleep(after_s)
    at = time.monotonic()
    one.kill(name)
    return at


def storm(one: Installation, *, with_kills: bool) -> dict[str, Any]:
    """What is stored after the storm and a power check of its incident."""
    frames = last_gasps(one)
    for name in ("simulator", "listener", "worker", "engine"):
        one.start(name)
    one.until(lambda: one.json("alarms", "health", check=False) is not None, "the engine reads")
    crowd = Crowd(one.listen_port)
    third = len(frames) // 3
    crowd.push(frames[:third])
    with ThreadPoolExecutor(1) as pool:
        dying = pool.submit(killed, one, "listener", 0.1) if with_kills else None
        crowd.push(frames[third : 2 * third], pause_s=0.02)
        killed_at = dying.result() if dying else 0.0
    if with_kills:
        assert list((one.folder / "spool").glob("*.frames")), "it died with frames that it had read"
        one.start("listener")
        crowd.push_again(killed_at=killed_at)
        one.kill("engine")
    crowd.push(frames[2 * third :])
    assert not crowd.unsure
    if with_kills:
        one.start("engine")
    heard = len(frames)

    def whole() -> Any:
        rows = one.json("incidents", "list")["rows"]
        return rows and rows[0]["heard"] == heard and rows[0]

    incident = one.until(whole, "one incident that has heard everybody", 90)
    with ThreadPoolExecutor(1) as pool:
        check = pool.submit(one.json, "power-check", "--incident", incident["number"], "--wait", 90, check=False)
        if with_kills:
            one.until(lambda: one.json("operations", "list"), "the check has begun")
            one.kill("worker")
            one.start("worker")
        answers = check.result()
    return told(one, answers)


def told(one: Installation, answers: dict[str, Any]) -> dict[str, Any]:
    """What an operator sees, without what depends on the clock."""
    events = one.json("events", "--type", "POWER_FAILURE", "--limit", 1000)
    return {
        "events": sorted(Counter(event["serial"] for event in events).items()),
        "situations": [
            (row["kind"], row["node_mrid"], row["expected"]) for row in one.json("situations", "list", "--all")
        ],
        "incidents": [
            (row["number"], row["title"], row["expected"], row["meters"])
            for row in one.json("incidents", "list", "--limit", 100)["rows"]
        ],
        "alarms": one.json("alarms", "list")["alarms"],
        "answers": answers["counts"],
        "pending": answers["pending"],
    }


def test_the_end_of_a_storm_in_which_everything_is_killed_is_that_of_a_quiet_one(tmp_path: Path) -> None:
    def run(folder: str, *, with_kills: bool) -> dict[str, Any]:
        (tmp_path / folder).mkdir()
        with installation(tmp_path / folder, meters=METERS) as one:
            return storm(one, with_kills=with_kills)

    with ThreadPoolExecutor(2) as pool:
        quiet, disturbed = (pool.submit(run, name, with_kills=name == "killed") for name in ("quiet", "killed"))
        assert disturbed.result() == quiet.result()
    assert len(quiet.result()["incidents"]) == 1
    assert {count for _, count in quiet.result()["events"]} == {1}
