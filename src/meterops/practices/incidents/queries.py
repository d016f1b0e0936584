"""What can be asked of incidents: the queue, one incident with all that belongs to it, counts, and what is new since a look."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import numpy as np
from django.db.models import Count, F, Max, Q, QuerySet
from numpy.typing import NDArray

from meterops.fleet.headend.api import meter_sets
from meterops.fleet.inventory import api as inventory
from meterops.practices.incidents import rules
from meterops.practices.incidents.assessment import filter_of, members_of
from meterops.practices.incidents.configuration import configuration, local_zone
from meterops.practices.incidents.lifecycle import OPEN_STATES, Impact, IncidentKind, IncidentState, Priority, Urgency
from meterops.practices.incidents.models import (
    Channel,
    Escalation,
    EscalationPolicy,
    Incident,
    IncidentCheck,
    IncidentEntry,
    Ladder,
    Message,
    PriorityChange,
)
from meterops.practices.incidents.refusals import IncidentUnknown
from meterops.practices.incidents.rules import Rung
from meterops.practices.incidents.timeline import EntryKind
from meterops.practices.incidents.work_orders import WorkOrderView, list_work_orders


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Incidents that fit every field that says something. Without `states` those that are not closed; merged ones never."""

    states: tuple[IncidentState, ...] = ()
    priorities: tuple[int, ...] = ()
    kinds: tuple[IncidentKind, ...] = ()
    owner: str | None = None
    """A name; "" for those that nobody owns."""
    team: str = ""
    acknowledged: bool | None = None
    is_major: bool | None = None
    area_id: int | None = None
    node_id: int | None = None
    text: str = ""
    """Part of the title, or an incident's number."""
    opened_from: datetime | None = None
    opened_until: datetime | None = None
    numbers: tuple[int, ...] | None = None
    """Only these, merged ones too: a list that is being read keeps its rows."""


SORTS: Final[dict[str, tuple[Any, ...]]] = {
    "priority": ("priority", F("acknowledged_at").asc(nulls_first=True), "opened_at", "pk"),
    "newest": ("-opened_at", "-pk"),
    "oldest": ("opened_at", "pk"),
    "premises": ("-premises", "pk"),
    "area": ("area_name", "priority", "opened_at", "pk"),
    "owner": ("owner", "priority", "opened_at", "pk"),
}


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """An incident in the queue."""

    number: int
    title: str
    kind: IncidentKind
    state: IncidentState
    priority: Priority
    impact: Impact
    urgency: Urgency
    is_major: bool
    is_planned: bool
    planned_until: datetime | None
    situation_id: str
    tree: str
    node_id: int
    node_mrid: str
    node_name: str
    node_kind: str
    area_id: int
    area_name: str
    meters: int
    premises: int
    critical: int
    unserved_kva: float
    unserved_kwh: float
    reads_at_risk: int
    expected: int
    heard: int
    silent: int
    answered: int
    confidence: float
    owner: str
    team: str
    acknowledged_at: datetime | None
    acknowledged_by: str
    started_at: datetime
    opened_at: datetime
    cleared_at: datetime | None
    restored_at: datetime | None
    resolved_at: datetime | None
    closed_at: datetime | None
    parent_id: int | None
    """The incident it is merged into."""
    children: int

    @property
    def is_acknowledged(self) -> bool:
        """Whether a person has seen it."""
        return self.acknowledged_at is not None


@dataclass(frozen=True, slots=True)
class QueuePage:
    """A page of the queue. `cursor` is what `queue_changes_since` wants to hear again."""

    rows: tuple[IncidentRow, ...]
    total: int
    page: int
    pages: int
    cursor: int


@dataclass(frozen=True, slots=True)
class IncidentCounts:
    """How many incidents there are, not counting closed and merged ones except where said."""

    open: int
    unacknowledged: int
    without_owner: int
    major: int
    resolved: int
    by_priority: dict[int, int]
    by_state: dict[str, int]
    premises_without_supply: int
    reads_at_risk: int


@dataclass(frozen=True, slots=True)
class QueueChanges:
    """What happened since a cursor: the numbers of incidents that are new, and of others that changed."""

    new: tuple[int, ...]
    changed: tuple[int, ...]
    cursor: int


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """A line of a timeline."""

    id: int
    at: datetime
    kind: EntryKind
    actor: str
    text: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PriorityRecord:
    """What the priority was from `at` on, and why."""

    at: datetime
    impact: Impact
    urgency: Urgency
    priority: Priority
    premises: int
    critical: int
    unserved_kva: float
    unserved_kwh: float
    reads_at_risk: int


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """A power check of the incident; `counts` by answer, empty while it runs."""

    operation_id: UUID
    requested_at: datetime
    requested_by: str
    asked: int
    finished_at: datetime | None
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class LadderView:
    """Where the ladder for silent meters stands."""

    rung: str
    silent: int
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class EscalationView:
    """Where the chain stands; `steps` are those it started with."""

    policy: str
    steps: tuple[dict[str, Any], ...]
    taken: int
    started_at: datetime
    next_eta: datetime | None
    ended_at: datetime | None
    ended_by: str


@dataclass(frozen=True, slots=True)
class NestedOutage:
    """A node that stayed dark when the rest came back, and the incident that carries it."""

    node_id: int
    mrid: str
    meters: int
    incident: int | None


@dataclass(frozen=True, slots=True)
class IncidentView:
    """One incident with all that belongs to it."""

    row: IncidentRow
    acknowledged_note: str
    pending_until: datetime | None
    resolution: str
    alarm_id: int | None
    flood_id: str | None
    parent: int | None
    split_from: int | None
    children: tuple[IncidentRow, ...]
    split_into: tuple[int, ...]
    power_score: float
    communication_score: float
    members_at_open: int
    members_at_close: int | None
    restored_meters: int
    restored_of: int
    restored_needed: int
    nested: tuple[NestedOutage, ...]
    priorities: tuple[PriorityRecord, ...]
    checks: tuple[CheckRecord, ...]
    ladder: LadderView | None
    escalation: EscalationView | None
    work_orders: tuple[WorkOrderView, ...]
    assessed_at: datetime


@dataclass(frozen=True, slots=True)
class ImpactView:
    """What an outage of a node would amount to now."""

    meters: int
    premises: int
    critical: int
    unserved_kva: float
    reads_at_risk: int


@dataclass(frozen=True, slots=True)
class SimilarIncident:
    """A past incident that tells something about this one: what was done last time."""

    number: int
    title: str
    likeness: float
    opened_at: datetime
    minutes_to_restore: float | None
    resolution: str
    shared_meters: int
    work_orders: int


@dataclass(frozen=True, slots=True)
class CleanUpLine:
    """Silent meters that wait for the day shift, by the incident they stayed silent after."""

    incident: int
    title: str
    rung: str
    meters: tuple[int, ...]
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class ChannelView:
    """A channel as lists show it: never its address."""

    name: str
    sort: str
    enabled: bool
    priorities: tuple[int, ...]
    quiet_from: str
    quiet_until: str
    failures: int
    last_error: str
    last_sent_at: datetime | None
    waiting: int


@dataclass(frozen=True, slots=True)
class PolicyView:
    """An escalation policy."""

    name: str
    enabled: bool
    priorities: tuple[int, ...]
    steps: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message and what became of it."""

    id: int
    channel: str
    occasion: str
    subject: str
    body: str
    state: str
    attempts: int
    last_error: str
    created_at: datetime
    due_at: datetime
    sent_at: datetime | None


def incident_queue(
    wanted: QueueFilter = QueueFilter(), *, sort: str = "priority", page: int = 1, size: int = 50
) -> QueuePage:
    """A page of the queue. By priority: the worst first, within it what nobody has acknowledged, within that the oldest."""
    cursor = queue_cursor()
    found = _selected(wanted)
    total = found.count()
    pages = max(1, -(-total // size))
    page = min(max(1, page), pages)
    order = SORTS.get(sort, SORTS["priority"])
    rows = list(found.defer(*_BIG).order_by(*order)[(page - 1) * size : page * size])
    return QueuePage(tuple(_rows(rows)), total, page, pages, cursor)


def _selected(wanted: QueueFilter) -> QuerySet[Incident]:
    if wanted.numbers is None:
        found = Incident.objects.filter(parent__isnull=True)
    else:
        found = Incident.objects.filter(pk__in=wanted.numbers)
    found = found.filter(state__in=wanted.states) if wanted.states else found.exclude(state=IncidentState.CLOSED)
    if wanted.priorities:
        found = found.filter(priority__in=wanted.priorities)
    if wanted.kinds:
        found = found.filter(kind__in=wanted.kinds)
    for name in ("owner", "is_major", "area_id", "node_id"):
        value = getattr(wanted, name)
        if value is not None:
            found = found.filter(**{name: value})
    if wanted.team:
        found = found.filter(team=wanted.team)
    if wanted.acknowledged is not None:
        found = found.filter(acknowledged_at__isnull=not wanted.acknowledged)
    if wanted.opened_from is not None:
        found = found.filter(opened_at__gte=wanted.opened_from)
    if wanted.opened_until is not None:
        found = found.filter(opened_at__lt=wanted.opened_until)
    text = wanted.text.strip().lstrip("#")
    if text:
        found = found.filter(Q(title__icontains=text) | (Q(pk=int(text)) if text.isdecimal() else Q(pk__in=[])))
    return found


_BIG: Final = (
    "members_at_open",
    "members_moved",
    "members_at_close",
    "scope",
    "nested",
    "resolution",
    "acknowledged_note",
)


def _rows(found: Sequence[Incident]) -> list[IncidentRow]:
    numbers = [row.pk for row in found]
    children = dict(
        Incident.objects.filter(parent__in=numbers).values_list("parent_id").annotate(n=Count("pk")).order_by()
    )
    return [_row(row, children.get(row.pk, 0)) for row in found]


def _row(row: Incident, children: int) -> IncidentRow:
    same = {name: getattr(row, name) for name in IncidentRow.__slots__ if name not in _MADE}
    return IncidentRow(
        number=row.pk,
        kind=IncidentKind(row.kind),
        state=IncidentState(row.state),
        priority=Priority(row.priority),
        impact=Impact(row.impact),
        urgency=Urgency(row.urgency),
        situation_id=row.situation_id or "",
        children=children,
        **same,
    )


_MADE: Final = frozenset({"number", "kind", "state", "priority", "impact", "urgency", "situation_id", "children"})


def queue_cursor() -> int:
    """The newest line of any timeline: what a page has seen."""
    return IncidentEntry.objects.aggregate(newest=Max("id"))["newest"] or 0


def queue_changes_since(cursor: int, wanted: QueueFilter = QueueFilter(), *, limit: int = 500) -> QueueChanges:
    """Which incidents that fit the filter are new since a cursor, and which others changed."""
    entries = (
        IncidentEntry.objects.filter(id__gt=cursor).order_by("id").values_list("id", "incident_id", "kind")[:limit]
    )
    seen = list(entries)
    if not seen:
        return QueueChanges((), (), cursor)
    fitting = set(_selected(wanted).filter(pk__in={i for _, i, _ in seen}).values_list("pk", flat=True))
    opened = {i for _, i, kind in seen if kind == EntryKind.OPENED and i in fitting}
    changed = {i for _, i, _ in seen if i in fitting} - opened
    return QueueChanges(tuple(sorted(opened)), tuple(sorted(changed)), seen[-1][0])


def incident_counts() -> IncidentCounts:
    """What the overview and the tabs above the queue show: one query."""
    rows = (
        Incident.objects.filter(parent__isnull=True)
        .exclude(state=IncidentState.CLOSED)
        .values_list("state", "priority", "acknowledged_at", "owner", "is_major", "kind", "premises", "reads_at_risk")
    )
    by_priority = {int(one): 0 for one in Priority}
    by_state = {str(one): 0 for one in IncidentState}
    figures = {"open": 0, "unacknowledged": 0, "without_owner": 0, "major": 0, "premises": 0, "reads": 0}
    for state, priority, acknowledged_at, owner, is_major, kind, premises, reads in rows:
        by_state[state] += 1
        if state == IncidentState.RESOLVED:
            continue
        by_priority[priority] += 1
        figures["open"] += 1
        figures["unacknowledged"] += acknowledged_at is None
        figures["without_owner"] += not owner
        figures["major"] += is_major
        figures["premises"] += premises if kind == IncidentKind.OUTAGE else 0
        figures["reads"] += reads
    return IncidentCounts(
        open=figures["open"],
        unacknowledged=figures["unacknowledged"],
        without_owner=figures["without_owner"],
        major=figures["major"],
        resolved=by_state[IncidentState.RESOLVED],
        by_priority=by_priority,
        by_state=by_state,
        premises_without_supply=figures["premises"],
        reads_at_risk=figures["reads"],
    )


def get_incident(number: int) -> IncidentView:
    """One incident.

    Raises:
        IncidentUnknown: when there is none of that number.
    """
    row = _get(number)
    children = list(row.children.order_by("pk"))
    members = len(meter_sets.unpack(row.members_at_open))
    to_prove = row.restored_of or len(meter_sets.unpack(row.members_to_prove))
    return IncidentView(
        row=_row(row, len(children)),
        acknowledged_note=row.acknowledged_note,
        pending_until=row.pending_until,
        resolution=row.resolution,
        alarm_id=row.alarm_id,
        flood_id=row.flood_id,
        parent=row.parent_id,
        split_from=row.split_from_id,
        children=tuple(_rows(children)),
        split_into=tuple(row.split_into.order_by("pk").values_list("pk", flat=True)),
        power_score=row.power_score,
        communication_score=row.communication_score,
        members_at_open=members,
        members_at_close=None if row.members_at_close is None else len(meter_sets.unpack(row.members_at_close)),
        restored_meters=row.restored_meters,
        restored_of=to_prove,
        restored_needed=rules.needed(to_prove, configuration().restoration),
        nested=_nested(row),
        priorities=tuple(_priority(one) for one in row.priorities.all()),
        checks=tuple(_check(one) for one in row.checks.order_by("-requested_at")[:20]),
        ladder=_ladder(row),
        escalation=_escalation(row),
        work_orders=tuple(list_work_orders(incident=number)),
        assessed_at=row.assessed_at,
    )


def _get(number: int) -> Incident:
    row = Incident.objects.filter(pk=number).first()
    if row is None:
        raise IncidentUnknown(f"There is no incident {number}.")
    return row


def find_incident_of_situation(situation_id: str) -> int | None:
    """The number of a situation's incident, None while it has none."""
    return Incident.objects.filter(situation_id=situation_id).values_list("pk", flat=True).first()


def open_incidents_by_node() -> dict[int, tuple[int, int]]:
    """Node id -> (number, priority) of the worst open incident there: what maps and diagrams are colored by."""
    rows = Incident.objects.filter(state__in=OPEN_STATES).order_by("-priority", "-opened_at")
    return {node: (number, priority) for node, number, priority in rows.values_list("node_id", "pk", "priority")}


def _nested(row: Incident) -> tuple[NestedOutage, ...]:
    nodes = [one["node_id"] for one in row.nested]
    carrying = dict(
        Incident.objects.filter(node_id__in=nodes).exclude(pk=row.pk).order_by("pk").values_list("node_id", "pk")
    )
    return tuple(
        NestedOutage(one["node_id"], one["mrid"], one["meters"], carrying.get(one["node_id"])) for one in row.nested
    )


def _priority(one: PriorityChange) -> PriorityRecord:
    return PriorityRecord(
        one.at,
        Impact(one.impact),
        Urgency(one.urgency),
        Priority(one.priority),
        one.premises,
        one.critical,
        one.unserved_kva,
        one.unserved_kwh,
        one.reads_at_risk,
    )


def _check(one: IncidentCheck) -> CheckRecord:
    return CheckRecord(
        one.operation_id, one.requested_at, one.requested_by, one.asked, one.finished_at, dict(one.counts)
    )


def _ladder(row: Incident) -> LadderView | None:
    found = Ladder.objects.filter(pk=row.pk).first()
    return None if found is None else LadderView(found.rung, len(meter_sets.unpack(found.silent)), found.next_at)


def _escalation(row: Incident) -> EscalationView | None:
    one = Escalation.objects.filter(pk=row.pk).first()
    if one is None:
        return None
    return EscalationView(
        one.policy, tuple(one.steps), one.taken, one.started_at, one.next_eta, one.ended_at, one.ended_by
    )


def timeline(number: int, *, after: int = 0, kinds: Sequence[EntryKind] = (), limit: int = 500) -> list[TimelineEntry]:
    """An incident's timeline, oldest first; `after` (an entry's id) pages on.

    Raises:
        IncidentUnknown: when there is none of that number.
    """
    _get(number)
    found = IncidentEntry.objects.filter(incident_id=number, id__gt=after).order_by("id")
    if kinds:
        found = found.filter(kind__in=kinds)
    return [TimelineEntry(e.pk, e.at, EntryKind(e.kind), e.actor, e.text, e.data) for e in found[:limit]]


def members(number: int, *, at_close: bool = False, to_prove: bool = False) -> NDArray[np.int64]:
    """The meters frozen at an incident's opening or, once it is closed, at its close; ascending ids of shape (n,).

    With `to_prove` those that merging and splitting deal with: after its root moved, what hangs below the new one.

    Raises:
        IncidentUnknown: when there is none of that number.
    """
    row = _get(number)
    if to_prove:
        return meter_sets.unpack(row.members_to_prove).astype(np.int64)
    packed = row.members_at_close if at_close else row.members_at_open
    return np.zeros(0, np.int64) if packed is None else meter_sets.unpack(packed).astype(np.int64)


def scope_of_incident(number: int) -> inventory.EndDeviceFilter:
    """The query that gives an incident's meters as the grid is now.

    Raises:
        IncidentUnknown: when there is none of that number.
    """
    return filter_of(_get(number))


def impact_of_node(mrid: str, *, now: datetime) -> ImpactView:
    """What an outage of a node would amount to now.

    Raises:
        ItemUnknown: when there is no such node.
    """
    inventory.get_item(mrid)
    found = members_of(inventory.EndDeviceFilter(under=(mrid,)), now=now, config=configuration()).scope
    return ImpactView(
        found.meters,
        found.premises,
        found.critical,
        round(rules.load_kva(found.premises, now, local_zone()), 1),
        found.reads_at_risk,
    )


def similar_incidents(number: int, *, now: datetime, limit: int = 5) -> list[SimilarIncident]:
    """Past incidents that were at the same place or hit the same meters, most telling first.

    Raises:
        IncidentUnknown: when there is none of that number.
    """
    row = _get(number)
    mine = meter_sets.unpack(row.members_at_open)
    above = [one.id for one in inventory.ancestors(row.node_id, inventory.Tree(row.tree))] if row.tree else []
    near = Q(node_id__in=[row.node_id, *above]) | (Q(area_id=row.area_id) if row.area_id else Q())
    past = Incident.objects.filter(near, state__in=(IncidentState.RESOLVED, IncidentState.CLOSED)).exclude(pk=number)
    found = []
    for one in past.order_by("-opened_at").prefetch_related("work_orders")[:200]:
        shared = len(np.intersect1d(mine, meter_sets.unpack(one.members_at_open), assume_unique=True))
        score = rules.likeness(
            same_node=one.node_id == row.node_id,
            same_kind=one.kind == row.kind,
            shared=shared,
            members=len(mine),
            age=now - one.opened_at,
        )
        took = (one.restored_at - one.started_at).total_seconds() / 60 if one.restored_at else None
        if shared or one.node_id == row.node_id:
            orders = len(one.work_orders.all())
            found.append(SimilarIncident(one.pk, one.title, score, one.opened_at, took, one.resolution, shared, orders))
    return sorted(found, key=lambda one: (-one.likeness, -one.number))[:limit]


def clean_up_list() -> list[CleanUpLine]:
    """Meters that stay silent although the outage they were in is over, by incident."""
    waiting = Ladder.objects.select_related("incident").filter(rung__in=[Rung.CLEAN_UP, Rung.WORK_ORDER])
    return [
        CleanUpLine(one.pk, one.incident.title, one.rung, tuple(meter_sets.unpack(one.silent).tolist()), one.next_at)
        for one in waiting.order_by("-pk")
    ]


def list_channels() -> list[ChannelView]:
    """Every channel with how it does."""
    waiting = dict(Message.objects.filter(state="WAITING").values_list("channel_id").annotate(n=Count("pk")).order_by())
    return [
        ChannelView(
            one.name,
            one.sort,
            one.enabled,
            tuple(one.priorities),
            one.quiet_from.strftime("%H:%M") if one.quiet_from else "",
            one.quiet_until.strftime("%H:%M") if one.quiet_until else "",
            one.failures,
            one.last_error,
            one.last_sent_at,
            waiting.get(one.pk, 0),
        )
        for one in Channel.objects.all()
    ]


def list_policies() -> list[PolicyView]:
    """Every escalation policy."""
    return [
        PolicyView(one.name, one.enabled, tuple(one.priorities), tuple(one.steps))
        for one in EscalationPolicy.objects.all()
    ]


def list_messages(number: int, *, limit: int = 200) -> list[MessageView]:
    """An incident's messages, newest first.

    Raises:
        IncidentUnknown: when there is none of that number.
    """
    _get(number)
    rows = Message.objects.filter(incident_id=number).select_related("channel").order_by("-pk")[:limit]
    return [
        MessageView(
            one.pk,
            one.channel.name,
            one.occasion,
            one.subject,
            one.body,
            one.state,
            one.attempts,
            one.last_error,
            one.created_at,
            one.due_at,
            one.sent_at,
        )
        for one in rows
    ]
