"""Compares inventory files with what is stored and says what an import would do. Reads tables, writes none.

Rows are compared in chunks, and only differences are kept: memory grows with the files, time with their rows.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from meterops.fleet.inventory.attributes import ATTRIBUTE_OF_TREE, EXTRA, TREE_OF_ATTRIBUTE, as_json
from meterops.fleet.inventory.import_files import ErrorList, ImportFile, Table, read_table
from meterops.fleet.inventory.kinds import ALLOWED_PARENTS, ItemKind, Source, Tree
from meterops.fleet.inventory.lifecycle import TRANSITIONS, ItemState, is_allowed
from meterops.fleet.inventory.models import ConfigurationItem, EndDevice, Link, SourcePrecedence
from meterops.fleet.inventory.rules import Precedence, Verdict

CHUNK: Final = 5000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KnownItem:
    """An item that rows may refer to; `id` 0 is one that the import creates."""

    id: int
    kind: ItemKind


@dataclass(frozen=True, slots=True)
class NewItem:
    """A row that creates an item; `parents` are names, by tree."""

    mrid: str
    kind: ItemKind
    values: dict[str, Any]
    parents: dict[Tree, str]


@dataclass(slots=True)
class ItemChange:
    """A row that changes an item: (attribute, old, new) for each attribute, and its new parents, by tree."""

    id: int
    mrid: str
    kind: ItemKind
    item_source: str
    attribute_sources: dict[str, str]
    extra: dict[str, Any]
    changes: list[tuple[str, Any, Any]] = field(default_factory=list)
    moves: dict[Tree, tuple[str | None, str | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewDisagreement:
    """A cell that contradicts a source of higher precedence."""

    item_id: int
    mrid: str
    attribute: str
    present: Any
    present_source: str
    proposed: Any


@dataclass(slots=True)
class ImportPlan:
    """What an import would do, complete."""

    files: dict[str, str]
    source: Source
    errors: ErrorList = field(default_factory=ErrorList)
    created: list[NewItem] = field(default_factory=list)
    changed: list[ItemChange] = field(default_factory=list)
    disagreements: list[NewDisagreement] = field(default_factory=list)
    unchanged: int = 0
    known: dict[str, KnownItem] = field(default_factory=dict)

    def counts(self) -> dict[str, dict[str, int]]:
        """Created and changed items, by kind."""
        return {
            "created": dict(Counter(str(item.kind) for item in self.created)),
            "updated": dict(Counter(str(item.kind) for item in self.changed)),
        }

    def digest(self) -> str:
        """The same for two plans that would do the same."""
        said = hashlib.sha256(repr((sorted(self.files.items()), self.source)).encode())
        for new in self.created:
            said.update(new.mrid.encode())
        for item in self.changed:
            said.update(repr((item.id, item.changes, sorted(item.moves.items()))).encode())
        for one in self.disagreements:
            said.update(repr((one.item_id, one.attribute, one.proposed)).encode())
        return said.hexdigest()


def make_plan(files: Sequence[ImportFile], source: Source) -> ImportPlan:
    """Read the files and compare them with the tables. Errors are in the plan; nothing is raised for them."""
    plan = ImportPlan({file.name: hashlib.sha256(file.data).hexdigest() for file in files}, source)
    found = [table for file in files if (table := read_table(file, plan.errors)) is not None]
    nodes = [table for table in found if not table.is_of_devices]
    devices = [table for table in found if table.is_of_devices]
    _Comparison(plan, nodes, devices).run()
    return plan


class _Comparison:
    """Walks the tables twice: first to learn every item's name and kind, then to compare."""

    def __init__(self, plan: ImportPlan, nodes: list[Table], devices: list[Table]) -> None:
        self.plan = plan
        self.nodes = nodes
        self.devices = devices
        self.precedence = Precedence(dict(SourcePrecedence.objects.values_list("attribute", "sources")))
        self.place: dict[str, tuple[str, int]] = {}
        self.left_out = {name for table in (*nodes, *devices) for name in table.names_with_errors}

    def run(self) -> None:
        for table in (*self.nodes, *self.devices):
            self._learn_names(table)
        self._learn_parents()
        for table in (*self.nodes, *self.devices):
            self._compare(table)
        self._check_cycles()
        self._check_titles()

    # --- first walk -------------------------------------------------------------------------------------------------

    def _learn_names(self, table: Table) -> None:
        key = _key_of(table)
        kind_at = table.index("kind")
        for chunk in _chunks(range(len(table.rows))):
            stored = _items_named(table.rows[i][key] for i in chunk)
            for i in chunk:
                self._learn_name(table, i, table.rows[i][key], kind_at, stored)

    def _learn_name(self, table: Table, i: int, mrid: str, kind_at: int | None, stored: dict[str, KnownItem]) -> None:
        line, column = table.lines[i], "serial" if table.is_of_devices else "mrid"
        earlier = self.place.setdefault(mrid, (table.file, line))
        if earlier != (table.file, line):
            what = f"{mrid!r} stands in {earlier[0]}, line {earlier[1]} already"
            self.plan.errors.add(table.file, line, column, what, "each item once")
            return
        known = stored.get(mrid)
        said = ItemKind.END_DEVICE if table.is_of_devices else table.rows[i][kind_at] if kind_at is not None else None
        if known is None and said is None:
            what = f"there is no item {mrid!r}, and the row does not say of which kind it is"
            self.plan.errors.add(table.file, line, "kind", what, "a kind, to create it")
        elif known is not None and said is not None and known.kind != said:
            what = f"{mrid!r} is a {known.kind} already"
            self.plan.errors.add(table.file, line, "kind" if column == "mrid" else column, what, "another name")
        else:
            self.plan.known[mrid] = known or KnownItem(0, ItemKind(str(said)))

    def _learn_parents(self) -> None:
        wanted = set()
        for table in (*self.nodes, *self.devices):
            for attribute in TREE_OF_ATTRIBUTE:
                at = table.index(attribute)
                if at is not None:
                    wanted |= {row[at] for row in table.rows}
        wanted -= self.plan.known.keys()
        wanted.discard("")
        for chunk in _chunks(sorted(wanted)):
            self.plan.known |= _items_named(chunk)

    # --- second walk ------------------------------------------------------------------------------------------------

    def _compare(self, table: Table) -> None:
        key = _key_of(table)
        for chunk in _chunks(range(len(table.rows))):
            ids = [item.id for i in chunk if (item := self.plan.known.get(table.rows[i][key])) and item.id]
            stored = _stored_values(table, ids)
            links = _stored_links(ids)
            for i in chunk:
                self._compare_row(table, i, table.rows[i][key], stored, links)

    def _compare_row(self, table: Table, i: int, mrid: str, stored: dict[int, "_Stored"], links: "_Links") -> None:
        known = self.plan.known.get(mrid)
        if known is None or self.place[mrid] != (table.file, table.lines[i]):
            return
        values = {column.attribute: value for column, value in zip(table.columns, table.rows[i], strict=True)}
        parents = self._parents(table, i, known.kind, values)
        for name in ("mrid", "serial", "kind"):
            values.pop(name, None)
        if known.id:
            self._compare_item(table, i, mrid, known, stored[known.id], values, parents, links)
        else:
            if values.get("state") is None:
                values["state"] = _first_state(known.kind, parents)
            values["attributes"] = {k: v for k, v in values.get("attributes", {}).items() if v is not None}
            hung = {tree: parent for tree, parent in parents.items() if parent}
            self.plan.created.append(NewItem(mrid, known.kind, values, hung))

    def _parents(self, table: Table, i: int, kind: ItemKind, values: dict[str, Any]) -> dict[Tree, str]:
        """The parents that the row names and that may be, by tree; an empty name means none."""
        parents: dict[Tree, str] = {}
        for attribute, tree in TREE_OF_ATTRIBUTE.items():
            if attribute not in values:
                continue
            name = values.pop(attribute)
            what = self._wrong_parent(tree, kind, name) if name else ""
            if not what:
                parents[tree] = name
            elif name not in self.left_out:
                column = table.columns[table.index(attribute) or 0].name
                allowed = (
                    " or ".join(ALLOWED_PARENTS[tree].get(kind, ())) or "nothing: such an item hangs under none here"
                )
                self.plan.errors.add(table.file, table.lines[i], column, what, allowed)
        return parents

    def _wrong_parent(self, tree: Tree, kind: ItemKind, name: str) -> str:
        parent = self.plan.known.get(name)
        if parent is None:
            return f"there is no item {name!r}, neither stored nor in these files"
        if parent.kind not in ALLOWED_PARENTS[tree].get(kind, ()):
            return f"{name!r} is a {parent.kind}, under which no {kind} hangs"
        return ""

    def _compare_item(
        self,
        table: Table,
        i: int,
        mrid: str,
        known: KnownItem,
        stored: "_Stored",
        values: dict[str, Any],
        parents: dict[Tree, str],
        links: "_Links",
    ) -> None:
        change = ItemChange(
            known.id, mrid, known.kind, stored.source, stored.attribute_sources, stored.values["attributes"]
        )
        before = len(self.plan.disagreements)
        for attribute, old, new in self._pairs(stored.values, values):
            if attribute == "state" and not self._may_become(table, i, old, new):
                continue
            old_source = stored.attribute_sources.get(attribute, stored.source)
            if self._judge(change, attribute, old, old_source, new):
                change.changes.append((attribute, old, new))
        for tree, parent in parents.items():
            old_parent, old_source = links.get((known.id, tree), (None, ""))
            if self._judge(change, ATTRIBUTE_OF_TREE[tree], old_parent, old_source, parent or None):
                change.moves[tree] = (old_parent, parent or None)
        if change.changes or change.moves:
            self.plan.changed.append(change)
        elif len(self.plan.disagreements) == before:
            self.plan.unchanged += 1

    @staticmethod
    def _pairs(stored: dict[str, Any], values: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
        for attribute, new in values.items():
            if attribute == "attributes":
                for name, member in new.items():
                    yield EXTRA + name, stored["attributes"].get(name), member
            elif not (attribute == "state" and new is None):
                yield attribute, stored[attribute], new

    def _judge(self, change: ItemChange, attribute: str, old: Any, old_source: str, new: Any) -> bool:
        """Whether the value is written; one that is contradicted goes to the queue instead."""
        source = self.plan.source
        verdict = self.precedence.judge(attribute, old=old, old_source=old_source, new=new, new_source=source)
        if verdict is Verdict.DISAGREE:
            one = NewDisagreement(change.id, change.mrid, attribute, as_json(old), old_source, as_json(new))
            self.plan.disagreements.append(one)
        return verdict is Verdict.WRITE

    def _may_become(self, table: Table, i: int, old: str, new: str) -> bool:
        if is_allowed(ItemState(old), ItemState(new)):
            return True
        allowed = ", ".join((old, *TRANSITIONS[ItemState(old)]))
        self.plan.errors.add(table.file, table.lines[i], "state", f"an item that is {old} cannot become {new}", allowed)
        return False

    # --- over all rows ----------------------------------------------------------------------------------------------

    def _check_cycles(self) -> None:
        """Only kinds that hang under their own kind can close a circle, so only those are walked."""
        for tree, table in ALLOWED_PARENTS.items():
            nesting = [kind for kind, parents in table.items() if kind in parents]
            parent_of = dict(_open_links(tree, nesting))
            for item in self.plan.changed:
                if tree in item.moves and item.kind in nesting:
                    parent_of[item.mrid] = item.moves[tree][1] or ""
            for new in self.plan.created:
                if new.kind in nesting:
                    parent_of[new.mrid] = new.parents.get(tree, "")
            for mrid in _in_circles(parent_of):
                file, line = self.place.get(mrid, ("", 0))
                if file:
                    column = "parent_electrical" if tree is Tree.ELECTRICAL else "parent_communication"
                    self.plan.errors.add(
                        file, line, column, f"{mrid!r} hangs under itself", "a parent that is not below it"
                    )

    def _check_titles(self) -> None:
        """A system title names one meter; those given to a second one would be refused by the table."""
        holders: dict[str, str] = {}
        given = [(new.mrid, new.values.get("system_title", "")) for new in self.plan.created]
        given += [(c.mrid, new) for c in self.plan.changed for name, _, new in c.changes if name == "system_title"]
        given = [(mrid, title) for mrid, title in given if title]
        moved = {mrid for mrid, _ in given} | {
            c.mrid for c in self.plan.changed if any(name == "system_title" for name, _, _ in c.changes)
        }
        for chunk in _chunks([title for _, title in given]):
            stored = EndDevice.objects.filter(system_title__in=chunk).values_list("system_title", "serial")
            holders |= {title: serial for title, serial in stored if serial not in moved}
        for mrid, title in given:
            holder = holders.setdefault(title, mrid)
            if holder != mrid:
                file, line = self.place[mrid]
                self.plan.errors.add(
                    file, line, "system_title", f"{title} is the title of meter {holder}", "a title of its own"
                )


@dataclass(frozen=True, slots=True)
class _Stored:
    """An item's present values, as far as its table's columns go."""

    source: str
    attribute_sources: dict[str, str]
    values: dict[str, Any]


_Links = dict[tuple[int, Tree], tuple[str | None, str]]


def _key_of(table: Table) -> int:
    index = table.index("serial" if table.is_of_devices else "mrid")
    if index is None:
        raise ValueError(f"{table.file} has no column that names its items")
    return index


def _chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))


def _items_named(names: Iterable[str]) -> dict[str, KnownItem]:
    rows = ConfigurationItem.objects.filter(mrid__in=list(names)).values_list("mrid", "id", "kind")
    return {mrid: KnownItem(item_id, ItemKind(kind)) for mrid, item_id, kind in rows}


def _stored_values(table: Table, ids: list[int]) -> dict[int, _Stored]:
    wanted = [c.attribute for c in table.columns if c.attribute not in ("mrid", "serial", "kind", *TREE_OF_ATTRIBUTE)]
    wanted = [*wanted, "attributes"] if "attributes" not in wanted else wanted
    if table.is_of_devices:
        paths = [f"item__{name}" if name in ("attributes", "state") else name for name in wanted]
        devices = EndDevice.objects.filter(pk__in=ids)
        rows = devices.values_list("pk", "item__source", "item__attribute_sources", *paths).iterator()
    else:
        items = ConfigurationItem.objects.filter(pk__in=ids)
        rows = items.values_list("pk", "source", "attribute_sources", *wanted).iterator()
    return {row[0]: _Stored(row[1], row[2], dict(zip(wanted, row[3:], strict=True))) for row in rows}


def _stored_links(ids: list[int]) -> _Links:
    rows = Link.objects.filter(child_id__in=ids, ends_at__isnull=True)
    found = rows.values_list("child_id", "tree", "parent__mrid", "source").iterator()
    return {(child, Tree(tree)): (parent, source) for child, tree, parent, source in found}


def _open_links(tree: Tree, kinds: list[ItemKind]) -> Iterable[tuple[str, str]]:
    rows = Link.objects.filter(tree=tree, ends_at__isnull=True, child__kind__in=kinds)
    return rows.values_list("child__mrid", "parent__mrid").iterator()


def _in_circles(parent_of: dict[str, str]) -> list[str]:
    """Every name from which the way up comes back to it."""
    done: set[str] = set()
    circles: list[str] = []
    for start in parent_of:
        path: dict[str, None] = {}
        name = start
        while name in parent_of and name not in done and name not in path:
            path[name] = None
            name = parent_of[name]
        if name in path:
            way = list(path)
            circles += way[way.index(name) :]
        done |= path.keys()
    return circles


def _first_state(kind: ItemKind, parents: dict[Tree, str]) -> ItemState:
    if kind is not ItemKind.END_DEVICE:
        return ItemState.ACTIVE
    return ItemState.INSTALLED if parents.get(Tree.ELECTRICAL) else ItemState.IN_STOCK
