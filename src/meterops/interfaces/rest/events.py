"""Endpoints on events: what devices said, alarms, situations, planned work, the load of alarms."""

from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from meterops.fleet.inventory import api as inventory
from meterops.interfaces.rest.authentication import actor_of, require
from meterops.interfaces.rest.reading import PeriodNotValid
from meterops.kernel.clock import utc_now
from meterops.kernel.interval import Interval
from meterops.practices.events import api as events

router = Router()
ACKNOWLEDGE = "events.acknowledge_alarms"
SHELVE = "events.shelve_alarms"
PLAN = "events.plan_work"
Limit = Annotated[int, Query(ge=1, le=1000)]


class AlarmIds(Schema):
    """The alarms that are meant; all of them or none."""

    alarms: list[int] = Field(min_length=1, max_length=1000)


class ShelvingBody(AlarmIds):
    """Until when, and why."""

    until: datetime
    reason: str = Field(min_length=1, max_length=300)


class PlannedWorkBody(Schema):
    """Work on a node during [starts_at, ends_at)."""

    node: str = Field(min_length=1, max_length=100)
    starts_at: datetime
    ends_at: datetime
    reason: str = Field(min_length=1, max_length=300)


class Cancellation(Schema):
    """Why."""

    reason: str = Field(default="", max_length=300)


@router.get("/events", summary="Device events in words, newest first")
def list_events(
    request: HttpRequest,
    meter: str = "",
    type: str = "",  # noqa: A002  the name callers use
    code: int | None = None,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    limit: Limit = 100,
) -> list[dict[str, Any]]:
    """Of the last day when no time is given; unknown codes and unknown meters are among them."""
    until = ends_at or utc_now() + timedelta(days=1)
    since = starts_at or until - timedelta(days=2)
    if since.tzinfo is None or until.tzinfo is None or since >= until:
        raise PeriodNotValid("A period has a time zone and ends after it starts.")
    events.check_event_type(type)
    found = events.explore_events(
        end_device_id=inventory.get_end_device(meter).id if meter else None,
        code=code,
        event_type=type,
        period=Interval(since, until),
        limit=limit,
    )
    return [asdict(one) for one in found]


@router.get("/alarms", summary="Alarms, a page at a time")
def list_alarms(
    request: HttpRequest,
    state: str = "ACTIVE",
    type: str = "",  # noqa: A002  the name callers use
    severity: str = "",
    meter: str = "",
    security: bool | None = None,
    shelved: bool | None = False,
    after: str = "",
    limit: Limit = 100,
) -> dict[str, Any]:
    """The newest raised first; `after` of an answer asks for the next page."""
    wanted = events.AlarmFilter(
        state=state,
        event_type=type,
        severity=severity,
        end_device_id=inventory.get_end_device(meter).id if meter else None,
        is_security=security,
        shelved=shelved,
    ).checked()
    return asdict(events.list_alarms(wanted, after=after, limit=limit))


@router.get("/alarms/health", summary="The load of alarms")
def alarm_health(request: HttpRequest, positions: Annotated[int, Query(ge=1, le=100)] = 1) -> dict[str, Any]:
    """By the figures of ISA-18.2 and EEMUA 191, per operator position, over the last day."""
    return asdict(events.alarm_health(now=utc_now(), positions=positions))


@router.get("/alarms/counters", summary="Events received by day and type")
def counters(request: HttpRequest, first_day: date, type: str = "") -> list[dict[str, Any]]:  # noqa: A002
    """With how many of them were exact repetitions."""
    return [asdict(one) for one in events.daily_counters(first_day=first_day, event_type=type)]


@router.get("/alarms/noisy", summary="Devices that raised most alarms")
def noisy(request: HttpRequest, since: datetime, limit: Limit = 20) -> list[dict[str, Any]]:
    """Since a time."""
    if since.tzinfo is None:
        raise PeriodNotValid("The time has a time zone.")
    return [asdict(one) for one in events.noisy_devices(since=since, limit=limit)]


@router.post("/alarms/acknowledge", summary="Acknowledge alarms")
def acknowledge(request: HttpRequest, body: AlarmIds) -> dict[str, int]:
    """Returns how many were not acknowledged before."""
    require(request, ACKNOWLEDGE)
    done = events.acknowledge_alarms(alarm_ids=body.alarms, actor=actor_of(request), at=utc_now())
    return {"acknowledged": done}


@router.post("/alarms/shelve", summary="Shelve alarms until a time")
def shelve(request: HttpRequest, body: ShelvingBody) -> dict[str, int]:
    """At most a week."""
    require(request, SHELVE)
    done = events.shelve_alarms(
        alarm_ids=body.alarms, until=body.until, reason=body.reason, actor=actor_of(request), at=utc_now()
    )
    return {"shelved": done}


@router.post("/alarms/unshelve", summary="Put shelved alarms back in line")
def unshelve(request: HttpRequest, body: AlarmIds) -> dict[str, int]:
    """Before their time."""
    require(request, SHELVE)
    return {"unshelved": events.unshelve_alarms(alarm_ids=body.alarms, actor=actor_of(request), at=utc_now())}


@router.get("/situations", summary="Situations, newest first")
def list_situations(
    request: HttpRequest, state: str = "OPEN", kind: str = "", limit: Limit = 200
) -> list[dict[str, Any]]:
    """Open ones unless another state is asked for."""
    return [
        {**asdict(one), "sentence": one.sentence} for one in events.list_situations(state=state, kind=kind, limit=limit)
    ]


@router.get("/situations/{situation_id}", summary="One situation and why it is one")
def get_situation(request: HttpRequest, situation_id: str) -> dict[str, Any]:
    """Its figures, both scores and its sentence."""
    found = events.get_situation(situation_id)
    return {**asdict(found), "sentence": found.sentence}


@router.get("/situations/{situation_id}/members", summary="The meters below an open situation's root")
def situation_members(request: HttpRequest, situation_id: str) -> dict[str, list[int]]:
    """Ids by what is known of them: heard, silent, answered, rest."""
    found = events.situation_members(situation_id)
    return {name: getattr(found, name).tolist() for name in ("heard", "silent", "answered", "rest")}


@router.get("/planned-work", summary="Planned work, the next first")
def list_planned_work(request: HttpRequest, include_over: bool = False) -> list[dict[str, Any]]:
    """What goes on or is to come."""
    return [asdict(one) for one in events.list_planned_work(now=utc_now(), include_over=include_over)]


@router.post("/planned-work", response={201: dict[str, int]}, summary="Plan work on a node")
def plan_work(request: HttpRequest, body: PlannedWorkBody) -> Status[dict[str, int]]:
    """Nothing is opened below it meanwhile."""
    require(request, PLAN)
    number = events.plan_work(
        node_mrid=body.node,
        starts_at=body.starts_at,
        ends_at=body.ends_at,
        reason=body.reason,
        actor=actor_of(request),
        at=utc_now(),
    )
    return Status(201, {"number": number})


@router.post("/planned-work/{number}/cancel", response={204: None}, summary="Cancel planned work")
def cancel_planned_work(request: HttpRequest, number: int, body: Cancellation) -> Status[None]:
    """What stands below its node is then looked at."""
    require(request, PLAN)
    events.cancel_planned_work(work_id=number, actor=actor_of(request), at=utc_now(), reason=body.reason)
    return Status(204, None)
