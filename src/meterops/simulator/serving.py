"""Runs a simulated fleet: computes its past, opens its addresses, and plays its scenario until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from meterops.simulator.fleet import Fleet, Run
from meterops.simulator.fleet_server import FleetServer
from meterops.simulator.history import History, open_history
from meterops.simulator.loads import DAY_S
from meterops.simulator.meter_store import MeterStore
from meterops.simulator.physics import Physics
from meterops.simulator.pushes import PushOffice
from meterops.simulator.region import Addressing, Region, usual_addressing
from meterops.simulator.scenario import Scenario, find_scenario
from meterops.simulator.script import make_script
from meterops.simulator.stage import Stage
from meterops.simulator.world_time import WorldTime

FLUSH_EVERY_S: Final = 0.5
AHEAD_S: Final = DAY_S // 2
"""The next day is computed when less than this is left of the computed ones."""
STATE_DAYS: Final = "totals"


@dataclass(frozen=True, slots=True)
class FleetReady:
    """What is told when the fleet can be talked to."""

    meters: int
    host: str
    ports: tuple[int, ...]
    seconds: float
    """How long it took to get there."""


async def serve_fleet(
    region: Region,
    *,
    state: Path | None = None,
    port: int = 4059,
    scenario: Scenario | None = None,
    listener: tuple[str, int] | None = None,
    addressing: Addressing | None = None,
    speed: float = 1.0,
    days_back: int = 3,
    ready: Callable[[FleetReady], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve all meters of a region until `stop` is set or the process is told to end (SIGINT, SIGTERM).

    `state` keeps counters, keys, totals and the ground truth over restarts. What meters push goes to `listener`.
    `days_back` days of load profile are computed before the first address opens. `speed` lets the simulated world,
    meters' clocks included, run faster than real time.

    Raises `AnotherFleet` when `state` belongs to another region, `ScenarioRefused` when the scenario does not fit the
    region, `OSError` when a port is taken.
    """
    began = time.monotonic()
    stop = stop or _stop_on_signals()
    scenario = scenario or find_scenario("calm")
    addressing = addressing or usual_addressing()
    run = Run.resume(state, region, scenario=scenario.name, speed=speed, now=time.time())
    world = WorldTime(run.began_at, speed)
    script = make_script(scenario, region, began_at=WorldTime(run.began_at, speed, lambda: run.scenario_began_at).now())
    history = await asyncio.to_thread(
        open_history,
        Physics(region, script.outages),
        now=world.now(),
        days_back=days_back,
        folder=None if state is None else state / STATE_DAYS,
        began_day=int(run.began_at // DAY_S) - days_back,
    )
    store = None if state is None else MeterStore(state)
    fleet = Fleet(region, history, world=world, began_at=run.began_at, port=port, addressing=addressing, store=store)
    office = PushOffice(fleet, listener, own_address=addressing is Addressing.LOOPBACK)
    server = FleetServer(fleet.find, seed=region.seed, on_push=office.on_request)
    stage = Stage(fleet, script, server, office, folder=state)
    stage.catch_up()
    host = "0.0.0.0" if addressing is Addressing.LOOPBACK else "127.0.0.1"  # noqa: S104  peers outside are refused
    try:
        await server.start(host, fleet.ports())
        if ready is not None:
            ready(FleetReady(region.meters, host, tuple(server.ports), time.monotonic() - began))
        await _run_until(
            stop, stage.play(), office.push_periodically(scenario.pushes), _keep_ahead(history, world), _flush(store)
        )
    finally:
        await server.close()
        stage.close()
        if store is not None:
            store.close()


async def _run_until(stop: asyncio.Event, *work: Coroutine[Any, Any, None]) -> None:
    """Do all the work until `stop`; what fails ends everything with its error."""
    tasks = [asyncio.create_task(one) for one in work]
    waiting = asyncio.create_task(stop.wait())
    try:
        pending: set[asyncio.Task[Any]] = {waiting, *tasks}
        while not waiting.done() and pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
    finally:
        for task in (waiting, *tasks):
            task.cancel()
        await asyncio.gather(waiting, *tasks, return_exceptions=True)


async def _keep_ahead(history: History, world: WorldTime) -> None:
    """Compute the next day before it is needed, beside the serving."""
    while True:
        if history.ends_at - world.now() < AHEAD_S:
            await asyncio.to_thread(history.extend)
        else:
            await asyncio.sleep(min(60.0, max(0.05, world.real_seconds_until(history.ends_at - AHEAD_S))))


async def _flush(store: MeterStore | None) -> None:
    while store is not None:
        await asyncio.sleep(FLUSH_EVERY_S)
        store.flush()


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    return stop
