"""The trees as a whole: arrays for maps and correlation, the items below one node, the content of a one-line diagram."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from django.db.models import Count, Q
from numpy.typing import NDArray

from meterops.fleet.inventory.kinds import KIND_CODES, LEAF_KINDS, ItemKind, Tree
from meterops.fleet.inventory.models import ConfigurationItem, EndDevice, Link
from meterops.fleet.inventory.queries import ItemView, get_item, list_items

_BATCH: Final = 20_000


@dataclass(frozen=True, slots=True)
class TopologyArrays:
    """A tree in columns of one length n, ascending by id.

    `parent` is an index into the same columns, -1 for none. `kind` are `KIND_CODES`. `x` is the longitude and `y` the
    latitude in degrees; an item without coordinates has those of the nearest item above it, NaN where there are none.
    """

    id: NDArray[np.int64]
    parent: NDArray[np.int32]
    kind: NDArray[np.uint8]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    confidence: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.id)


def topology_arrays(tree: Tree = Tree.ELECTRICAL, at: datetime | None = None, *, leaves: bool = True) -> TopologyArrays:
    """A whole tree at a moment (None: now); without usage points and meters where `leaves` is False."""
    items = ConfigurationItem.objects.order_by("pk")
    if not leaves:
        items = items.exclude(kind__in=[str(kind) for kind in LEAF_KINDS])
    rows = list(items.values_list("pk", "kind", "longitude", "latitude").iterator(chunk_size=_BATCH))
    codes = {str(kind): code for kind, code in KIND_CODES.items()}
    ids = np.array([row[0] for row in rows], dtype=np.int64)
    kinds = np.array([codes[row[1]] for row in rows], dtype=np.uint8)
    x = np.array([row[2] for row in rows], dtype=np.float64)
    y = np.array([row[3] for row in rows], dtype=np.float64)
    parent, confidence = _parents(tree, at, ids)
    _inherit_places(parent, x, y)
    return TopologyArrays(ids, parent, kinds, x, y, confidence)


def _parents(tree: Tree, at: datetime | None, ids: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    found = list(topology_rows(tree, at))
    parent = np.full(len(ids), -1, dtype=np.int32)
    confidence = np.ones(len(ids), dtype=np.float32)
    if not found or not len(ids):
        return parent, confidence
    child_ids, parent_ids, sure = (np.array(column) for column in zip(*found, strict=True))
    known = np.isin(child_ids, ids) & np.isin(parent_ids, ids)
    child_at = np.searchsorted(ids, child_ids[known])
    parent[child_at] = np.searchsorted(ids, parent_ids[known]).astype(np.int32)
    confidence[child_at] = sure[known]
    return parent, confidence


def _inherit_places(parent: NDArray[np.int32], x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    """Hand coordinates down, one level per round; a tree is a few levels deep."""
    for _ in range(32):
        missing = np.flatnonzero((np.isnan(x) | np.isnan(y)) & (parent >= 0))
        above = parent[missing]
        usable = ~(np.isnan(x[above]) | np.isnan(y[above]))
        if not usable.any():
            return
        x[missing[usable]], y[missing[usable]] = x[above[usable]], y[above[usable]]


def topology_rows(tree: Tree, at: datetime | None = None) -> Iterator[tuple[int, int, float]]:
    """(child id, parent id, confidence) of every link of a tree that held at a moment (None: now)."""
    links = Link.objects.filter(tree=tree)
    if at is None:
        links = links.filter(ends_at__isnull=True)
    else:
        links = links.filter(Q(ends_at__isnull=True) | Q(ends_at__gt=at), starts_at__lte=at)
    yield from links.values_list("child_id", "parent_id", "confidence").iterator(chunk_size=_BATCH)


@dataclass(frozen=True, slots=True)
class GridNode:
    """An item in a diagram with what hangs under it. `meter_count` counts every meter below."""

    id: int
    mrid: str
    kind: ItemKind
    name: str
    state: str
    phases: str
    rated_kva: float | None
    latitude: float | None
    longitude: float | None
    confidence: float
    attributes: dict[str, Any]
    meter_count: int
    children: tuple["GridNode", ...]


def grid_children(mrid: str, tree: Tree = Tree.ELECTRICAL, at: datetime | None = None) -> list[ItemView]:
    """What hangs directly under an item, by name.

    Raises:
        ItemUnknown: when there is no such item.
    """
    parent = get_item(mrid)
    held = (
        Q(ends_at__isnull=True) if at is None else Q(starts_at__lte=at) & (Q(ends_at__isnull=True) | Q(ends_at__gt=at))
    )
    ids = Link.objects.filter(held, parent_id=parent.id, tree=tree).values_list("child_id", flat=True)
    return sorted(list_items(ids).values(), key=lambda item: item.mrid)


def one_line(mrid: str, tree: Tree = Tree.ELECTRICAL) -> GridNode:
    """An item with everything below it, for a one-line diagram: a transformer, its LV feeders and laterals, usage points, meters.

    Raises:
        ItemUnknown: when there is no such item.
    """
    root = get_item(mrid)
    children: dict[int, list[tuple[int, float]]] = {}
    level, seen = [root.id], {root.id}
    while level:
        links = []
        for start in range(0, len(level), 5000):
            held = Link.objects.filter(tree=tree, ends_at__isnull=True, parent_id__in=level[start : start + 5000])
            links += list(held.values_list("parent_id", "child_id", "confidence"))
        for parent, child, confidence in links:
            children.setdefault(parent, []).append((child, confidence))
        level = [child for _, child, _ in links if child not in seen]
        seen.update(level)
    items: dict[int, ConfigurationItem] = {}
    for chunk_start in range(0, len(seen), 5000):
        chunk = sorted(seen)[chunk_start : chunk_start + 5000]
        items |= {item.pk: item for item in ConfigurationItem.objects.filter(pk__in=chunk)}
    return _grid_node(items, children, root.id, 1.0)


def _grid_node(
    items: dict[int, ConfigurationItem], children: dict[int, list[tuple[int, float]]], item_id: int, confidence: float
) -> GridNode:
    item = items[item_id]
    below = tuple(
        sorted(
            (_grid_node(items, children, child, sure) for child, sure in children.get(item_id, ())),
            key=lambda node: (node.kind in LEAF_KINDS, node.mrid),
        )
    )
    return GridNode(
        item.pk,
        item.mrid,
        ItemKind(item.kind),
        item.name,
        item.state,
        str(item.attributes.get("phases", "")),
        item.rated_kva,
        item.latitude,
        item.longitude,
        confidence,
        item.attributes,
        (item.kind == ItemKind.END_DEVICE) + sum(node.meter_count for node in below),
        below,
    )


@dataclass(frozen=True, slots=True)
class NodeSummary:
    """A node in a table beside the map."""

    id: int
    mrid: str
    kind: ItemKind
    name: str
    rated_kva: float | None
    latitude: float | None
    longitude: float | None
    meter_count: int


_COLUMN: Final = {
    ItemKind.POWER_TRANSFORMER: "transformer_id",
    ItemKind.FEEDER: "feeder_id",
    ItemKind.SUBSTATION: "substation_id",
    ItemKind.LV_FEEDER: "lv_feeder_id",
    ItemKind.DATA_CONCENTRATOR: "concentrator_id",
    ItemKind.ROUTE: "route_id",
}


def list_nodes(kind: ItemKind, *, limit: int = 1000, after: str = "") -> list[NodeSummary]:
    """Nodes of one kind with how many meters hang below each, by mrid; `after` (an mrid) pages on."""
    found = list(ConfigurationItem.objects.filter(kind=kind, mrid__gt=after).order_by("mrid")[:limit])
    column = _COLUMN.get(kind)
    counts: dict[int, int] = {}
    if column:
        below = EndDevice.objects.filter(**{f"{column}__in": [node.pk for node in found]})
        counts = dict(below.values_list(column).annotate(n=Count("pk")))
    return [
        NodeSummary(n.pk, n.mrid, kind, n.name, n.rated_kva, n.latitude, n.longitude, counts.get(n.pk, 0))
        for n in found
    ]
