"""One meter on a bench: given keys, steady readings, served until stopped. For interoperability and demonstrations."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meterops.protocols.dlms.security import KeyRing, SecuritySuite
from meterops.simulator.behaviors import HEALTHY, Behavior, BehaviorTable
from meterops.simulator.fleet_server import FleetMember, FleetServer, Framing
from meterops.simulator.meter import MeterModel, SimulatedMeter
from meterops.simulator.meter_events import EventCode
from meterops.simulator.meter_objects import make_model
from meterops.simulator.meter_push import MeterPush, PushKind, build_push, event_objects, note_and_build
from meterops.simulator.meter_readings import SteadyReadings
from meterops.simulator.meter_store import MeterStore

DEMO_KEYS: Final = KeyRing(
    encryption=bytes.fromhex("000102030405060708090A0B0C0D0E0F"),
    authentication=bytes.fromhex("D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF"),
    master=bytes.fromhex("101112131415161718191A1B1C1D1E1F"),
)
"""Keys printed in books. A meter that uses them has no secrets."""

FLUSH_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class BenchPush:
    """Where a meter on the bench pushes to, and how often."""

    host: str
    port: int
    every_s: float = 10.0
    ciphered: bool = True
    udp: bool = False
    kind: PushKind = PushKind.PERIODIC


@dataclass(frozen=True, slots=True)
class BenchMeter:
    """How to set up one meter. `starts_at` is the stamp of the first profile row, in UTC epoch seconds."""

    keys: KeyRing
    system_title: bytes
    serial: str = "12345"
    password: bytes = b"12345678"
    suite: SecuritySuite = SecuritySuite.SUITE_0
    starts_at: int = 1_772_323_200
    rows: int = 960
    period_s: int = 900
    max_pdu_size: int = 1024
    state_folder: Path | None = None
    model: MeterModel | None = None

    def make(self, store: MeterStore | None = None) -> SimulatedMeter:
        """Make the meter, as it was left if the store knows it."""
        kept = store.load() if store is not None else {}
        meter = SimulatedMeter(
            model=self.model or make_model(profile_period=self.period_s, max_pdu_size=self.max_pdu_size),
            serial=self.serial,
            system_title=self.system_title,
            keys=self.keys,
            password=self.password,
            readings=SteadyReadings(self.starts_at, self.rows, self.period_s),
            suite=self.suite,
            state=kept.get(self.serial),
            keeper=store,
        )
        if self.serial not in kept:
            for hour, code in enumerate(_SOME_EVENTS):
                meter.note(code, self.starts_at + hour * 3600)
        return meter


_SOME_EVENTS: Final = (
    EventCode.POWER_FAILURE,
    EventCode.POWER_RETURNED,
    EventCode.CLOCK_ADJUSTED_OLD_TIME,
    EventCode.CLOCK_ADJUSTED_NEW_TIME,
    EventCode.TERMINAL_COVER_REMOVED,
    EventCode.TERMINAL_COVER_CLOSED,
)


async def serve_meter(
    bench: BenchMeter,
    *,
    host: str = "127.0.0.1",
    port: int = 4059,
    framing: Framing = Framing.WRAPPER,
    udp: bool = False,
    behavior: Behavior = HEALTHY,
    push: BenchPush | None = None,
    ready: Callable[[str, int], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve one meter until `stop` is set or the process is told to end. `ready` is called with address and port."""
    store = MeterStore(bench.state_folder) if bench.state_folder is not None else None
    meter = bench.make(store)
    member = FleetMember(meter)
    asked: set[asyncio.Task[None]] = set()

    def push_now(pushing: SimulatedMeter) -> None:
        destination = pushing.push_destination or ((push.host, push.port) if push is not None else None)
        if destination is not None:
            apdu = build_push(pushing, event_objects(EventCode.POWER_RETURNED))
            task = asyncio.get_running_loop().create_task(_try_push(MeterPush(*destination), apdu))
            asked.add(task)
            task.add_done_callback(asked.discard)

    server = FleetServer(
        lambda address, local_port: member,
        behaviors=BehaviorTable(behavior),
        framing=framing,
        meter_session_limit=64,
        on_push=push_now,
        loopback_only=False,
    )
    await server.start(host, (port,), udp=udp)
    stop = stop or _stop_on_signals()
    if ready is not None:
        ready(host, server.ports[0])
    try:
        await _run(meter, store, push, stop)
    finally:
        await server.close()
        if store is not None:
            store.close()


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _run(meter: SimulatedMeter, store: MeterStore | None, push: BenchPush | None, stop: asyncio.Event) -> None:
    tasks = []
    if push is not None:
        tasks.append(asyncio.create_task(_push_forever(meter, push)))
    try:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), FLUSH_EVERY_S)
            if store is not None:
                store.flush()
    finally:
        for task in tasks:
            task.cancel()


async def _push_forever(meter: SimulatedMeter, push: BenchPush) -> None:
    sender = MeterPush(push.host, push.port, udp=push.udp)
    while True:
        await asyncio.sleep(push.every_s)
        await _try_push(sender, note_and_build(meter, push.kind, ciphered=push.ciphered))


async def _try_push(sender: MeterPush, apdu: bytes) -> None:
    """Send a push; a listener that is not there is none of the meter's business."""
    with contextlib.suppress(OSError, TimeoutError):
        await sender.send(apdu)
