"""One incident with all that belongs to it and all that can be done about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from meterops.fleet.headend import api as headend
from meterops.fleet.inventory import api as inventory
from meterops.interfaces.console.local_days import parse_moment
from meterops.interfaces.console.pages import actor_of, may, numbers_of, page, signed_in, user_of
from meterops.interfaces.console.views.incident_asks import MAJOR, MERGE, MOST_MERGED, ORDERS, PLAN, SHELVE, WORK
from meterops.interfaces.console.views.incident_asks import get as _get
from meterops.interfaces.console.views.queue import escalate, wait
from meterops.kernel.clock import utc_now
from meterops.kernel.refusal import Refusal
from meterops.practices.events import api as events
from meterops.practices.incidents import api as incidents

ACKNOWLEDGE = "incidents.acknowledge_incidents"
CHECK = "headend.check_power"
LONGEST = 5000
"""Lines of a timeline that a page shows."""


@signed_in
@require_GET
def incident(request: HttpRequest, number: int) -> HttpResponse:
    """One incident: what is wrong, why it is believed, who does what, and whether it is over."""
    _get(number)
    person = user_of(request)

    def summary() -> dict[str, object]:
        found = _get(number)
        return {"incident": found, "row": found.row, "why": _why(found.row.situation_id)}

    def acts() -> dict[str, object]:
        row = _get(number).row
        return {"row": row, "one_line": _one_line(row)}

    def checks() -> dict[str, object]:
        return {"checks": [_check_line(one) for one in _get(number).checks]}

    def orders() -> dict[str, object]:
        return {"orders": [_order_line(one) for one in _get(number).work_orders]}

    def alarms() -> dict[str, object]:
        members = incidents.members(number, to_prove=True)
        return {"alarms": events.alarms_of_devices(members), "members": len(members)}

    def timeline() -> dict[str, object]:
        entries = incidents.timeline(number, limit=LONGEST)
        entries.sort(key=lambda one: (one.at, one.id), reverse=True)
        return {"entries": [_line(one) for one in entries]}

    def similar() -> dict[str, object]:
        return {"similar": incidents.similar_incidents(number, now=utc_now())}

    return page(
        request,
        "incident",
        {
            "summary": summary,
            "acts": acts,
            "checks": checks,
            "orders": orders,
            "alarms": alarms,
            "timeline": timeline,
            "similar": similar,
        },
        number=number,
        may_acknowledge=person.has_perm(ACKNOWLEDGE),
        may_work=person.has_perm(WORK),
        may_check=person.has_perm(CHECK),
        may_declare=person.has_perm(MAJOR),
        may_merge=person.has_perm(MERGE),
        may_order=person.has_perm(ORDERS),
        may_shelve=person.has_perm(SHELVE),
        may_plan=person.has_perm(PLAN),
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


def _one_line(row: incidents.IncidentRow) -> int | None:
    """The transformer whose diagram shows the incident's node: the node itself, or the one it hangs under."""
    if row.node_kind == inventory.ItemKind.POWER_TRANSFORMER:
        return row.node_id
    if not row.node_id:
        return None
    above = inventory.ancestors(row.node_id, inventory.Tree.ELECTRICAL)
    return next((one.id for one in above if one.kind is inventory.ItemKind.POWER_TRANSFORMER), None)


ANSWER_WORDS = (
    ("ON", "on", "measures a voltage"),
    ("OFF", "off", "measures none, or gasped while its neighbours answer"),
    ("UNKNOWN", "unknown", "something answered, without a voltage"),
    ("NO_CONTACT", "no contact", "did not answer, and nothing says why"),
    ("UNKNOWN_ID", "unknown id", "no meter is known by that name"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One of the five answers of a power check, counted."""

    name: str
    meaning: str
    count: int


@dataclass(frozen=True, slots=True)
class CheckLine:
    """A power check with what has come in so far."""

    record: incidents.CheckRecord
    answers: tuple[Answer, ...]
    pending: int
    deadline_at: datetime | None

    @property
    def is_running(self) -> bool:
        """Whether answers may still come."""
        return self.record.finished_at is None

    @property
    def answered(self) -> int:
        """How many meters have an answer."""
        return self.record.asked - self.pending


def _check_line(record: incidents.CheckRecord) -> CheckLine:
    counts, pending, deadline_at = dict(record.counts), 0, None
    if not counts:  # it runs, or ended a moment ago: what has come in is asked of the lake
        try:
            found = headend.get_power_check(record.operation_id, now=utc_now())
        except headend.OperationUnknown:
            counts = {"forgotten": record.asked}
        else:
            counts = {str(name): count for name, count in found.counts.items()}
            pending, deadline_at = found.pending, found.deadline_at
    answers = tuple(Answer(words, meaning, counts.get(name, 0)) for name, words, meaning in ANSWER_WORDS)
    return CheckLine(record, answers, pending, deadline_at)


@dataclass(frozen=True, slots=True)
class OrderLine:
    """A work order with the states it may get into next."""

    order: incidents.WorkOrderView
    next_states: tuple[incidents.WorkOrderState, ...]


def _order_line(order: incidents.WorkOrderView) -> OrderLine:
    reachable = incidents.WORK_ORDER_TRANSITIONS[order.state]
    return OrderLine(order, tuple(one for one in incidents.WorkOrderState if one in reachable))


def _why(situation_id: str) -> str:
    if not situation_id:
        return ""
    try:
        return events.get_situation(situation_id).sentence
    except events.SituationUnknown:
        return ""


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


def _start(_request: HttpRequest, base: dict[str, Any]) -> None:
    incidents.start_work(**base)


def _plan(request: HttpRequest, base: dict[str, Any]) -> None:
    starts_at, ends_at = (parse_moment(request.POST.get(name, "")) for name in ("starts", "ends"))
    if starts_at is None or ends_at is None:
        raise events.PlannedWorkNotValid("Say when the work begins and ends.")
    incidents.plan_work_on_incident(**base, starts_at=starts_at, ends_at=ends_at, reason=_reason(request))


def _reason(request: HttpRequest) -> str:
    return request.POST.get("reason", "").strip()[:2000]


def _merge(request: HttpRequest, base: dict[str, Any]) -> None:
    numbers = numbers_of(request.POST.getlist("with"), MOST_MERGED)
    incidents.merge_incidents(
        into=base["number"], numbers=numbers, reason=_reason(request), actor=base["actor"], at=base["at"]
    )


def _unmerge(request: HttpRequest, base: dict[str, Any]) -> None:
    incidents.unmerge_incident(**base, reason=_reason(request))


def _split(request: HttpRequest, base: dict[str, Any]) -> None:
    incidents.split_incident(**base, node=request.POST.get("node", "")[:100], reason=_reason(request))


def _major(request: HttpRequest, base: dict[str, Any]) -> None:
    incidents.declare_major(**base, reason=_reason(request))


@transaction.atomic
def _shelve(request: HttpRequest, base: dict[str, Any]) -> None:
    """Take the alarms of its meters out of the line, and say so in its timeline."""
    hours = request.POST.get("hours", "")
    if not hours.isdecimal() or len(hours) > 4:
        raise events.ShelvingNotValid("Say for how many hours they are shelved.")
    until = base["at"] + timedelta(hours=int(hours))
    found = events.alarms_of_devices(incidents.members(base["number"], to_prove=True)).in_line
    if not found:
        raise events.AlarmUnknown("None of its meters has an alarm in line.")
    reason = _reason(request)[:300]
    done = events.shelve_alarms(alarm_ids=found, until=until, reason=reason, actor=base["actor"], at=base["at"])
    text = f"{done:,} alarm{'s' if done != 1 else ''} of its meters shelved until {until:%Y-%m-%d %H:%M}Z: {reason}"
    incidents.add_note(**base, text=text)


def _order(request: HttpRequest, base: dict[str, Any]) -> None:
    incidents.create_work_order(
        incident=base["number"],
        title=request.POST.get("title", "")[:200],
        instructions=request.POST.get("instructions", "")[:10_000],
        crew=request.POST.get("crew", "").strip()[:200],
        due_at=parse_moment(request.POST.get("due", "")),
        send="send" in request.POST,
        actor=base["actor"],
        at=base["at"],
    )


@may(ORDERS)
@require_POST
def order(request: HttpRequest, number: int, order_id: UUID) -> HttpResponse:
    """Send a work order, or write down how it stands."""
    _get(number)
    wanted = request.POST.get("state", "")
    actor, at = actor_of(request), utc_now()
    try:
        if incidents.get_work_order(order_id).incident != number:
            raise Http404
        if wanted == incidents.WorkOrderState.SENT:
            incidents.send_work_order(work_order_id=order_id, actor=actor, at=at)
        elif wanted in set(incidents.WorkOrderState):
            state = incidents.WorkOrderState(wanted)
            incidents.update_work_order(work_order_id=order_id, state=state, actor=actor, at=at)
        else:
            raise incidents.WorkOrderNotValid("Choose how the work order stands.")
        messages.success(request, f"The work order is {wanted.replace('_', ' ').lower()}.")
    except incidents.WorkOrderUnknown as refusal:
        raise Http404(str(refusal)) from refusal
    except Refusal as refusal:
        messages.error(request, str(refusal))
    return redirect("console:incident", number)


_ACTS: dict[str, tuple[str, Callable[[HttpRequest, dict[str, Any]], None], str]] = {
    "acknowledge": (ACKNOWLEDGE, _acknowledge, "Acknowledged."),
    "take": (WORK, _mine, "It is yours."),
    "note": (WORK, _note, "Noted."),
    "resolve": (WORK, _resolve, "Resolved."),
    "close": (WORK, _close, "Closed."),
    "reopen": (WORK, _reopen, "Reopened."),
    "start": (WORK, _start, "In progress."),
    "wait": (WORK, wait, "It waits."),
    "escalate": (WORK, escalate, "Escalated."),
    "plan": (PLAN, _plan, "The work is planned; nothing new is opened below its node meanwhile."),
    "merge": (MERGE, _merge, "Merged."),
    "unmerge": (MERGE, _unmerge, "It stands by itself again."),
    "split": (MERGE, _split, "Split; the part has an incident of its own."),
    "major": (MAJOR, _major, "Declared major; everybody who is told of P1 is told."),
    "shelve": (SHELVE, _shelve, "Shelved; the alarms come back by themselves."),
    "order": (ORDERS, _order, "The work order is made."),
    "check": (CHECK, _check, "The meters are being asked; their answers appear here."),
}
