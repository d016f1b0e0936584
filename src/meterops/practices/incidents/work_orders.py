"""Work orders: somebody goes there. Our own record, told to other systems by signed webhook and updated by them over REST."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from meterops.fleet.headend.api import meter_sets
from meterops.fleet.inventory import api as inventory
from meterops.kernel import audit
from meterops.kernel.actor import Actor
from meterops.kernel.ids import new_id
from meterops.practices.incidents import messages
from meterops.practices.incidents.lifecycle import WORK_ORDER_TRANSITIONS, IncidentState, WorkOrderState
from meterops.practices.incidents.models import Channel, Incident, WorkOrder
from meterops.practices.incidents.refusals import IncidentUnknown, WorkOrderNotValid, WorkOrderUnknown
from meterops.practices.incidents.timeline import EntryKind, note, tell_change


@dataclass(frozen=True, slots=True)
class WorkOrderView:
    """A work order as readers see it."""

    id: UUID
    incident: int
    title: str
    instructions: str
    node_mrid: str
    meter_count: int
    state: WorkOrderState
    priority: int
    crew: str
    due_at: datetime | None
    external_id: str
    external_url: str
    note: str
    created_at: datetime
    created_by: str
    updated_at: datetime
    version: int


@transaction.atomic
def create_work_order(
    *,
    incident: int,
    title: str,
    actor: Actor,
    at: datetime,
    instructions: str = "",
    node: str = "",
    meters: Sequence[int] = (),
    crew: str = "",
    due_at: datetime | None = None,
    send: bool = True,
) -> UUID:
    """Make a work order for an incident; with `send` it goes to every enabled WORK_ORDERS channel at once. Returns its id.

    Raises:
        IncidentUnknown: when there is none of that number.
        ItemUnknown: when `node` is no item.
        WorkOrderNotValid: when it has no title, or the incident is closed.
    """
    row = Incident.objects.select_for_update().filter(pk=incident).first()
    if row is None:
        raise IncidentUnknown(f"There is no incident {incident}.")
    if not title.strip():
        raise WorkOrderNotValid("A work order needs a title.")
    if row.state == IncidentState.CLOSED:
        raise WorkOrderNotValid(f"Incident {incident} is closed, so nobody is sent for it.")
    order = _make(
        row,
        title=title.strip(),
        instructions=instructions,
        node=inventory.get_item(node).mrid if node else row.node_mrid,
        meters=meters or meter_sets.unpack(row.members_to_prove).tolist(),
        crew=crew,
        due_at=due_at,
        actor=actor,
        at=at,
    )
    if send:
        _send(order, row, actor, at)
    return order.id


def draft_for_silent(incident: Incident, silent: Sequence[int], *, actor: Actor, at: datetime) -> int:
    """Draft one work order per transformer for meters that stayed silent, in the caller's transaction. Returns how many."""
    columns = inventory.columns_of_end_devices(
        ("transformer_id", "serial"), inventory.EndDeviceFilter(ids=tuple(silent))
    )
    groups: dict[int, list[tuple[int, str]]] = {}
    for meter, transformer, serial in zip(
        columns["id"].tolist(), columns["transformer_id"].tolist(), columns["serial"].tolist(), strict=True
    ):
        groups.setdefault(transformer, []).append((meter, serial))
    names = inventory.list_items(groups)
    drafted = 0
    for transformer, found in groups.items():
        unique = f"{incident.pk}:silent:{transformer}"
        if WorkOrder.objects.filter(unique_name=unique).exists():
            continue
        where = names[transformer].title if transformer in names else incident.node_name
        _make(
            incident,
            title=f"Visit {len(found)} silent meter{'s' if len(found) > 1 else ''} at {where}"[:200],
            instructions="Silent since the outage ended: " + ", ".join(serial for _, serial in found[:200]) + ".",
            node=names[transformer].mrid if transformer in names else incident.node_mrid,
            meters=[meter for meter, _ in found],
            crew="",
            due_at=None,
            actor=actor,
            at=at,
            unique_name=unique,
        )
        drafted += 1
    return drafted


def _make(
    incident: Incident,
    *,
    title: str,
    instructions: str,
    node: str,
    meters: Sequence[int],
    crew: str,
    due_at: datetime | None,
    actor: Actor,
    at: datetime,
    unique_name: str | None = None,
) -> WorkOrder:
    order = WorkOrder.objects.create(
        id=new_id(),
        incident=incident,
        title=title[:200],
        instructions=instructions,
        node_mrid=node,
        meters=meter_sets.pack(meters),
        meter_count=len(set(meters)),
        state=WorkOrderState.DRAFT,
        priority=incident.priority,
        crew=crew,
        due_at=due_at,
        created_at=at,
        created_by=str(actor),
        updated_at=at,
        unique_name=unique_name,
    )
    note(
        incident,
        EntryKind.WORK_ORDER,
        f"Work order {order.id}: {order.title} ({order.meter_count:,} meters).",
        actor=actor,
        at=at,
        data={"work_order": str(order.id), "state": order.state},
    )
    audit.record(
        actor=actor,
        action="create work order",
        subject=f"work order {order.id}",
        after={"incident": incident.pk, "title": order.title, "meters": order.meter_count},
        at=at,
    )
    return order


@transaction.atomic
def send_work_order(*, work_order_id: UUID, actor: Actor, at: datetime) -> None:
    """Send a draft, or one that was rejected, to the systems that send crews.

    Raises:
        WorkOrderUnknown: when there is none of that id.
        WorkOrderNotValid: when it was sent already.
    """
    order = _locked(work_order_id)
    _send(order, order.incident, actor, at)


def _send(order: WorkOrder, incident: Incident, actor: Actor, at: datetime) -> None:
    _move(order, WorkOrderState.SENT)
    _changed(order, incident, f"Work order {order.id} sent.", actor, at)


@transaction.atomic
def update_work_order(
    *,
    work_order_id: UUID,
    actor: Actor,
    at: datetime,
    state: WorkOrderState | None = None,
    crew: str | None = None,
    external_id: str | None = None,
    external_url: str | None = None,
    note_text: str = "",
) -> None:
    """Take in how a work order stands, from a person or from the system that does the work. The same news twice changes nothing.

    Raises:
        WorkOrderUnknown: when there is none of that id.
        WorkOrderNotValid: when it cannot get into that state, or the address is no http address.
    """
    order = _locked(work_order_id)
    before = (order.state, order.crew, order.external_id, order.external_url, order.note)
    if state is not None and state != order.state:
        _move(order, state)
    order.crew = order.crew if crew is None else crew.strip()
    order.external_id = order.external_id if external_id is None else external_id.strip()
    if external_url is not None:
        if external_url and not external_url.startswith(("https://", "http://")):
            raise WorkOrderNotValid("A work order's address starts with https:// or http://.")
        order.external_url = external_url
    order.note = note_text.strip() or order.note
    if before == (order.state, order.crew, order.external_id, order.external_url, order.note):
        return
    said = f" {note_text.strip()}" if note_text.strip() else ""
    named = f" ({order.external_id})" if order.external_id else ""
    words = order.state.replace("_", " ").lower()
    _changed(order, order.incident, f"Work order {order.id}{named} is {words}.{said}", actor, at)


def _move(order: WorkOrder, state: WorkOrderState) -> None:
    present = WorkOrderState(order.state)
    if state not in WORK_ORDER_TRANSITIONS[present]:
        raise WorkOrderNotValid(f"Work order {order.id} is {present.lower()}, so it cannot become {state.lower()}.")
    order.state = state


def _changed(order: WorkOrder, incident: Incident, text: str, actor: Actor, at: datetime) -> None:
    order.updated_at, order.version = at, order.version + 1
    order.save()
    data = {"work_order": str(order.id), "state": order.state}
    note(incident, EntryKind.WORK_ORDER, text, actor=actor, at=at, data=data)
    tell_change(incident, "work order", at)
    audit.record(
        actor=actor, action="change work order", subject=f"work order {order.id}", after=data, reason=order.note, at=at
    )
    targets = list(Channel.objects.filter(enabled=True, sort="WORK_ORDERS"))
    if targets and order.state != WorkOrderState.DRAFT:
        messages.queue_messages(
            incident,
            "WORK_ORDER",
            targets,
            at=at,
            again=f"{order.id}#{order.version}",
            document={"occasion": "WORK_ORDER", "work_order": document_of(order)},
            work_order_state=order.state,
        )


def _locked(work_order_id: UUID) -> WorkOrder:
    found = WorkOrder.objects.select_for_update().select_related("incident").filter(pk=work_order_id).first()
    if found is None:
        raise WorkOrderUnknown(f"There is no work order {work_order_id}.")
    return found


def get_work_order(work_order_id: UUID) -> WorkOrderView:
    """One work order.

    Raises:
        WorkOrderUnknown: when there is none of that id.
    """
    found = WorkOrder.objects.filter(pk=work_order_id).first()
    if found is None:
        raise WorkOrderUnknown(f"There is no work order {work_order_id}.")
    return _view(found)


def list_work_orders(
    *, incident: int | None = None, state: WorkOrderState | None = None, limit: int = 200
) -> list[WorkOrderView]:
    """Work orders, newest first."""
    found = WorkOrder.objects.all()
    if incident is not None:
        found = found.filter(incident_id=incident)
    if state is not None:
        found = found.filter(state=state)
    return [_view(row) for row in found[:limit]]


def meters_of_work_order(work_order_id: UUID) -> list[int]:
    """The meters a work order is about."""
    packed = WorkOrder.objects.filter(pk=work_order_id).values_list("meters", flat=True).first()
    if packed is None:
        raise WorkOrderUnknown(f"There is no work order {work_order_id}.")
    return list(meter_sets.unpack(packed).tolist())


def document_of(order: WorkOrder) -> dict[str, Any]:
    """A work order as JSON for other systems, its meters by serial number."""
    plain = {name: _plain(value) for name, value in asdict(_view(order)).items()}
    serials = inventory.serials_of(meter_sets.unpack(order.meters).tolist())
    return {**plain, "meters": sorted(serials.values())}


def export_json(work_order_id: UUID) -> dict[str, Any]:
    """One work order as JSON.

    Raises:
        WorkOrderUnknown: when there is none of that id.
    """
    found = WorkOrder.objects.filter(pk=work_order_id).first()
    if found is None:
        raise WorkOrderUnknown(f"There is no work order {work_order_id}.")
    return document_of(found)


def export_csv(orders: Sequence[WorkOrderView]) -> str:
    """Work orders as CSV with a heading; cells that a spreadsheet would take for a formula are disarmed."""
    names = list(WorkOrderView.__slots__)
    target = io.StringIO()
    writer = csv.writer(target)
    writer.writerow(names)
    writer.writerows([[_cell(_plain(getattr(order, name))) for name in names] for order in orders])
    return target.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, (UUID, WorkOrderState)) else value


def _view(row: WorkOrder) -> WorkOrderView:
    return WorkOrderView(
        id=row.id,
        incident=row.incident_id,
        title=row.title,
        instructions=row.instructions,
        node_mrid=row.node_mrid,
        meter_count=row.meter_count,
        state=WorkOrderState(row.state),
        priority=row.priority,
        crew=row.crew,
        due_at=row.due_at,
        external_id=row.external_id,
        external_url=row.external_url,
        note=row.note,
        created_at=row.created_at,
        created_by=row.created_by,
        updated_at=row.updated_at,
        version=row.version,
    )
