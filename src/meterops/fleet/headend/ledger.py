"""The worker's side of the state store: claiming jobs, loading routes, settling outcomes. Every call is one short transaction.

Nothing here is asynchronous; the worker runs it in one thread of its own.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from meterops.fleet.credentials import api as credentials
from meterops.fleet.headend import meter_sets
from meterops.fleet.headend.contents import in_session_order
from meterops.fleet.headend.lanes import Lane
from meterops.fleet.headend.models import FleetOperation, RouteJob, RouteProgress
from meterops.fleet.headend.operations import ROUTE_JOB, route_key
from meterops.fleet.headend.route_runner import ActiveJob
from meterops.fleet.headend.sink import Settlement
from meterops.fleet.inventory import api as inventory
from meterops.kernel import hints, jobs
from meterops.protocols.dlms.security import CounterRange, KeyRing

LEASE = timedelta(seconds=15)
COUNTERS_PER_SESSION = 256
"""Counter values reserved for a session; what a session leaves unused is skipped, never reused."""


@dataclass(slots=True)
class Address:
    """Where a meter is and how it wants to be spoken to."""

    end_device_id: int
    serial: str
    host: str
    port: int
    transport: str
    server_sap: int
    system_title: bytes
    profile: str
    make: tuple[str, str, str]
    """Manufacturer, model, firmware: meters that share these share their object layout."""


@dataclass(slots=True)
class Route:
    """A route with what its sessions need: addresses, keys, reserved counters and how far each meter has been read."""

    id: int
    session_limit: int
    connect_rate_per_s: float
    addresses: dict[int, Address]
    keys: dict[int, KeyRing]
    counters: dict[int, CounterRange]
    profile_read_until: dict[int, int]
    events_read_until: dict[int, int]


class Ledger:
    """The state store as one worker sees it; `owner` is the worker's name on every lease."""

    def __init__(self, owner: str) -> None:
        self.owner = owner

    def claim(self, *, now: datetime, new_routes: int, urgent_only: bool) -> list[jobs.ClaimedJob]:
        """Due route jobs on routes this worker holds or could take; while it is full, only urgent ones."""
        return jobs.claim(
            owner=self.owner,
            kinds=(ROUTE_JOB,),
            now=now,
            lease=LEASE,
            new_keys=new_routes,
            below_lane=Lane.SCHEDULED_READ if urgent_only else None,
        )

    def renew(self, *, now: datetime) -> set[int]:
        """Prolong the leases; returns the routes still held."""
        keys = jobs.renew(owner=self.owner, now=now, lease=LEASE)
        return {int(key.removeprefix("route:")) for key in keys if key.startswith("route:")}

    def release(self, routes: Iterable[int]) -> None:
        """Give routes back."""
        jobs.release(owner=self.owner, keys=[route_key(route) for route in routes])

    def release_all(self) -> None:
        """Give every route back."""
        jobs.release(owner=self.owner)

    @transaction.atomic
    def open_jobs(self, claimed: Sequence[jobs.ClaimedJob], *, now: datetime) -> list[tuple[int, ActiveJob]]:
        """Load claimed jobs with their outstanding meters; a job opened for the first time gets its route's meters now.

        Returns (route id, job). Claims of operations that ended meanwhile are left out.
        """
        rows = RouteJob.objects.select_related("operation").in_bulk([job.payload["route_job"] for job in claimed])
        opened: list[tuple[int, ActiveJob]] = []
        for job in claimed:
            row = rows.get(job.payload["route_job"])
            if row is None or row.finished_at is not None:
                jobs.finish(owner=self.owner, job_ids=[job.id], now=now, outcome="gone")
                continue
            opened.append((row.route_id, self._open(job, row, now)))
        return opened

    def _open(self, job: jobs.ClaimedJob, row: RouteJob, now: datetime) -> ActiveJob:
        if row.started_at is None:
            if row.outstanding is None:
                row.outstanding = meter_sets.pack(inventory.addresses_on_route(row.route_id).end_device_id)
            row.total = len(meter_sets.unpack(row.outstanding))
            row.started_at = now
            row.save(update_fields=["outstanding", "total", "started_at"])
        meters = meter_sets.unpack(row.outstanding or meter_sets.pack([])).tolist()
        return ActiveJob(
            job_id=job.id,
            route_job_id=row.pk,
            operation_id=str(row.operation_id),
            lane=Lane(job.lane),
            contents=in_session_order(row.operation.contents),
            lookback_s=row.operation.lookback_s,
            deadline_at=row.operation.deadline_at,
            passes_made=job.attempts,
            untried=dict.fromkeys(meters),
            total=row.total,
            succeeded=row.succeeded,
            failed=row.failed,
            errors=Counter(row.errors),
            wants_results=job.lane == Lane.ON_DEMAND,
        )

    def load_route(self, route_id: int, meters: Sequence[int]) -> Route:
        """Addresses (resolved anew at every pass), keys and a fresh range of counters for the meters, in a few queries."""
        info = inventory.get_route(route_id)
        columns = inventory.addresses_of(meters)
        progress = RouteProgress.objects.filter(route_id=route_id).first()
        return Route(
            id=route_id,
            session_limit=info.session_limit,
            connect_rate_per_s=info.connect_rate_per_s,
            addresses=_addresses(columns),
            keys=credentials.keys_of(meters),
            counters=credentials.reserve_counters(meters, COUNTERS_PER_SESSION),
            profile_read_until=meter_sets.unpack_moments(progress.profile_read_until) if progress else {},
            events_read_until=meter_sets.unpack_moments(progress.events_read_until) if progress else {},
        )

    def more_counters(self, end_device_id: int, at_least: int, count: int) -> CounterRange:
        """A fresh range of `count` for one meter, beginning at `at_least` or above."""
        if at_least:
            credentials.raise_counter(end_device_id, at_least)
        ranges: dict[int, CounterRange] = credentials.reserve_counters([end_device_id], count)
        return ranges[end_device_id]

    def ended(self, active: Sequence[ActiveJob]) -> set[int]:
        """Which of these jobs were taken out of line meanwhile: their operation was cancelled or is past its deadline."""
        ids = [job.route_job_id for job in active]
        gone = RouteJob.objects.filter(pk__in=ids, finished_at__isnull=False).values_list("pk", flat=True)
        found = set(gone)
        return {job.job_id for job in active if job.route_job_id in found}

    def keep_result(self, operation_id: str, results: dict[str, Any]) -> None:
        """Store what a requested read brought, for whoever waits for it."""
        with transaction.atomic():
            operation = FleetOperation.objects.select_for_update().filter(id=UUID(operation_id)).first()
            if operation is None:
                return
            operation.result = {**(operation.result or {}), **results}
            operation.save(update_fields=["result"])
            hints.publish("operations", operation_id)

    @transaction.atomic
    def settle(self, settlements: Sequence[Settlement], active: Sequence[ActiveJob], *, now: datetime) -> set[int]:
        """Write down what durable rows have made true. Returns the routes whose lease was lost meanwhile.

        Called after the lake's commit: killed between the two, the meters are read again and their rows repeat.
        """
        by_route: dict[int, list[Settlement]] = {}
        for settlement in settlements:
            by_route.setdefault(settlement.task.route_id, []).append(settlement)
        held = jobs.held(owner=self.owner, keys=[route_key(route) for route in by_route], now=now)
        lost = {route for route in by_route if route_key(route) not in held}
        rows = RouteJob.objects.in_bulk([job.route_job_id for job in active])
        for job in active:
            row = rows.get(job.route_job_id)
            if row is None or row.route_id in lost or row.finished_at is not None:
                continue
            row.outstanding = meter_sets.pack(job.outstanding())
            row.succeeded, row.failed, row.errors = job.succeeded, job.failed, dict(job.errors)
            row.save(update_fields=["outstanding", "succeeded", "failed", "errors"])
        for route, settled in by_route.items():
            if route not in lost:
                _keep_progress(route, settled, now)
        for operation in {job.operation_id for job in active}:
            hints.publish("operations", operation)
        return lost

    @transaction.atomic
    def end_pass(self, job: ActiveJob, *, now: datetime) -> None:
        """A pass over a job's meters is done: finish the job, or make it due again for those that failed."""
        if job.waiting and now < job.deadline_at:
            due_at = min(now + timedelta(seconds=job.pause_s()), job.deadline_at)
            jobs.postpone(owner=self.owner, job_ids=[job.job_id], now=now, due_at=due_at)
            return
        job.give_up_waiting()
        if jobs.finish(owner=self.owner, job_ids=[job.job_id], now=now):
            RouteJob.objects.filter(pk=job.route_job_id, finished_at__isnull=True).update(
                outstanding=meter_sets.pack([]),
                succeeded=job.succeeded,
                failed=job.failed,
                errors=dict(job.errors),
                finished_at=now,
            )
            hints.publish("operations", job.operation_id)


def _addresses(columns: inventory.Addresses) -> dict[int, Address]:
    return {
        row[0]: Address(*row)
        for row in zip(
            columns.end_device_id.tolist(),
            columns.serial,
            columns.host,
            columns.port.tolist(),
            columns.transport,
            columns.server_sap.tolist(),
            columns.system_title,
            columns.profile,
            columns.make,
            strict=True,
        )
    }


def _keep_progress(route_id: int, settled: Sequence[Settlement], now: datetime) -> None:
    profile = {s.task.meter: s.profile_read_until for s in settled if s.profile_read_until is not None}
    events = {s.task.meter: s.events_read_until for s in settled if s.events_read_until is not None}
    if not profile and not events:
        return
    row, _ = RouteProgress.objects.select_for_update().get_or_create(route_id=route_id, defaults={"updated_at": now})
    row.profile_read_until = meter_sets.pack_moments(meter_sets.unpack_moments(row.profile_read_until) | profile)
    row.events_read_until = meter_sets.pack_moments(meter_sets.unpack_moments(row.events_read_until) | events)
    row.updated_at = now
    row.save()
