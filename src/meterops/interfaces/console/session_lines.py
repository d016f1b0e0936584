"""Sessions as lines of a table: names instead of ids, words instead of numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from meterops.fleet.headend.api import Lane
from meterops.fleet.inventory import api as inventory
from meterops.fleet.telemetry.api import SessionRow

LANE_NAMES = {
    Lane.CONTROL: "control",
    Lane.ON_DEMAND: "on demand",
    Lane.OUTAGE_CHECK: "outage check",
    Lane.SCHEDULED_READ: "scheduled",
    Lane.CONFIGURATION: "configuration",
    Lane.FIRMWARE: "firmware",
}


@dataclass(frozen=True, slots=True)
class SessionLine:
    """A session as the tables show it."""

    key: str
    started_at: datetime
    end_device_id: int
    serial: str
    route_name: str
    mark: str
    outcome: str
    lane_name: str
    duration_ms: int
    round_trips: int
    apdus: int
    bytes_sent: int
    bytes_received: int
    readings: int
    attempt: int
    clock_drift_ms: int | None
    error_detail: str


def lane_name(lane: int) -> str:
    """What people call a lane."""
    return LANE_NAMES[Lane(lane)] if lane in LANE_NAMES else str(lane)


def session_lines(rows: Sequence[SessionRow]) -> list[SessionLine]:
    """The lines of these sessions, with two queries however many there are."""
    serials = inventory.serials_of({row.end_device_id for row in rows})
    routes = route_names(row.route_id for row in rows)
    return [_line(row, serials, routes) for row in rows]


def route_names(ids: Iterable[int]) -> dict[int, str]:
    """What these routes are called."""
    return {pk: item.title for pk, item in inventory.list_items({pk for pk in ids if pk}).items()}


def _line(row: SessionRow, serials: dict[int, str], routes: dict[int, str]) -> SessionLine:
    return SessionLine(
        key=f"{row.end_device_id}-{int(row.started_at.timestamp() * 1000)}",
        started_at=row.started_at,
        end_device_id=row.end_device_id,
        serial=serials.get(row.end_device_id, f"meter {row.end_device_id}"),
        route_name=routes.get(row.route_id, "–"),
        mark="ok" if row.succeeded else "failed",
        outcome="read" if row.succeeded else row.error_class,
        lane_name=lane_name(row.lane),
        duration_ms=row.duration_ms,
        round_trips=row.round_trips,
        apdus=row.apdus,
        bytes_sent=row.bytes_sent,
        bytes_received=row.bytes_received,
        readings=row.readings,
        attempt=row.attempt,
        clock_drift_ms=row.clock_drift_ms,
        error_detail=row.error_detail,
    )
