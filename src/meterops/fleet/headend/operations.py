"""What can be done with the head-end: schedules, fleet operations, reads on demand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import Sum

from meterops.fleet.headend import meter_sets
from meterops.fleet.headend.contents import ALL_CONTENTS, Content, in_session_order
from meterops.fleet.headend.events import FleetOperationEnded
from meterops.fleet.headend.lanes import Lane
from meterops.fleet.headend.lifecycle import OperationState
from meterops.fleet.headend.models import FleetOperation, RouteJob, Schedule
from meterops.fleet.headend.refusals import (
    EndDeviceHasNoRoute,
    NothingSelected,
    OperationHasEnded,
    OperationUnknown,
    ScheduleIsRunning,
    ScheduleNotValid,
    ScheduleUnknown,
)
from meterops.fleet.headend.rules import Cadence
from meterops.fleet.inventory import api as inventory
from meterops.kernel import audit, facts, hints, jobs
from meterops.kernel.actor import Actor
from meterops.kernel.ids import new_id

ROUTE_JOB = "headend.route_job"
ON_DEMAND_WINDOW = timedelta(seconds=60)
ON_DEMAND_LOOKBACK = timedelta(days=2)
_BATCH = 2000
_SETTINGS = ("contents", "selection", "period_s", "offset_s", "in_local_time", "window_s", "lookback_s", "lane")
"""The columns of a schedule that an operator decides about."""


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """What an operator decides about a schedule; times in seconds."""

    name: str
    contents: tuple[Content, ...]
    period_s: int
    offset_s: int = 0
    in_local_time: bool = False
    window_s: int = 3600
    lookback_s: int = 3 * 86_400
    selection: dict[str, Any] = field(default_factory=dict)
    lane: Lane = Lane.SCHEDULED_READ


def route_key(route_id: int) -> str:
    """The lease key of a route: whoever holds it talks to the route's meters."""
    return f"route:{route_id}"


def cadence_of(schedule: Schedule) -> Cadence:
    """A stored schedule's cadence."""
    zone = ZoneInfo(settings.TIME_ZONE) if schedule.in_local_time else None
    return Cadence(schedule.period_s, schedule.offset_s, zone)


@transaction.atomic
def save_schedule(*, wanted: ScheduleSettings, actor: Actor, at: datetime) -> int:
    """Create a schedule, or change the one of that name. Its first slot is the first after `at`.

    Raises:
        ScheduleNotValid: with the sentence that says which settings do not fit.
    """
    _check(wanted)
    values = {
        "contents": [str(content) for content in wanted.contents],
        "selection": wanted.selection,
        "period_s": wanted.period_s,
        "offset_s": wanted.offset_s,
        "in_local_time": wanted.in_local_time,
        "window_s": wanted.window_s,
        "lookback_s": wanted.lookback_s,
        "lane": int(wanted.lane),
    }
    before = Schedule.objects.filter(name=wanted.name).values(*_SETTINGS).first()
    schedule, _ = Schedule.objects.update_or_create(
        name=wanted.name, defaults=values, create_defaults={**values, "created_at": at, "last_slot_at": at}
    )
    if before != values:
        audit.record(
            actor=actor,
            action="save schedule",
            subject=f"schedule {wanted.name}",
            before=before,
            after=values,
            at=at,
        )
        hints.publish("schedules", str(schedule.pk))
    return int(schedule.pk)


def _check(wanted: ScheduleSettings) -> None:
    try:
        if not wanted.name.strip():
            raise ValueError("a schedule needs a name")
        if not wanted.contents:
            raise ValueError("a schedule reads at least one content")
        if wanted.window_s < 10:
            raise ValueError("a schedule's window is at least 10 seconds")
        Cadence(wanted.period_s, wanted.offset_s, ZoneInfo(settings.TIME_ZONE) if wanted.in_local_time else None)
    except ValueError as error:
        raise ScheduleNotValid(f"The schedule is not saved: {error}.") from error


@transaction.atomic
def set_schedule_enabled(*, name: str, enabled: bool, actor: Actor, at: datetime, reason: str = "") -> None:
    """Pause or resume a schedule. A resumed one starts with its next slot: a pause is wanted, so nothing is caught up.

    Raises:
        ScheduleUnknown: when no schedule has that name.
    """
    schedule = Schedule.objects.select_for_update().filter(name=name).first()
    if schedule is None:
        raise ScheduleUnknown(f"There is no schedule called {name}.")
    if schedule.enabled == enabled:
        return
    schedule.enabled = enabled
    if enabled:
        schedule.last_slot_at = at
    schedule.save(update_fields=["enabled", "last_slot_at"])
    audit.record(
        actor=actor,
        action="resume schedule" if enabled else "pause schedule",
        subject=f"schedule {name}",
        reason=reason,
        at=at,
    )
    hints.publish("schedules", str(schedule.pk))


@transaction.atomic
def delete_schedule(
    *, name: str, actor: Actor, at: datetime, reason: str = "", while_running: bool = False, dry_run: bool = False
) -> int:
    """Remove a schedule; what it has read stays, and its operations keep their titles. Returns how many operations still run.

    Those run on, but only `while_running` removes a schedule that has some. A dry run refuses the same and removes nothing.

    Raises:
        ScheduleUnknown: when no schedule has that name.
        ScheduleIsRunning: when operations of it are under way.
    """
    schedule = Schedule.objects.select_for_update().filter(name=name).first()
    if schedule is None:
        raise ScheduleUnknown(f"There is no schedule called {name}.")
    running = schedule.operations.filter(state=OperationState.RUNNING).count()
    if running and not while_running:
        what = "An operation" if running == 1 else f"{running} operations"
        raise ScheduleIsRunning(
            f"{what} of schedule {name} {'is' if running == 1 else 'are'} under way: wait, cancel what runs, "
            "or say that it may run on without its schedule."
        )
    if dry_run:
        return running
    before, key = {column: getattr(schedule, column) for column in _SETTINGS}, str(schedule.pk)
    schedule.delete()
    audit.record(actor=actor, action="delete schedule", subject=f"schedule {name}", before=before, reason=reason, at=at)
    hints.publish("schedules", key)
    return running


@transaction.atomic
def start_operation(
    *,
    title: str,
    contents: Iterable[Content],
    lane: Lane,
    deadline_at: datetime,
    actor: Actor,
    at: datetime,
    selection: dict[str, Any] | None = None,
    lookback: timedelta = ON_DEMAND_LOOKBACK,
    schedule: Schedule | None = None,
    slots: tuple[datetime, datetime] | None = None,
) -> UUID:
    """Split a selection into one job per route and put them in line.

    `selection` is `{}` (every meter), `{"routes": [...]}` or `{"end_devices": [...]}`. For the first two the jobs are made
    without looking at meters; each worker finds a route's meters when it starts the job.

    Raises:
        NothingSelected: when no route remains.
    """
    parts = _parts(selection or {})
    if not parts:
        raise NothingSelected
    operation = FleetOperation.objects.create(
        id=new_id(),
        schedule=schedule,
        title=title,
        contents=[str(content) for content in in_session_order(contents)],
        lane=int(lane),
        state=OperationState.RUNNING,
        first_slot_at=slots[0] if slots else None,
        slot_at=slots[1] if slots else None,
        lookback_s=int(lookback.total_seconds()),
        requested_by=str(actor),
        created_at=at,
        deadline_at=deadline_at,
    )
    _enqueue(operation, parts, at)
    hints.publish("operations", str(operation.id))
    return operation.id


def _parts(selection: dict[str, Any]) -> dict[int, Sequence[int] | None]:
    """Route id -> the meters meant there, None for all of them."""
    if "end_devices" in selection:
        by_route: dict[int, list[int]] = {}
        addresses = inventory.addresses_of(selection["end_devices"])
        for end_device_id, route_id in zip(addresses.end_device_id.tolist(), addresses.route_id.tolist(), strict=True):
            if route_id:
                by_route.setdefault(route_id, []).append(end_device_id)
        return dict(by_route)
    routes = [route.id for route in inventory.list_routes()]
    if "routes" in selection:
        wanted = set(selection["routes"])
        routes = [route for route in routes if route in wanted]
    return dict.fromkeys(routes)


def _enqueue(operation: FleetOperation, parts: dict[int, Sequence[int] | None], at: datetime) -> None:
    RouteJob.objects.bulk_create(
        [
            RouteJob(
                operation=operation,
                route_id=route_id,
                outstanding=None if meters is None else meter_sets.pack(meters),
                total=0 if meters is None else len(set(meters)),
            )
            for route_id, meters in parts.items()
        ],
        batch_size=_BATCH,
    )
    rows = RouteJob.objects.filter(operation=operation).values_list("id", "route_id")
    jobs.enqueue(
        (
            jobs.NewJob(
                kind=ROUTE_JOB,
                key=route_key(route_id),
                due_at=at,
                lane=operation.lane,
                payload={"route_job": row_id},
                deadline_at=operation.deadline_at,
                unique_name=f"{ROUTE_JOB}:{row_id}",
            )
            for row_id, route_id in rows
        ),
        now=at,
    )


@transaction.atomic
def run_schedule_now(*, name: str, actor: Actor, at: datetime) -> UUID:
    """Start a schedule's operation now, besides its slots.

    Raises:
        ScheduleUnknown: when no schedule has that name.
        NothingSelected: when there is nothing to read.
    """
    schedule = Schedule.objects.filter(name=name).first()
    if schedule is None:
        raise ScheduleUnknown(f"There is no schedule called {name}.")
    operation = start_operation(
        title=f"{name} (now)",
        contents=in_session_order(schedule.contents),
        lane=Lane(schedule.lane),
        deadline_at=at + timedelta(seconds=schedule.window_s),
        actor=actor,
        at=at,
        selection=schedule.selection,
        lookback=timedelta(seconds=schedule.lookback_s),
        schedule=schedule,
    )
    audit.record(actor=actor, action="run schedule now", subject=f"schedule {name}", after=str(operation), at=at)
    return operation


def request_read(
    *, end_device_ids: Sequence[int], actor: Actor, at: datetime, contents: Iterable[Content] = ALL_CONTENTS
) -> UUID:
    """Read meters now, ahead of scheduled work. Returns the operation, whose result `operation_result` gives.

    Raises:
        EndDeviceHasNoRoute: when none of the meters can be reached.
    """
    try:
        operation = start_operation(
            title="Read on demand" if len(end_device_ids) == 1 else f"Read {len(end_device_ids)} meters on demand",
            contents=contents,
            lane=Lane.ON_DEMAND,
            deadline_at=at + ON_DEMAND_WINDOW + timedelta(seconds=len(end_device_ids)),
            actor=actor,
            at=at,
            selection={"end_devices": list(end_device_ids)},
        )
    except NothingSelected as error:
        raise EndDeviceHasNoRoute from error
    audit.record(
        actor=actor,
        action="read on demand",
        subject=f"operation {operation}",
        after={"end_devices": list(end_device_ids)[:100], "count": len(end_device_ids)},
        at=at,
    )
    return operation


@transaction.atomic
def cancel_operation(*, operation_id: UUID, actor: Actor, at: datetime, reason: str = "") -> None:
    """Stop an operation: sessions under way end, no other begins.

    Raises:
        OperationUnknown: when there is none of that id.
        OperationHasEnded: when it is over already.
    """
    operation = FleetOperation.objects.select_for_update().filter(id=operation_id).first()
    if operation is None:
        raise OperationUnknown(f"There is no operation {operation_id}.")
    if operation.state != OperationState.RUNNING:
        raise OperationHasEnded(f"The operation ended as {operation.state} already.")
    end_operation(operation, OperationState.CANCELLED, at)
    audit.record(actor=actor, action="cancel operation", subject=f"operation {operation_id}", reason=reason, at=at)


def end_operation(operation: FleetOperation, state: OperationState, at: datetime) -> None:
    """Close an operation in the caller's transaction, take its remaining jobs out of line and tell others."""
    operation.state, operation.finished_at = state, at
    operation.save(update_fields=["state", "finished_at"])
    open_jobs = operation.route_jobs.filter(finished_at__isnull=True)
    names = [f"{ROUTE_JOB}:{row_id}" for row_id in open_jobs.values_list("id", flat=True)]
    for start in range(0, len(names), 500):
        jobs.cancel(now=at, kind=ROUTE_JOB, unique_names=names[start : start + 500], outcome=state)
    open_jobs.update(finished_at=at)
    sums = operation.route_jobs.aggregate(total=Sum("total"), succeeded=Sum("succeeded"), failed=Sum("failed"))
    facts.publish(
        FleetOperationEnded(
            operation_id=str(operation.id),
            state=state,
            schedule=operation.schedule.name if operation.schedule else "",
            total=sums["total"] or 0,
            succeeded=sums["succeeded"] or 0,
            failed=sums["failed"] or 0,
            ended_at=at,
        )
    )
    hints.publish("operations", str(operation.id))
