"""The one-line diagram of a transformer: its feeders and meters, by supply or by reading, and the same as a table."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from meterops.fleet.inventory import api as inventory
from meterops.fleet.inventory.api import GridNode, ItemKind
from meterops.interfaces.console import reading_state, supply_state
from meterops.interfaces.console.fleet_state import CONTACTS, SUPPLY
from meterops.interfaces.console.pages import page, signed_in
from meterops.interfaces.console.reading_state import ReadState
from meterops.interfaces.console.supply_state import Supply, SupplyState
from meterops.interfaces.console.svg.one_line import Branch, Diagram, Meter, lay_out
from meterops.kernel.clock import from_epoch, utc_now
from meterops.practices.incidents import api as incidents

COLORINGS = (("supply", "supply"), ("read", "reading"))
MOST_INCIDENTS = 6


@dataclass(frozen=True, slots=True)
class MeterLine:
    """A meter of the diagram, and its row in the table below it."""

    id: int
    serial: str
    feeder: str
    phases: str
    read: ReadState
    supply: SupplyState
    at: datetime | None

    @property
    def mark(self) -> str:
        """The mark of its reading."""
        return reading_state.MARKS[self.read]

    @property
    def state(self) -> str:
        """Its reading in words."""
        return reading_state.WORDS[self.read]

    @property
    def supply_mark(self) -> str:
        """The mark of its supply."""
        return f"box-{supply_state.LOOKS[self.supply]}"

    @property
    def supply_words(self) -> str:
        """Its supply in words."""
        return supply_state.WORDS[self.supply]


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A look of the diagram, what it means and how many meters have it."""

    mark: str
    label: str
    count: int


@signed_in
@require_GET
def one_line(request: HttpRequest, item_id: int) -> HttpResponse:
    """A transformer's feeders and meters as a diagram and as a table."""
    found = inventory.list_items([item_id]).get(item_id)
    if found is None or found.kind is not ItemKind.POWER_TRANSFORMER:
        raise Http404
    root = inventory.one_line(found.mrid)
    by = "read" if request.GET.get("by") == "read" else "supply"
    supply = SUPPLY.get()
    meters = _meters(root, supply)

    def diagram() -> dict[str, object]:
        drawing = _Drawing({one.id: one for one in meters}, root, supply, by)
        return {
            "diagram": drawing.lay_out(),
            "legend": _legend(meters, by),
            "incidents": _incidents(root),
        }

    def table() -> dict[str, object]:
        return {"meters": sorted(meters, key=lambda one: (one.feeder, one.serial))}

    return page(
        request,
        "one_line",
        {"diagram": diagram, "table": table},
        node=root,
        by=by,
        colorings=COLORINGS,
        one_line_href=reverse("console:one-line", args=[item_id]),
    )


def _meters(root: GridNode, supply: Supply) -> list[MeterLine]:
    below = _meters_below(root, "at the busbar", "")
    ids = np.array([meter.id for meter, _, _ in below], np.int64)
    read = CONTACTS.get().of(ids, utc_now())
    states = supply.of(ids, read.read_at)
    return [
        MeterLine(
            meter.id,
            meter.mrid,
            feeder,
            phases,
            ReadState(int(how)),
            SupplyState(int(fed)),
            from_epoch(int(at)) if at else None,
        )
        for (meter, feeder, phases), how, fed, at in zip(below, read.state, states, read.read_at, strict=True)
    ]


def _legend(meters: list[MeterLine], by: str) -> list[LegendEntry]:
    if by == "read":
        reads = [one.read for one in meters]
        marks, words = reading_state.MARKS, reading_state.WORDS
        return [LegendEntry(marks[one], words[one], reads.count(one)) for one in ReadState if one in reads]
    fed = [one.supply for one in meters]
    return [
        LegendEntry(f"box-{supply_state.LOOKS[one]}", supply_state.WORDS[one], fed.count(one))
        for one in SupplyState
        if one in fed
    ]


def _incidents(root: GridNode) -> tuple[incidents.IncidentRow, ...]:
    """The open incidents at the transformer, above it or below it, the worst first."""
    related = {one.id for one in inventory.ancestors(root.id, inventory.Tree.ELECTRICAL)} | _ids_below(root)
    numbers = tuple(number for node, (number, _) in incidents.open_incidents_by_node().items() if node in related)
    if not numbers:
        return ()
    return incidents.incident_queue(incidents.QueueFilter(numbers=numbers), size=MOST_INCIDENTS).rows


def _ids_below(node: GridNode) -> set[int]:
    return {node.id}.union(*(_ids_below(child) for child in node.children))


def _meters_below(node: GridNode, feeder: str, phases: str) -> list[tuple[GridNode, str, str]]:
    found = []
    for child in node.children:
        if child.kind is ItemKind.END_DEVICE:
            found.append((child, feeder, child.phases or phases))
        else:
            name = (child.name or child.mrid) if child.kind is ItemKind.LV_FEEDER else feeder
            found += _meters_below(child, name, child.phases or phases)
    return found


@dataclass(frozen=True, slots=True)
class _Drawing:
    """Turns the tree below a transformer into what `svg.one_line` lays out."""

    lines: dict[int, MeterLine]
    root: GridNode
    supply: Supply
    by: str

    def lay_out(self) -> Diagram:
        """The whole of it."""
        feeders = [self._branch(child) for child in self.root.children if child.kind is ItemKind.LV_FEEDER]
        loose = self._boxes([child for child in self.root.children if child.kind is not ItemKind.LV_FEEDER])
        return lay_out(feeders, loose=loose, look=self._wire(self.root))

    def _wire(self, node: GridNode) -> str:
        return supply_state.LOOKS[self.supply.of_one(node.id)] if self.by == "supply" else "ok"

    def _branch(self, node: GridNode) -> Branch:
        points = [child for child in node.children if child.kind is not ItemKind.LV_FEEDER]
        branches = [self._branch(child) for child in node.children if child.kind is ItemKind.LV_FEEDER]
        label = (node.name or node.mrid).removeprefix(self.root.name or self.root.mrid).strip(" -/") or node.mrid
        return Branch(label, self._boxes(points), branches, self._wire(node))

    def _boxes(self, points: list[GridNode]) -> list[Meter]:
        """Meters in the order of their distance from the transformer, as a cable passes them."""
        ordered = sorted(points, key=lambda point: (_distance(point, self.root), point.mrid))
        return [
            self._box(self.lines[meter.id])
            for point in ordered
            for meter, _, _ in _meters_below(point, "", point.phases)
            or ([(point, "", point.phases)] if point.kind is ItemKind.END_DEVICE else [])
        ]

    def _box(self, one: MeterLine) -> Meter:
        look = supply_state.LOOKS[one.supply] if self.by == "supply" else reading_state.BOXES[one.read]
        title = f"{one.serial}, {one.phases or 'phase not known'}: {one.supply_words}, {one.state}"
        return Meter(one.id, title, look)


def _distance(one: GridNode, other: GridNode) -> float:
    if None in (one.latitude, one.longitude, other.latitude, other.longitude):
        return 0.0
    north = (one.latitude or 0) - (other.latitude or 0)
    east = ((one.longitude or 0) - (other.longitude or 0)) * float(np.cos(np.radians(other.latitude or 0)))
    return float(np.hypot(north, east))
