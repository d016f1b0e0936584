"""A route's sessions: order, limits, urgency, and no meter lost between the states of a job."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from meterops.fleet.headend.contents import ALL_CONTENTS, Content
from meterops.fleet.headend.errors import ErrorClass
from meterops.fleet.headend.lanes import Lane
from meterops.fleet.headend.route_runner import ActiveJob, MeterTask, RouteRunner

DEADLINE = datetime(2040, 1, 1, tzinfo=UTC) + timedelta(days=1)


def a_job(job_id: int, meters: range, lane: Lane = Lane.SCHEDULED_READ, *contents: Content) -> ActiveJob:
    return ActiveJob(
        job_id=job_id,
        route_job_id=job_id,
        operation_id=str(job_id),
        lane=lane,
        contents=contents or ALL_CONTENTS,
        lookback_s=86_400,
        deadline_at=DEADLINE,
        passes_made=0,
        untried=dict.fromkeys(meters),
        total=len(meters),
    )


class Sessions:
    """Stands in for meters: notes who was talked to, and how many at once; a session lasts until it may end."""

    def __init__(self, lasts_s: float = 0.001) -> None:
        self.tasks: list[MeterTask] = []
        self.at_once = self.most_at_once = 0
        self.lasts_s = lasts_s

    async def hold(self, task: MeterTask) -> None:
        self.tasks.append(task)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.lasts_s)
        self.at_once -= 1
        for job in task.jobs:
            job.in_flight.discard(task.meter)
            job.unsettled.add(task.meter)


def a_runner(sessions: Sessions, *, limit: int = 4, rate: float = 0.0, capacity: int = 100) -> RouteRunner:
    return RouteRunner(
        1,
        session_limit=limit,
        connect_rate_per_s=rate,
        hold_session=sessions.hold,
        capacity=asyncio.Semaphore(capacity),
    )


async def until_tried(job: ActiveJob) -> None:
    async with asyncio.timeout(10):
        while job.untried or job.in_flight:
            await asyncio.sleep(0.002)


async def test_every_meter_is_tried_once_within_the_session_limit() -> None:
    sessions, job = Sessions(), a_job(1, range(1, 51))
    runner = a_runner(sessions, limit=4)
    runner.add(job)
    await until_tried(job)
    assert sorted(task.meter for task in sessions.tasks) == list(range(1, 51))
    assert sessions.most_at_once == 4
    await runner.stop()


async def test_the_capacity_of_the_worker_bounds_all_routes_together() -> None:
    sessions = Sessions()
    capacity = asyncio.Semaphore(3)
    runners = [
        RouteRunner(n, session_limit=10, connect_rate_per_s=0.0, hold_session=sessions.hold, capacity=capacity)
        for n in range(4)
    ]
    jobs = [a_job(n, range(100 * n, 100 * n + 20)) for n in range(4)]
    for runner, job in zip(runners, jobs, strict=True):
        runner.add(job)
    for job in jobs:
        await until_tried(job)
    assert sessions.most_at_once == 3
    await asyncio.gather(*(runner.stop() for runner in runners))


async def test_an_urgent_read_overtakes_between_two_sessions_and_takes_along_what_else_is_due() -> None:
    sessions = Sessions(lasts_s=0.01)
    runner = a_runner(sessions, limit=1, capacity=1)
    bulk = a_job(1, range(1, 40))
    runner.add(bulk)
    await asyncio.sleep(0.03)
    urgent = a_job(2, range(39, 40), Lane.ON_DEMAND, Content.REGISTERS)
    runner.add(urgent)
    await until_tried(urgent)
    when = [task.meter for task in sessions.tasks].index(39)
    assert when < 10
    together = sessions.tasks[when]
    assert {job.job_id for job in together.jobs} == {1, 2}
    assert together.lane is Lane.ON_DEMAND
    assert together.contents == ALL_CONTENTS
    await until_tried(bulk)
    assert [task.meter for task in sessions.tasks].count(39) == 1
    await runner.stop()


async def test_connections_keep_to_the_rate_of_the_route() -> None:
    sessions, job = Sessions(), a_job(1, range(20))
    runner = a_runner(sessions, limit=20, rate=50.0)
    loop = asyncio.get_running_loop()
    started = loop.time()
    runner.add(job)
    await until_tried(job)
    assert loop.time() - started >= 19 / 50
    await runner.stop()


async def test_a_meter_whose_rows_are_not_durable_stays_outstanding() -> None:
    sessions, job = Sessions(), a_job(1, range(1, 6))
    runner = a_runner(sessions)
    runner.add(job)
    await until_tried(job)
    assert sorted(job.outstanding()) == [1, 2, 3, 4, 5]
    assert not job.is_pass_over
    for meter in range(1, 5):
        job.settle(meter, None)
    job.settle(5, ErrorClass.UNREACHABLE)
    assert job.outstanding() == [5]
    assert job.is_pass_over
    assert (job.succeeded, job.failed, list(job.waiting)) == (4, 0, [5])
    await runner.stop()


@pytest.mark.parametrize(("error", "waits"), [(ErrorClass.UNREACHABLE, True), (ErrorClass.REFUSED, False)])
def test_what_may_not_be_retried_has_failed_for_good(error: ErrorClass, waits: bool) -> None:
    job = a_job(1, range(0))
    job.unsettled.add(7)
    job.settle(7, error)
    assert (7 in job.waiting) is waits
    job.give_up_waiting()
    assert job.failed == 1
    assert job.errors == {error: 1}
    assert job.outstanding() == []


async def test_stopping_ends_sessions_under_way() -> None:
    sessions, job = Sessions(lasts_s=60), a_job(1, range(10))
    runner = a_runner(sessions)
    runner.add(job)
    await asyncio.sleep(0.05)
    await asyncio.wait_for(runner.stop(), 2)
    assert runner.session_count == 0
    assert len(sessions.tasks) == 4
