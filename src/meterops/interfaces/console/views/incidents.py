"""The queue of incidents, and one incident with all that belongs to it and all that can be done about it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from meterops.fleet.inventory.csv_columns import escape
from meterops.interfaces.console.pages import actor_of, may, page, signed_in, user_of
from meterops.kernel.clock import utc_now
from meterops.kernel.refusal import Refusal
from meterops.practices.events import api as events
from meterops.practices.incidents import api as incidents

ACKNOWLEDGE = "incidents.acknowledge_incidents"
WORK = "incidents.work_incidents"
MAJOR = "incidents.declare_major"
CHECK = "headend.check_power"
MOST_AT_ONCE = 200
KINDS = (("", "any"), ("OUTAGE", "outage"), ("COMMUNICATION", "no contact"), ("SAFETY", "safety"), ("PHASE", "phase"))
STATES = (("", "not closed"), ("NEW", "new"), ("RESOLVED", "resolved"), ("CLOSED", "closed"))
SORTS = (("priority", "worst first"), ("newest", "newest"), ("oldest", "oldest"), ("premises", "most premises"))


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for."""

    kind: str
    state: str
    sort: str
    text: str
    mine: bool
    unseen: bool
    page: int

    @property
    def is_filtered(self) -> bool:
        """Whether anything is left out."""
        return bool(self.kind or self.state or self.text or self.mine or self.unseen)


def _asked(request: HttpRequest) -> Asked:
    def one_of(name: str, allowed: tuple[tuple[str, str], ...]) -> str:
        value = request.GET.get(name, "")
        return value if value in dict(allowed) else allowed[0][0]

    number = request.GET.get("page", "")
    return Asked(
        kind=one_of("kind", KINDS),
        state=one_of("state", STATES),
        sort=one_of("sort", SORTS),
        text=request.GET.get("text", "").strip()[:100],
        mine=request.GET.get("mine") == "1",
        unseen=request.GET.get("unseen") == "1",
        page=int(number) if number.isdigit() and number != "0" else 1,
    )


def _filter(asked: Asked, person: str) -> incidents.QueueFilter:
    return incidents.QueueFilter(
        states=(incidents.IncidentState(asked.state),) if asked.state else (),
        kinds=(incidents.IncidentKind(asked.kind),) if asked.kind else (),
        owner=person if asked.mine else None,
        acknowledged=False if asked.unseen else None,
        text=asked.text,
    )


@signed_in
@require_GET
def queue(request: HttpRequest) -> HttpResponse:
    """The worst first, then what nobody has seen, then the oldest."""
    asked, person = _asked(request), user_of(request)
    wanted = _filter(asked, person.get_username())

    def rows() -> dict[str, object]:
        found = incidents.incident_queue(wanted, sort=asked.sort, page=asked.page)
        return {"queue": found, "counts": incidents.incident_counts()}

    def load() -> dict[str, object]:
        return {"health": events.alarm_health(now=utc_now())}

    return page(
        request,
        "incidents",
        {"rows": rows, "load": load},
        asked=asked,
        kinds=KINDS,
        states=STATES,
        sorts=SORTS,
        may_acknowledge=person.has_perm(ACKNOWLEDGE),
        may_work=person.has_perm(WORK),
    )


@signed_in
@require_GET
def export(request: HttpRequest) -> HttpResponse:
    """What the queue shows, as CSV, its filter in the first line."""
    asked = _asked(request)
    wanted = _filter(asked, user_of(request).get_username())
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="incidents.csv"'
    writer = csv.writer(answer)
    writer.writerow([f"# incidents, {request.GET.urlencode() or 'not closed'}, {utc_now():%Y-%m-%d %H:%M} UTC"])
    writer.writerow(
        ["number", "priority", "state", "title", "meters", "premises", "opened_at", "owner", "acknowledged_by"]
    )
    number, pages = 1, 1
    while number <= pages:
        found = incidents.incident_queue(wanted, sort=asked.sort, page=number)
        pages, number = found.pages, number + 1
        for row in found.rows:
            writer.writerow(
                [
                    row.number, int(row.priority), row.state, escape(row.title), row.meters, row.premises,
                    row.opened_at.isoformat(), escape(row.owner), escape(row.acknowledged_by),
                ]
            )  # fmt: skip
    return answer


@may(ACKNOWLEDGE)
@require_POST
def acknowledge(request: HttpRequest) -> HttpResponse:
    """Acknowledge the chosen ones; those that somebody else has seen meanwhile stay as they are."""
    done, at = 0, utc_now()
    note = request.POST.get("note", "").strip()[:2000]
    for number in _chosen(request):
        try:
            incidents.acknowledge_incident(number=number, actor=actor_of(request), at=at, note_text=note)
            done += 1
        except incidents.IncidentIsAcknowledged:
            continue
        except Refusal as refusal:
            messages.error(request, str(refusal))
    messages.success(request, f"{done} acknowledged.")
    return _back(request)


@may(WORK)
@require_POST
def take(request: HttpRequest) -> HttpResponse:
    """Make the chosen ones mine."""
    done = 0
    for number in _chosen(request):
        try:
            incidents.assign_incident(
                number=number, owner=user_of(request).get_username(), actor=actor_of(request), at=utc_now()
            )
            done += 1
        except Refusal as refusal:
            messages.error(request, str(refusal))
    messages.success(request, f"{done} taken.")
    return _back(request)


def _chosen(request: HttpRequest) -> list[int]:
    return [int(one) for one in request.POST.getlist("id")[:MOST_AT_ONCE] if one.isdigit()]


def _back(request: HttpRequest) -> HttpResponse:
    query = request.POST.get("query", "")[:500]
    target = redirect("console:incidents")
    if query:
        target["Location"] += f"?{query}"
    return target


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
