"""How bad an incident is now: its scope out of the inventory, its figures, and the priority with its history."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from meterops.fleet.headend import api as headend
from meterops.fleet.headend.api import meter_sets
from meterops.fleet.inventory import api as inventory
from meterops.kernel.actor import Actor
from meterops.practices.incidents import escalation, messages, rules
from meterops.practices.incidents.configuration import IncidentConfiguration, configuration, local_zone
from meterops.practices.incidents.lifecycle import OPEN_STATES, Impact, IncidentKind, IncidentState, Priority
from meterops.practices.incidents.models import Incident, PriorityChange
from meterops.practices.incidents.timeline import EntryKind, note, tell_change

NOBODY = (0,)
"""Ids for a filter that no meter fits, where an empty one fits all."""
_TOLD_FROM = 0.2
"""A figure that moved by less than this share is not worth a line of history while the priority stays."""


@dataclass(frozen=True, slots=True)
class Members:
    """Who hangs below an incident's node now, and what that amounts to."""

    ids: NDArray[np.int64]
    scope: rules.Scope


def members_of(wanted: inventory.EndDeviceFilter, *, now: datetime, config: IncidentConfiguration) -> Members:
    """The meters of a scope with premises, critical premises and reads at risk; a handful of queries for any size."""
    found = inventory.scope_of(wanted)
    critical = found.critical
    if config.critical_group and len(found):
        group = inventory.ids_of_end_devices(inventory.get_group(config.critical_group).filter)
        named = np.union1d(found.critical_id, group[np.isin(group, found.end_device_id)])
        critical = inventory.EndDeviceScope(found.end_device_id, found.usage_point_id, found.route_id, named).critical
    return Members(
        found.end_device_id,
        rules.Scope(
            meters=len(found),
            premises=found.premises,
            critical=critical,
            reads_at_risk=_reads_at_risk(found, now),
        ),
    )


def _reads_at_risk(scope: inventory.EndDeviceScope, now: datetime) -> int:
    """Meters whose day is not in although its deadline comes: read out of what routes remember, not out of the lake."""
    if not len(scope):
        return 0
    zone = local_zone()
    ids, until = headend.profile_read_until(np.unique(scope.route_id).tolist())
    read_until = np.zeros(len(scope), dtype=np.int64)
    if len(ids):
        place = np.minimum(np.searchsorted(ids, scope.end_device_id), len(ids) - 1)
        known = ids[place] == scope.end_device_id
        read_until[known] = until[place[known]]
    return rules.reads_at_risk(read_until, rules.day_to_be_read(now, zone), zone)


def filter_of(incident: Incident) -> inventory.EndDeviceFilter:
    """The query that gives an incident's meters, those of the incidents merged into it too."""
    if incident.flood_id is not None:
        return inventory.EndDeviceFilter(ids=tuple(meter_sets.unpack(incident.members_at_open).tolist()) or NOBODY)
    own = inventory.EndDeviceFilter.from_dict(incident.scope)
    if not own.under or incident.pk is None:
        return own
    merged = {
        mrid
        for scope in incident.children.exclude(state=IncidentState.CLOSED).values_list("scope", flat=True)
        for mrid in scope.get("under", ())
    }
    return inventory.EndDeviceFilter(under=tuple(sorted({*own.under, *merged})))


def assess(incident: Incident, members: Members, *, now: datetime, config: IncidentConfiguration) -> None:
    """Set an incident's figures, impact, urgency and priority; the caller saves it."""
    zone = local_zone()
    kind = IncidentKind(incident.kind)
    ended_at = incident.restored_at or incident.resolved_at
    figures = rules.figures_of(
        members.scope,
        kind,
        started_at=incident.moved_at or incident.started_at,
        now=now,
        ended_at=ended_at,
        zone=zone,
        kwh_before=incident.kwh_before_move,
    )
    impact = rules.impact_of(figures, kind, config.thresholds)
    if incident.is_major:
        impact = Impact.EXTENSIVE
    urgency = rules.urgency_of(
        kind,
        figures,
        confidence=incident.confidence,
        to_deadline=rules.next_read_deadline(now, zone) - now,
        is_planned=incident.is_planned,
        is_over=ended_at is not None,
    )
    incident.meters = members.scope.meters
    incident.premises, incident.critical = figures.premises, figures.critical
    incident.unserved_kva, incident.unserved_kwh = figures.unserved_kva, figures.unserved_kwh
    incident.reads_at_risk = figures.reads_at_risk
    incident.impact, incident.urgency = int(impact), int(urgency)
    incident.priority = int(Priority.P1 if incident.is_major else rules.Assessment(impact, urgency).priority)
    incident.assessed_at = now


def settle_energy(incident: Incident, *, at: datetime) -> None:
    """Keep what was not served up to a moment by the scope as it was; called before the scope becomes another one."""
    if incident.kind == IncidentKind.OUTAGE:
        since = max(incident.assessed_at, incident.moved_at or incident.started_at)
        incident.kwh_before_move = incident.unserved_kwh + rules.energy_kwh(incident.premises, since, at, local_zone())
    incident.moved_at = at


def keep_history(incident: Incident, *, at: datetime, actor: Actor) -> bool:
    """Add to the priority's history when it, or a figure behind it, has changed enough. Returns whether the priority did."""
    last = incident.priorities.order_by("-id").first()
    changed = last is None or last.priority != incident.priority
    if last is not None and not changed and not _moved(last, incident):
        return False
    PriorityChange.objects.create(
        incident=incident,
        at=at,
        impact=incident.impact,
        urgency=incident.urgency,
        priority=incident.priority,
        premises=incident.premises,
        critical=incident.critical,
        unserved_kva=incident.unserved_kva,
        unserved_kwh=incident.unserved_kwh,
        reads_at_risk=incident.reads_at_risk,
    )
    if last is not None and changed:
        note(
            incident,
            EntryKind.PRIORITY,
            f"Priority P{last.priority} became P{incident.priority}: {incident.premises:,} premises, "
            f"{incident.critical:,} critical, {incident.unserved_kwh:,.0f} kWh not served, "
            f"{incident.reads_at_risk:,} reads at risk.",
            actor=actor,
            at=at,
            data={"from": last.priority, "to": incident.priority},
        )
        tell_change(incident, "priority", at)
    return changed


def _moved(last: PriorityChange, now: Incident) -> bool:
    if (last.impact, last.urgency) != (now.impact, now.urgency):
        return True
    for name in ("premises", "critical", "unserved_kwh", "reads_at_risk"):
        before, after = getattr(last, name), getattr(now, name)
        if abs(after - before) > _TOLD_FROM * max(before, 1.0):
            return True
    return False


def reassess(incident: Incident, *, now: datetime, actor: Actor, config: IncidentConfiguration | None = None) -> bool:
    """Look at an incident's scope again, save its figures and keep their history. Returns whether its priority changed."""
    config = config or configuration()
    assess(incident, members_of(filter_of(incident), now=now, config=config), now=now, config=config)
    was = incident.priorities.order_by("-id").values_list("priority", flat=True).first()
    incident.save(update_fields=FIGURES)
    changed = keep_history(incident, at=now, actor=actor)
    if was is not None and incident.priority < was and incident.state in OPEN_STATES:
        _tell_worse(incident, now)
    return changed


def _tell_worse(incident: Incident, now: datetime) -> None:
    """What became worse concerns people who did not have to care before, and may have a chain now."""
    messages.make_messages(incident, "RAISED", at=now, again=f"P{incident.priority}")
    if incident.acknowledged_at is None and incident.parent_id is None and not escalation.has_chain(incident):
        escalation.start(incident, at=now)


FIGURES = [
    "impact",
    "urgency",
    "priority",
    "meters",
    "premises",
    "critical",
    "unserved_kva",
    "unserved_kwh",
    "reads_at_risk",
    "assessed_at",
]
