"""What happens to incidents because something else happened. Every handler may be called twice with the same fact."""

from django.db import transaction

from meterops.fleet.headend.api import meter_sets
from meterops.fleet.headend.events import FleetOperationEnded
from meterops.fleet.inventory import api as inventory
from meterops.kernel import hints
from meterops.practices.events.events import (
    AlarmCleared,
    SafetyAlarmRaised,
    SituationChanged,
    SituationCleared,
    SituationMerged,
    SituationOpened,
)
from meterops.practices.incidents.assessment import filter_of, reassess, settle_energy
from meterops.practices.incidents.configuration import configuration
from meterops.practices.incidents.grouping import fold
from meterops.practices.incidents.lifecycle import OPEN_STATES, IncidentKind, IncidentState
from meterops.practices.incidents.models import Incident, IncidentCheck
from meterops.practices.incidents.opening import (
    ENGINE,
    open_from_alarm,
    open_from_situation,
    place,
    take_counts,
    title_of,
)
from meterops.practices.incidents.timeline import HINT_TOPIC, EntryKind, note, tell_change


@transaction.atomic
def on_situation_opened(fact: SituationOpened) -> None:
    """A situation is an incident, once."""
    open_from_situation(fact)


@transaction.atomic
def on_situation_changed(fact: SituationChanged) -> None:
    """Its counts are others now, or its root moved: the incident stays the same one."""
    found = _of(fact.situation_id)
    if found is None:
        open_from_situation(fact)  # its opening was never told here: this fact says all that is needed
        return
    if found.situation_at is not None and fact.at <= found.situation_at:
        return
    moved = fact.node_id != found.node_id
    take_counts(found, fact)
    found.situation_at = fact.at
    turned = _turn(found, fact)
    if moved:
        was = found.node_name
        settle_energy(found, at=fact.at)
        place(found, fact.node_id, fact.node_mrid, fact.tree)
        found.title = title_of(found, fact.phases)
        found.scope = {"under": [fact.node_mrid]}
        found.members_moved = meter_sets.pack(inventory.ids_of_end_devices(filter_of(found)).tolist())
        note(
            found,
            EntryKind.SITUATION,
            f"The root is {found.node_name} now, no longer {was}: {fact.heard:,} of {fact.expected:,} meters heard.",
            actor=ENGINE,
            at=fact.at,
            unique_name=f"{fact.situation_id}:moved:{fact.at.isoformat()}",
        )
    found.save()
    if moved or turned:
        # Counts alone change no figure: those come from the inventory, and in a storm there are many such facts.
        reassess(found, now=fact.at, actor=ENGINE)
    hints.publish(HINT_TOPIC, str(found.pk))
    tell_change(found, "place" if moved else "counts", fact.at)


def _turn(found: Incident, fact: SituationChanged) -> bool:
    """The cause is of another kind than it seemed: a missing phase took the supply with it, silence was an outage."""
    if fact.kind == found.kind:
        return False
    was = found.title
    found.kind = IncidentKind(fact.kind)
    found.title = title_of(found, fact.phases)
    note(
        found,
        EntryKind.SITUATION,
        f"It is this now: {found.title}. It seemed to be: {was}.",
        actor=ENGINE,
        at=fact.at,
        unique_name=f"{fact.situation_id}:turned:{fact.at.isoformat()}",
    )
    return True


@transaction.atomic
def on_situation_merged(fact: SituationMerged) -> None:
    """A situation turned out to be part of another: its incident becomes the child of that one's."""
    child, parent = _of(fact.situation_id), _of(fact.into_id)
    if child is None or parent is None or child.parent_id is not None:
        return
    if parent.parent_id is not None:
        parent = Incident.objects.select_for_update().get(pk=parent.parent_id)
    closed = IncidentState.CLOSED in {child.state, parent.state}
    hidden = parent.state == IncidentState.RESOLVED and child.state in OPEN_STATES  # nobody would look at it any more
    if closed or hidden or child.pk == parent.pk:
        return
    fold(child, parent, reason="their situations have one cause.", actor=ENGINE, at=fact.at)
    reassess(parent, now=fact.at, actor=ENGINE)


@transaction.atomic
def on_situation_cleared(fact: SituationCleared) -> None:
    """From here on answers prove the restoration; nothing is believed to be over because alarms are gone."""
    found = _of(fact.situation_id)
    if found is None or found.cleared_at is not None:
        return
    found.cleared_at = fact.at
    if found.state in OPEN_STATES:
        found.next_look_at = fact.at + configuration().restoration.first_look_after
    found.save(update_fields=["cleared_at", "next_look_at"])
    note(
        found,
        EntryKind.SITUATION,
        f"The situation cleared: {fact.reason}" if fact.reason else "The situation cleared.",
        actor=ENGINE,
        at=fact.at,
        unique_name=f"{fact.situation_id}:cleared",
    )
    tell_change(found, "cleared", fact.at)


@transaction.atomic
def on_safety_alarm_raised(fact: SafetyAlarmRaised) -> None:
    """Some single meters' alarms are incidents by themselves: a cover opened, a magnet, a phase gone."""
    open_from_alarm(
        alarm_id=fact.alarm_id,
        event_type=fact.event_type,
        severity=fact.severity,
        end_device_id=fact.end_device_id,
        occurred_at=fact.occurred_at,
        at=fact.at,
    )


@transaction.atomic
def on_alarm_cleared(fact: AlarmCleared) -> None:
    """The cover is closed again. A person still looks why it was open, so the incident stays open."""
    found = Incident.objects.select_for_update().filter(alarm_id=fact.alarm_id).first()
    if found is None or found.cleared_at is not None:
        return
    found.cleared_at = found.restored_at = fact.at
    found.save(update_fields=["cleared_at", "restored_at"])
    note(
        found,
        EntryKind.SITUATION,
        "The meter says that it is over.",
        actor=ENGINE,
        at=fact.at,
        unique_name=f"alarm:{fact.alarm_id}:cleared",
    )
    tell_change(found, "cleared", fact.at)


@transaction.atomic
def on_operation_ended(fact: FleetOperationEnded) -> None:
    """A power check is through; a job writes down what it came to, for asking the lake takes longer than a transaction may."""
    IncidentCheck.objects.filter(pk=fact.operation_id, finished_at__isnull=True).update(finished_at=fact.ended_at)


def _of(situation_id: str) -> Incident | None:
    return Incident.objects.select_for_update().filter(situation_id=situation_id).first()


SUBSCRIPTIONS = (
    (SituationOpened, on_situation_opened),
    (SituationChanged, on_situation_changed),
    (SituationMerged, on_situation_merged),
    (SituationCleared, on_situation_cleared),
    (SafetyAlarmRaised, on_safety_alarm_raised),
    (AlarmCleared, on_alarm_cleared),
    (FleetOperationEnded, on_operation_ended),
)
"""What `site.wiring` connects."""
