"""What each process runs: web, worker, listener, engine. Every one is a unit of its own; `supervisor` runs all on one host."""

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from django.conf import settings

from meterops.fleet.headend import api as headend
from meterops.fleet.telemetry import api as telemetry
from meterops.kernel import beats, facts, hints, jobs
from meterops.kernel.clock import utc_now
from meterops.practices.events import api as events
from meterops.practices.incidents import api as incidents
from meterops.site.wiring import wire

log = logging.getLogger(__name__)
MAINTENANCE_EVERY_S = 300.0
PRUNE_EVERY_S = 600.0


def run_web(host: str, port: int) -> None:
    """Serve the console and the REST interface until a signal arrives."""
    import uvicorn

    wire()
    config = uvicorn.Config(
        "meterops.site.asgi:application",
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=3,
        server_header=False,
    )
    uvicorn.Server(config).run()


def run_worker(sessions: int) -> None:
    """Hold sessions with meters until a signal arrives."""
    wire()
    worker = headend.Worker(telemetry.lake(), headend.WorkerSettings(settings.METEROPS_SYSTEM_TITLE, sessions=sessions))
    _run_until_signal(worker.run)


def run_listener(host: str, port: int) -> None:
    """Take pushed notifications over TCP and UDP until a signal arrives."""
    wire()
    listener = headend.Listener(telemetry.lake(), host=host, port=port, spool=settings.DATA_DIR / "spool")
    _run_until_signal(listener.run)


def run_engine() -> None:
    """Start due schedules, end operations, deliver facts and look after the stores until a signal arrives."""
    wire()
    _run_until_signal(Engine().run)


class Engine:
    """What happens because it is time. Any number may run: every slot is taken once."""

    def __init__(self) -> None:
        self._name = f"{socket.gethostname()}:{os.getpid()}:engine"
        self._started_at = utc_now()
        self._next_maintenance = time.monotonic() + 60
        self._next_prune = time.monotonic() + 30
        self._upkeep: asyncio.Task[None] | None = None
        self._practice: asyncio.Task[None] | None = None
        self._intake: asyncio.Task[None] | None = None
        self._keeper = events.IntakeKeeper(f"{self._name}:events")

    async def run(self, stop: asyncio.Event) -> None:
        """Tick once a second until `stop` is set."""
        while not stop.is_set():
            try:
                await asyncio.to_thread(self._tick)
            except Exception:
                log.exception("an engine tick failed; the next one tries again")
            if time.monotonic() >= self._next_maintenance and (self._upkeep is None or self._upkeep.done()):
                self._next_maintenance = time.monotonic() + MAINTENANCE_EVERY_S
                self._upkeep = asyncio.create_task(asyncio.to_thread(self._maintain))
            if self._intake is None or self._intake.done():
                self._intake = asyncio.create_task(asyncio.to_thread(self._take_in))
            if self._practice is None or self._practice.done():
                # A slow sink or a long question to the lake must not keep schedules and facts waiting.
                self._practice = asyncio.create_task(asyncio.to_thread(self._work_on_incidents))
            try:
                await asyncio.wait_for(stop.wait(), 1.0)
            except TimeoutError:
                continue
        await asyncio.to_thread(beats.farewell, process=self._name)

    def _tick(self) -> None:
        now = utc_now()
        headend.start_due_schedules(now=now)
        headend.end_operations(now=now)
        facts.deliver(now=now)
        beats.beat(process=self._name, role="engine", started_at=self._started_at, now=now, status={})
        if time.monotonic() >= self._next_prune:
            self._next_prune = time.monotonic() + PRUNE_EVERY_S
            hints.prune(now=now)
            beats.prune(now=now)
            jobs.prune(now=now, keep=timedelta(days=30))
            headend.forget_old_operations(now=now)
            events.end_shelving(now=now)
            events.forget_old(now=now)
            incidents.forget_old(now=now)

    def _take_in(self) -> None:
        try:
            self._keeper.work()
        except Exception:
            log.exception("taking events in failed; the next round begins from what is stored")

    def _work_on_incidents(self) -> None:
        try:
            incidents.work(owner=f"{self._name}:incidents", now=utc_now())
        except Exception:
            log.exception("the work on incidents failed; the next round tries again")

    def _maintain(self) -> None:
        try:
            telemetry.maintain(telemetry.lake(), now=utc_now())
        except Exception:
            log.exception("looking after the lake failed; it is tried again in %s s", MAINTENANCE_EVERY_S)


def _run_until_signal(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await work(stop)

    import uvloop

    uvloop.run(main())
