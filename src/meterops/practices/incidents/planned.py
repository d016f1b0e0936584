"""Planned work: what goes on below a node where a crew works waits behind the others, until the work's end."""

from datetime import datetime

from django.db import transaction

from meterops.fleet.inventory import api as inventory
from meterops.kernel import audit
from meterops.kernel.actor import Actor, process_actor
from meterops.practices.events import api as events
from meterops.practices.incidents import escalation
from meterops.practices.incidents.assessment import reassess
from meterops.practices.incidents.lifecycle import OPEN_STATES
from meterops.practices.incidents.models import Incident
from meterops.practices.incidents.refusals import IncidentUnknown, StateNotReachable
from meterops.practices.incidents.timeline import EntryKind, note, tell_change

PLANNER = process_actor("planned work")


def planned_until(node_id: int, tree: str, at: datetime) -> datetime | None:
    """Until when work goes on at a node, or above it in its tree; None where none does."""
    going_on = {one.node_id: one.ends_at for one in events.list_planned_work(now=at, limit=5000) if one.starts_at <= at}
    if not going_on:
        return None
    above = [one.id for one in inventory.ancestors(node_id, inventory.Tree(tree))] if tree else []
    return max((going_on[node] for node in (node_id, *above) if node in going_on), default=None)


@transaction.atomic
def plan_work_on_incident(
    *, number: int, starts_at: datetime, ends_at: datetime, reason: str, actor: Actor, at: datetime
) -> int:
    """Plan the repair: nothing new is opened below the incident's node meanwhile, and the incident waits.

    Returns the planned work's number.

    Raises:
        IncidentUnknown: when there is none of that number.
        PlannedWorkNotValid: without a reason, or for a period that is over or ends before it begins.
        StateNotReachable: when it is resolved or closed.
    """
    incident = Incident.objects.select_for_update().filter(pk=number).first()
    if incident is None:
        raise IncidentUnknown(f"There is no incident {number}.")
    if incident.state not in OPEN_STATES:
        raise StateNotReachable(f"Incident {number} is over, so no work is planned on it.")
    work = events.plan_work(
        node_mrid=incident.node_mrid, starts_at=starts_at, ends_at=ends_at, reason=reason, actor=actor, at=at
    )
    incident.is_planned, incident.planned_until = True, ends_at
    incident.save(update_fields=["is_planned", "planned_until"])
    escalation.end(incident, by=f"planned work {work}", at=at)
    note(
        incident,
        EntryKind.PLANNED,
        f"Work is planned from {starts_at:%Y-%m-%d %H:%M}Z to {ends_at:%Y-%m-%d %H:%M}Z: {reason.strip()}",
        actor=actor,
        at=at,
        data={"work": work, "starts_at": starts_at.isoformat(), "ends_at": ends_at.isoformat()},
    )
    reassess(incident, now=at, actor=actor)
    tell_change(incident, "planned", at)
    audit.record(
        actor=actor, action="plan work", subject=f"incident {number}", after={"work": work}, reason=reason, at=at
    )
    return work


def end_planned(*, now: datetime, limit: int = 100) -> int:
    """Put incidents whose planned work is over back among the others. Returns how many."""
    over = Incident.objects.filter(state__in=OPEN_STATES, is_planned=True, planned_until__lte=now)
    return sum(_end(pk, now) for pk in list(over.values_list("pk", flat=True)[:limit]))


@transaction.atomic
def _end(pk: int, now: datetime) -> int:
    incident = Incident.objects.select_for_update().get(pk=pk)
    if not incident.is_planned or incident.planned_until is None or incident.planned_until > now:
        return 0
    incident.is_planned, incident.planned_until = False, None
    incident.save(update_fields=["is_planned", "planned_until"])
    note(incident, EntryKind.PLANNED, "The planned work is over.", actor=PLANNER, at=now)
    reassess(incident, now=now, actor=PLANNER)
    if incident.acknowledged_at is None and incident.state in OPEN_STATES:
        escalation.start(incident, at=now)
    return 1
