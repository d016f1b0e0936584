"""Endpoints on power checks: ask many meters whether they have supply."""

from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from meterops.fleet.headend import api as headend
from meterops.fleet.inventory import api as inventory
from meterops.interfaces.rest.authentication import actor_of, require
from meterops.interfaces.rest.reading import OperationStarted
from meterops.kernel.clock import utc_now
from meterops.kernel.refusal import Refusal

router = Router()


class PowerCheckNotValid(Refusal):
    """A power check names meters or nodes."""


class PowerCheckRequest(Schema):
    """Whom to ask: meters by serial number, mRID or id, or everything below nodes."""

    meters: list[str] = Field(default=[], max_length=50_000)
    nodes: list[str] = Field(default=[], max_length=100, description="mRIDs of nodes of either tree.")
    reason: str = Field(default="", max_length=1000)


@router.post("/power-checks", response={202: OperationStarted}, summary="Ask meters whether they have supply")
def request_power_check(request: HttpRequest, body: PowerCheckRequest) -> Status[dict[str, UUID]]:
    """Overtakes scheduled work. Answers at once; ask `/power-checks/{operation}` for what they said."""
    require(request, "headend.check_power")
    ids, unknown = _resolve(body)
    operation = headend.request_power_check(
        end_device_ids=ids, unknown=unknown, actor=actor_of(request), at=utc_now(), reason=body.reason
    )
    return Status(202, {"operation": operation})


def _resolve(body: PowerCheckRequest) -> tuple[set[int], list[str]]:
    if not body.meters and not body.nodes:
        raise PowerCheckNotValid
    ids: set[int] = set()
    if body.nodes:
        below = inventory.EndDeviceFilter(under=tuple(body.nodes)).checked()
        ids |= set(inventory.ids_of_end_devices(below).tolist())
    by_serial = inventory.ids_by_serial(body.meters)
    ids |= set(by_serial.values())
    unknown = []
    for name in body.meters:
        if name not in by_serial:
            device = inventory.find_end_device(name)
            if device is None:
                unknown.append(name)
            else:
                ids.add(device.id)
    return ids, unknown


@router.get("/power-checks/{operation_id}", summary="How a power check stands")
def get_power_check(request: HttpRequest, operation_id: UUID) -> dict[str, Any]:
    """How many meters gave which of the five answers, and how many have none yet."""
    return asdict(headend.get_power_check(operation_id, now=utc_now()))


@router.get("/power-checks/{operation_id}/answers", summary="What each meter answered")
def power_check_answers(
    request: HttpRequest,
    operation_id: UUID,
    answer: headend.SupplyAnswer | None = None,
    limit: Annotated[int, Query(ge=1, le=50_000)] = 1000,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> list[dict[str, Any]]:
    """Ascending by end device id; `answer` null is one that is not there yet, `voltage_v` null where none was read."""
    found = headend.power_check_answers(operation_id, now=utc_now())
    rows = [
        (i, None if code < 0 else headend.ANSWERS[code], volts, error)
        for i, code, volts, error in zip(
            found.end_device_id.tolist(),
            found.answer.tolist(),
            found.voltage.tolist(),
            found.error.tolist(),
            strict=True,
        )
        if answer is None or (code >= 0 and headend.ANSWERS[code] == answer)
    ][offset : offset + limit]
    serials = inventory.serials_of([row[0] for row in rows])
    return [
        {
            "end_device_id": i,
            "meter": serials.get(i, str(i)),
            "answer": said,
            "voltage_v": volts if volts == volts else None,
            "error": error,
        }
        for i, said, volts, error in rows
    ]
