"""How incidents begin: from situations, from safety alarms, from a part of another incident."""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

import numpy as np
from django.db import IntegrityError, transaction
from numpy.typing import NDArray

from meterops.fleet.headend.api import meter_sets
from meterops.fleet.inventory import api as inventory
from meterops.kernel import facts
from meterops.kernel.actor import Actor, process_actor
from meterops.practices.events import api as events
from meterops.practices.incidents import escalation, messages
from meterops.practices.incidents.assessment import NOBODY, assess, keep_history, members_of
from meterops.practices.incidents.configuration import configuration
from meterops.practices.incidents.events import IncidentOpened
from meterops.practices.incidents.lifecycle import OPEN_STATES, IncidentKind, IncidentState
from meterops.practices.incidents.models import Incident
from meterops.practices.incidents.planned import planned_until
from meterops.practices.incidents.timeline import EntryKind, note

ENGINE = process_actor("incidents")

_AROUND = ("lv_feeder_id", "transformer_id", "feeder_id", "substation_id")
"""Where meters may hang in the grid, from narrow to wide."""

_NODE_WORDS = {
    inventory.ItemKind.SUBSTATION: "Substation",
    inventory.ItemKind.FEEDER: "Feeder",
    inventory.ItemKind.POWER_TRANSFORMER: "Transformer",
    inventory.ItemKind.LV_FEEDER: "LV feeder",
    inventory.ItemKind.USAGE_POINT: "Usage point",
    inventory.ItemKind.HEAD_END: "Head-end",
    inventory.ItemKind.ROUTE: "Route",
    inventory.ItemKind.DATA_CONCENTRATOR: "Concentrator",
    inventory.ItemKind.END_DEVICE: "Meter",
}
_KIND_WORDS = {
    IncidentKind.OUTAGE: "without supply",
    IncidentKind.COMMUNICATION: "without contact",
    IncidentKind.SAFETY: "with safety alarms",
    IncidentKind.PHASE: "with phase {phases} missing",
}


class Situation(Protocol):
    """What is read of the facts `SituationOpened` and `SituationChanged`."""

    @property
    def situation_id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def tree(self) -> str: ...
    @property
    def node_id(self) -> int: ...
    @property
    def node_mrid(self) -> str: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def at(self) -> datetime: ...
    @property
    def expected(self) -> int: ...
    @property
    def heard(self) -> int: ...
    @property
    def silent(self) -> int: ...
    @property
    def answered(self) -> int: ...
    @property
    def power_score(self) -> float: ...
    @property
    def communication_score(self) -> float: ...
    @property
    def confidence(self) -> float: ...
    @property
    def phases(self) -> str: ...


def open_from_situation(seen: Situation) -> Incident:
    """The incident of a situation, opened if there is none. However often and by however many it is called, there is one."""
    found = Incident.objects.filter(situation_id=seen.situation_id).first()
    if found is not None:
        return found
    kind = IncidentKind(seen.kind)
    part = _adopt_part(seen, kind)
    if part is not None:
        return part
    incident = Incident(
        kind=kind,
        situation_id=seen.situation_id,
        situation_at=seen.at,
        started_at=seen.started_at,
        opened_at=seen.at,
    )
    take_counts(incident, seen)
    place(incident, seen.node_id, seen.node_mrid, seen.tree)
    incident.title = title_of(incident, seen.phases)
    try:
        with transaction.atomic():
            return _open(incident, inventory.EndDeviceFilter(under=(incident.node_mrid,)), at=seen.at, actor=ENGINE)
    except IntegrityError:  # another process was first
        return Incident.objects.get(situation_id=seen.situation_id)


def _adopt_part(seen: Situation, kind: IncidentKind) -> Incident | None:
    """A node that was found dark before events said so has its incident already: it takes the situation on."""
    parts = Incident.objects.select_for_update().filter(
        situation_id__isnull=True, alarm_id__isnull=True, node_id=seen.node_id, kind=kind, state__in=OPEN_STATES
    )
    part = parts.order_by("pk").first()
    if part is None:
        return None
    part.situation_id, part.situation_at, part.next_look_at = seen.situation_id, seen.at, None
    take_counts(part, seen)
    part.save()
    note(
        part,
        EntryKind.SITUATION,
        f"Events say so too: {part.heard:,} of {part.expected:,} meters heard, {part.silent:,} silent.",
        actor=ENGINE,
        at=seen.at,
        unique_name=f"{seen.situation_id}:adopted",
    )
    return part


def open_from_alarm(
    *, alarm_id: int, event_type: str, severity: str, end_device_id: int, occurred_at: datetime, at: datetime
) -> Incident:
    """The incident of a single meter's safety alarm, opened if there is none."""
    found = Incident.objects.filter(alarm_id=alarm_id).first()
    if found is not None:
        return found
    device = inventory.find_end_device(end_device_id)
    serial = device.serial if device else f"{end_device_id} (unknown)"
    words = event_type.replace("_", " ").lower().capitalize()
    incident = Incident(
        kind=IncidentKind.SAFETY,
        alarm_id=alarm_id,
        started_at=occurred_at,
        opened_at=at,
        title=f"{words}, meter {serial}",
        expected=1,
        heard=1,
    )
    place(incident, end_device_id, serial, inventory.Tree.ELECTRICAL)
    try:
        with transaction.atomic():
            return _open(
                incident, inventory.EndDeviceFilter(ids=(end_device_id,)), at=at, actor=ENGINE, severity=severity
            )
    except IntegrityError:
        return Incident.objects.get(alarm_id=alarm_id)


def open_from_flood(flood: events.FloodView, *, at: datetime) -> Incident:
    """The incident of safety alarms that came too many for one each, opened if there is none."""
    found = Incident.objects.filter(flood_id=flood.id).first()
    if found is not None:
        return found
    incident = Incident(
        kind=IncidentKind.SAFETY, flood_id=flood.id, started_at=flood.started_at, opened_at=at, expected=flood.alarms
    )
    ids = take_flood(incident, flood)
    try:
        with transaction.atomic():
            wanted = inventory.EndDeviceFilter(ids=tuple(ids) or NOBODY)
            return _open(incident, wanted, at=at, actor=ENGINE, severity=flood.severity, members=ids)
    except IntegrityError:
        return Incident.objects.get(flood_id=flood.id)


def take_flood(incident: Incident, flood: events.FloodView) -> list[int]:
    """Set an incident's counts, place, title and members by its flood as it is now. Returns the members.

    What was merged into it stays, and what was split off does not come back.
    """
    ids = events.meters_of_flood(flood.id)
    if incident.pk is not None:
        ids = np.union1d(ids, meter_sets.unpack(incident.members_at_open).astype(np.int64))
        for packed in incident.split_into.values_list("members_at_open", flat=True):
            ids = np.setdiff1d(ids, meter_sets.unpack(packed))
    incident.heard = flood.alarms
    incident.expected = len(ids)
    node = _lowest_around(ids)
    if node is not None:
        place(incident, node.id, node.mrid, inventory.Tree.ELECTRICAL)
    else:
        incident.node_id, incident.node_mrid, incident.node_kind = 0, "", ""
        incident.node_name, incident.area_id, incident.area_name = "several places", 0, ""
    incident.title = f"{flood.words}, {len(ids):,} meters, {incident.node_name}"[:200]
    members: list[int] = ids.tolist()
    incident.members_at_open = meter_sets.pack(members)
    return members


def _lowest_around(ids: NDArray[np.int64]) -> inventory.ItemView | None:
    """The lowest node of the grid that all of some meters hang below; None where there is none."""
    places = inventory.columns_of_end_devices(_AROUND, inventory.EndDeviceFilter(ids=tuple(ids.tolist()) or NOBODY))
    for level in _AROUND:
        nodes = np.unique(places[level])
        if len(nodes) == 1 and nodes[0]:
            return inventory.list_items([int(nodes[0])]).get(int(nodes[0]))
    return None


def open_part(
    parent: Incident, *, node_id: int, node_mrid: str, meters: Iterable[int], at: datetime, actor: Actor
) -> Incident:
    """A new incident for a node below another incident's, with those of its meters that are concerned."""
    incident = Incident(
        kind=parent.kind,
        split_from=parent,
        started_at=parent.started_at,
        opened_at=at,
        confidence=parent.confidence,
        power_score=parent.power_score,
        communication_score=parent.communication_score,
        next_look_at=None if parent.kind == IncidentKind.SAFETY else at + configuration().restoration.look_every,
    )
    place(incident, node_id, node_mrid, parent.tree)
    members = sorted(set(meters))
    incident.expected = incident.silent = len(members)
    return _open(incident, inventory.EndDeviceFilter(under=(incident.node_mrid,)), at=at, actor=actor, members=members)


def place(incident: Incident, node_id: int, node_mrid: str, tree: str) -> None:
    """Say where an incident is: its node, and the area the node lies in."""
    item = inventory.list_items([node_id]).get(node_id)
    incident.node_id, incident.node_mrid, incident.tree = node_id, node_mrid, str(tree)
    incident.node_kind = str(item.kind) if item else ""
    incident.node_name = (item.name or item.mrid) if item else node_mrid
    above = inventory.ancestors(node_id, inventory.Tree(tree)) if item else []
    wanted = {inventory.ItemKind.SUBSTATION, inventory.ItemKind.ROUTE}
    area = next((one for one in above if one.kind in wanted), None)
    incident.area_id = area.id if area else (node_id if item and item.kind in wanted else 0)
    incident.area_name = (area.name or area.mrid) if area else (incident.node_name if incident.area_id else "")


def take_counts(incident: Incident, seen: Situation) -> None:
    """Copy a situation's counts and scores."""
    for name in ("expected", "heard", "silent", "answered", "power_score", "communication_score", "confidence"):
        setattr(incident, name, getattr(seen, name))


def title_of(incident: Incident, phases: str = "") -> str:
    """What happened and where, in one line; `phases` are those that are missing."""
    what = _NODE_WORDS.get(inventory.ItemKind(incident.node_kind), "Node") if incident.node_kind else "Node"
    happened = _KIND_WORDS[IncidentKind(incident.kind)].format(phases=" and ".join(phases.split()) or "of some meters")
    return f"{what} {happened}, {incident.node_name}"[:200]


def _open(
    incident: Incident,
    wanted: inventory.EndDeviceFilter,
    *,
    at: datetime,
    actor: Actor,
    severity: str = "",
    members: list[int] | None = None,
) -> Incident:
    config = configuration()
    found = members_of(wanted, now=at, config=config)
    incident.title = incident.title or title_of(incident)
    incident.planned_until = planned_until(incident.node_id, incident.tree if incident.node_kind else "", at)
    incident.is_planned = incident.planned_until is not None
    incident.state = IncidentState.NEW
    incident.scope = {} if incident.flood_id else wanted.as_dict()
    incident.members_at_open = meter_sets.pack(found.ids.tolist() if members is None else members)
    assess(incident, found, now=at, config=config)
    incident.save()
    keep_history(incident, at=at, actor=actor)
    note(
        incident,
        EntryKind.OPENED,
        _why(incident, severity),
        actor=actor,
        at=at,
        data={"meters": incident.meters, "priority": incident.priority},
    )
    facts.publish(
        IncidentOpened(
            number=incident.pk,
            kind=incident.kind,
            situation_id=incident.situation_id or "",
            node_id=incident.node_id,
            priority=incident.priority,
            started_at=incident.started_at,
            at=at,
        )
    )
    messages.make_messages(incident, "OPENED", at=at)
    escalation.start(incident, at=at)
    return incident


def _why(incident: Incident, severity: str) -> str:
    if incident.is_planned:
        return f"Opened at P{incident.priority} under planned work that ends {incident.planned_until:%Y-%m-%d %H:%M}Z."
    if incident.flood_id:
        return f"Opened at P{incident.priority}: so many meters say so that they are one incident ({severity.lower()})."
    if incident.kind == IncidentKind.SAFETY:
        return f"Opened at P{incident.priority} for a safety alarm{f' ({severity.lower()})' if severity else ''}."
    score = (
        f"power {incident.power_score:.0%}, communication {incident.communication_score:.0%}, "
        f"confidence {incident.confidence:.0%}"
    )
    return (
        f"Opened at P{incident.priority}: {incident.heard:,} of {incident.expected:,} meters said so, "
        f"{incident.silent:,} are silent, {incident.answered:,} answer ({score})."
    )
