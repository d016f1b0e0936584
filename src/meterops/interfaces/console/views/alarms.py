"""Alarm health, the alarms behind it, and the explorer of events."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from meterops.fleet.headend import api as headend
from meterops.fleet.inventory import api as inventory
from meterops.fleet.telemetry import api as telemetry
from meterops.interfaces.console.local_days import parse_day, period_of, today
from meterops.interfaces.console.pages import actor_of, may, page, signed_in, user_of
from meterops.kernel.clock import utc_now
from meterops.kernel.refusal import Refusal
from meterops.practices.events import api as events

SHELVE = "events.shelve_alarms"
ALARMS = 100
EVENTS = 200
SEVERITIES = (("", "any"), ("EXCEPTION", "exception"), ("WARNING", "warning"), ("INFORMATIONAL", "informational"))


@signed_in
@require_GET
def health(request: HttpRequest) -> HttpResponse:
    """How much is asked of operators, and by whom: the figures of ISA-18.2 and EEMUA 191."""
    severity = request.GET.get("severity", "")
    event_type = request.GET.get("type", "")[:60]
    after = request.GET.get("after", "")[:60]
    wanted = events.AlarmFilter(severity=severity, event_type=event_type)

    def figures() -> dict[str, object]:
        now = utc_now()
        return {
            "health": events.alarm_health(now=now),
            "noisy": events.noisy_devices(since=now - timedelta(hours=24), limit=10),
        }

    def alarms() -> dict[str, object]:
        try:
            found = events.list_alarms(wanted, after=after, limit=ALARMS)
        except events.AlarmPageNotValid:  # an address that somebody has changed: the list begins anew
            found = events.list_alarms(wanted, limit=ALARMS)
        return {"alarms": found, "types": events.alarm_counts()}

    def shelved() -> dict[str, object]:
        return {"shelved": events.list_shelved(), "now": utc_now()}

    return page(
        request,
        "alarms",
        {"figures": figures, "alarms": alarms, "shelved": shelved},
        severities=SEVERITIES,
        severity=severity,
        event_type=event_type,
        may_shelve=user_of(request).has_perm(SHELVE),
    )


@may(SHELVE)
@require_GET
def ask(request: HttpRequest, alarm_id: int) -> HttpResponse:
    """For how long and why, as a fragment for the page's dialog."""
    try:
        return render(request, "console/alarms/ask_shelve.html", {"alarm": events.get_alarm(alarm_id)})
    except events.AlarmUnknown as refusal:
        raise Http404(str(refusal)) from refusal


@may(SHELVE)
@require_POST
def shelve(request: HttpRequest, alarm_id: int) -> HttpResponse:
    """Shelve one alarm for some hours, or put it back in line."""
    now, hours = utc_now(), request.POST.get("hours", "")
    try:
        if hours.isdigit() and hours != "0":
            reason, until = request.POST.get("reason", "").strip()[:300], now + timedelta(hours=int(hours))
            events.shelve_alarms(alarm_ids=[alarm_id], until=until, reason=reason, actor=actor_of(request), at=now)
            messages.success(request, "Shelved; it comes back by itself.")
        else:
            events.unshelve_alarms(alarm_ids=[alarm_id], actor=actor_of(request), at=now)
            messages.success(request, "Back in line.")
    except Refusal as refusal:
        messages.error(request, str(refusal))
    return redirect("console:alarms")


@signed_in
@require_GET
def explorer(request: HttpRequest) -> HttpResponse:
    """What meters said, in words: over the whole lake, by day, meter and kind."""
    day = parse_day(request.GET.get("day", ""), today())
    event_type = request.GET.get("type", "")[:60]
    serial = request.GET.get("meter", "").strip()[:64]
    device = inventory.find_end_device(serial) if serial else None

    def rows() -> dict[str, object]:
        if serial and device is None:
            return {"events": []}
        found = events.explore_events(
            end_device_id=device.id if device else None,
            event_type=event_type,
            period=period_of(day, day + timedelta(days=1)),
            limit=EVENTS,
        )
        return {"events": found}

    def pushes() -> dict[str, object]:
        now = utc_now()
        return {"report": headend.push_report(telemetry.lake(), since=now - timedelta(hours=24), now=now)}

    counted = events.daily_counters(first_day=day - timedelta(days=1))
    types = sorted({(one.event_type, one.words) for one in counted}, key=lambda pair: pair[1])
    return page(
        request,
        "events",
        {"rows": rows, "pushes": pushes},
        day=day,
        event_type=event_type,
        meter=serial,
        types=types,
        limit=EVENTS,
        unknown_meter=bool(serial and device is None),
    )
