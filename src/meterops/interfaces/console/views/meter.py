"""All about one meter: how its reading stands, its load profile, what it reported, what was changed, and reading it now."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from meterops.fleet.headend import api as headend
from meterops.fleet.headend.api import OperationState
from meterops.fleet.inventory import api as inventory
from meterops.fleet.inventory.api import EndDeviceView
from meterops.fleet.telemetry import api as telemetry
from meterops.interfaces.console.fleet_state import CONTACTS
from meterops.interfaces.console.local_days import SPAN_DAYS, parse_day, period_of, span_of, today
from meterops.interfaces.console.pages import actor_of, may, notice, page, signed_in, user_of
from meterops.interfaces.console.places import way_down
from meterops.interfaces.console.profile_series import STEP_S, energy_chart, value_chart
from meterops.interfaces.console.reading_state import MARKS, WORDS, ReadState
from meterops.interfaces.console.session_lines import session_lines
from meterops.interfaces.console.templatetags.console import day as day_words
from meterops.interfaces.console.templatetags.console import milliseconds, number, span
from meterops.kernel import beats
from meterops.kernel.clock import from_epoch, utc_now
from meterops.kernel.refusal import Refusal
from meterops.practices.events import api as practice

READ = "headend.read_on_demand"
SPANS = tuple(SPAN_DAYS)
ENERGY_TYPES = (101, 102)
VOLTAGE_TYPES = (111, 112, 113)
NOMINAL_V, TOLERANCE = 230.0, 0.1
SESSIONS, EVENTS, CHANGES = 15, 50, 100
TABLE_ROWS = 3000


@signed_in
@require_GET
def meter(request: HttpRequest, end_device_id: int) -> HttpResponse:
    """The meter's page."""
    device = _device(end_device_id)
    shown = _shown(request)

    def header() -> dict[str, object]:
        return _header(device)

    def registers() -> dict[str, object]:
        found = telemetry.latest_registers(telemetry.lake(), device.id, now=utc_now())
        return {"registers": [_register(one) for one in found]}

    def events() -> dict[str, object]:
        found = telemetry.list_events(telemetry.lake(), end_device_id=device.id, limit=EVENTS)
        return {"events": [_event(one) for one in practice.describe_events(found)]}

    def sessions() -> dict[str, object]:
        found = telemetry.list_sessions(telemetry.lake(), end_device_id=device.id, limit=SESSIONS)
        return {"sessions": session_lines(found)}

    def history() -> dict[str, object]:
        return {"changes": inventory.history_of(device.id, limit=CHANGES)}

    context = {
        "device": device,
        "may_read": user_of(request).has_perm(READ),
        "day": shown.day,
        "span": shown.span,
        "spans": SPANS,
        "period_words": shown.words,
        "previous_day": (shown.first - timedelta(days=1)).isoformat(),
        "next_day": _next_day(shown),
    }
    if request.GET.get("part") == "profile_table":
        table = {"table": _profile_table(device.id, shown)}
        return render(request, "console/meter/profile_table.html", table)
    parts = {"header": header, "registers": registers, "events": events, "sessions": sessions, "history": history}
    return page(request, "meter", parts, **context)


@dataclass(frozen=True, slots=True)
class Shown:
    """The local days [first, end) that the charts show."""

    day: date
    span: str
    first: date
    end: date

    @property
    def words(self) -> str:
        """The period in words."""
        if self.span == "day":
            return f"{self.day:%A}, {day_words(self.day)}"
        return f"{day_words(self.first)} to {day_words(self.end - timedelta(days=1))}"


def _shown(request: HttpRequest) -> Shown:
    chosen = parse_day(request.GET.get("day", ""), today())
    chosen = min(max(chosen, date(1970, 2, 1)), date(2200, 1, 1))
    wanted = request.GET.get("span", "day")
    wanted = wanted if wanted in SPANS else "day"
    return Shown(chosen, wanted, *span_of(chosen, wanted))


def _next_day(shown: Shown) -> str:
    """The day that the following span ends with, none where it has not begun."""
    following = shown.day + timedelta(days=SPAN_DAYS[shown.span])
    return "" if shown.day >= today() else min(following, today()).isoformat()


def _device(end_device_id: int) -> EndDeviceView:
    found = inventory.find_end_device(end_device_id)
    if found is None:
        raise Http404("There is no such meter.")
    return found


def _header(device: EndDeviceView) -> dict[str, object]:
    contacts = CONTACTS.get()
    states = contacts.of([device.id], utc_now())
    state, read_at = ReadState(int(states.state[0])), int(states.read_at[0])
    place = np.flatnonzero(contacts.end_device_id == device.id)
    drift = float(contacts.drift_ms[place[0]]) if len(place) else float("nan")
    error = str(contacts.error[place[0]]) if len(place) else ""
    return {
        "health": {"mark": MARKS[state], "words": WORDS[state]},
        "last_contact": {"at": from_epoch(read_at) if read_at else None},
        "last_error": error,
        "clock_drift": "not measured yet" if np.isnan(drift) else drift_words(drift),
        "electrical": way_down(device.electrical),
        "communication": way_down(device.communication),
        "critical": bool(device.usage_point and device.usage_point.attributes.get("critical")),
    }


def drift_words(drift_ms: float) -> str:
    """How far a clock is off, in words."""
    if abs(drift_ms) < 1000:
        return f"{drift_ms:+.0f} ms".replace("-", "\u2212")
    return f"{span(abs(drift_ms) / 1000)} {'fast' if drift_ms > 0 else 'slow'}"


@dataclass(frozen=True, slots=True)
class RegisterLine:
    """A register's newest value."""

    name: str
    obis: str
    value: str
    unit: str
    at: datetime


def _register(found: telemetry.RegisterValue) -> RegisterLine:
    kind = found.reading_type
    value, unit = in_readable_unit(found.value, kind.unit)
    return RegisterLine(kind.name, kind.obis, value, unit, found.at)


def in_readable_unit(value: float, unit: str) -> tuple[str, str]:
    """A register's value with the unit people read it in: kWh for what meters count in Wh."""
    if unit in ("Wh", "varh"):
        return number(value / 1000, 3), f"k{unit}"
    if unit in ("W", "var"):
        return number(value, 0), unit
    return number(value, 2 if unit == "A" else 1), unit


@dataclass(frozen=True, slots=True)
class EventLine:
    """An event that a meter reported."""

    name: str
    code_words: str
    occurred_at: datetime
    received_words: str


def _event(found: practice.EventView) -> EventLine:
    where = f"{practice.log_words(found.log)}, {found.code}"
    received = timezone.localtime(found.received_at)
    return EventLine(found.words, where, found.occurred_at, f"{received.day} {received:%b %H:%M:%S}")


# --- the load profile -----------------------------------------------------------------------------------------------


@signed_in
@require_GET
def profile(request: HttpRequest, end_device_id: int) -> HttpResponse:
    """The load profile as `chart.ts` reads it: `?kind=energy` or `?kind=voltage`."""
    device = _device(end_device_id)
    shown = _shown(request)
    period = period_of(shown.first, shown.end)
    bounds = int(period.starts_at.timestamp()), int(period.ends_at.timestamp())
    now = int(utc_now().timestamp())
    voltage = request.GET.get("kind") == "voltage"
    types = VOLTAGE_TYPES if voltage else ENERGY_TYPES
    found = telemetry.load_profile(telemetry.lake(), device.id, period, types)
    if voltage:
        band = NOMINAL_V * (1 - TOLERANCE), NOMINAL_V * (1 + TOLERANCE)
        chart = value_chart(found, period=bounds, now=now, band=band)
    else:
        chart = energy_chart(found, period=bounds, now=now)
        events = telemetry.list_events(telemetry.lake(), end_device_id=device.id, period=period, limit=EVENTS)
        chart.marks = [
            {"at": int(one.occurred_at.timestamp()), "label": one.words} for one in practice.describe_events(events[:8])
        ]
    return JsonResponse(chart.as_json())


@dataclass(frozen=True, slots=True)
class ProfileTable:
    """The load profile in rows, newest first; `values` are texts."""

    headings: list[str]
    rows: list[dict[str, object]]


def _profile_table(end_device_id: int, shown: Shown) -> ProfileTable:
    period = period_of(shown.first, shown.end)
    found = telemetry.load_profile(telemetry.lake(), end_device_id, period, (*ENERGY_TYPES, *VOLTAGE_TYPES))
    columns = [one for one in found.columns if not np.isnan(one.registers).all()]
    headings = []
    for one in columns:
        if one.intervals is not None:
            headings.append(f"{one.reading_type.name}, {one.reading_type.unit}")
            headings.append("reading, kWh")
        else:
            headings.append(f"{one.reading_type.name}, {one.reading_type.unit}")
    rows: list[dict[str, object]] = []
    now = utc_now().timestamp()
    for place in range(len(found.at) - 1, -1, -1):
        if not columns or found.at[place] > now or len(rows) >= TABLE_ROWS:
            continue
        values: list[str] = []
        flags = 0
        for one in columns:
            flags |= int(one.quality[place])
            if one.intervals is not None:
                values += [_figure(one.intervals[place], 0), _figure(one.registers[place] / 1000, 3)]
            else:
                values.append(_figure(one.registers[place], 1))
        rows.append({"at": from_epoch(int(found.at[place]) - STEP_S), "values": values, "quality": flag_words(flags)})
    return ProfileTable(headings, rows)


def _figure(value: float, decimals: int) -> str:
    return "missing" if np.isnan(value) else number(float(value), decimals)


def flag_words(flags: int) -> str:
    """What is known against a reading, in words."""
    found = telemetry.QualityFlag(flags)
    return ", ".join(str(flag.name).replace("_", " ").lower() for flag in telemetry.QualityFlag if flag in found)


# --- reading now ----------------------------------------------------------------------------------------------------


@may(READ)
@require_POST
def read(request: HttpRequest, end_device_id: int) -> HttpResponse:
    """Put a read of this meter in line, ahead of scheduled work, and show how it goes."""
    device = _device(end_device_id)
    try:
        operation_id = headend.request_read(end_device_ids=[device.id], actor=actor_of(request), at=utc_now())
    except Refusal as refusal:
        return notice(request, str(refusal), refused=True)
    return _reading_now(request, device.id, operation_id)


@signed_in
@require_GET
def read_result(request: HttpRequest, end_device_id: int, operation_id: UUID) -> HttpResponse:
    """How a read that was asked for goes; asked again until it has ended."""
    return _reading_now(request, end_device_id, operation_id)


def _reading_now(request: HttpRequest, end_device_id: int, operation_id: UUID) -> HttpResponse:
    try:
        operation = headend.get_operation(operation_id)
        result = headend.operation_result(operation_id)
    except headend.OperationUnknown as refusal:
        raise Http404(str(refusal)) from refusal
    answer = result.results.get(str(end_device_id))
    context: dict[str, Any] = {"operation": operation, "device_id": end_device_id}
    if answer is not None:
        context |= _answered(answer)
    elif operation.state is OperationState.RUNNING and not _is_given_up(operation):
        context |= {"running": True, "no_worker": not _has_worker()}
    else:
        context["failed"] = _not_answered(operation)
    return render(request, "console/meter/reading_now.html", context)


def _has_worker() -> bool:
    now = utc_now()
    return any(one.role == "worker" and now - one.beat_at < beats.ALIVE_FOR for one in beats.list_processes())


def _is_given_up(operation: headend.OperationView) -> bool:
    return bool(operation.total) and operation.failed >= operation.total


def _answered(answer: Mapping[str, Any]) -> dict[str, object]:
    took = f"in {milliseconds(answer.get('duration_ms'))}, {answer.get('round_trips', 0)} round trips"
    if not answer.get("ok"):
        heading = f"The meter was not read: {answer.get('error', 'unknown fault')}."
        return {"failed": {"heading": heading, "detail": f"{answer.get('detail', '')} ({took})"}}
    facts = []
    if answer.get("clock_drift_ms") is not None:
        facts.append(f"Clock {drift_words(answer['clock_drift_ms'])}")
    if answer.get("profile_rows"):
        facts.append(f"load profile: {answer['profile_rows']} rows, up to {_local(answer.get('profile_until'))}")
    values = []
    for one in answer.get("registers", []):
        value, unit = in_readable_unit(float(one["value"]), one["unit"])
        values.append({"name": one["name"], "value": value, "unit": unit})
    return {"took": took, "values": values, "facts": "; ".join(facts)}


def _local(text: Any) -> str:
    try:
        at = timezone.localtime(datetime.fromisoformat(str(text)))
    except ValueError:
        return str(text)
    return f"{at.day} {at:%b %H:%M}"


def _not_answered(operation: headend.OperationView) -> dict[str, str]:
    if operation.state is OperationState.CANCELLED:
        return {"heading": "Cancelled.", "detail": "Somebody cancelled this read before the meter was reached."}
    errors = ", ".join(headend.error_counts(operation.id))
    if errors:
        return {"heading": f"The meter was not read: {errors}.", "detail": "The sessions below say what happened."}
    return {
        "heading": "No answer in time.",
        "detail": "The meter was not reached before the deadline. Is a head-end worker running?",
    }
