"""Endpoints on incidents: the queue, one incident, what is done with it, work orders, channels and chains."""

from dataclasses import asdict
from datetime import datetime, time
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Body, Field, Query, Router, Schema, Status

from meterops.fleet.inventory import api as inventory
from meterops.interfaces.rest.authentication import actor_of, require
from meterops.interfaces.rest.reading import OperationStarted
from meterops.kernel.clock import utc_now
from meterops.practices.incidents import api as incidents

router = Router()
ACKNOWLEDGE = "incidents.acknowledge_incidents"
WORK = "incidents.work_incidents"
MERGE = "incidents.merge_incidents"
MAJOR = "incidents.declare_major"
ORDERS = "incidents.manage_work_orders"
MANAGE = "incidents.manage_notifications"
CHECK = "headend.check_power"
PLAN = "events.plan_work"


class Numbers(Schema):
    """The incidents that are meant; all of them or none."""

    numbers: list[int] = Field(min_length=1, max_length=1000)


class Acknowledgement(Numbers):
    """With what the person wants to say."""

    note: str = Field(default="", max_length=2000)


class NoteBody(Schema):
    """A line for the timeline."""

    text: str = Field(min_length=1, max_length=5000)


class Assignment(Numbers):
    """To a person, a team or both; neither gives them back."""

    owner: str = Field(default="", max_length=200)
    team: str = Field(default="", max_length=100)


class PendingBody(Schema):
    """What it waits for."""

    reason: str = Field(min_length=1, max_length=2000)
    until: datetime | None = None


class ResolutionBody(Schema):
    """What ended it; `in_spite_of` where meters have not proved it."""

    resolution: str = Field(min_length=1, max_length=5000)
    in_spite_of: str = Field(default="", max_length=2000)


class ReasonBody(Schema):
    """Why, for the timeline and the audit log."""

    reason: str = Field(min_length=1, max_length=2000)


class BulkReason(Numbers, ReasonBody):
    """Several, with one reason."""


class MergeBody(ReasonBody):
    """Which are folded into the one of the address."""

    numbers: list[int] = Field(min_length=1, max_length=200)


class PlannedWorkBody(ReasonBody):
    """When the crew works."""

    starts_at: datetime
    ends_at: datetime


class SplitBody(ReasonBody):
    """The node that gets an incident of its own."""

    node: str = Field(min_length=1, max_length=100)


class WorkOrderBody(Schema):
    """A work order for an incident."""

    incident: int
    title: str = Field(min_length=1, max_length=200)
    instructions: str = Field(default="", max_length=10_000)
    node: str = ""
    meters: list[str] = Field(default=[], max_length=10_000, description="Serial numbers; all members when empty.")
    crew: str = Field(default="", max_length=200)
    due_at: datetime | None = None
    send: bool = True


class WorkOrderNews(Schema):
    """How a work order stands; what is not given stays."""

    state: incidents.WorkOrderState | None = None
    crew: str | None = Field(default=None, max_length=200)
    external_id: str | None = Field(default=None, max_length=120)
    external_url: str | None = Field(default=None, max_length=500)
    note: str = Field(default="", max_length=5000)


class ChannelBody(Schema):
    """A channel; an empty address or secret keeps the one that is stored."""

    sort: Literal["EMAIL", "CHAT", "WEBHOOK", "WORK_ORDERS"]
    address: str = Field(default="", max_length=2000)
    secret: str = Field(default="", max_length=200)
    priorities: list[int] = [1, 2, 3, 4]
    quiet_from: time | None = None
    quiet_until: time | None = None
    quiet_through: int = Field(default=1, ge=0, le=4)
    enabled: bool = True


class StepBody(Schema):
    """A step of an escalation policy."""

    after_s: float = Field(ge=0)
    channels: list[str] = Field(min_length=1)


class PolicyBody(Schema):
    """An escalation policy."""

    priorities: list[int] = Field(min_length=1)
    steps: list[StepBody] = Field(min_length=1)
    enabled: bool = True


class TemplateBody(Schema):
    """The words for an occasion; both empty bring back those that ship."""

    subject: str = Field(default="", max_length=300)
    body: str = Field(default="", max_length=8000)


# --- asking ---------------------------------------------------------------------------------------------------------


class QueueQuery(Schema):
    """Every filter of the queue."""

    state: list[incidents.IncidentState] = []
    priority: list[int] = []
    kind: list[incidents.IncidentKind] = []
    owner: str | None = None
    team: str = ""
    acknowledged: bool | None = None
    major: bool | None = None
    area: int | None = None
    text: str = ""
    opened_from: datetime | None = None
    opened_until: datetime | None = None

    def wanted(self) -> incidents.QueueFilter:
        """As the queue takes it."""
        return incidents.QueueFilter(
            states=tuple(self.state),
            priorities=tuple(self.priority),
            kinds=tuple(self.kind),
            owner=self.owner,
            team=self.team,
            acknowledged=self.acknowledged,
            is_major=self.major,
            area_id=self.area,
            text=self.text,
            opened_from=self.opened_from,
            opened_until=self.opened_until,
        )


@router.get("/incidents", summary="The queue")
def list_incidents(
    request: HttpRequest,
    wanted: Query[QueueQuery],
    sort: Literal["priority", "newest", "oldest", "premises", "area", "owner"] = "priority",
    page: Annotated[int, Query(ge=1)] = 1,
    size: Annotated[int, Query(ge=1, le=500)] = 50,
) -> dict[str, Any]:
    """The worst first, then what nobody has acknowledged, then the oldest. `cursor` is for `/incidents/changes`."""
    return asdict(incidents.incident_queue(wanted.wanted(), sort=sort, page=page, size=size))


@router.get("/incidents/counts", summary="How many incidents there are")
def counts(request: HttpRequest) -> dict[str, Any]:
    """By priority and state, with premises without supply and reads at risk."""
    return asdict(incidents.incident_counts())


@router.get("/incidents/changes", summary="What happened since a look at the queue")
def changes(request: HttpRequest, since: int, wanted: Query[QueueQuery]) -> dict[str, Any]:
    """Numbers of incidents that are new, and of those that changed."""
    return asdict(incidents.queue_changes_since(since, wanted.wanted()))


@router.get("/incidents/impact/{node}", summary="What an outage of a node would amount to")
def impact(request: HttpRequest, node: str) -> dict[str, Any]:
    """Meters, premises, critical premises, load and reads at risk, now."""
    return asdict(incidents.impact_of_node(node, now=utc_now()))


@router.get("/incidents/clean-up", summary="Meters that stayed silent after outages")
def clean_up(request: HttpRequest) -> list[dict[str, Any]]:
    """By incident, with the rung of the ladder they are on."""
    return [asdict(one) for one in incidents.clean_up_list()]


@router.get("/incidents/{int:number}", summary="One incident with all that belongs to it")
def get_incident(request: HttpRequest, number: int) -> dict[str, Any]:
    """Figures, history of the priority, checks, nested outages, ladder, chain, work orders."""
    return asdict(incidents.get_incident(number))


@router.get("/incidents/{int:number}/timeline", summary="An incident's timeline")
def timeline(
    request: HttpRequest, number: int, after: int = 0, limit: Annotated[int, Query(ge=1, le=5000)] = 500
) -> list[dict[str, Any]]:
    """Oldest first; `after` (an entry's id) pages on."""
    return [asdict(one) for one in incidents.timeline(number, after=after, limit=limit)]


@router.get("/incidents/{int:number}/members", summary="The meters frozen at an incident's opening or close")
def members(request: HttpRequest, number: int, at_close: bool = False) -> list[dict[str, Any]]:
    """Ids and serial numbers."""
    ids = incidents.members(number, at_close=at_close).tolist()
    serials = inventory.serials_of(ids)
    return [{"end_device_id": i, "meter": serials.get(i, str(i))} for i in ids]


@router.get("/incidents/{int:number}/similar", summary="What was done last time")
def similar(request: HttpRequest, number: int) -> list[dict[str, Any]]:
    """Past incidents at the same place or of the same meters, most telling first."""
    return [asdict(one) for one in incidents.similar_incidents(number, now=utc_now())]


@router.get("/incidents/{int:number}/messages", summary="Who was told of an incident")
def messages(request: HttpRequest, number: int) -> list[dict[str, Any]]:
    """Newest first, with what became of each."""
    return [asdict(one) for one in incidents.list_messages(number)]


# --- acting ---------------------------------------------------------------------------------------------------------


@router.post("/incidents/acknowledge", response={204: None}, summary="Acknowledge incidents")
def acknowledge(request: HttpRequest, body: Acknowledgement) -> Status[None]:
    """Their escalation ends."""
    require(request, ACKNOWLEDGE)
    actor, now = actor_of(request), utc_now()
    incidents.bulk(
        body.numbers,
        lambda n: incidents.acknowledge_incident(number=n, actor=actor, at=now, note_text=body.note),
    )
    return Status(204, None)


@router.post("/incidents/assign", response={204: None}, summary="Assign incidents")
def assign(request: HttpRequest, body: Assignment) -> Status[None]:
    """To a person, a team or both."""
    require(request, WORK)
    actor, now = actor_of(request), utc_now()
    incidents.bulk(
        body.numbers,
        lambda n: incidents.assign_incident(number=n, owner=body.owner, team=body.team, actor=actor, at=now),
    )
    return Status(204, None)


@router.post("/incidents/close", response={204: None}, summary="Close incidents")
def close(request: HttpRequest, body: BulkReason) -> Status[None]:
    """Those that are resolved, or were none at all."""
    require(request, WORK)
    actor, now = actor_of(request), utc_now()
    incidents.bulk(body.numbers, lambda n: incidents.close_incident(number=n, reason=body.reason, actor=actor, at=now))
    return Status(204, None)


@router.post("/incidents/{int:number}/notes", response={204: None}, summary="Write into an incident's timeline")
def add_note(request: HttpRequest, number: int, body: NoteBody) -> Status[None]:
    """With name and time."""
    require(request, ACKNOWLEDGE)
    incidents.add_note(number=number, text=body.text, actor=actor_of(request), at=utc_now())
    return Status(204, None)


@router.post("/incidents/{int:number}/start", response={204: None}, summary="Work on an incident")
def start(request: HttpRequest, number: int) -> Status[None]:
    """Where nobody owns it, the caller does from now on."""
    require(request, WORK)
    incidents.start_work(number=number, actor=actor_of(request), at=utc_now())
    return Status(204, None)


@router.post("/incidents/{int:number}/pending", response={204: None}, summary="Let an incident wait")
def pending(request: HttpRequest, number: int, body: PendingBody) -> Status[None]:
    """For something outside."""
    require(request, WORK)
    incidents.set_pending(number=number, reason=body.reason, until=body.until, actor=actor_of(request), at=utc_now())
    return Status(204, None)


@router.post("/incidents/{int:number}/resolve", response={204: None}, summary="Resolve an incident")
def resolve(request: HttpRequest, number: int, body: ResolutionBody) -> Status[None]:
    """An outage needs meters that answer since the clear, or `in_spite_of`."""
    require(request, WORK)
    incidents.resolve_incident(
        number=number,
        resolution=body.resolution,
        in_spite_of=body.in_spite_of,
        actor=actor_of(request),
        at=utc_now(),
    )
    return Status(204, None)


@router.post("/incidents/{int:number}/reopen", response={204: None}, summary="Reopen an incident")
def reopen(request: HttpRequest, number: int, body: ReasonBody) -> Status[None]:
    """It comes back into the queue, unacknowledged."""
    require(request, WORK)
    incidents.reopen_incident(number=number, reason=body.reason, actor=actor_of(request), at=utc_now())
    return Status(204, None)


@router.post("/incidents/{int:number}/merge", response={204: None}, summary="Merge incidents into this one")
def merge(request: HttpRequest, number: int, body: MergeBody) -> Status[None]:
    """They follow it from now on."""
    require(request, MERGE)
    incidents.merge_incidents(
        into=number, numbers=body.numbers, reason=body.reason, actor=actor_of(request), at=utc_now()
    )
    return Status(204, None)


@router.post("/incidents/{int:number}/unmerge", response={204: None}, summary="Take an incident out of another")
def unmerge(request: HttpRequest, number: int, body: ReasonBody) -> Status[None]:
    """It stands for itself again."""
    require(request, MERGE)
    incidents.unmerge_incident(number=number, reason=body.reason, actor=actor_of(request), at=utc_now())
    return Status(204, None)


@router.post("/incidents/{int:number}/split", response={201: dict[str, int]}, summary="Split a node off")
def split(request: HttpRequest, number: int, body: SplitBody) -> Status[dict[str, int]]:
    """It gets an incident of its own, with those of its meters that are members."""
    require(request, MERGE)
    fresh = incidents.split_incident(
        number=number, node=body.node, reason=body.reason, actor=actor_of(request), at=utc_now()
    )
    return Status(201, {"number": fresh})


@router.post("/incidents/{int:number}/major", response={204: None}, summary="Declare a major incident")
def major(request: HttpRequest, number: int, body: ReasonBody) -> Status[None]:
    """P1 from now on."""
    require(request, MAJOR)
    incidents.declare_major(number=number, reason=body.reason, actor=actor_of(request), at=utc_now())
    return Status(204, None)


@router.post("/incidents/{int:number}/planned-work", response={201: dict[str, int]}, summary="Plan the repair")
def plan_work(request: HttpRequest, number: int, body: PlannedWorkBody) -> Status[dict[str, int]]:
    """Nothing new is opened below the node meanwhile, and the incident waits. Hiding meters takes the permission for that."""
    require(request, WORK)
    require(request, PLAN)
    work = incidents.plan_work_on_incident(
        number=number,
        starts_at=body.starts_at,
        ends_at=body.ends_at,
        reason=body.reason,
        actor=actor_of(request),
        at=utc_now(),
    )
    return Status(201, {"work": work})


@router.post(
    "/incidents/{int:number}/power-check", response={202: OperationStarted}, summary="Ask an incident's meters"
)
def check_power(request: HttpRequest, number: int) -> Status[dict[str, UUID]]:
    """Whether they have supply; ask `/power-checks/{operation}` for what they said."""
    require(request, CHECK)
    return Status(202, {"operation": incidents.check_power(number=number, actor=actor_of(request), at=utc_now())})


# --- work orders ----------------------------------------------------------------------------------------------------


@router.get("/work-orders", summary="Work orders, newest first")
def list_work_orders(
    request: HttpRequest,
    incident: int | None = None,
    state: incidents.WorkOrderState | None = None,
    limit: Annotated[int, Query(ge=1, le=5000)] = 200,
) -> list[dict[str, Any]]:
    """Of an incident, in a state, or all."""
    return [asdict(one) for one in incidents.list_work_orders(incident=incident, state=state, limit=limit)]


@router.get("/work-orders.csv", summary="Work orders as CSV")
def work_orders_csv(
    request: HttpRequest, incident: int | None = None, state: incidents.WorkOrderState | None = None
) -> HttpResponse:
    """With a heading."""
    text = incidents.export_csv(incidents.list_work_orders(incident=incident, state=state, limit=100_000))
    return HttpResponse(
        text,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="work-orders.csv"'},
    )


@router.post("/work-orders", response={201: dict[str, UUID]}, summary="Make a work order")
def create_work_order(request: HttpRequest, body: WorkOrderBody) -> Status[dict[str, UUID]]:
    """With `send` it goes to the systems that send crews at once."""
    require(request, ORDERS)
    by_serial = inventory.ids_by_serial(body.meters)
    if missing := sorted(set(body.meters) - set(by_serial)):
        raise incidents.WorkOrderNotValid(f"No end device is known as {', '.join(missing[:10])}.")
    make = partial(incidents.create_work_order, incident=body.incident, title=body.title, node=body.node)
    order = make(
        instructions=body.instructions,
        meters=sorted(by_serial.values()),
        crew=body.crew,
        due_at=body.due_at,
        send=body.send,
        actor=actor_of(request),
        at=utc_now(),
    )
    return Status(201, {"id": order})


@router.get("/work-orders/{work_order_id}", summary="One work order")
def get_work_order(request: HttpRequest, work_order_id: UUID) -> dict[str, Any]:
    """With the serial numbers of its meters."""
    return incidents.export_json(work_order_id)


@router.patch("/work-orders/{work_order_id}", summary="Say how a work order stands")
def update_work_order(request: HttpRequest, work_order_id: UUID, body: WorkOrderNews) -> dict[str, Any]:
    """For people and for the system that does the work; the same news twice changes nothing."""
    require(request, ORDERS)
    incidents.update_work_order(
        work_order_id=work_order_id,
        state=body.state,
        crew=body.crew,
        external_id=body.external_id,
        external_url=body.external_url,
        note_text=body.note,
        actor=actor_of(request),
        at=utc_now(),
    )
    return incidents.export_json(work_order_id)


@router.post("/work-orders/{work_order_id}/send", response={204: None}, summary="Send a draft")
def send_work_order(request: HttpRequest, work_order_id: UUID) -> Status[None]:
    """To every channel for work orders."""
    require(request, ORDERS)
    incidents.send_work_order(work_order_id=work_order_id, actor=actor_of(request), at=utc_now())
    return Status(204, None)


# --- who is told ----------------------------------------------------------------------------------------------------


@router.get("/channels", summary="Channels and how they do")
def list_channels(request: HttpRequest) -> list[dict[str, Any]]:
    """Never their addresses."""
    return [asdict(one) for one in incidents.list_channels()]


@router.put("/channels/{name}", response={204: None}, summary="Create or change a channel")
def put_channel(request: HttpRequest, name: str, body: ChannelBody) -> Status[None]:
    """Quiet hours need both ends."""
    require(request, MANAGE)
    if (body.quiet_from is None) != (body.quiet_until is None):
        raise incidents.ChannelNotValid(f"The channel {name} is not saved: quiet hours have a start and an end.")
    quiet = (
        (body.quiet_from, body.quiet_until) if body.quiet_from is not None and body.quiet_until is not None else None
    )
    incidents.save_channel(
        name=name,
        sort=body.sort,
        address=body.address,
        secret=body.secret,
        priorities=body.priorities,
        quiet=quiet,
        quiet_through=body.quiet_through,
        enabled=body.enabled,
        actor=actor_of(request),
        at=utc_now(),
    )
    return Status(204, None)


@router.delete("/channels/{name}", response={204: None}, summary="Remove a channel")
def delete_channel(request: HttpRequest, name: str) -> Status[None]:
    """With its messages."""
    require(request, MANAGE)
    incidents.delete_channel(name=name, actor=actor_of(request), at=utc_now())
    return Status(204, None)


@router.post("/channels/{name}/test", summary="Try a channel")
def try_channel(request: HttpRequest, name: str) -> dict[str, Any]:
    """Sends a test message at once and says what went wrong."""
    require(request, MANAGE)
    error = incidents.test_channel(name=name, actor=actor_of(request))
    return {"sent": not error, "error": error}


@router.get("/escalation-policies", summary="Escalation policies")
def list_policies(request: HttpRequest) -> list[dict[str, Any]]:
    """With their steps."""
    return [asdict(one) for one in incidents.list_policies()]


@router.put("/escalation-policies/{name}", response={204: None}, summary="Create or change an escalation policy")
def put_policy(request: HttpRequest, name: str, body: PolicyBody) -> Status[None]:
    """Chains under way keep the steps they started with."""
    require(request, MANAGE)
    incidents.save_policy(
        name=name,
        priorities=body.priorities,
        steps=[step.dict() for step in body.steps],
        enabled=body.enabled,
        actor=actor_of(request),
        at=utc_now(),
    )
    return Status(204, None)


@router.put("/message-templates/{occasion}", response={204: None}, summary="Change the words of messages")
def put_template(request: HttpRequest, occasion: str, body: TemplateBody) -> Status[None]:
    """Django's template language, without tags that reach outside."""
    require(request, MANAGE)
    incidents.save_template(
        occasion=occasion, subject=body.subject, body=body.body, actor=actor_of(request), at=utc_now()
    )
    return Status(204, None)


@router.get("/incident-settings", summary="What is decided about incidents")
def get_settings(request: HttpRequest) -> dict[str, Any]:
    """With the defaults where nothing is."""
    return asdict(incidents.configuration())


@router.patch("/incident-settings", summary="Decide otherwise")
def patch_settings(request: HttpRequest, body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
    """What is not given stays."""
    require(request, MANAGE)
    return asdict(incidents.save_configuration(values=body, actor=actor_of(request), at=utc_now()))
