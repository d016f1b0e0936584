"""Merging, splitting and leading incidents as major ones."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from django.db import transaction

from meterops.fleet.headend.api import meter_sets
from meterops.fleet.inventory import api as inventory
from meterops.kernel import audit, facts
from meterops.kernel.actor import Actor
from meterops.practices.incidents import escalation, messages
from meterops.practices.incidents.assessment import reassess
from meterops.practices.incidents.events import MajorIncidentDeclared
from meterops.practices.incidents.lifecycle import OPEN_STATES, IncidentState
from meterops.practices.incidents.models import Incident
from meterops.practices.incidents.opening import open_part
from meterops.practices.incidents.operations import locked
from meterops.practices.incidents.refusals import MergeNotValid, ReasonIsMissing, SplitNotValid
from meterops.practices.incidents.timeline import EntryKind, note, tell_change


@transaction.atomic
def merge_incidents(*, into: int, numbers: Sequence[int], reason: str, actor: Actor, at: datetime) -> None:
    """Fold incidents into another one: they keep their records and follow it from now on.

    Raises:
        IncidentUnknown: when one of them does not exist.
        MergeNotValid: when one is closed, is merged already, or would end up in itself.
        ReasonIsMissing: when none is given.
    """
    if not reason.strip():
        raise ReasonIsMissing("Merging incidents asks for a reason.")
    parent = locked(into)
    children = [locked(number) for number in sorted(set(numbers))]
    if not children:
        raise MergeNotValid("Nothing is merged: no other incident is named.")
    for child in children:
        fold(child, parent, reason=reason.strip(), actor=actor, at=at)
    reassess(parent, now=at, actor=actor)
    audit.record(
        actor=actor,
        action="merge incidents",
        subject=f"incident {into}",
        after={"merged": [child.pk for child in children]},
        reason=reason,
        at=at,
    )


def fold(child: Incident, parent: Incident, *, reason: str, actor: Actor, at: datetime) -> None:
    """Make one incident the child of another in the caller's transaction; its own children come along."""
    if child.pk == parent.pk or parent.parent_id == child.pk:
        raise MergeNotValid(f"Incident {child.pk} cannot be merged into {parent.pk}: that would be itself.")
    if parent.parent_id is not None:
        raise MergeNotValid(f"Incident {parent.pk} is merged into {parent.parent_id}: merge into that one.")
    for one in (child, parent):
        if one.state == IncidentState.CLOSED:
            raise MergeNotValid(f"Incident {one.pk} is closed, so it takes part in no merge.")
    if child.parent_id == parent.pk:
        return
    if parent.state == IncidentState.RESOLVED and child.state in OPEN_STATES:
        raise MergeNotValid(f"Incident {parent.pk} is resolved and {child.pk} is not: reopen it first.")
    if child.parent_id is not None:
        raise MergeNotValid(f"Incident {child.pk} is merged into {child.parent_id} already.")
    child.parent = parent
    child.save(update_fields=["parent"])
    child.children.update(parent=parent)
    escalation.end(child, by=f"incident {parent.pk}", at=at)
    members = np.union1d(meter_sets.unpack(parent.members_at_open), meter_sets.unpack(child.members_at_open))
    parent.members_at_open = meter_sets.pack(members.astype(np.int32))
    if parent.members_moved is not None:
        moved = np.union1d(meter_sets.unpack(parent.members_moved), meter_sets.unpack(child.members_to_prove))
        parent.members_moved = meter_sets.pack(moved.astype(np.int32))
    parent.is_major = parent.is_major or child.is_major
    parent.save(update_fields=["members_at_open", "members_moved", "is_major"])
    note(child, EntryKind.MERGED, f"Merged into incident {parent.pk}: {reason}", actor=actor, at=at)
    note(
        parent,
        EntryKind.MERGED,
        f"Incident {child.pk} ({child.title}) merged into this one: {reason}",
        actor=actor,
        at=at,
        data={"incident": child.pk},
    )
    tell_change(child, "parent", at)


@transaction.atomic
def unmerge_incident(*, number: int, reason: str, actor: Actor, at: datetime) -> None:
    """Take an incident out of the one it was merged into.

    Raises:
        IncidentUnknown: when there is none of that number.
        MergeNotValid: when it is not merged.
        ReasonIsMissing: when none is given.
    """
    if not reason.strip():
        raise ReasonIsMissing("Taking an incident out of another asks for a reason.")
    child = locked(number)
    if child.parent_id is None:
        raise MergeNotValid(f"Incident {number} is merged into none.")
    parent = locked(child.parent_id)
    child.parent = None
    child.save(update_fields=["parent"])
    note(child, EntryKind.SPLIT, f"Taken out of incident {parent.pk}: {reason.strip()}", actor=actor, at=at)
    note(parent, EntryKind.SPLIT, f"Incident {number} taken out: {reason.strip()}", actor=actor, at=at)
    reassess(parent, now=at, actor=actor)
    reassess(child, now=at, actor=actor)
    if child.acknowledged_at is None:
        escalation.start(child, at=at)
    tell_change(child, "parent", at)
    audit.record(actor=actor, action="unmerge incident", subject=f"incident {number}", reason=reason, at=at)


@transaction.atomic
def split_incident(*, number: int, node: str, reason: str, actor: Actor, at: datetime) -> int:
    """Give a node below an incident's an incident of its own, with those of its meters that are members. Returns its number.

    Raises:
        IncidentUnknown: when there is none of that number.
        ItemUnknown: when there is no such node.
        ReasonIsMissing: when none is given.
        SplitNotValid: when it is closed, or none or all of its members hang below the node.
    """
    if not reason.strip():
        raise ReasonIsMissing("Splitting an incident asks for a reason.")
    incident = locked(number)
    if incident.state in {IncidentState.RESOLVED, IncidentState.CLOSED}:
        raise SplitNotValid(f"Incident {number} is over, so nothing is split from it.")
    item = inventory.get_item(node)
    members = meter_sets.unpack(incident.members_to_prove)
    below = inventory.ids_of_end_devices(inventory.EndDeviceFilter(under=(item.mrid,)))
    part = members[np.isin(members, below)]
    if not len(part) or len(part) == len(members):
        some = "no" if not len(part) else "every"
        raise SplitNotValid(f"Nothing is split: {some} member of incident {number} hangs below {item.title}.")
    fresh = open_part(incident, node_id=item.id, node_mrid=item.mrid, meters=part.tolist(), at=at, actor=actor)
    incident.members_at_open = meter_sets.pack(np.setdiff1d(meter_sets.unpack(incident.members_at_open), part))
    if incident.members_moved is not None:
        incident.members_moved = meter_sets.pack(np.setdiff1d(members, part))
    incident.save(update_fields=["members_at_open", "members_moved"])
    text = f"{item.title} with {len(part):,} meters split off as incident {fresh.pk}: {reason.strip()}"
    note(incident, EntryKind.SPLIT, text, actor=actor, at=at, data={"incident": fresh.pk})
    note(fresh, EntryKind.SPLIT, f"Split from incident {number}: {reason.strip()}", actor=actor, at=at)
    audit.record(
        actor=actor,
        action="split incident",
        subject=f"incident {number}",
        after={"incident": fresh.pk, "node": item.mrid, "meters": len(part)},
        reason=reason,
        at=at,
    )
    return int(fresh.pk)


@transaction.atomic
def declare_major(*, number: int, reason: str, actor: Actor, at: datetime) -> None:
    """Lead an incident as a major one: P1 whatever its figures, told to everybody who is told of P1.

    Raises:
        IncidentUnknown: when there is none of that number.
        MergeNotValid: when it is merged into another: that one is the one to lead.
        ReasonIsMissing: when none is given.
    """
    if not reason.strip():
        raise ReasonIsMissing("Declaring a major incident asks for a reason.")
    incident = locked(number)
    if incident.parent_id is not None:
        raise MergeNotValid(f"Incident {number} is merged into {incident.parent_id}: declare that one.")
    if incident.is_major:
        return
    incident.is_major = True
    incident.save(update_fields=["is_major"])
    note(incident, EntryKind.MAJOR, f"Declared a major incident: {reason.strip()}", actor=actor, at=at)
    reassess(incident, now=at, actor=actor)
    facts.publish(MajorIncidentDeclared(number, str(actor), reason.strip(), at))
    messages.make_messages(incident, "MAJOR", at=at, reason=reason.strip())
    audit.record(actor=actor, action="declare major incident", subject=f"incident {number}", reason=reason, at=at)
