"""What people can do with incidents: acknowledge, note, assign, work, resolve, close, reopen, check power."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from meterops.fleet.headend import api as headend
from meterops.fleet.headend.api import meter_sets
from meterops.fleet.inventory import api as inventory
from meterops.kernel import audit, facts
from meterops.kernel.actor import Actor
from meterops.practices.incidents import escalation, messages, rules
from meterops.practices.incidents.assessment import filter_of, reassess
from meterops.practices.incidents.configuration import configuration
from meterops.practices.incidents.events import (
    IncidentAcknowledged,
    IncidentClosed,
    IncidentReopened,
    IncidentResolved,
)
from meterops.practices.incidents.lifecycle import TRANSITIONS, IncidentKind, IncidentState
from meterops.practices.incidents.models import Incident, IncidentCheck
from meterops.practices.incidents.opening import ENGINE
from meterops.practices.incidents.refusals import (
    IncidentIsAcknowledged,
    IncidentUnknown,
    NoteIsEmpty,
    ReasonIsMissing,
    RestorationNotProved,
    ScopeIsEmpty,
    StateNotReachable,
)
from meterops.practices.incidents.timeline import EntryKind, note, tell_change

_STATE_WORDS = {state: state.value.replace("_", " ").lower() for state in IncidentState}


def locked(number: int) -> Incident:
    """An incident, locked until the transaction ends.

    Raises:
        IncidentUnknown: when there is none of that number.
    """
    found = Incident.objects.select_for_update().filter(pk=number).first()
    if found is None:
        raise IncidentUnknown(f"There is no incident {number}.")
    return found


def move_to(incident: Incident, state: IncidentState) -> None:
    """Put an incident into a state that `TRANSITIONS` allows; the caller saves it.

    Raises:
        StateNotReachable: when it does not.
    """
    present = IncidentState(incident.state)
    if state not in TRANSITIONS[present]:
        raise StateNotReachable(
            f"Incident {incident.pk} is {_STATE_WORDS[present]}, so it cannot become {_STATE_WORDS[state]}.",
            state=str(present),
        )
    incident.state = state


@transaction.atomic
def acknowledge_incident(*, number: int, actor: Actor, at: datetime, note_text: str = "") -> None:
    """Say that a person has seen it: its escalation ends, its mark in the queue becomes an outline.

    Raises:
        IncidentUnknown: when there is none of that number.
        IncidentIsAcknowledged: when somebody did already.
    """
    incident = locked(number)
    if incident.acknowledged_at is not None:
        raise IncidentIsAcknowledged(f"Incident {number} is acknowledged by {incident.acknowledged_by} already.")
    incident.acknowledged_at, incident.acknowledged_by, incident.acknowledged_note = at, str(actor), note_text.strip()
    incident.save(update_fields=["acknowledged_at", "acknowledged_by", "acknowledged_note"])
    escalation.end(incident, by=str(actor), at=at)
    text = f"Acknowledged by {actor}" + (f": {note_text.strip()}" if note_text.strip() else ".")
    note(incident, EntryKind.ACKNOWLEDGED, text, actor=actor, at=at)
    facts.publish(IncidentAcknowledged(number, str(actor), at))
    _audit(incident, "acknowledge incident", actor, at, reason=note_text)


@transaction.atomic
def add_note(*, number: int, text: str, actor: Actor, at: datetime) -> None:
    """Write a line into the timeline.

    Raises:
        IncidentUnknown: when there is none of that number.
        NoteIsEmpty: when the text says nothing.
    """
    if not text.strip():
        raise NoteIsEmpty
    incident = locked(number)
    note(incident, EntryKind.NOTE, text.strip(), actor=actor, at=at)
    _audit(incident, "note on incident", actor, at, reason=text.strip())


@transaction.atomic
def assign_incident(*, number: int, owner: str, actor: Actor, at: datetime, team: str = "") -> None:
    """Give an incident to a person, a team or both; with neither it goes back to nobody.

    Raises:
        IncidentUnknown: when there is none of that number.
        StateNotReachable: when it is resolved or closed.
    """
    incident = locked(number)
    before = {"owner": incident.owner, "team": incident.team}
    if incident.state in {IncidentState.RESOLVED, IncidentState.CLOSED}:
        raise StateNotReachable(f"Incident {number} is {_STATE_WORDS[IncidentState(incident.state)]}: reopen it first.")
    incident.owner, incident.team = owner.strip(), team.strip()
    is_given = bool(incident.owner or incident.team)
    if is_given and incident.state in {IncidentState.NEW, IncidentState.REOPENED}:
        incident.state = IncidentState.ASSIGNED
    elif not is_given and incident.state == IncidentState.ASSIGNED:
        incident.state = IncidentState.NEW
    incident.save(update_fields=["owner", "team", "state"])
    to = " of ".join(part for part in (incident.owner, incident.team) if part)
    note(incident, EntryKind.ASSIGNED, f"Assigned to {to}." if to else "Assigned to nobody.", actor=actor, at=at)
    tell_change(incident, "owner", at)
    _audit(incident, "assign incident", actor, at, before=before, after={"owner": owner, "team": team})


@transaction.atomic
def start_work(*, number: int, actor: Actor, at: datetime) -> None:
    """Say that somebody works on it; where nobody owns it, the actor does from now on.

    Raises:
        IncidentUnknown: when there is none of that number.
        StateNotReachable: when it is resolved or closed.
    """
    incident = locked(number)
    move_to(incident, IncidentState.IN_PROGRESS)
    incident.owner = incident.owner or str(actor)
    incident.pending_until = None
    incident.save(update_fields=["state", "owner", "pending_until"])
    _state_changed(incident, "In progress.", "work on incident", actor, at)


@transaction.atomic
def set_pending(*, number: int, reason: str, actor: Actor, at: datetime, until: datetime | None = None) -> None:
    """Let it wait for something outside, with the reason and, where known, until when.

    Raises:
        IncidentUnknown: when there is none of that number.
        ReasonIsMissing: when none is given.
        StateNotReachable: when it is resolved or closed.
    """
    if not reason.strip():
        raise ReasonIsMissing("An incident that waits says what for.")
    incident = locked(number)
    move_to(incident, IncidentState.PENDING)
    incident.pending_until = until
    incident.save(update_fields=["state", "pending_until"])
    _state_changed(incident, f"Pending: {reason.strip()}", "set incident pending", actor, at, reason)


def end_waiting(*, now: datetime, limit: int = 100) -> int:
    """Put incidents back among those that are worked on when what they wait for is due. Returns how many."""
    due = Incident.objects.filter(state=IncidentState.PENDING, pending_until__lte=now).order_by("pending_until")
    return sum(_end_waiting(pk, now) for pk in list(due.values_list("pk", flat=True)[:limit]))


@transaction.atomic
def _end_waiting(pk: int, now: datetime) -> int:
    incident = Incident.objects.select_for_update().get(pk=pk)
    if incident.state != IncidentState.PENDING or incident.pending_until is None or incident.pending_until > now:
        return 0
    move_to(incident, IncidentState.IN_PROGRESS)
    incident.pending_until = None
    incident.save(update_fields=["state", "pending_until"])
    _state_changed(incident, "It has waited long enough: in progress again.", "end waiting", ENGINE, now)
    return 1


@transaction.atomic
def resolve_incident(*, number: int, resolution: str, actor: Actor, at: datetime, in_spite_of: str = "") -> None:
    """Say what ended it. An outage needs enough meters that answer since the clear, or a reason to resolve in spite of that.

    Raises:
        IncidentUnknown: when there is none of that number.
        ReasonIsMissing: when the resolution says nothing.
        RestorationNotProved: when meters have not proved it and `in_spite_of` gives no reason.
        StateNotReachable: when it is resolved or closed already.
    """
    if not resolution.strip():
        raise ReasonIsMissing("A resolution says what was wrong and what ended it.")
    incident = locked(number)
    is_open_outage = incident.kind == IncidentKind.OUTAGE and incident.restored_at is None
    if is_open_outage and not in_spite_of.strip():
        wanted = rules.needed(len(meter_sets.unpack(incident.members_to_prove)), configuration().restoration)
        raise RestorationNotProved(
            f"Incident {number} is not proved to be over: {incident.restored_meters:,} meters have answered since it "
            f"cleared and {wanted:,} have to. Check power, or give the reason to resolve it in spite of that.",
            answered=incident.restored_meters,
            needed=wanted,
        )
    text = resolution.strip() + (f" (not proved by meters: {in_spite_of.strip()})" if in_spite_of.strip() else "")
    resolve(incident, text, actor=actor, at=at, restored_at=incident.restored_at or at)
    _audit(incident, "resolve incident", actor, at, reason=text)


def resolve(incident: Incident, text: str, *, actor: Actor, at: datetime, restored_at: datetime) -> None:
    """Resolve an incident and those merged into it, in the caller's transaction."""
    move_to(incident, IncidentState.RESOLVED)
    incident.resolution, incident.resolved_at, incident.restored_at = text, at, restored_at
    incident.next_look_at = None
    incident.save(update_fields=["state", "resolution", "resolved_at", "restored_at", "next_look_at"])
    escalation.end(incident, by=str(actor), at=at)
    note(incident, EntryKind.STATE, f"Resolved: {text}", actor=actor, at=at, data={"state": incident.state})
    reassess(incident, now=at, actor=actor)
    facts.publish(IncidentResolved(incident.pk, incident.kind, incident.node_id, incident.started_at, restored_at, at))
    messages.make_messages(incident, "RESOLVED", at=at)
    for child in incident.children.select_for_update():
        if IncidentState.RESOLVED in TRANSITIONS[IncidentState(child.state)]:
            resolve(child, f"With incident {incident.pk}: {text}", actor=actor, at=at, restored_at=restored_at)


@transaction.atomic
def close_incident(*, number: int, reason: str, actor: Actor, at: datetime) -> None:
    """Close a resolved incident; its members are frozen once more. One that was no incident at all may be closed directly.

    Raises:
        IncidentUnknown: when there is none of that number.
        ReasonIsMissing: when none is given.
        StateNotReachable: when it is closed already.
    """
    if not reason.strip():
        raise ReasonIsMissing("Closing an incident asks for a reason.")
    incident = locked(number)
    close(incident, reason.strip(), actor=actor, at=at)
    _audit(incident, "close incident", actor, at, reason=reason)


def close(incident: Incident, reason: str, *, actor: Actor, at: datetime) -> None:
    """Close an incident and those merged into it, in the caller's transaction."""
    move_to(incident, IncidentState.CLOSED)
    incident.members_at_close = meter_sets.pack(inventory.ids_of_end_devices(filter_of(incident)).tolist())
    incident.closed_at, incident.next_look_at = at, None
    incident.restored_at = incident.restored_at or at
    incident.save(update_fields=["state", "members_at_close", "closed_at", "next_look_at", "restored_at"])
    escalation.end(incident, by=str(actor), at=at)
    nested = ", ".join(f"{one['mrid']} ({one['meters']:,} meters)" for one in incident.nested)
    text = f"Closed: {reason}" + (f" Still dark below it: {nested}." if nested else "")
    note(incident, EntryKind.STATE, text, actor=actor, at=at, data={"state": incident.state, "nested": incident.nested})
    facts.publish(
        IncidentClosed(
            number=incident.pk,
            kind=incident.kind,
            node_id=incident.node_id,
            premises=incident.premises,
            unserved_kwh=incident.unserved_kwh,
            started_at=incident.started_at,
            restored_at=incident.restored_at,
            at=at,
        )
    )
    messages.make_messages(incident, "CLOSED", at=at)
    for child in incident.children.select_for_update():
        if IncidentState.CLOSED in TRANSITIONS[IncidentState(child.state)]:
            close(child, f"With incident {incident.pk}: {reason}", actor=actor, at=at)


@transaction.atomic
def reopen_incident(*, number: int, reason: str, actor: Actor, at: datetime) -> None:
    """It was not over after all: it comes back into the queue, unacknowledged, and its chain starts anew.

    Raises:
        IncidentUnknown: when there is none of that number.
        ReasonIsMissing: when none is given.
        StateNotReachable: when it is open.
    """
    if not reason.strip():
        raise ReasonIsMissing("Reopening an incident asks for a reason.")
    incident = locked(number)
    reopen(incident, reason.strip(), actor=actor, at=at)
    _audit(incident, "reopen incident", actor, at, reason=reason)


def reopen(incident: Incident, reason: str, *, actor: Actor, at: datetime) -> None:
    """Reopen in the caller's transaction."""
    move_to(incident, IncidentState.REOPENED)
    incident.resolved_at = incident.closed_at = incident.restored_at = incident.acknowledged_at = None
    incident.acknowledged_by = incident.acknowledged_note = incident.resolution = ""
    incident.restored_meters, incident.nested = 0, []
    if incident.cleared_at is not None:
        incident.cleared_at = at  # what answered before does not prove what comes now
        if incident.kind != IncidentKind.SAFETY:  # no answer proves that a cover is on
            incident.next_look_at = at + configuration().restoration.first_look_after
    incident.save()
    note(incident, EntryKind.STATE, f"Reopened: {reason}", actor=actor, at=at, data={"state": incident.state})
    reassess(incident, now=at, actor=actor)
    facts.publish(IncidentReopened(incident.pk, reason, at))
    messages.make_messages(incident, "REOPENED", at=at, again=at)
    escalation.start(incident, at=at)


@transaction.atomic
def check_power(*, number: int, actor: Actor, at: datetime) -> UUID:
    """Ask every meter of an incident whether it has supply. Returns the head-end's operation; its end is told to the timeline.

    Raises:
        IncidentUnknown: when there is none of that number.
        ScopeIsEmpty: when no meter hangs below its node.
        EndDeviceHasNoRoute: when none of them can be reached.
    """
    return ask_meters(locked(number), None, actor=actor, at=at)


def ask_meters(incident: Incident, meters: Sequence[int] | None, *, actor: Actor, at: datetime) -> UUID:
    """Start a power check of some (None: all) of an incident's meters, in the caller's transaction."""
    ids = inventory.ids_of_end_devices(filter_of(incident)).tolist() if meters is None else list(meters)
    if not ids:
        raise ScopeIsEmpty(f"No meter hangs below {incident.node_name}, so nobody can be asked.")
    operation = headend.request_power_check(
        end_device_ids=ids, actor=actor, at=at, reason=f"incident {incident.pk}: {incident.title}"
    )
    IncidentCheck.objects.create(
        operation_id=operation, incident=incident, requested_at=at, requested_by=str(actor), asked=len(ids)
    )
    note(
        incident,
        EntryKind.POWER_CHECK,
        f"Power check of {len(ids):,} meters started.",
        actor=actor,
        at=at,
        data={"operation": str(operation)},
    )
    return operation


@transaction.atomic
def bulk(numbers: Sequence[int], act: Callable[[int], None]) -> list[int]:
    """Do one act on many incidents, all or none. Returns their numbers in order, each once."""
    wanted = sorted(set(numbers))
    for number in wanted:
        act(number)
    return wanted


def _state_changed(incident: Incident, text: str, action: str, actor: Actor, at: datetime, reason: str = "") -> None:
    note(incident, EntryKind.STATE, text, actor=actor, at=at, data={"state": incident.state})
    tell_change(incident, "state", at)
    _audit(incident, action, actor, at, reason=reason)


def _audit(
    incident: Incident,
    action: str,
    actor: Actor,
    at: datetime,
    *,
    reason: str = "",
    before: object = None,
    after: object = None,
) -> None:
    audit.record(
        actor=actor,
        action=action,
        subject=f"incident {incident.pk}",
        before=before,
        after=after if after is not None else {"state": incident.state},
        reason=reason,
        at=at,
    )
