"""Where each meter hangs now, written beside it so that "all meters under this substation" is one index look-up.

The columns (`service_node` to `substation`, `concentrator`, `route`) say nothing that the links do not say; only this
module fills them, and `find_problems` checks them.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from meterops.fleet.inventory.bulk_rows import update_rows
from meterops.fleet.inventory.kinds import LEAF_KINDS, ItemKind, Tree
from meterops.fleet.inventory.models import ConfigurationItem, EndDevice, Link

_CHUNK: Final = 5000


class GridPlace(NamedTuple):
    """A meter's ancestors in the electrical tree, the nearest of each kind; None where there is none."""

    usage_point_id: int | None = None
    service_node_id: int | None = None
    lv_feeder_id: int | None = None
    transformer_id: int | None = None
    feeder_id: int | None = None
    substation_id: int | None = None


class RoutePlace(NamedTuple):
    """A meter's ancestors in the communication tree."""

    concentrator_id: int | None = None
    route_id: int | None = None


NOWHERE: Final = GridPlace()
UNREACHED: Final = RoutePlace()
_COLUMN: Final = {
    ItemKind.LV_FEEDER: "lv_feeder_id",
    ItemKind.POWER_TRANSFORMER: "transformer_id",
    ItemKind.FEEDER: "feeder_id",
    ItemKind.SUBSTATION: "substation_id",
    ItemKind.DATA_CONCENTRATOR: "concentrator_id",
    ItemKind.ROUTE: "route_id",
}


class Network:
    """The nodes of both trees as they hang now, without usage points and meters: about one for every fifty meters."""

    def __init__(self) -> None:
        nodes = ConfigurationItem.objects.exclude(kind__in=[str(kind) for kind in LEAF_KINDS])
        self.kind: dict[int, ItemKind] = {pk: ItemKind(kind) for pk, kind in nodes.values_list("pk", "kind").iterator()}
        links = Link.objects.filter(ends_at__isnull=True, child__in=nodes).values_list("tree", "child_id", "parent_id")
        self.parent: dict[tuple[str, int], int] = {(tree, child): parent for tree, child, parent in links.iterator()}
        self._grid: dict[int, GridPlace] = {}
        self._routes: dict[int, RoutePlace] = {}

    def grid_place(self, node_id: int | None) -> GridPlace:
        """The place of whatever hangs directly under a node."""
        if node_id is None or node_id not in self.kind:
            return NOWHERE
        if node_id not in self._grid:
            self._grid[node_id] = GridPlace(service_node_id=node_id)._replace(**self._above(Tree.ELECTRICAL, node_id))
        return self._grid[node_id]

    def route_place(self, node_id: int | None) -> RoutePlace:
        """The route of whatever talks directly through a node."""
        if node_id is None or node_id not in self.kind:
            return UNREACHED
        if node_id not in self._routes:
            self._routes[node_id] = UNREACHED._replace(**self._above(Tree.COMMUNICATION, node_id))
        return self._routes[node_id]

    def nodes_under(self, node_id: int, tree: Tree) -> set[int]:
        """The node and every node below it."""
        below: dict[int, list[int]] = {}
        for (of_tree, child), parent in self.parent.items():
            if of_tree == tree:
                below.setdefault(parent, []).append(child)
        found, waiting = set(), [node_id]
        while waiting:
            node = waiting.pop()
            if node not in found:
                found.add(node)
                waiting += below.get(node, ())
        return found

    def _above(self, tree: Tree, node_id: int) -> dict[str, Any]:
        nearest: dict[str, int] = {}
        seen: set[int] = set()
        node: int | None = node_id
        while node is not None and node not in seen:
            seen.add(node)
            column = _COLUMN.get(self.kind.get(node, ItemKind.HEAD_END))
            if column is not None:
                nearest.setdefault(column, node)
            node = self.parent.get((tree, node))
        allowed = GridPlace._fields if tree is Tree.ELECTRICAL else RoutePlace._fields
        return {column: node for column, node in nearest.items() if column in allowed}


def place_devices(network: Network, device_ids: Sequence[int]) -> None:
    """Fill the columns of these meters from their present links."""
    for start in range(0, len(device_ids), _CHUNK):
        chunk = list(device_ids[start : start + _CHUNK])
        places = places_of(network, chunk)
        addresses = addresses_at({place["usage_point_id"] for place in places.values()})
        for name in _PLACE_COLUMNS:
            update_rows(EndDevice, name.removesuffix("_id"), ((pk, places[pk][name]) for pk in chunk))
        update_rows(
            EndDevice, "search_address", ((pk, addresses.get(places[pk]["usage_point_id"], "")) for pk in chunk)
        )


_PLACE_COLUMNS: Final = (*GridPlace._fields, *RoutePlace._fields)


def places_of(network: Network, device_ids: Sequence[int]) -> dict[int, dict[str, int | None]]:
    """The columns of these meters (at most some thousands) as their present links say."""
    up = _parents(Tree.ELECTRICAL, device_ids)
    above = _parents(Tree.ELECTRICAL, [parent for parent in up.values() if parent not in network.kind])
    over = _parents(Tree.COMMUNICATION, device_ids)
    places = {}
    for device_id in device_ids:
        parent = up.get(device_id)
        if parent is None or parent in network.kind:
            grid = network.grid_place(parent)
        else:
            grid = network.grid_place(above.get(parent))._replace(usage_point_id=parent)
        places[device_id] = {**grid._asdict(), **network.route_place(over.get(device_id))._asdict()}
    return places


def addresses_at(usage_point_ids: Iterable[int | None]) -> dict[int | None, str]:
    """The addresses of usage points (at most some thousands) as `search` compares them."""
    wanted = [pk for pk in usage_point_ids if pk is not None]
    return dict(ConfigurationItem.objects.filter(pk__in=wanted).values_list("pk", "search_address"))


def devices_under(network: Network, item_id: int, tree: Tree) -> list[int]:
    """The meters whose columns depend on where an item hangs, as they were before it moved or after."""
    if tree is Tree.ELECTRICAL:
        nodes = network.nodes_under(item_id, tree) if item_id in network.kind else set()
        found = set(EndDevice.objects.filter(usage_point_id=item_id).values_list("pk", flat=True))
        found |= set(EndDevice.objects.filter(pk=item_id).values_list("pk", flat=True))
        found |= set(
            Link.objects.filter(
                parent_id=item_id, tree=tree, ends_at=None, child__kind=ItemKind.END_DEVICE
            ).values_list("child_id", flat=True)
        )
        for chunk in _chunks(sorted(nodes)):
            found |= set(EndDevice.objects.filter(service_node_id__in=chunk).values_list("pk", flat=True))
        return sorted(found)
    found = set(EndDevice.objects.filter(pk=item_id).values_list("pk", flat=True))
    found |= set(EndDevice.objects.filter(concentrator_id=item_id).values_list("pk", flat=True))
    return sorted(found | set(EndDevice.objects.filter(route_id=item_id).values_list("pk", flat=True)))


def find_problems(limit: int = 20) -> list[str]:
    """Sentences for `meterops doctor` on meters whose columns do not say what their links say; empty where all is well."""
    network = Network()
    wrong: list[str] = []
    for chunk in _chunks(list(EndDevice.objects.order_by("pk").values_list("pk", flat=True))):
        places = places_of(network, chunk)
        for row in EndDevice.objects.filter(pk__in=chunk).values("pk", "serial", *_PLACE_COLUMNS):
            names = [name for name in _PLACE_COLUMNS if row[name] != places[row["pk"]][name]]
            if names:
                wrong.append(f"meter {row['serial']}: {', '.join(names)} differ from its links")
        if len(wrong) >= limit:
            break
    return wrong[:limit]


def _parents(tree: Tree, ids: Iterable[int]) -> dict[int, int]:
    rows = Link.objects.filter(tree=tree, ends_at__isnull=True, child_id__in=list(ids))
    return dict(rows.values_list("child_id", "parent_id"))


def _chunks(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))
