"""The queue of incidents: its views, what arrives while somebody reads it, and what is done with many at once."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from meterops.fleet.inventory.csv_columns import escape
from meterops.interfaces.console import saved_views
from meterops.interfaces.console.fleet_state import HEALTH
from meterops.interfaces.console.pages import actor_of, is_fragment, may, notice, numbers_of, page, signed_in, user_of
from meterops.kernel.clock import utc_now
from meterops.kernel.refusal import Refusal
from meterops.practices.events import api as events
from meterops.practices.incidents import api as incidents

ACKNOWLEDGE = "incidents.acknowledge_incidents"
WORK = "incidents.work_incidents"
MOST_AT_ONCE = 200
FRESH_FOR = timedelta(seconds=10)
WINDOW = timedelta(minutes=10)
KINDS = (("", "any"), ("OUTAGE", "outage"), ("COMMUNICATION", "no contact"), ("SAFETY", "safety"), ("PHASE", "phase"))
STATES = (
    ("", "not closed"),
    ("NEW", "new"),
    ("ASSIGNED", "assigned"),
    ("IN_PROGRESS", "in progress"),
    ("PENDING", "waiting"),
    ("REOPENED", "reopened"),
    ("RESOLVED", "resolved"),
    ("CLOSED", "closed"),
)
SORTS = (
    ("priority", "worst first"),
    ("area", "by area"),
    ("newest", "newest"),
    ("oldest", "oldest"),
    ("premises", "most premises"),
    ("owner", "by owner"),
)
SWITCHES: Final = ("mine", "unseen", "nobody", "major")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for."""

    kind: str
    state: str
    sort: str
    text: str
    mine: bool
    unseen: bool
    nobody: bool
    major: bool
    page: int

    @property
    def is_filtered(self) -> bool:
        """Whether anything is left out."""
        return bool(self.kind or self.state or self.text or self.mine or self.unseen or self.nobody or self.major)

    def wanted(self, person: str) -> incidents.QueueFilter:
        """As the queue takes it, for one person."""
        return incidents.QueueFilter(
            states=(incidents.IncidentState(self.state),) if self.state else (),
            kinds=(incidents.IncidentKind(self.kind),) if self.kind else (),
            owner=person if self.mine else "" if self.nobody else None,
            acknowledged=False if self.unseen else None,
            is_major=True if self.major else None,
            text=self.text,
        )


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
        page=int(number) if number.isdecimal() and number.isascii() and 0 < len(number) < 9 and int(number) else 1,
        **{name: request.GET.get(name) == "1" for name in SWITCHES},
    )


# --- the page -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class View:
    """A way to look at the queue that everybody has; `count` where it costs nothing to know."""

    name: str
    query: str
    is_shown: bool
    count: int | None = None


def _built_in(request: HttpRequest, counts: incidents.IncidentCounts) -> list[View]:
    shown = saved_views.lasting(request.GET.urlencode()).urlencode()
    known = (
        ("All", "", None),
        ("Mine", "mine=1", None),
        ("Nobody has seen", "unseen=1", counts.unacknowledged),
        ("Without owner", "nobody=1", counts.without_owner),
        ("Major", "major=1", counts.major),
        ("Outages", "kind=OUTAGE", None),
        ("No contact", "kind=COMMUNICATION", None),
        ("Safety", "kind=SAFETY", None),
        ("Waiting", "state=PENDING", counts.by_state["PENDING"]),
        ("By area", "sort=area", None),
    )
    return [View(name, query, query == shown, count) for name, query, count in known]


@dataclass(frozen=True, slots=True)
class FloodNow:
    """A flood of alarms that goes on: since when about, how many in the last ten minutes, and what holds them."""

    since: datetime
    alarms: float
    incidents: int


def _flood(health: events.AlarmHealth, now: datetime) -> FloodNow | None:
    if not health.flood.is_flooded_now:
        return None
    return FloodNow(now - health.flood.lasting * WINDOW, health.strip[-1], incidents.incident_counts().open)


@dataclass(frozen=True, slots=True)
class Row:
    """An incident of the list; `has_left` when it stays only because somebody reads the list."""

    incident: incidents.IncidentRow
    has_left: bool
    is_fresh: bool


def _rows(request: HttpRequest, asked: Asked, now: datetime) -> dict[str, object]:
    """The page of the queue, or with `shown` the rows somebody is reading as they are now, and how many came meanwhile."""
    wanted = asked.wanted(user_of(request).get_username())
    found = incidents.incident_queue(wanted, sort=asked.sort, page=asked.page)
    held = _held(request.GET.get("shown", ""))
    rows = [Row(one, False, one.priority == 1 and now - one.opened_at < FRESH_FOR) for one in found.rows]
    if held:
        rows = _as_read(held, wanted)
    arrived = sum(one.number not in held for one in found.rows) if held else 0
    return {"queue": found, "rows": rows, "arrived": arrived, "counts": incidents.incident_counts()}


def _held(shown: str) -> dict[int, int]:
    """Numbers in the order of the list, each with its place."""
    return {number: place for place, number in enumerate(numbers_of(shown[:4000].split(","), MOST_AT_ONCE))}


def _as_read(held: dict[int, int], wanted: incidents.QueueFilter) -> list[Row]:
    these = tuple(held)
    everything = incidents.QueueFilter(states=tuple(incidents.IncidentState), numbers=these)
    fitting = incidents.incident_queue(replace(wanted, numbers=these), size=MOST_AT_ONCE)
    fits = {one.number for one in fitting.rows if one.parent_id is None}
    found = incidents.incident_queue(everything, size=MOST_AT_ONCE).rows
    return [Row(one, one.number not in fits, False) for one in sorted(found, key=lambda one: held[one.number])]


@signed_in
@require_GET
def queue(request: HttpRequest) -> HttpResponse:
    """The worst first, then what nobody has seen, then the oldest."""
    asked, person, now = _asked(request), user_of(request), utc_now()

    def rows() -> dict[str, object]:
        return _rows(request, asked, now)

    def load() -> dict[str, object]:
        return {"health": HEALTH.get()}

    def flood() -> dict[str, object]:
        return {"flood": _flood(HEALTH.get(), now), "by_area": f"{reverse('console:incidents')}?sort=area"}

    def views() -> dict[str, object]:
        return {"built_in": _built_in(request, incidents.incident_counts())}

    context: dict[str, Any] = {}
    if not is_fragment(request):
        context["saved"] = saved_views.views_of(request, "incidents")
    return page(
        request,
        "incidents",
        {"rows": rows, "load": load, "flood": flood, "views": views},
        asked=asked,
        kinds=KINDS,
        states=STATES,
        sorts=SORTS,
        lasting=saved_views.lasting(request.GET.urlencode()).urlencode(),
        may_acknowledge=person.has_perm(ACKNOWLEDGE),
        may_work=person.has_perm(WORK),
        **context,
    )


@signed_in
@require_GET
def export(request: HttpRequest) -> HttpResponse:
    """What the queue shows, as CSV, its filter in the first line."""
    asked = _asked(request)
    wanted = asked.wanted(user_of(request).get_username())
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


# --- what is done with many -----------------------------------------------------------------------------------------


def _acknowledge(request: HttpRequest, base: dict[str, Any]) -> None:
    incidents.acknowledge_incident(**base, note_text=request.POST.get("note", "").strip()[:2000])


def _take(request: HttpRequest, base: dict[str, Any]) -> None:
    incidents.assign_incident(**base, owner=user_of(request).get_username())


def escalate(request: HttpRequest, base: dict[str, Any]) -> None:
    """Give an incident to the person or team of the form, with the reason in its timeline."""
    owner, team = request.POST.get("owner", "").strip()[:200], request.POST.get("team", "").strip()[:100]
    reason = request.POST.get("reason", "").strip()[:2000]
    if not owner and not team:
        raise incidents.ReasonIsMissing("Say which person or team takes over.")
    incidents.assign_incident(**base, owner=owner, team=team)
    if reason:
        incidents.add_note(**base, text=f"Escalated: {reason}")


def wait(request: HttpRequest, base: dict[str, Any]) -> None:
    """Let an incident wait for as many hours as the form says."""
    hours = request.POST.get("hours", "")
    if not hours.isdecimal() or not 1 <= int(hours[:4]) <= 168:
        raise incidents.ReasonIsMissing("An incident waits for 1 to 168 hours.")
    until = base["at"] + timedelta(hours=int(hours[:4]))
    incidents.set_pending(**base, reason=request.POST.get("reason", "")[:2000], until=until)


_ACTS: dict[str, tuple[str, Callable[[HttpRequest, dict[str, Any]], None], str]] = {
    "acknowledge": (ACKNOWLEDGE, _acknowledge, "acknowledged"),
    "take": (WORK, _take, "taken"),
    "escalate": (WORK, escalate, "escalated"),
    "wait": (WORK, wait, "waiting"),
}


@signed_in
@require_POST
def act(request: HttpRequest, what: str) -> HttpResponse:
    """Do one thing with every chosen incident; what is refused for one says why and holds up no other."""
    found = _ACTS.get(what)
    if found is None:
        raise Http404
    permission, do, words = found
    return may(permission)(_on_chosen(do, words))(request)  # type: ignore[return-value]


def _on_chosen(do: Callable[[HttpRequest, dict[str, Any]], None], words: str) -> Callable[[HttpRequest], HttpResponse]:
    def view(request: HttpRequest) -> HttpResponse:
        done, seen, refused = 0, 0, list[str]()
        chosen = numbers_of(request.POST.getlist("id"), MOST_AT_ONCE)
        for number in chosen:
            try:
                do(request, {"number": number, "actor": actor_of(request), "at": utc_now()})
                done += 1
            except incidents.IncidentIsAcknowledged:
                seen += 1
            except Refusal as refusal:
                refused.append(str(refusal))
        return _answer(request, _told(done, seen, words) if chosen else "No incident is chosen.", refused)

    return view


def _told(done: int, seen: int, words: str) -> str:
    before = f"; {seen} had been already" if seen else ""
    return f"{done} {words}{before}."


def _answer(request: HttpRequest, text: str, refused: list[str]) -> HttpResponse:
    """For the open page the sentence and the word to look again; without scripts, the page."""
    unique = list(dict.fromkeys(refused))
    if is_fragment(request):
        answer = notice(request, " ".join([text, *unique[:3]]), refused=bool(refused))
        answer.headers["HX-Trigger"] = "acted"
        return answer
    for one in unique[:3]:
        messages.error(request, one)
    messages.success(request, text)
    query = request.POST.get("query", "")[:500]
    return redirect(f"{reverse('console:incidents')}{'?' if query else ''}{query}")
