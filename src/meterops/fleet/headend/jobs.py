"""What the head-end does because it is time: due schedules become operations, finished or late operations end."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef

from meterops.fleet.headend.contents import in_session_order
from meterops.fleet.headend.lanes import Lane
from meterops.fleet.headend.lifecycle import OperationState
from meterops.fleet.headend.models import FleetOperation, RouteJob, Schedule
from meterops.fleet.headend.operations import cadence_of, end_operation, start_operation
from meterops.fleet.headend.refusals import NothingSelected
from meterops.fleet.headend.rules import due_slots
from meterops.kernel import hints, jobs
from meterops.kernel.actor import process_actor

SCHEDULER = process_actor("scheduler")


def start_due_schedules(*, now: datetime) -> int:
    """Turn every due slot of every enabled schedule into an operation, once, however many engines call this.

    Slots that were missed while nothing ran are caught up by one operation that covers all of them: each is taken as a tick
    of its own, and one session per meter then fetches what all of them were for. Returns how many operations were started.
    """
    return sum(_start_if_due(pk, now) for pk in Schedule.objects.filter(enabled=True).values_list("pk", flat=True))


@transaction.atomic
def _start_if_due(schedule_pk: int, now: datetime) -> bool:
    schedule = Schedule.objects.select_for_update().filter(pk=schedule_pk).first()
    if schedule is None:  # deleted meanwhile
        return False
    slots = due_slots(cadence_of(schedule), schedule.last_slot_at, now)
    taken = [s for s in slots if jobs.take_tick(schedule=f"headend:{schedule.pk}", slot_at=s, now=now)]
    if not taken:
        return False
    schedule.last_slot_at = slots[-1]
    schedule.save(update_fields=["last_slot_at"])
    missed_for = taken[-1] - taken[0]
    try:
        start_operation(
            title=schedule.name,
            contents=in_session_order(schedule.contents),
            lane=Lane(schedule.lane),
            deadline_at=now + timedelta(seconds=schedule.window_s),
            actor=SCHEDULER,
            at=now,
            selection=schedule.selection,
            lookback=timedelta(seconds=schedule.lookback_s) + missed_for,
            schedule=schedule,
            slots=(taken[0], taken[-1]),
        )
    except NothingSelected:
        return False
    hints.publish("schedules", str(schedule.pk))
    return True


def end_operations(*, now: datetime) -> int:
    """Complete operations whose routes are all through and expire those past their deadline. Returns how many ended."""
    open_route_job = RouteJob.objects.filter(operation=OuterRef("pk"), finished_at__isnull=True)
    running = FleetOperation.objects.filter(state=OperationState.RUNNING)
    done = list(running.filter(~Exists(open_route_job)).values_list("pk", flat=True))
    late = list(running.filter(deadline_at__lt=now - timedelta(seconds=15)).values_list("pk", flat=True))
    return sum(_end(pk, OperationState.COMPLETED, now) for pk in done) + sum(
        _end(pk, OperationState.EXPIRED, now) for pk in late if pk not in set(done)
    )


@transaction.atomic
def _end(pk: UUID, state: OperationState, now: datetime) -> bool:
    operation = FleetOperation.objects.select_for_update().get(pk=pk)
    if operation.state != OperationState.RUNNING:
        return False
    end_operation(operation, state, now)
    return True


def forget_old_operations(*, now: datetime, keep: timedelta = timedelta(days=90)) -> int:
    """Delete operations that ended more than `keep` ago; their sessions stay in the lake. Returns how many."""
    old = FleetOperation.objects.filter(finished_at__lt=now - keep).values_list("pk", flat=True)[:200]
    deleted, _ = FleetOperation.objects.filter(pk__in=list(old)).delete()
    return deleted
