"""Runs everything due on one route: picks the next meter, urgent lanes first, and does all that is due for it in one session."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from meterops.fleet.headend.contents import Content, in_session_order
from meterops.fleet.headend.errors import ErrorClass
from meterops.fleet.headend.lanes import Lane
from meterops.fleet.headend.rules import may_retry, pause_before_next_pass


@dataclass(slots=True)
class ActiveJob:
    """A route job in a worker's hands. Every meter is in exactly one of untried, in_flight, unsettled, waiting, done."""

    job_id: int
    route_job_id: int
    operation_id: str
    lane: Lane
    contents: tuple[Content, ...]
    lookback_s: int
    deadline_at: datetime
    passes_made: int
    untried: dict[int, None]
    """The meters this pass has not tried yet, in order."""
    in_flight: set[int] = field(default_factory=set)
    unsettled: set[int] = field(default_factory=set)
    """Meters whose session is over while its rows are not durable yet."""
    waiting: dict[int, ErrorClass] = field(default_factory=dict)
    """Meters that failed and are tried again in the next pass."""
    total: int = 0
    succeeded: int = 0
    failed: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    wants_results: bool = False
    cancelled: bool = False

    @property
    def is_pass_over(self) -> bool:
        """Whether every meter of this pass was tried and everything learned is durable."""
        return not self.untried and not self.in_flight and not self.unsettled

    def outstanding(self) -> list[int]:
        """The meters not done: what the job's row keeps."""
        return [*self.untried, *self.in_flight, *self.unsettled, *self.waiting]

    def settle(self, meter: int, error: ErrorClass | None) -> None:
        """Take in a meter's durable outcome: done, to be tried again, or given up."""
        self.unsettled.discard(meter)
        if error is None:
            self.succeeded += 1
        elif may_retry(error, self.passes_made + 1, self.lane):
            self.waiting[meter] = error
        else:
            self.give_up(error)

    def give_up(self, error: ErrorClass) -> None:
        """Count a meter as failed for good."""
        self.failed += 1
        self.errors[error] += 1

    def give_up_waiting(self) -> None:
        """At the deadline: what still waits or was never tried has failed, each for its last reason."""
        for error in self.waiting.values():
            self.give_up(error)
        for _ in self.untried:
            self.give_up(ErrorClass.TIMEOUT)
        self.waiting.clear()
        self.untried.clear()

    def pause_s(self) -> float:
        """Seconds until the next pass."""
        return pause_before_next_pass(set(self.waiting.values()), self.passes_made)


@dataclass(frozen=True, slots=True)
class MeterTask:
    """One session to be held: a meter, and everything that is due for it."""

    route_id: int
    meter: int
    jobs: tuple[ActiveJob, ...]
    contents: tuple[Content, ...]
    lookback_s: int
    lane: Lane
    deadline_at: datetime
    attempt: int


class RouteRunner:
    """Holds sessions with a route's meters, at most `session_limit` at once and `connect_rate_per_s` new ones a second."""

    def __init__(
        self,
        route_id: int,
        *,
        session_limit: int,
        connect_rate_per_s: float,
        hold_session: Callable[[MeterTask], Awaitable[None]],
        capacity: asyncio.Semaphore,
    ) -> None:
        self.route_id = route_id
        self.jobs: dict[int, ActiveJob] = {}
        self._hold_session = hold_session
        self._capacity = capacity
        self._slots = session_limit
        self._pause_s = 1.0 / connect_rate_per_s if connect_rate_per_s > 0 else 0.0
        self._next_connect_at = 0.0
        self._busy: set[int] = set()
        self._sessions: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self.stopping = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to do or under way."""
        return not self.jobs and not self._sessions

    @property
    def session_count(self) -> int:
        """Sessions under way."""
        return len(self._sessions)

    def add(self, job: ActiveJob) -> None:
        """Take on a job; its meters are served by lane, together with whatever else is due for them."""
        self.jobs[job.job_id] = job
        self._wake.set()
        if self._loop_task is None or self._loop_task.done():
            self._loop_task = asyncio.create_task(self._serve(), name=f"route {self.route_id}")

    def wake(self) -> None:
        """Look again: something changed."""
        self._wake.set()

    async def stop(self) -> None:
        """Begin no session any more, end those under way, and wait for them."""
        self.stopping = True
        self._wake.set()
        for session in list(self._sessions):
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.gather(self._loop_task, return_exceptions=True)

    async def _serve(self) -> None:
        while not self.stopping:
            self._wake.clear()
            if not self._has_next():
                if not self.jobs and not self._sessions:
                    return
                await self._wake.wait()
                continue
            urgent = self._next_lane() < Lane.SCHEDULED_READ
            if not urgent:
                await self._capacity.acquire()
            task = self._pick()
            if task is None:
                if not urgent:
                    self._capacity.release()
                continue
            await self._keep_connect_rate()
            session = asyncio.create_task(self._run(task, counted=not urgent))
            self._sessions.add(session)
            session.add_done_callback(self._session_over)

    def _has_next(self) -> bool:
        limit = self._slots + (2 if self._next_lane() < Lane.SCHEDULED_READ else 0)
        return len(self._sessions) < limit and any(
            meter not in self._busy for job in self.jobs.values() for meter in job.untried
        )

    def _next_lane(self) -> Lane:
        return min((job.lane for job in self.jobs.values() if job.untried), default=Lane.FIRMWARE)

    def _pick(self) -> MeterTask | None:
        """The next meter of the most urgent job that is not being talked to, with every job that wants it."""
        for job in sorted(self.jobs.values(), key=lambda job: (job.lane, job.job_id)):
            for meter in job.untried:
                if meter not in self._busy:
                    return self._take(meter)
        return None

    def _take(self, meter: int) -> MeterTask:
        jobs = tuple(job for job in self.jobs.values() if meter in job.untried or meter in job.waiting)
        for job in jobs:
            job.untried.pop(meter, None)
            job.waiting.pop(meter, None)
            job.in_flight.add(meter)
        self._busy.add(meter)
        return MeterTask(
            route_id=self.route_id,
            meter=meter,
            jobs=jobs,
            contents=in_session_order(content for job in jobs for content in job.contents),
            lookback_s=max(job.lookback_s for job in jobs),
            lane=min(job.lane for job in jobs),
            deadline_at=max(job.deadline_at for job in jobs),
            attempt=1 + max(job.passes_made for job in jobs),
        )

    async def _keep_connect_rate(self) -> None:
        if not self._pause_s:
            return
        now = time.monotonic()
        wait = self._next_connect_at - now
        self._next_connect_at = max(now, self._next_connect_at) + self._pause_s
        if wait > 0:
            await asyncio.sleep(wait)

    async def _run(self, task: MeterTask, *, counted: bool) -> None:
        try:
            await self._hold_session(task)
        finally:
            self._busy.discard(task.meter)
            if counted:
                self._capacity.release()

    def _session_over(self, session: asyncio.Task[None]) -> None:
        """Its place is free: only now may the loop look for the next meter."""
        self._sessions.discard(session)
        self._wake.set()


def jobs_in(runners: Iterable[RouteRunner]) -> list[ActiveJob]:
    """Every job those runners hold."""
    return [job for runner in runners for job in runner.jobs.values()]
