"""The grid: a map of all of it, the one-line diagram of a transformer, and the same as a table."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from meterops.fleet.inventory import api as inventory
from meterops.fleet.inventory.api import EndDeviceFilter, ItemKind
from meterops.fleet.telemetry import api as telemetry
from meterops.interfaces.console import map_points, supply_state
from meterops.interfaces.console.fleet_state import CONTACTS, MAP, SUPPLY
from meterops.interfaces.console.map_points import Points
from meterops.interfaces.console.pages import page, signed_in
from meterops.interfaces.console.places import KIND_WORDS, way_down
from meterops.interfaces.console.reading_state import MARKS, WORDS, ReadState, States
from meterops.interfaces.console.supply_state import SupplyState
from meterops.kernel.clock import from_epoch, utc_now

COLORINGS = (
    ("read", "reading"),
    ("supply", "supply"),
    ("voltage", "voltage"),
    ("firmware", "firmware"),
    ("model", "model"),
    ("phase", "phase"),
)
SHAPES_OF_STATES = {
    ReadState.READ: "dot",
    ReadState.FAILING: "triangle",
    ReadState.SILENT: "ring",
    ReadState.NEVER: "box",
}
SHAPES_OF_KINDS = ("dot", "ring", "square", "diamond", "cross", "box")
LIT = (SupplyState.DARK, SupplyState.SILENT, SupplyState.PHASE)
"""States in which a transformer is drawn as well: far away, its meters are too small to see."""
LOW_V, HIGH_V = 207.0, 253.0
PAGE = 200


@signed_in
@require_GET
def map_page(request: HttpRequest) -> HttpResponse:
    """The map with a side panel."""
    points = MAP.get()
    by = request.GET.get("by", "read")
    chosen = request.GET.get("choose", "")
    context: dict[str, Any] = {
        "transformers": int((points.kind == map_points.TRANSFORMER).sum()),
        "meters": int((points.kind == map_points.METER).sum()),
        "colorings": COLORINGS,
        "by": by,
        "chosen": chosen if chosen.isdigit() else "",
    }
    if chosen.isdigit():
        node = inventory.list_items([int(chosen)]).get(int(chosen))
        if node is not None and node.kind is ItemKind.POWER_TRANSFORMER:
            context |= {"node": node, "one_line_href": reverse("console:one-line", args=[node.id])}
    return page(request, "grid", {}, **context)


@signed_in
@require_GET
def points(request: HttpRequest) -> HttpResponse:
    """Where everything stands, as `map_points` describes."""
    return _binary(request, map_points.encode(MAP.get()))


@signed_in
@require_GET
def states(request: HttpRequest) -> HttpResponse:
    """One octet per point in the order of the points; what each means stands in the header `X-Legend`."""
    wanted = request.GET.get("by", "read")
    states, legend = COLORS.get(wanted, _by_reading)(MAP.get())
    response = _binary(request, states.astype(np.uint8).tobytes())
    response.headers["X-Legend"] = json.dumps(legend)
    return response


def _binary(request: HttpRequest, body: bytes) -> HttpResponse:
    digest = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    headers = {"ETag": digest, "Cache-Control": "private, no-cache"}
    if request.headers.get("If-None-Match") == digest:
        return HttpResponse(status=304, headers=headers)
    return HttpResponse(body, content_type="application/octet-stream", headers=headers)


Colors = tuple[npt.NDArray[Any], list[dict[str, Any]]]


def _legend(label: str, shape: str, state: int, count: int) -> dict[str, Any]:
    return {"label": label, "shape": shape, "state": state, "count": count}


def _by_reading(points: Points) -> Colors:
    is_meter = points.kind == map_points.METER
    found = CONTACTS.get().of(points.id.astype(np.int64), utc_now())
    counts = np.bincount(found.state[is_meter], minlength=len(ReadState))
    legend = [_legend(WORDS[s], SHAPES_OF_STATES[s], int(s), int(counts[s])) for s in ReadState if counts[s]]
    return found.state, legend


def _by_supply(points: Points) -> Colors:
    """Who is below the root of an open situation, and was not read since it began."""
    ids = points.id.astype(np.int64)
    contacts = CONTACTS.get().of(ids, utc_now())
    state = SUPPLY.get().of(ids, contacts.read_at)
    counts = np.bincount(state[points.kind == map_points.METER], minlength=len(SupplyState))
    return state, [
        {**_legend(supply_state.WORDS[one], supply_state.SHAPES[one], one, int(counts[one])), "nodes": one in LIT}
        for one in SupplyState
        if counts[one]
    ]


def _by_voltage(points: Points) -> Colors:
    """Each meter by the newest voltage of any of its phases that is farthest from its band."""
    ids, lowest, highest = telemetry.latest_voltages(telemetry.lake(), now=utc_now())
    state = np.full(len(points), 3, dtype=np.uint8)
    if len(ids):
        wanted = points.id.astype(np.int64)
        place = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
        known = ids[place] == wanted
        low, high = lowest[place], highest[place]
        state[known] = 0
        state[known & (low < LOW_V)] = 1
        state[known & (high > HIGH_V)] = 2
    labels = (
        ("207 to 253 V", "dot"),
        ("below 207 V", "triangle"),
        ("above 253 V", "disc"),
        ("not measured in 24 h", "box"),
    )
    is_meter = points.kind == map_points.METER
    counts = np.bincount(state[is_meter], minlength=len(labels))
    return state, [_legend(label, shape, n, int(counts[n])) for n, (label, shape) in enumerate(labels) if counts[n]]


def _by_column(column: str) -> Callable[[Points], Colors]:
    def color(points: Points) -> Colors:
        found = inventory.columns_of_end_devices([column])
        return _kinds(points, found["id"], found[column])

    return color


def _by_phase(points: Points) -> Colors:
    found = inventory.columns_of_end_devices(["usage_point_id"])
    items = inventory.list_items(found["usage_point_id"].tolist())
    phases = [
        str(items[i].attributes.get("phases", "")) if i in items else "" for i in found["usage_point_id"].tolist()
    ]
    return _kinds(points, found["id"], np.array(phases, dtype=object))


def _kinds(points: Points, ids: npt.NDArray[np.int64], values: npt.NDArray[Any]) -> Colors:
    """The commonest values get a shape each, the rest share the last."""
    names, counts = np.unique(values.astype(str), return_counts=True)
    ranked = [str(names[place]) for place in np.argsort(-counts, kind="stable")]
    last = len(SHAPES_OF_KINDS) - 1
    number = {name: min(place, last) for place, name in enumerate(ranked)}
    state = np.full(len(points), last, dtype=np.uint8)
    if len(ids):
        wanted = points.id.astype(np.int64)
        place = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
        known = ids[place] == wanted
        codes = np.array([number[str(value)] for value in values], dtype=np.uint8)
        state[known] = codes[place[known]]
    shown = np.bincount(state[points.kind == map_points.METER], minlength=last + 1)
    labels = [*ranked[:last], "others"] if len(ranked) > last + 1 else ranked
    return state, [
        _legend(name or "not known", SHAPES_OF_KINDS[n], n, int(shown[n])) for n, name in enumerate(labels[: last + 1])
    ]


COLORS: dict[str, Callable[[Points], Colors]] = {
    "read": _by_reading,
    "supply": _by_supply,
    "voltage": _by_voltage,
    "firmware": _by_column("firmware_version"),
    "model": _by_column("model"),
    "phase": _by_phase,
}


@dataclass(frozen=True, slots=True)
class TransformerRow:
    """A transformer and how its meters answer."""

    node: inventory.NodeSummary
    read: int
    """Within a day, those that fail since among them."""
    failing: int
    silent: int
    never: int
    at: datetime | None

    @property
    def share_answering(self) -> float:
        """The share of its meters that were read within a day and do not fail since."""
        return (self.read - self.failing) / self.node.meter_count if self.node.meter_count else 0.0

    @property
    def share_failing(self) -> float:
        """The share that was read within a day and fails since."""
        return self.failing / self.node.meter_count if self.node.meter_count else 0.0


@signed_in
@require_GET
def table(request: HttpRequest) -> HttpResponse:
    """Every transformer as a row: what the map shows, for those who do not see it."""
    after = request.GET.get("after", "")

    def rows() -> dict[str, object]:
        nodes = inventory.list_nodes(ItemKind.POWER_TRANSFORMER, limit=PAGE, after=after)
        devices = inventory.columns_of_end_devices(["transformer_id"])
        found = CONTACTS.get().of(devices["id"], utc_now())
        return {
            "rows": [_transformer_row(node, found, devices["transformer_id"] == node.id) for node in nodes],
            "next_after": nodes[-1].mrid if len(nodes) == PAGE else "",
        }

    total = int((MAP.get().kind == map_points.TRANSFORMER).sum())
    return page(request, "grid_table", {"rows": rows}, transformers=total)


def _transformer_row(node: inventory.NodeSummary, found: States, below: npt.NDArray[np.bool_]) -> TransformerRow:
    counts = np.bincount(found.state[below], minlength=len(ReadState))
    newest = int(found.read_at[below].max(initial=0))
    return TransformerRow(
        node,
        read=int(counts[ReadState.READ] + counts[ReadState.FAILING]),
        failing=int(counts[ReadState.FAILING]),
        silent=int(counts[ReadState.SILENT]),
        never=int(counts[ReadState.NEVER]),
        at=from_epoch(newest) if newest else None,
    )


@dataclass(frozen=True, slots=True)
class StateCount:
    """How many meters are in a state."""

    label: str
    mark: str
    count: int


def state_counts(states: States) -> list[StateCount]:
    """The states that occur, with their words."""
    return [StateCount(WORDS[s], MARKS[s], n) for s, n in states.counts().items() if n]


@signed_in
@require_GET
def item(request: HttpRequest, item_id: int) -> HttpResponse:
    """What the map's side panel says of a node or a meter."""
    found = inventory.list_items([item_id]).get(item_id)
    if found is None:
        raise Http404

    def panel() -> dict[str, object]:
        context: dict[str, object] = {
            "item": found,
            "kind": KIND_WORDS[found.kind],
            "electrical": way_down(tuple(inventory.ancestors(found.id, inventory.Tree.ELECTRICAL))),
            "is_transformer": found.kind is ItemKind.POWER_TRANSFORMER,
        }
        if found.kind is ItemKind.END_DEVICE:
            return context | _device_panel(found.id)
        below = inventory.ids_of_end_devices(EndDeviceFilter(under=(found.mrid,)))
        states = CONTACTS.get().of(below, utc_now())
        return context | {"counts": state_counts(states), "total": len(below)}

    return page(request, "item", {"panel": panel})


def _device_panel(end_device_id: int) -> dict[str, object]:
    states = CONTACTS.get().of([end_device_id], utc_now())
    state, read_at = ReadState(int(states.state[0])), int(states.read_at[0])
    return {
        "device": inventory.find_end_device(end_device_id),
        "health": {"mark": MARKS[state], "words": WORDS[state]},
        "contact_at": from_epoch(read_at) if read_at else None,
    }
