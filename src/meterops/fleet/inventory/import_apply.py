"""Carries out an import plan inside the caller's transaction."""

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from meterops.fleet.inventory.attributes import ATTRIBUTE_OF_TREE, DEVICE_ATTRIBUTES, EXTRA, as_json, merged
from meterops.fleet.inventory.bulk_rows import insert_rows, new_keys, update_rows
from meterops.fleet.inventory.import_plan import CHUNK, ImportPlan, ItemChange, KnownItem, NewItem
from meterops.fleet.inventory.kinds import ItemKind, Transport, Tree
from meterops.fleet.inventory.models import AttributeChange, ConfigurationItem, Disagreement, EndDevice, ImportRun, Link
from meterops.fleet.inventory.placement import (
    GridPlace,
    Network,
    RoutePlace,
    addresses_at,
    devices_under,
    place_devices,
    places_of,
)
from meterops.fleet.inventory.rules import BEGINNING, search_form
from meterops.kernel.actor import Actor

_ITEM_COLUMNS: Final = (
    "id", "mrid", "kind", "name", "state", "latitude", "longitude", "rated_kva", "nominal_voltage", "address", "attributes",
    "source", "attribute_sources", "created_at", "created_by", "search_mrid", "search_name", "search_address",
)  # fmt: skip
_DEVICE_COLUMNS: Final = ("item", "serial", *DEVICE_ATTRIBUTES, "state", "search_address")
_DEVICE_DEFAULTS: Final[dict[str, Any]] = {
    "port": 4059,
    "transport": str(Transport.WRAPPER),
    "server_sap": 1,
    "installed_at": None,
}
_LINK_COLUMNS: Final = ("tree", "child", "parent", "starts_at", "ends_at", "confidence", "source")
_CHANGE_COLUMNS: Final = ("item", "attribute", "old", "new", "source", "at", "actor", "import_run")
_PLACE_FIELDS: Final = tuple(name.removesuffix("_id") for name in (*GridPlace._fields, *RoutePlace._fields))


def apply_plan(plan: ImportPlan, *, run: ImportRun, actor: Actor, at: datetime) -> None:
    """Write everything the plan says. The plan has no errors and was made in this transaction."""
    nodes = [item for item in plan.created if item.kind is not ItemKind.END_DEVICE]
    devices = [item for item in plan.created if item.kind is ItemKind.END_DEVICE]
    _create_items(plan, nodes, actor, at)
    moved = _change_items(plan, run, actor, at)
    network = Network()
    _create_items(plan, devices, actor, at)
    _create_devices(plan, devices, network)
    _place_moved(network, moved)
    _queue_disagreements(plan, at)


def _create_items(plan: ImportPlan, items: list[NewItem], actor: Actor, at: datetime) -> None:
    if not items:
        return
    keys = new_keys(ConfigurationItem, len(items))
    insert_rows(ConfigurationItem, _ITEM_COLUMNS, _item_rows(plan, items, keys, str(actor), at))
    for item, key in zip(items, keys, strict=True):
        plan.known[item.mrid] = KnownItem(key, item.kind)
    insert_rows(Link, _LINK_COLUMNS, _link_rows(plan, items, at))


def _item_rows(
    plan: ImportPlan, items: list[NewItem], keys: Any, actor: str, at: datetime
) -> Iterator[tuple[Any, ...]]:
    for item, key in zip(items, keys, strict=True):
        get = item.values.get
        name, address = get("name", ""), get("address", "")
        yield (
            key, item.mrid, item.kind, name, item.values["state"], get("latitude"), get("longitude"), get("rated_kva"),
            get("nominal_voltage"), address, item.values["attributes"], plan.source, {}, at, actor,
            search_form(item.mrid, 100), search_form(name, 200), search_form(address),
        )  # fmt: skip


def _link_rows(plan: ImportPlan, items: list[NewItem], at: datetime) -> Iterator[tuple[Any, ...]]:
    for item in items:
        starts_at = min(item.values.get("installed_at") or BEGINNING, at)
        child = plan.known[item.mrid].id
        for tree, parent in item.parents.items():
            yield tree, child, plan.known[parent].id, starts_at, None, 1.0, plan.source


def _create_devices(plan: ImportPlan, devices: list[NewItem], network: Network) -> None:
    insert_rows(EndDevice, (*_DEVICE_COLUMNS, *_PLACE_FIELDS), _device_rows(plan, devices, network))


def _device_rows(plan: ImportPlan, devices: list[NewItem], network: Network) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(devices), CHUNK):
        chunk = devices[start : start + CHUNK]
        ids = [plan.known[device.mrid].id for device in chunk]
        places = places_of(network, ids)
        addresses = addresses_at({place["usage_point_id"] for place in places.values()})
        for device, device_id in zip(chunk, ids, strict=True):
            place = places[device_id]
            values = [device.values.get(name, _DEVICE_DEFAULTS.get(name, "")) for name in DEVICE_ATTRIBUTES]
            address = addresses.get(place["usage_point_id"], "")
            yield device_id, device.mrid, *values, device.values["state"], address, *place.values()


def _change_items(plan: ImportPlan, run: ImportRun, actor: Actor, at: datetime) -> list[tuple[int, Tree]]:
    """Write the changes; returns what hangs elsewhere now."""
    insert_rows(AttributeChange, _CHANGE_COLUMNS, _history_rows(plan, run.pk, str(actor), at))
    for (model, column), values in _column_values(plan).items():
        update_rows(model, column, values)
    return _move(plan, at)


def _history_rows(plan: ImportPlan, run_id: UUID, actor: str, at: datetime) -> Iterator[tuple[Any, ...]]:
    for item in plan.changed:
        for attribute, old, new in item.changes:
            yield item.id, attribute, as_json(old), as_json(new), plan.source, at, actor, run_id
        for tree, (old, new) in item.moves.items():
            yield item.id, ATTRIBUTE_OF_TREE[tree], old, new, plan.source, at, actor, run_id


def _column_values(plan: ImportPlan) -> dict[tuple[Any, str], list[tuple[int, Any]]]:
    columns: dict[tuple[Any, str], list[tuple[int, Any]]] = {}
    for item in plan.changed:
        for model, column, value in column_changes(item, plan.source):
            columns.setdefault((model, column), []).append((item.id, value))
    return columns


def column_changes(item: ItemChange, source: str) -> Iterator[tuple[Any, str, Any]]:
    """What the changed attributes of an item mean for its tables: (model, column, value)."""
    extra: dict[str, Any] = {}
    for attribute, _, new in item.changes:
        if attribute.startswith(EXTRA):
            extra[attribute.removeprefix(EXTRA)] = new
        elif attribute in DEVICE_ATTRIBUTES:
            yield EndDevice, attribute, new
        else:
            yield ConfigurationItem, attribute, new
            if attribute in ("name", "address"):
                yield ConfigurationItem, f"search_{attribute}", search_form(new, 200 if attribute == "name" else 300)
            if attribute == "state" and item.kind is ItemKind.END_DEVICE:
                yield EndDevice, "state", new
    if extra:
        yield ConfigurationItem, "attributes", merged(item.extra, extra)
    sources = {**item.attribute_sources, **{attribute: str(source) for attribute, _, _ in item.changes}}
    sources = {attribute: said for attribute, said in sources.items() if said != item.item_source}
    if sources != item.attribute_sources:
        yield ConfigurationItem, "attribute_sources", sources


def _move(plan: ImportPlan, at: datetime) -> list[tuple[int, Tree]]:
    moved = [(item, tree) for item in plan.changed for tree in item.moves]
    for tree in Tree:
        children = [item.id for item, of_tree in moved if of_tree is tree]
        for start in range(0, len(children), CHUNK):
            end_links(tree, children[start : start + CHUNK], at)
    rows = (
        (tree, item.id, plan.known[parent].id, at, None, 1.0, plan.source)
        for item, tree in moved
        if (parent := item.moves[tree][1]) is not None
    )
    insert_rows(Link, _LINK_COLUMNS, rows)
    addressed = [item.id for item in plan.changed if any(name == "address" for name, _, _ in item.changes)]
    return [(item.id, tree) for item, tree in moved] + [(item_id, Tree.ELECTRICAL) for item_id in addressed]


def end_links(tree: Tree, child_ids: list[int], at: datetime) -> None:
    """End the present links of some children. A link that would end as it begins has never held, and goes."""
    present = Link.objects.filter(tree=tree, child_id__in=child_ids, ends_at__isnull=True)
    present.filter(starts_at__gte=at).delete()
    present.update(ends_at=at)


def _place_moved(network: Network, moved: list[tuple[int, Tree]]) -> None:
    dirty: set[int] = set()
    leaves = [item_id for item_id, _ in moved if item_id not in network.kind]
    for start in range(0, len(leaves), CHUNK):
        chunk = leaves[start : start + CHUNK]
        dirty |= set(EndDevice.objects.filter(pk__in=chunk).values_list("pk", flat=True))
        dirty |= set(EndDevice.objects.filter(usage_point_id__in=chunk).values_list("pk", flat=True))
    for item_id, tree in moved:
        if item_id in network.kind:
            dirty |= set(devices_under(network, item_id, tree))
    place_devices(network, sorted(dirty))


def _queue_disagreements(plan: ImportPlan, at: datetime) -> None:
    Disagreement.objects.bulk_create(
        (
            Disagreement(
                item_id=one.item_id,
                attribute=one.attribute,
                present=one.present,
                present_source=one.present_source,
                proposed=one.proposed,
                proposed_key=proposed_key(one.proposed),
                source=plan.source,
                noticed_at=at,
            )
            for one in plan.disagreements
        ),
        batch_size=500,
        ignore_conflicts=True,
    )


def proposed_key(value: Any) -> str:
    """A digest that is the same for the same proposed value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
