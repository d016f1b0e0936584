"""One incident with all that belongs to it and all that can be done about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from meterops.interfaces.console.pages import actor_of, may, page, signed_in, user_of
from meterops.kernel.clock import utc_now
from meterops.kernel.refusal import Refusal
from meterops.practices.events import api as events
from meterops.practices.incidents import api as incidents

ACKNOWLEDGE = "incidents.acknowledge_incidents"
WORK = "incidents.work_incidents"
MAJOR = "incidents.declare_major"
CHECK = "headend.check_power"


@signed_in
@require_GET
def incident(request: HttpRequest, number: int) -> HttpResponse:
    """One incident: what is wrong, why it is believed, who does what, and whether it is over."""
    _get(number)
    person = user_of(request)

    def summary() -> dict[str, object]:
        found = _get(number)
        return {"incident": found, "row": found.row, "why": _why(found.row.situation_id)}

    def timeline() -> dict[str, object]:
        entries = sorted(incidents.timeline(number), key=lambda one: (one.at, one.id), reverse=True)
        return {"entries": [_line(one) for one in entries]}

    def similar() -> dict[str, object]:
        return {"similar": incidents.similar_incidents(number, now=utc_now())}

    return page(
        request,
        "incident",
        {"summary": summary, "timeline": timeline, "similar": similar},
        number=number,
        may_acknowledge=person.has_perm(ACKNOWLEDGE),
        may_work=person.has_perm(WORK),
        may_check=person.has_perm(CHECK),
        may_declare=person.has_perm(MAJOR),
    )


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the timeline as `parts/timeline.html` takes it."""

    at: datetime
    text: str
    who: str
    kind: str
    detail: str = ""


def _line(entry: incidents.TimelineEntry) -> Line:
    by_person = not entry.actor.startswith(("process:", "token:"))
    return Line(entry.at, entry.text, entry.actor, "person" if by_person else "state")


def _why(situation_id: str) -> str:
    if not situation_id:
        return ""
    try:
        return events.get_situation(situation_id).sentence
    except events.SituationUnknown:
        return ""


def _get(number: int) -> incidents.IncidentView:
    try:
        return incidents.get_incident(number)
    except incidents.IncidentUnknown as refusal:
        raise Http404(str(refusal)) from refusal


@signed_in
@require_POST
def act(request: HttpRequest, number: int, what: str) -> HttpResponse:
    """Do something with one incident; what is refused says why."""
    found = _ACTS.get(what)
    if found is None:
        raise Http404
    permission, do, words = found
    return may(permission)(_done(do, words))(request, number)  # type: ignore[return-value]


def _done(do: Callable[[HttpRequest, dict[str, Any]], None], words: str) -> Callable[[HttpRequest, int], HttpResponse]:
    def view(request: HttpRequest, number: int) -> HttpResponse:
        try:
            do(request, {"number": number, "actor": actor_of(request), "at": utc_now()})
            messages.success(request, words)
        except incidents.IncidentUnknown as refusal:
            raise Http404(str(refusal)) from refusal
        except Refusal as refusal:
            messages.error(request, str(refusal))
        return redirect("console:incident", number)

    return view


def _text(request: HttpRequest) -> str:
    return request.POST.get("text", "").strip()[:5000]


def _acknowledge(request: HttpRequest, base: dict[str, Any]) -> None:
    incidents.acknowledge_incident(**base, note_text=_text(request))


def _resolve(request: HttpRequest, base: dict[str, Any]) -> None:
    in_spite_of = request.POST.get("in_spite_of", "").strip()[:2000]
    incidents.resolve_incident(**base, resolution=_text(request), in_spite_of=in_spite_of)


def _mine(request: HttpRequest, base: dict[str, Any]) -> None:
    incidents.assign_incident(**base, owner=user_of(request).get_username())


def _note(request: HttpRequest, base: dict[str, Any]) -> None:
    incidents.add_note(**base, text=_text(request))


def _close(request: HttpRequest, base: dict[str, Any]) -> None:
    incidents.close_incident(**base, reason=_text(request))


def _reopen(request: HttpRequest, base: dict[str, Any]) -> None:
    incidents.reopen_incident(**base, reason=_text(request))


def _check(_request: HttpRequest, base: dict[str, Any]) -> None:
    incidents.check_power(**base)


_ACTS: dict[str, tuple[str, Callable[[HttpRequest, dict[str, Any]], None], str]] = {
    "acknowledge": (ACKNOWLEDGE, _acknowledge, "Acknowledged."),
    "take": (WORK, _mine, "It is yours."),
    "note": (WORK, _note, "Noted."),
    "resolve": (WORK, _resolve, "Resolved."),
    "close": (WORK, _close, "Closed."),
    "reopen": (WORK, _reopen, "Reopened."),
    "check": (CHECK, _check, "The meters are being asked; their answers appear here."),
}
