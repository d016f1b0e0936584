"""Endpoints on reading: operations, schedules, sessions, readings, processes."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from meterops.fleet.headend import api as headend
from meterops.fleet.inventory import api as inventory
from meterops.fleet.telemetry import api as telemetry
from meterops.interfaces.rest.authentication import actor_of, require
from meterops.interfaces.rest.inventory import get_device
from meterops.kernel import beats
from meterops.kernel.clock import utc_now
from meterops.kernel.interval import Interval
from meterops.kernel.refusal import Refusal

router = Router()
LONGEST_PROFILE = timedelta(days=400)


class PeriodNotValid(Refusal):
    """The period ends before it starts, or is too long."""


class ReadingTypeUnknown(Refusal):
    """There is no such reading type."""


class ReadRequest(Schema):
    """Which meters to read now, and what."""

    meters: list[str] = Field(min_length=1, max_length=10_000, description="Serial numbers, mRIDs or ids.")
    contents: list[headend.Content] = Field(default=list(headend.ALL_CONTENTS))


class OperationStarted(Schema):
    """Where to ask how it goes."""

    operation: UUID


class ScheduleBody(Schema):
    """A schedule's settings; times in seconds."""

    contents: list[headend.Content] = Field(min_length=1)
    period_s: int = Field(ge=10)
    offset_s: int = Field(default=0, ge=0)
    in_local_time: bool = False
    window_s: int = Field(default=3600, ge=10)
    lookback_s: int = Field(default=259_200, ge=0)


class Reason(Schema):
    """Why, for the audit log."""

    reason: str = Field(default="", max_length=1000)


@router.post("/reads", response={202: OperationStarted}, summary="Read meters now")
def request_read(request: HttpRequest, body: ReadRequest) -> Status[dict[str, UUID]]:
    """Read meters ahead of scheduled work. Answers at once; ask `/operations/{id}/result` for what they said."""
    require(request, "headend.read_on_demand")
    ids = [get_device(name).id for name in body.meters]
    operation = headend.request_read(
        end_device_ids=ids, actor=actor_of(request), at=utc_now(), contents=headend.in_session_order(body.contents)
    )
    return Status(202, {"operation": operation})


@router.get("/operations", summary="Operations, newest first")
def list_operations(
    request: HttpRequest,
    schedule: str = "",
    state: headend.OperationState | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: datetime | None = None,
) -> list[dict[str, Any]]:
    """`before` (a `created_at`) pages on."""
    found = headend.list_operations(schedule=schedule, state=state, limit=limit, before=before)
    return [asdict(one) for one in found]


@router.get("/operations/{operation_id}", summary="One operation with its errors")
def get_operation(request: HttpRequest, operation_id: UUID) -> dict[str, Any]:
    """How far it is and why meters failed."""
    return {**asdict(headend.get_operation(operation_id)), "errors": headend.error_counts(operation_id)}


@router.get("/operations/{operation_id}/routes", summary="An operation's routes")
def list_route_jobs(
    request: HttpRequest, operation_id: UUID, limit: Annotated[int, Query(ge=1, le=20_000)] = 500
) -> list[dict[str, Any]]:
    """Those with failures first."""
    headend.get_operation(operation_id)
    return [asdict(one) for one in headend.list_route_jobs(operation_id, limit=limit)]


@router.get("/operations/{operation_id}/result", summary="What the meters of a requested read answered")
def operation_result(request: HttpRequest, operation_id: UUID) -> dict[str, Any]:
    """`results` has one entry per end device id, as they come in."""
    return asdict(headend.operation_result(operation_id))


@router.post("/operations/{operation_id}/cancel", response={204: None}, summary="End an operation")
def cancel_operation(request: HttpRequest, operation_id: UUID, body: Reason) -> Status[None]:
    """No further session begins."""
    require(request, "headend.cancel_operations")
    headend.cancel_operation(operation_id=operation_id, actor=actor_of(request), at=utc_now(), reason=body.reason)
    return Status(204, None)


@router.get("/schedules", summary="Every schedule")
def list_schedules(request: HttpRequest) -> list[dict[str, Any]]:
    """With the next slot and how the last one went."""
    return [asdict(one) for one in headend.list_schedules(now=utc_now())]


@router.put("/schedules/{name}", summary="Create or change a schedule")
def put_schedule(request: HttpRequest, name: str, body: ScheduleBody) -> dict[str, Any]:
    """Its first slot is the first one after now."""
    require(request, "headend.manage_schedules")
    now = utc_now()
    settings = body.dict() | {"contents": headend.in_session_order(body.contents)}
    wanted = headend.ScheduleSettings(name=name, **settings)
    headend.save_schedule(wanted=wanted, actor=actor_of(request), at=now)
    return asdict(headend.get_schedule(name, now=now))


@router.post("/schedules/{name}/pause", response={204: None}, summary="Pause a schedule")
def pause_schedule(request: HttpRequest, name: str, body: Reason) -> Status[None]:
    """What runs, runs on."""
    return _enable(request, name, False, body.reason)


@router.post("/schedules/{name}/resume", response={204: None}, summary="Resume a schedule")
def resume_schedule(request: HttpRequest, name: str, body: Reason) -> Status[None]:
    """It starts again with its next slot."""
    return _enable(request, name, True, body.reason)


@router.delete("/schedules/{name}", summary="Delete a schedule")
def delete_schedule(
    request: HttpRequest, name: str, while_running: bool = False, dry_run: bool = False, reason: str = ""
) -> dict[str, Any]:
    """What it has read stays. 409 while operations of it run, unless `while_running` lets them run on."""
    require(request, "headend.manage_schedules")
    running = headend.delete_schedule(
        name=name,
        actor=actor_of(request),
        at=utc_now(),
        reason=reason,
        while_running=while_running,
        dry_run=dry_run,
    )
    return {"schedule": name, "deleted": not dry_run, "operations_running": running}


def _enable(request: HttpRequest, name: str, enabled: bool, reason: str) -> Status[None]:
    require(request, "headend.manage_schedules")
    headend.set_schedule_enabled(name=name, enabled=enabled, actor=actor_of(request), at=utc_now(), reason=reason)
    return Status(204, None)


@router.get("/sessions", summary="Sessions, newest first")
def list_sessions(
    request: HttpRequest,
    meter: str | None = None,
    error_class: str = "",
    succeeded: bool | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
) -> list[dict[str, Any]]:
    """Bytes, APDUs, round trips and outcome of each."""
    end_device_id = get_device(meter).id if meter else None
    rows = telemetry.list_sessions(
        telemetry.lake(), end_device_id=end_device_id, succeeded=succeeded, error_class=error_class, limit=limit
    )
    return [asdict(one) for one in rows]


@router.get("/meters/{meter}/load-profile", summary="A meter's load profile")
def load_profile(
    request: HttpRequest,
    meter: str,
    starts_at: datetime,
    ends_at: datetime,
    reading_types: Annotated[list[int], Query()] = [101, 102],  # noqa: B006  ninja copies defaults
) -> dict[str, Any]:
    """Values by reading type with their quality; gaps are null. The period is half-open and at most 400 days long."""
    device = get_device(meter)
    unknown = [number for number in reading_types if number not in telemetry.READING_TYPES]
    if unknown:
        raise ReadingTypeUnknown(f"There is no reading type {unknown[0]}.")
    profile = telemetry.load_profile(
        telemetry.lake(), device.id, _period(starts_at, ends_at), reading_types=tuple(reading_types)
    )
    return {"meter": device.serial, **telemetry.as_plain(profile)}


@router.get("/meters/{meter}/registers", summary="A meter's newest register values")
def registers(request: HttpRequest, meter: str) -> list[dict[str, Any]]:
    """Each with the time at which it was read."""
    return [asdict(one) for one in telemetry.latest_registers(telemetry.lake(), get_device(meter).id, now=utc_now())]


@router.get("/meters/{meter}/events", summary="A meter's events")
def events(
    request: HttpRequest, meter: str, limit: Annotated[int, Query(ge=1, le=10_000)] = 100
) -> list[dict[str, Any]]:
    """Newest first."""
    return [
        asdict(one) for one in telemetry.list_events(telemetry.lake(), end_device_id=get_device(meter).id, limit=limit)
    ]


@router.get("/completeness", summary="How complete the fleet's load profile is")
def completeness(request: HttpRequest, starts_at: datetime, ends_at: datetime) -> list[dict[str, Any]]:
    """Per day: intervals expected and stored."""
    found = telemetry.fleet_completeness(
        telemetry.lake(),
        _period(starts_at, ends_at),
        expected_devices=inventory.count_end_devices(),
        now=utc_now(),
    )
    return [asdict(one) for one in found]


@router.get("/pushes", summary="What became of what meters pushed")
def pushes(request: HttpRequest, hours: Annotated[float, Query(gt=0, le=24 * 90)] = 24.0) -> dict[str, Any]:
    """Frames by outcome, and what each listener turned away since it started."""
    now = utc_now()
    return asdict(headend.push_report(telemetry.lake(), since=now - timedelta(hours=hours), now=now))


@router.get("/pushes/frames", summary="Pushed frames")
def push_frames(
    request: HttpRequest, outcome: str = "", meter: str = "", limit: Annotated[int, Query(ge=1, le=10_000)] = 100
) -> list[dict[str, Any]]:
    """Newest first, whatever became of them; `payload` is the frame in hexadecimal."""
    headend.check_outcome(outcome)
    device = get_device(meter).id if meter else None
    found = telemetry.list_notifications(telemetry.lake(), end_device_id=device, outcome=outcome, limit=limit)
    return [{**asdict(one), "payload": one.payload.hex()} for one in found]


@router.get("/processes", summary="Which processes live")
def processes(request: HttpRequest) -> list[dict[str, Any]]:
    """What each last said of itself."""
    return [asdict(one) for one in beats.list_processes()]


def _period(starts_at: datetime, ends_at: datetime) -> Interval:
    if starts_at.tzinfo is None or ends_at.tzinfo is None or not starts_at < ends_at <= starts_at + LONGEST_PROFILE:
        raise PeriodNotValid("A period has a time zone, ends after it starts and is at most 400 days long.")
    return Interval(starts_at, ends_at)
