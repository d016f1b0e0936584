"""The worker: leases routes, holds sessions with their meters, and makes what they bring home durable before it counts.

The order that keeps data through a kill at any moment: session, rows committed to the lake, then the job's outstanding set.
Killed before the commit, the meter is still outstanding; killed after it, the meter is read again and its rows repeat, which the
lake's readers take out.
"""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.db import connection

from meterops.fleet.headend.errors import ErrorClass
from meterops.fleet.headend.ledger import LEASE, Ledger, Route
from meterops.fleet.headend.meter_session import MeterVisit, Visitors, visit_meter
from meterops.fleet.headend.reading import LayoutBook, LayoutMismatch
from meterops.fleet.headend.route_runner import ActiveJob, MeterTask, RouteRunner, jobs_in
from meterops.fleet.headend.sink import Harvest, NotStorable, SessionRecord, Settlement
from meterops.fleet.telemetry import api as telemetry
from meterops.kernel import beats
from meterops.kernel.clock import utc_now
from meterops.protocols.dlms.security import CounterRange

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How much one worker takes on. `flush_s` is how long rows wait at most for the next commit to the lake."""

    system_title: bytes
    sessions: int = 200
    routes: int = 60
    poll_s: float = 0.1
    flush_s: float = 2.0
    flush_rows: int = 400_000
    rows_held_at_most: int = 2_000_000
    connect_timeout_s: float = 5.0
    answer_timeout_s: float = 10.0
    session_timeout_s: float = 60.0


@dataclass(slots=True)
class WorkerFigures:
    """What a worker says of itself."""

    sessions: int = 0
    succeeded: int = 0
    failed: int = 0
    rows: int = 0
    commits: int = 0


class Worker:
    """One worker process's work; `run` until `stop` is set."""

    def __init__(self, lake: telemetry.Lake, settings: WorkerSettings) -> None:
        self.settings = settings
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{time.time_ns() % 1_000_000:06d}"
        self.figures = WorkerFigures()
        self._lake = lake
        self._ledger = Ledger(self.owner)
        self._store = ThreadPoolExecutor(1, thread_name_prefix="state")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="lake")
        self._runners: dict[int, RouteRunner] = {}
        self._routes: dict[int, Route] = {}
        self._shared = Visitors(settings.system_title, LayoutBook(), self.settings, self._more_counters)
        self._harvest = Harvest()
        self._capacity = asyncio.Semaphore(self.settings.sessions)
        self._flush_now = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._started_at = utc_now()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then end sessions, make everything durable and give the routes back."""
        tasks = [
            asyncio.create_task(self._forever(self._claim, self.settings.poll_s), name="claim"),
            asyncio.create_task(self._forever(self._renew, LEASE.total_seconds() / 4), name="renew"),
            asyncio.create_task(self._forever(self._flush_when_due, 0.0), name="flush"),
            asyncio.create_task(self._forever(self._beat, 2.0), name="beat"),
        ]
        try:
            await stop.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(runner.stop() for runner in self._runners.values()), return_exceptions=True)
            await self._flush()
            await self._in_store(self._ledger.release_all)
            await self._in_store(lambda: beats.farewell(process=self.owner))
            await self._in_store(lambda: connection.close())  # noqa: PLW0108  the connection is the thread's own
            self._store.shutdown()
            self._writer.shutdown()

    async def _forever(self, step: Callable[[], Any], pause_s: float) -> None:
        """Repeat a step; a fault in it is logged and tried again, so that one bad row never stops the worker."""
        while True:
            try:
                await step()
                await asyncio.sleep(pause_s)
            except Exception:
                log.exception("the worker's %s step failed; it goes on", step.__name__.strip("_"))
                await asyncio.sleep(1.0)

    async def _in_store(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._store, call)

    # ------------------------------------------------------------------ claiming

    async def _claim(self) -> None:
        free = self.settings.routes - len(self._runners)
        now = utc_now()
        claimed = await self._in_store(
            lambda: self._ledger.claim(now=now, new_routes=free if free > 0 else 10, urgent_only=free <= 0)
        )
        known = {job.job_id for job in jobs_in(self._runners.values())}
        fresh = [job for job in claimed if job.id not in known]
        if not fresh:
            await self._release_idle_routes()
            return
        opened = await self._in_store(lambda: self._ledger.open_jobs(fresh, now=now))
        by_route: dict[int, list[ActiveJob]] = {}
        for route_id, job in opened:
            by_route.setdefault(route_id, []).append(job)
        for route_id, route_jobs in by_route.items():
            await self._start(route_id, route_jobs)

    async def _start(self, route_id: int, route_jobs: Sequence[ActiveJob]) -> None:
        meters = sorted({meter for job in route_jobs for meter in job.untried})
        route = await self._in_store(lambda: self._ledger.load_route(route_id, meters))
        known = self._routes.get(route_id)
        if known is not None:
            for name in ("addresses", "keys", "counters"):
                getattr(known, name).update(getattr(route, name))
        else:
            self._routes[route_id] = route
        runner = self._runners.get(route_id)
        if runner is None:
            runner = self._runners[route_id] = RouteRunner(
                route_id,
                session_limit=route.session_limit,
                connect_rate_per_s=route.connect_rate_per_s,
                hold_session=self._hold_session,
                capacity=self._capacity,
            )
        for job in route_jobs:
            runner.add(job)
            if job.is_pass_over:
                self._flush_now.set()

    async def _release_idle_routes(self) -> None:
        idle = [route for route, runner in self._runners.items() if runner.is_idle]
        for route in idle:
            del self._runners[route]
            self._routes.pop(route, None)
        if idle:
            await self._in_store(lambda: self._ledger.release(idle))

    async def _renew(self) -> None:
        held = await self._in_store(lambda: self._ledger.renew(now=utc_now()))
        for route in set(self._runners) - held:
            await self._drop(route)
        active = jobs_in(self._runners.values())
        ended = await self._in_store(lambda: self._ledger.ended(active))
        for job in active:
            job.cancelled = job.cancelled or job.job_id in ended
        if ended:
            self._flush_now.set()

    async def _drop(self, route: int) -> None:
        """The lease is lost: another worker has the route, so leave it at once and keep nothing of it."""
        log.warning("the lease on route %s was lost; its work goes on elsewhere", route)
        runner = self._runners.pop(route, None)
        self._routes.pop(route, None)
        if runner is not None:
            await runner.stop()

    # ------------------------------------------------------------------ sessions

    async def _hold_session(self, task: MeterTask) -> None:
        await self._room.wait()
        started = time.time()
        route = self._routes.get(task.route_id)
        visit = MeterVisit(task, started)
        try:
            if route is None:
                raise asyncio.CancelledError  # the lease went while this session waited for its turn
            limit = min(self.settings.session_timeout_s, max(1.0, task.deadline_at.timestamp() - started))
            await visit_meter(visit, route, self._shared, limit_s=limit)
        except asyncio.CancelledError:
            for job in task.jobs:
                job.in_flight.discard(task.meter)
                job.untried[task.meter] = None
            raise
        except Exception:
            log.exception("a session with meter %s failed by a fault of ours", task.meter)
        self._take_home(visit)

    async def _more_counters(self, end_device_id: int, at_least: int, count: int) -> CounterRange:
        return await self._in_store(lambda: self._ledger.more_counters(end_device_id, at_least, count))

    def _take_home(self, visit: MeterVisit) -> None:
        task = visit.task
        mine, profile_until, events_until = Harvest(), None, None
        try:
            profile_until, events_until = visit.reading.store(mine, task.meter, int(visit.started))
        except (NotStorable, LayoutMismatch) as refused:
            mine = Harvest()
            visit.fail(refused)
        self._harvest.take(mine)
        self._harvest.sessions.append(
            SessionRecord(
                end_device_id=task.meter,
                route_id=task.route_id,
                operation_id=task.jobs[0].operation_id,
                lane=int(task.lane),
                started_at=visit.started,
                duration_ms=visit.duration_ms,
                bytes_sent=visit.bytes_sent,
                bytes_received=visit.bytes_received,
                apdus=visit.apdus,
                round_trips=visit.round_trips,
                error_class=visit.error,
                error_detail=visit.detail,
                readings=mine.rows,
                attempt=task.attempt,
                clock_drift_ms=visit.reading.clock_drift_ms,
            )
        )
        self._harvest.settlements.append(Settlement(task, visit.error, profile_until, events_until))
        for job in task.jobs:
            job.in_flight.discard(task.meter)
            job.unsettled.add(task.meter)
            if job.wants_results:
                asyncio.create_task(self._keep_result(job.operation_id, task.meter, visit)).add_done_callback(
                    _log_fault
                )
        self.figures.sessions += 1
        self.figures.succeeded += visit.error is None
        self.figures.failed += visit.error is not None
        if self._harvest.rows >= self.settings.flush_rows or any(job.wants_results for job in task.jobs):
            self._flush_now.set()
        if not any(job.untried or job.in_flight for job in jobs_in(self._runners.values())):
            self._flush_now.set()  # nothing more is coming, so there is nothing to wait for
        if self._harvest.rows >= self.settings.rows_held_at_most:
            self._room.clear()

    async def _keep_result(self, operation_id: str, meter: int, visit: MeterVisit) -> None:
        result = {str(meter): visit.describe()}
        await self._in_store(lambda: self._ledger.keep_result(operation_id, result))

    # ------------------------------------------------------------------ durability

    async def _flush_when_due(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._flush_now.wait(), self.settings.flush_s)
        self._flush_now.clear()
        await self._flush()

    async def _flush(self) -> None:
        """Commit what was gathered, then settle it, then end passes that are over."""
        harvest, self._harvest = self._harvest, Harvest()
        if harvest:
            await self._commit(harvest)
            self._room.set()
            await self._settle(harvest.settlements)
        await self._end_passes()

    async def _commit(self, harvest: Harvest) -> None:
        """Append to the lake; while that fails the rows are kept and tried again, and no new session begins."""
        loop = asyncio.get_running_loop()
        pause = 0.5
        while True:
            try:
                await loop.run_in_executor(self._writer, self._append, harvest)
            except Exception:
                log.exception("the lake did not take %s rows; they are kept and tried again", harvest.rows)
                self._room.clear()
                await asyncio.sleep(pause)
                pause = min(30.0, pause * 2)
            else:
                self.figures.rows += harvest.rows
                self.figures.commits += 1
                return

    def _append(self, harvest: Harvest) -> None:
        self._lake.append(
            readings=harvest.reading_columns(), events=harvest.event_columns(), sessions=harvest.session_columns()
        )

    async def _settle(self, settlements: Sequence[Settlement]) -> None:
        touched: dict[int, ActiveJob] = {}
        for settlement in settlements:
            route = self._routes.get(settlement.task.route_id)
            for job in settlement.task.jobs:
                job.settle(settlement.task.meter, settlement.error)
                touched[job.job_id] = job
            if route is not None and settlement.profile_read_until is not None:
                route.profile_read_until[settlement.task.meter] = settlement.profile_read_until
            if route is not None and settlement.events_read_until is not None:
                route.events_read_until[settlement.task.meter] = settlement.events_read_until
        lost = await self._in_store(lambda: self._ledger.settle(settlements, list(touched.values()), now=utc_now()))
        for route_id in lost:
            await self._drop(route_id)

    async def _end_passes(self) -> None:
        now = utc_now()
        for runner in list(self._runners.values()):
            for job in list(runner.jobs.values()):
                if now >= job.deadline_at or job.cancelled:
                    job.waiting.update(dict.fromkeys(job.untried, ErrorClass.TIMEOUT))
                    job.untried.clear()
                if job.is_pass_over:
                    await self._end_pass(runner, job, now)

    async def _end_pass(self, runner: RouteRunner, job: ActiveJob, now: datetime) -> None:
        del runner.jobs[job.job_id]
        await self._in_store(lambda: self._ledger.end_pass(job, now=now))
        runner.wake()

    async def _beat(self) -> None:
        now = utc_now()
        status = {
            "sessions": sum(runner.session_count for runner in self._runners.values()),
            "routes": len(self._runners),
            "sessions_total": self.figures.sessions,
            "succeeded_total": self.figures.succeeded,
            "failed_total": self.figures.failed,
            "rows_total": self.figures.rows,
            "rows_waiting": self._harvest.rows,
        }
        await self._in_store(
            lambda: beats.beat(process=self.owner, role="worker", started_at=self._started_at, now=now, status=status)
        )


def _log_fault(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("a requested result was not kept: %r", task.exception())
