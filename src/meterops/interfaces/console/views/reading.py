"""Schedules, operations and sessions: what is read by itself, what was asked for, and what became of it."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from meterops.fleet.headend import api as headend
from meterops.fleet.headend.api import ErrorClass, OperationState
from meterops.fleet.inventory import api as inventory
from meterops.fleet.telemetry import api as telemetry
from meterops.interfaces.console.local_days import parse_day, period_of, today
from meterops.interfaces.console.operation_lines import operation_line, schedule_line
from meterops.interfaces.console.pages import actor_of, may, page, signed_in, user_of
from meterops.interfaces.console.session_lines import route_names, session_lines
from meterops.kernel.clock import utc_now
from meterops.kernel.interval import Interval
from meterops.kernel.refusal import Refusal

MANAGE = "headend.manage_schedules"
CANCEL = "headend.cancel_operations"
OPERATIONS = 50
SESSIONS = 100
ROUTES = 500
SUMMARY = timedelta(hours=24)


@signed_in
@require_GET
def reading(request: HttpRequest) -> HttpResponse:
    """Every schedule, and the operations."""
    may_manage = user_of(request).has_perm(MANAGE)

    def schedules() -> dict[str, object]:
        return {"schedules": [schedule_line(one) for one in headend.list_schedules(now=utc_now())]}

    def operations() -> dict[str, object]:
        found = headend.list_operations(limit=OPERATIONS)
        ordered = sorted(found, key=lambda one: one.state is not OperationState.RUNNING)
        return {"operations": [operation_line(one) for one in ordered]}

    return page(request, "reading", {"schedules": schedules, "operations": operations}, may_manage=may_manage)


@may(MANAGE)
@require_POST
def set_enabled(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """Pause or resume a schedule."""
    now = utc_now()
    names = [one.name for one in headend.list_schedules(now=now) if one.id == schedule_id]
    if not names:
        raise Http404
    enabled = request.POST.get("enabled") == "1"
    reason = request.POST.get("reason", "").strip()[:300]
    if not reason:
        messages.error(request, "Say why: the reason goes into the audit log.")
        return redirect("console:reading")
    headend.set_schedule_enabled(name=names[0], enabled=enabled, actor=actor_of(request), at=now, reason=reason)
    messages.success(request, f"{names[0]} is {'resumed' if enabled else 'paused'}.")
    return redirect("console:reading")


@dataclass(frozen=True, slots=True)
class RouteLine:
    """One route's part of an operation."""

    route_id: int
    name: str
    mark: str
    state: str
    total: int
    succeeded: int
    failed: int
    share_succeeded: float
    share_failed: float
    why: str
    started_at: datetime | None
    finished_at: datetime | None


@signed_in
@require_GET
def operation(request: HttpRequest, operation_id: UUID) -> HttpResponse:
    """One operation, route by route."""
    line = operation_line(_operation(operation_id))

    def summary() -> dict[str, object]:
        return {"errors": headend.error_counts(operation_id)}

    def routes() -> dict[str, object]:
        jobs = headend.list_route_jobs(operation_id)
        names = route_names(job.route_id for job in jobs)
        return {"routes": [_route_line(job, names) for job in jobs]}

    may_cancel = user_of(request).has_perm(CANCEL)
    return page(request, "operation", {"summary": summary, "routes": routes}, operation=line, may_cancel=may_cancel)


def _operation(operation_id: UUID) -> headend.OperationView:
    try:
        return headend.get_operation(operation_id)
    except headend.OperationUnknown as refusal:
        raise Http404(str(refusal)) from refusal


def _route_line(job: headend.RouteJobView, names: dict[int, str]) -> RouteLine:
    if job.finished_at is not None:
        state, mark = "through", "failed" if job.failed and not job.succeeded else "ok"
    elif job.started_at is not None:
        state, mark = "running", "running"
    else:
        state, mark = "in line", "waiting"
    return RouteLine(
        route_id=job.route_id,
        name=names.get(job.route_id, f"route {job.route_id}"),
        mark=mark,
        state=state,
        total=job.total,
        succeeded=job.succeeded,
        failed=job.failed,
        share_succeeded=job.succeeded / job.total if job.total else 0.0,
        share_failed=job.failed / job.total if job.total else 0.0,
        why=", ".join(f"{name} {count}" for name, count in job.errors.items()),
        started_at=job.started_at,
        finished_at=job.finished_at,
    )


@may(CANCEL)
@require_POST
def cancel(request: HttpRequest, operation_id: UUID) -> HttpResponse:
    """Stop an operation."""
    reason = request.POST.get("reason", "").strip()[:300]
    if not reason:
        messages.error(request, "Say why: the reason goes into the audit log.")
        return redirect("console:operation", operation_id)
    try:
        headend.cancel_operation(operation_id=operation_id, actor=actor_of(request), at=utc_now(), reason=reason)
        messages.success(request, "Cancelled. What was read stays.")
    except headend.OperationUnknown as refusal:
        raise Http404(str(refusal)) from refusal
    except Refusal as refusal:
        messages.error(request, str(refusal))
    return redirect("console:operation", operation_id)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which sessions are asked for."""

    outcome: str = ""
    error: str = ""
    route: int | None = None
    day: date | None = None
    operation: str = ""
    meter: int | None = None
    before: datetime | None = None

    @property
    def filtered(self) -> bool:
        """Whether anything narrows the list."""
        return bool(self.outcome or self.error or self.route or self.day or self.operation or self.meter)


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """How many meters ended their newest session so."""

    error: str
    name: str
    mark: str
    count: int


@signed_in
@require_GET
def sessions(request: HttpRequest) -> HttpResponse:
    """Sessions, newest first."""
    asked = _asked(request)

    def rows() -> dict[str, object]:
        found = _find(asked)
        more = len(found) > SESSIONS
        older = found[SESSIONS - 1].started_at.isoformat() if more else ""
        return {"sessions": session_lines(found[:SESSIONS]), "older": older}

    def summary() -> dict[str, object]:
        now = utc_now()
        errors = telemetry.error_summary(telemetry.lake(), Interval(now - SUMMARY, now))
        return {"counts": [ErrorCount(name, name, "failed", count) for name, count in errors.items()]}

    routes = inventory.list_routes()[:ROUTES]
    context: dict[str, Any] = {
        "asked": asked,
        "filtered": asked.filtered,
        "paged": asked.before is not None,
        "asked_words": _words(asked),
        "outcomes": (("", "any"), ("read", "read"), ("failed", "failed")),
        "error_classes": [str(one) for one in ErrorClass],
        "routes": [(one.id, one.name) for one in routes],
    }
    return page(request, "sessions", {"rows": rows, "summary": summary}, **context)


def _asked(request: HttpRequest) -> Asked:
    given = request.GET
    day = parse_day(given.get("day", ""), date.min)
    outcome, error = given.get("outcome", ""), given.get("error", "")
    return Asked(
        outcome=outcome if outcome in ("read", "failed") else "",
        error=error if error in set(ErrorClass) else "",
        route=_number(given.get("route", "")),
        day=None if day == date.min else day,
        operation=_uuid(given.get("operation", "")),
        meter=_number(given.get("meter", "")),
        before=_moment(given.get("before", "")),
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _uuid(text: str) -> str:
    try:
        return str(UUID(text)) if text else ""
    except ValueError:
        return ""


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _find(asked: Asked) -> list[telemetry.SessionRow]:
    day = period_of(asked.day, asked.day + timedelta(days=1)) if asked.day else None
    before = asked.before
    if day is not None:
        before = min(before, day.ends_at) if before else day.ends_at
    found = telemetry.list_sessions(
        telemetry.lake(),
        end_device_id=asked.meter,
        route_id=asked.route,
        operation_id=asked.operation,
        succeeded={"read": True, "failed": False}.get(asked.outcome),
        error_class=asked.error,
        before=before,
        limit=SESSIONS + 1,
    )
    return [row for row in found if day is None or row.started_at >= day.starts_at]


def _words(asked: Asked) -> str:
    parts = []
    if asked.meter:
        parts.append(f"of meter {inventory.serials_of([asked.meter]).get(asked.meter, asked.meter)}")
    if asked.operation:
        parts.append("of one operation")
    if asked.day:
        parts.append("of today" if asked.day == today() else f"of {asked.day.day} {asked.day:%b %Y}")
    if asked.before:
        parts.append("older ones")
    return ", ".join(parts) or "newest first"
