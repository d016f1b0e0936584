"""Schedules and operations as lines of a table."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from meterops.fleet.headend.api import ALL_CONTENTS, OperationState, OperationView, ScheduleView
from meterops.interfaces.console.session_lines import lane_name

DAY_S = 86_400
STATE_MARKS = {
    OperationState.RUNNING: "running",
    OperationState.COMPLETED: "ok",
    OperationState.EXPIRED: "waiting",
    OperationState.CANCELLED: "paused",
}


@dataclass(frozen=True, slots=True)
class OperationLine:
    """An operation as the tables show it; shares are of one."""

    id: UUID
    title: str
    requested_by: str
    lane_name: str
    reads: str
    state: OperationState
    mark: str
    created_at: datetime
    deadline_at: datetime
    finished_at: datetime | None
    slot_at: datetime | None
    caught_up: bool
    routes: int
    routes_done: int
    total: int
    succeeded: int
    failed: int
    outstanding: int
    share_succeeded: float
    share_failed: float

    @property
    def took(self) -> timedelta | None:
        """From its start to its end."""
        return None if self.finished_at is None else self.finished_at - self.created_at


@dataclass(frozen=True, slots=True)
class ScheduleLine:
    """A schedule as the tables show it."""

    id: int
    name: str
    enabled: bool
    contents: tuple[str, ...]
    reads: str
    when: str
    lookback_s: int
    next_slot_at: datetime | None
    last_operation: OperationLine | None


def operation_line(view: OperationView) -> OperationLine:
    """The line of an operation."""
    return OperationLine(
        id=view.id,
        title=view.title,
        requested_by=view.requested_by,
        lane_name=lane_name(view.lane),
        reads=content_words(view.contents),
        state=view.state,
        mark=_mark(view),
        created_at=view.created_at,
        deadline_at=view.deadline_at,
        finished_at=view.finished_at,
        slot_at=view.slot_at,
        caught_up=view.first_slot_at is not None and view.first_slot_at != view.slot_at,
        routes=view.routes,
        routes_done=view.routes_done,
        total=view.total,
        succeeded=view.succeeded,
        failed=view.failed,
        outstanding=view.outstanding,
        share_succeeded=view.succeeded / view.total if view.total else 0.0,
        share_failed=view.failed / view.total if view.total else 0.0,
    )


def _mark(view: OperationView) -> str:
    if view.state is OperationState.COMPLETED and view.failed and not view.succeeded:
        return "failed"
    return STATE_MARKS[view.state]


def schedule_line(view: ScheduleView) -> ScheduleLine:
    """The line of a schedule."""
    return ScheduleLine(
        id=view.id,
        name=view.name,
        enabled=view.enabled,
        contents=view.contents,
        reads=content_words(view.contents),
        when=cadence_words(view.period_s, view.offset_s, in_local_time=view.in_local_time),
        lookback_s=view.lookback_s,
        next_slot_at=view.next_slot_at,
        last_operation=operation_line(view.last_operation) if view.last_operation else None,
    )


def content_words(contents: Iterable[str]) -> str:
    """The contents as a list of words."""
    contents = list(contents)
    if set(contents) >= {str(content) for content in ALL_CONTENTS}:
        return "everything"
    return ", ".join(str(content).replace("_", " ") for content in contents)


def cadence_words(period_s: int, offset_s: int, *, in_local_time: bool) -> str:
    """When a schedule is due, in words."""
    if period_s == DAY_S:
        hour, rest = divmod(offset_s, 3600)
        return f"daily at {hour:02d}:{rest // 60:02d}{'' if in_local_time else ' UTC'}"
    every = _length(period_s)
    return f"every {every}, {_length(offset_s)} past" if offset_s else f"every {every}"


def _length(seconds: int) -> str:
    for unit, name in ((DAY_S, "days"), (3600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"
