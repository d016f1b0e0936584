"""What a script does to a fleet: who answers how, what is noted, what comes back after a restart."""

import asyncio
import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from meterops.simulator.behaviors import HEALTHY, Reach
from meterops.simulator.fleet import Fleet
from meterops.simulator.fleet_server import FleetServer
from meterops.simulator.history import open_history
from meterops.simulator.loads import DAY_S
from meterops.simulator.meter_events import EventCode, EventLog
from meterops.simulator.physics import Physics
from meterops.simulator.pushes import PushOffice
from meterops.simulator.region import generate_region
from meterops.simulator.scenario import parse_scenario
from meterops.simulator.script import make_script
from meterops.simulator.stage import GROUND_TRUTH, Stage
from meterops.simulator.world_time import WorldTime

BEGAN = 20_600 * DAY_S + 12 * 3600.0
REGION = generate_region(seed=23, meters=150)


class Moment:
    """A real time that is set by hand."""

    def __init__(self, at: float) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


class Theater:
    """A fleet of which nothing is served, and its stage."""

    def __init__(self, text: str, folder: Path | None = None, at: float = BEGAN) -> None:
        self.moment = Moment(at)
        world = WorldTime(BEGAN, real=self.moment)
        script = make_script(parse_scenario(text.encode(), "play.toml"), REGION, began_at=BEGAN)
        history = open_history(
            Physics(REGION, script.outages), now=at, days_back=0, folder=None, began_day=int(BEGAN // DAY_S)
        )
        self.fleet = Fleet(REGION, history, world=world, began_at=BEGAN)
        self.server = FleetServer(self.fleet.find)
        self.stage = Stage(self.fleet, script, self.server, PushOffice(self.fleet, None), folder=folder)
        self.script = script

    async def play_until(self, seconds: float) -> None:
        """Let the play go on until so long after it began."""
        self.moment.at = BEGAN + seconds
        playing = asyncio.create_task(self.stage.play())
        for _ in range(50):
            await asyncio.sleep(0)
        playing.cancel()

    def reach(self, number: int) -> Reach:
        member = self.fleet.find(self.fleet.addresses[number].host, 4059)
        return self.server.behaviors.of(member.route, member.meter.serial).reach

    def codes(self, number: int, log: EventLog = EventLog.STANDARD) -> list[int]:
        logs = self.fleet.meters[number].logs
        return [] if logs is None else [code for _, code in logs.entries(log)]


OUTAGE = """
[[act]]
what = "outage"
where = "lv-feeder 2"
at = "10m"
for = "20m"
"""
STREET = np.flatnonzero(REGION.grid.customer_lv == 1).tolist()


async def test_an_outage_comes_and_goes():
    play = Theater(OUTAGE)
    await play.play_until(60)
    assert {play.reach(number) for number in STREET} == {Reach.UP}
    await play.play_until(601)
    behind = [number for number in STREET if REGION.meter_route[number] >= 0]
    assert {play.reach(number) for number in behind} == {Reach.REFUSED}
    assert {play.reach(number) for number in STREET if number not in behind} <= {Reach.SILENT}
    assert play.reach(STREET[-1] + 1) is Reach.UP
    assert play.codes(STREET[0]) == [EventCode.POWER_FAILURE]
    await play.play_until(1801)
    assert {play.reach(number) for number in STREET} == {Reach.UP}
    assert play.codes(STREET[0]) == [EventCode.POWER_FAILURE, EventCode.POWER_RETURNED]


async def test_a_restart_within_an_outage_finds_it_and_notes_it_once(tmp_path):
    first = Theater(OUTAGE, tmp_path)
    await first.play_until(700)
    again = Theater(OUTAGE, tmp_path, BEGAN + 800)
    again.stage.catch_up()
    assert again.reach(STREET[0]) is first.reach(STREET[0]) is not Reach.UP
    assert again.codes(STREET[0]) == [EventCode.POWER_FAILURE]
    assert again.fleet.meters[STREET[0]].state.alarm_register == 0
    await again.play_until(1900)
    lines = [json.loads(line) for line in (tmp_path / GROUND_TRUTH).read_text().splitlines()]
    assert [line["does"] for line in lines] == ["starts", "ends"]
    assert [datetime.fromisoformat(line["at"]).timestamp() - BEGAN for line in lines] == [600, 1800]
    assert lines[0]["meters"] == len(STREET)
    assert lines[0]["serials"][0] == REGION.serial(STREET[0])


async def test_one_trouble_ends_and_the_other_goes_on():
    play = Theater(
        OUTAGE
        + """
[[act]]
what = "mute"
where = "lv-feeder 2"
at = "15m"
for = "1h"
"""
    )
    await play.play_until(2000)
    assert {play.reach(number) for number in STREET} == {Reach.SILENT}
    await play.play_until(4600)
    assert {play.reach(number) for number in STREET} == {Reach.UP}


async def test_within_another_outage_nobody_gasps_again_and_nobody_is_back_while_one_goes_on():
    play = Theater(OUTAGE + '[[act]]\nwhat = "outage"\nwhere = "transformer 1"\nat = "15m"\nfor = "1h"\n')
    around = np.flatnonzero(REGION.transformer_of == 0).tolist()
    neighbour = next(number for number in around if number not in STREET)
    assert set(STREET) < set(around)
    await play.play_until(1801)
    assert play.codes(STREET[0]) == [EventCode.POWER_FAILURE]
    assert play.codes(neighbour) == [EventCode.POWER_FAILURE]
    assert play.reach(STREET[0]) is not Reach.UP
    await play.play_until(4501)
    assert play.codes(STREET[0]) == [EventCode.POWER_FAILURE, EventCode.POWER_RETURNED]
    assert play.codes(neighbour) == [EventCode.POWER_FAILURE, EventCode.POWER_RETURNED]


async def test_a_blown_fuse_darkens_one_phase_and_is_noted_by_the_others():
    play = Theater('[[act]]\nwhat = "fuse"\nwhere = "lv-feeder 2"\nphase = 1\nat = "1m"\nfor = "1h"\n')
    await play.play_until(100)
    phases = REGION.customers.phase[STREET].tolist()
    assert 1 in phases
    assert 0 in phases
    for number, phase in zip(STREET, phases, strict=True):
        assert (play.reach(number) is Reach.UP) == (phase != 1)
        expected = {0: EventCode.PHASE_OUTAGE_L1, 1: EventCode.POWER_FAILURE}.get(phase)
        log = EventLog.POWER_QUALITY if phase == 0 else EventLog.STANDARD
        assert play.codes(number, log) == ([expected] if expected else [])
    await play.play_until(3700)
    three = STREET[phases.index(0)]
    assert play.codes(three, EventLog.POWER_QUALITY) == [EventCode.PHASE_OUTAGE_L1, EventCode.PHASE_RETURNED_L1]


async def test_a_concentrator_takes_its_meters_with_it_and_leaves_the_modems():
    play = Theater('[[act]]\nwhat = "concentrator-down"\nwhere = "concentrator 1"\nat = "1m"\n')
    await play.play_until(100)
    for number in range(REGION.meters):
        assert (play.reach(number) is Reach.SILENT) == (REGION.meter_route[number] == 0)


async def test_faults_of_meters():
    play = Theater(
        """
[[act]]
what = "clock-jump"
where = "meter 3"
at = "1m"
seconds = -3600
[[act]]
what = "counter-loss"
where = "meter 4"
at = "1m"
[[act]]
what = "wrong-keys"
where = "meter 5"
at = "1m"
for = "1h"
[[act]]
what = "clock-drift"
where = "meter 6"
at = "1m"
seconds = 8640
[[act]]
what = "event"
event = "meter-cover-removed"
where = "meter 7"
at = "1m"
"""
    )
    meters = play.fleet.meters
    drift = meters[5].clock - play.moment.at
    key = meters[4].keys.encryption
    await play.play_until(60)
    assert meters[2].clock - play.moment.at == pytest.approx(-3600, abs=120)
    assert EventCode.HARDWARE_ERROR_NV_MEMORY in play.codes(3)
    assert meters[4].keys.encryption != key
    assert play.codes(6, EventLog.FRAUD) == [EventCode.METER_COVER_REMOVED]
    play.moment.at += 1000
    assert meters[5].clock - play.moment.at == pytest.approx(drift + 100, abs=1)
    await play.play_until(3700)
    assert meters[4].keys.encryption == key


def test_defective_firmware_makes_some_meters_mute_and_an_update_heals_them():
    play = Theater('[[act]]\nwhat = "mute"\nwhere = "meter 1"\nat = "0s"\n')
    for number, meter in enumerate(play.fleet.meters):
        if REGION.model(number).name == "N21":
            meter.state.firmware = "2.0.7"
    mute: set[str] = set()
    for quarter in range(60):
        play.moment.at = BEGAN + quarter * 6 * 3600
        play.stage._mute_by_firmware(play.moment.at)
        mute |= {
            meter.serial for meter in play.fleet.meters if play.server.behaviors.meter(meter.serial) is not HEALTHY
        }
    assert mute
    assert all(serial.startswith("NRD2") for serial in mute)
    for meter in play.fleet.meters:
        meter.state.firmware = "2.1.0"
    play.stage._mute_by_firmware(play.moment.at)
    assert all(play.server.behaviors.meter(meter.serial) == HEALTHY for meter in play.fleet.meters)
