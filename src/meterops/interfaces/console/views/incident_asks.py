"""The questions that stand before a wide act on an incident: what it would change, and how many meters that are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from meterops.fleet.inventory import api as inventory
from meterops.interfaces.console.pages import may, numbers_of, signed_in
from meterops.practices.events import api as events
from meterops.practices.incidents import api as incidents

MERGE = "incidents.merge_incidents"
MAJOR = "incidents.declare_major"
ORDERS = "incidents.manage_work_orders"
SHELVE = "events.shelve_alarms"
PLAN = "events.plan_work"
WORK = "incidents.work_incidents"
CANDIDATES = 40
MOST_MERGED = 200


def get(number: int) -> incidents.IncidentView:
    """An incident, or the page that says that there is none."""
    try:
        return incidents.get_incident(number)
    except incidents.IncidentUnknown as refusal:
        raise Http404(str(refusal)) from refusal


@signed_in
@require_GET
def ask(request: HttpRequest, number: int, what: str) -> HttpResponse:
    """The question before an act, as a fragment for the page's dialog."""
    found = _QUESTIONS.get(what)
    if found is None:
        raise Http404
    permission, question = found

    def view(request: HttpRequest) -> HttpResponse:
        incident = get(number)
        context = {"incident": incident, "row": incident.row, "number": number, "what": what}
        return render(request, f"console/incident/ask_{what}.html", context | question(request, incident))

    return may(permission)(view)(request)  # type: ignore[return-value]


def _members(number: int) -> npt.NDArray[np.int64]:
    return incidents.members(number, to_prove=True)


# --- merging --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """Another open incident that could be folded into this one."""

    row: incidents.IncidentRow
    is_chosen: bool


def _merge(request: HttpRequest, incident: incidents.IncidentView) -> dict[str, Any]:
    row = incident.row
    chosen = set(numbers_of(request.GET.getlist("with"), MOST_MERGED))
    wanted = incidents.QueueFilter(states=incidents.OPEN_STATES)
    near = incidents.incident_queue(replace(wanted, area_id=row.area_id), size=CANDIDATES).rows
    far = incidents.incident_queue(wanted, size=CANDIDATES).rows
    rows = {one.number: one for one in (*near, *far) if one.number != row.number}
    candidates = [Candidate(one, one.number in chosen) for one in list(rows.values())[:CANDIDATES]]
    taken = [one.row.number for one in candidates if one.is_chosen]
    own = _members(row.number)
    joined = [_members(one) for one in taken]
    moved = reduce(np.union1d, joined, np.zeros(0, np.int64))
    return {
        "candidates": candidates,
        "taken": taken,
        "moved": len(moved),
        "before": len(own),
        "after": len(np.union1d(own, moved)),
    }


# --- splitting ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """A node below the incident's, and how many of the members hang there."""

    node: inventory.ItemView
    meters: int
    is_chosen: bool


def _split(request: HttpRequest, incident: incidents.IncidentView) -> dict[str, Any]:
    members = _members(incident.row.number)
    chosen = request.GET.get("node", "")
    parts = [Part(node, count, node.mrid == chosen) for node, count in _nodes_within(members, incident.row.node_id)]
    return {"parts": parts, "chosen": next((one for one in parts if one.is_chosen), None), "members": len(members)}


def _nodes_within(members: npt.NDArray[np.int64], root: int) -> list[tuple[inventory.ItemView, int]]:
    """Transformers and low-voltage feeders that hold some of the members and not all, those with the most first."""
    levels = ("transformer_id", "lv_feeder_id")
    columns = inventory.columns_of_end_devices(levels, inventory.EndDeviceFilter(ids=tuple(members.tolist()) or (0,)))
    counts: dict[int, int] = {}
    for level in levels:
        ids, times = np.unique(columns[level], return_counts=True)
        counts |= {int(i): int(n) for i, n in zip(ids, times, strict=True) if i not in (0, root) and n < len(members)}
    most = sorted(counts, key=lambda one: -counts[one])[:CANDIDATES]
    found = [(node, _below(node, members)) for node in inventory.list_items(most).values()]
    return sorted(((node, n) for node, n in found if 0 < n < len(members)), key=lambda one: (-one[1], one[0].mrid))


def _below(node: inventory.ItemView, members: npt.NDArray[np.int64]) -> int:
    below = inventory.ids_of_end_devices(inventory.EndDeviceFilter(under=(node.mrid,)))
    return int(np.isin(members, below).sum())


# --- the others -----------------------------------------------------------------------------------------------------


def _counted(_request: HttpRequest, incident: incidents.IncidentView) -> dict[str, Any]:
    return {"members": len(_members(incident.row.number))}


def _shelve(_request: HttpRequest, incident: incidents.IncidentView) -> dict[str, Any]:
    members = _members(incident.row.number)
    return {"members": len(members), "alarms": events.alarms_of_devices(members)}


_QUESTIONS: dict[str, tuple[str, Callable[[HttpRequest, incidents.IncidentView], dict[str, Any]]]] = {
    "merge": (MERGE, _merge),
    "split": (MERGE, _split),
    "unmerge": (MERGE, _counted),
    "major": (MAJOR, _counted),
    "shelve": (SHELVE, _shelve),
    "order": (ORDERS, _counted),
    "plan": (PLAN, _counted),
    "wait": (WORK, _counted),
    "escalate": (WORK, _counted),
}
