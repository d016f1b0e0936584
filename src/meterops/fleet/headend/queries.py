"""What can be asked of the head-end."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
from django.db.models import Count, F, Max, Q, QuerySet, Sum
from numpy.typing import NDArray

from meterops.fleet.headend import meter_sets
from meterops.fleet.headend.lanes import Lane
from meterops.fleet.headend.lifecycle import OperationState
from meterops.fleet.headend.models import FleetOperation, RouteJob, RouteProgress, Schedule
from meterops.fleet.headend.operations import cadence_of
from meterops.fleet.headend.refusals import OperationUnknown, ScheduleUnknown
from meterops.fleet.headend.rules import due_slots, next_slot


@dataclass(frozen=True, slots=True)
class OperationView:
    """An operation with its sums over routes. `total` grows while routes are opened for the first time."""

    id: UUID
    title: str
    schedule: str
    contents: tuple[str, ...]
    lane: Lane
    state: OperationState
    first_slot_at: datetime | None
    slot_at: datetime | None
    requested_by: str
    created_at: datetime
    deadline_at: datetime
    finished_at: datetime | None
    routes: int
    routes_done: int
    total: int
    succeeded: int
    failed: int

    @property
    def outstanding(self) -> int:
        """Meters neither read nor given up."""
        return max(0, self.total - self.succeeded - self.failed)

    @property
    def share_done(self) -> float:
        """0 to 1: the meters that are through, weighed by the routes not opened yet."""
        if self.state is not OperationState.RUNNING and not self.total:
            return 1.0
        opened = (self.succeeded + self.failed) / self.total if self.total else 0.0
        return min(
            1.0, max(opened if self.routes_done else 0.0, self.routes_done / self.routes if self.routes else 0.0)
        )


@dataclass(frozen=True, slots=True)
class RouteJobView:
    """One route's part of an operation."""

    route_id: int
    total: int
    succeeded: int
    failed: int
    errors: dict[str, int]
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule and how it does."""

    id: int
    name: str
    enabled: bool
    contents: tuple[str, ...]
    period_s: int
    offset_s: int
    in_local_time: bool
    window_s: int
    lookback_s: int
    last_slot_at: datetime
    next_slot_at: datetime | None
    last_operation: OperationView | None


@dataclass(frozen=True, slots=True)
class OperationResult:
    """Where a requested read stands and, once it is there, what the meter answered (`results` by end device id)."""

    id: UUID
    state: OperationState
    deadline_at: datetime
    total: int
    succeeded: int
    failed: int
    results: dict[str, Any]


def list_operations(
    *, schedule: str = "", state: OperationState | None = None, limit: int = 50, before: datetime | None = None
) -> list[OperationView]:
    """Operations, newest first; `before` (a `created_at`) pages on."""
    found = FleetOperation.objects.order_by("-created_at")
    if schedule:
        found = found.filter(schedule__name=schedule)
    if state is not None:
        found = found.filter(state=state)
    if before is not None:
        found = found.filter(created_at__lt=before)
    return _views(found[:limit])


def get_operation(operation_id: UUID) -> OperationView:
    """One operation.

    Raises:
        OperationUnknown: when there is none of that id.
    """
    found = _views(FleetOperation.objects.filter(id=operation_id))
    if not found:
        raise OperationUnknown(f"There is no operation {operation_id}.")
    return found[0]


def list_route_jobs(operation_id: UUID, *, limit: int = 500) -> list[RouteJobView]:
    """An operation's routes, those with failures first."""
    rows = RouteJob.objects.filter(operation_id=operation_id).order_by("-failed", "finished_at", "route_id")[:limit]
    return [
        RouteJobView(r.route_id, r.total, r.succeeded, r.failed, dict(r.errors), r.started_at, r.finished_at)
        for r in rows
    ]


def error_counts(operation_id: UUID) -> dict[str, int]:
    """How many of an operation's meters ended in which error class."""
    counts: Counter[str] = Counter()
    for errors in RouteJob.objects.filter(operation_id=operation_id, failed__gt=0).values_list("errors", flat=True):
        counts.update(errors)
    return dict(counts.most_common())


def operation_result(operation_id: UUID) -> OperationResult:
    """How a requested read stands.

    Raises:
        OperationUnknown: when there is none of that id.
    """
    row = FleetOperation.objects.filter(id=operation_id).first()
    if row is None:
        raise OperationUnknown(f"There is no operation {operation_id}.")
    sums = row.route_jobs.aggregate(total=Sum("total"), succeeded=Sum("succeeded"), failed=Sum("failed"))
    return OperationResult(
        id=row.id,
        state=OperationState(row.state),
        deadline_at=row.deadline_at,
        total=sums["total"] or 0,
        succeeded=sums["succeeded"] or 0,
        failed=sums["failed"] or 0,
        results=row.result or {},
    )


def list_schedules(*, now: datetime) -> list[ScheduleView]:
    """Every schedule with its next slot and its newest operation."""
    newest = dict(
        FleetOperation.objects.filter(schedule__isnull=False)
        .values("schedule_id")
        .annotate(newest=Max("created_at"))
        .values_list("schedule_id", "newest")
    )
    latest = FleetOperation.objects.filter(schedule__isnull=False, created_at__in=list(newest.values()))
    last = {operation.schedule: operation for operation in _views(latest)}
    return [_schedule_view(schedule, last.get(schedule.name), now) for schedule in Schedule.objects.all()]


def get_schedule(name: str, *, now: datetime) -> ScheduleView:
    """One schedule.

    Raises:
        ScheduleUnknown: when no schedule has that name.
    """
    for schedule in list_schedules(now=now):
        if schedule.name == name:
            return schedule
    raise ScheduleUnknown(f"There is no schedule called {name}.")


def _schedule_view(s: Schedule, last: OperationView | None, now: datetime) -> ScheduleView:
    return ScheduleView(
        id=s.pk,
        name=s.name,
        enabled=s.enabled,
        contents=tuple(s.contents),
        period_s=s.period_s,
        offset_s=s.offset_s,
        in_local_time=s.in_local_time,
        window_s=s.window_s,
        lookback_s=s.lookback_s,
        last_slot_at=s.last_slot_at,
        next_slot_at=next_slot(cadence_of(s), max(now, s.last_slot_at)) if s.enabled else None,
        last_operation=last,
    )


def _views(found: QuerySet[FleetOperation]) -> list[OperationView]:
    rows = list(found.select_related("schedule"))
    sums: dict[UUID, dict[str, Any]] = {
        row["operation_id"]: dict(row)
        for row in RouteJob.objects.filter(operation__in=[row.id for row in rows])
        .values("operation_id")
        .annotate(
            routes=Count("id"),
            routes_done=Count("id", filter=Q(finished_at__isnull=False)),
            meters=Sum(F("total")),
            good=Sum("succeeded"),
            bad=Sum("failed"),
        )
    }
    empty = {"routes": 0, "routes_done": 0, "meters": 0, "good": 0, "bad": 0}
    return [_view(row, sums.get(row.id, empty)) for row in rows]


def _view(row: FleetOperation, sums: dict[str, Any]) -> OperationView:
    return OperationView(
        id=row.id,
        title=row.title,
        schedule=row.schedule.name if row.schedule else "",
        contents=tuple(row.contents),
        lane=Lane(row.lane),
        state=OperationState(row.state),
        first_slot_at=row.first_slot_at,
        slot_at=row.slot_at,
        requested_by=row.requested_by,
        created_at=row.created_at,
        deadline_at=row.deadline_at,
        finished_at=row.finished_at,
        routes=sums["routes"],
        routes_done=sums["routes_done"],
        total=sums["meters"] or 0,
        succeeded=sums["good"] or 0,
        failed=sums["bad"] or 0,
    )


def profile_read_until(route_ids: Iterable[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(end device ids ascending, up to when each one's load profile is stored in epoch seconds) for the meters of some routes.

    A meter whose profile was never read is not in the answer.
    """
    known: dict[int, int] = {}
    for packed in RouteProgress.objects.filter(pk__in=list(route_ids)).values_list("profile_read_until", flat=True):
        known |= meter_sets.unpack_moments(packed)
    ids = np.fromiter(known.keys(), dtype=np.int64, count=len(known))
    until = np.fromiter(known.values(), dtype=np.int64, count=len(known))
    order = np.argsort(ids)
    return ids[order], until[order]


def overdue_slots(name: str, *, now: datetime) -> int:
    """How many slots of an enabled schedule lie before `now` without having been started."""
    schedule = Schedule.objects.filter(name=name, enabled=True).first()
    return 0 if schedule is None else len(due_slots(cadence_of(schedule), schedule.last_slot_at, now))


def find_inconsistent_jobs() -> str | None:
    """Route jobs that claim to be through while meters are outstanding, in words; None where there is none."""
    ended = RouteJob.objects.filter(finished_at__isnull=False, operation__state=OperationState.COMPLETED)
    wrong = ended.exclude(total=F("succeeded") + F("failed")).count()
    return f"{wrong} finished route jobs do not add up to their meters" if wrong else None
