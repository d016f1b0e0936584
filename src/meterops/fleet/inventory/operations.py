"""What can be done with the inventory. Every act is atomic, takes who and when, and leaves an audit entry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction

from meterops.fleet.inventory.attributes import (
    ATTRIBUTE_OF_TREE,
    DEVICE_ATTRIBUTES,
    EXTRA,
    ITEM_ATTRIBUTES,
    TREE_OF_ATTRIBUTE,
    as_json,
)
from meterops.fleet.inventory.bulk_rows import update_rows
from meterops.fleet.inventory.csv_columns import DEVICE_COLUMNS, NODE_COLUMNS, CellRefused, write_cell
from meterops.fleet.inventory.events import (
    AttributesChanged,
    ConfigurationItemMoved,
    ConfigurationItemStateChanged,
    EndDeviceInstalled,
    InventoryImported,
    SourcesDisagreed,
)
from meterops.fleet.inventory.filters import EndDeviceFilter
from meterops.fleet.inventory.import_apply import apply_plan, column_changes, end_links, proposed_key
from meterops.fleet.inventory.import_files import ImportFile, RowError
from meterops.fleet.inventory.import_plan import ImportPlan, ItemChange, make_plan
from meterops.fleet.inventory.kinds import ALLOWED_PARENTS, ItemKind, Source, Tree
from meterops.fleet.inventory.lifecycle import READABLE_STATES, TRANSITIONS, ItemState, is_allowed
from meterops.fleet.inventory.models import (
    AttributeChange,
    ConfigurationItem,
    Disagreement,
    DisagreementState,
    EndDevice,
    EndDeviceGroup,
    ImportRun,
    Link,
    SourcePrecedence,
)
from meterops.fleet.inventory.placement import Network, devices_under, place_devices
from meterops.fleet.inventory.refusals import (
    AttributeNotValid,
    AttributeUnknown,
    DisagreementIsSettled,
    DisagreementUnknown,
    GroupUnknown,
    ImportChangedSincePreview,
    ImportHasErrors,
    ItemUnknown,
    LinkMakesCycle,
    MoveBeforeLastMove,
    ParentNotAllowed,
    StateNotReachable,
)
from meterops.fleet.inventory.rules import BEGINNING, Precedence, Verdict
from meterops.kernel import audit, facts, hints
from meterops.kernel.actor import Actor
from meterops.kernel.ids import new_id

_SHOWN_CHANGES = 200


@dataclass(frozen=True, slots=True)
class PreviewedChange:
    """One attribute that an import would change, or would like to (a disagreement)."""

    item: str
    attribute: str
    present: Any
    proposed: Any
    present_source: str = ""


@dataclass(frozen=True, slots=True)
class ImportPreview:
    """What an import would do. `digest` given to `apply_import` makes sure that it does just that.

    Lists hold the first 200 entries (errors: the first 1000); the counts are complete.
    """

    files: tuple[str, ...]
    source: Source
    created: dict[str, int]
    updated: dict[str, int]
    unchanged: int
    disagreement_count: int
    error_count: int
    errors: tuple[RowError, ...]
    creates: tuple[str, ...]
    changes: tuple[PreviewedChange, ...]
    disagreements: tuple[PreviewedChange, ...]
    digest: str

    @property
    def created_count(self) -> int:
        """New items, all kinds."""
        return sum(self.created.values())

    @property
    def updated_count(self) -> int:
        """Changed items, all kinds."""
        return sum(self.updated.values())

    @property
    def is_applicable(self) -> bool:
        """Whether there is nothing wrong with any row."""
        return self.error_count == 0


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did."""

    import_id: UUID
    preview: ImportPreview


def preview_import(*, files: Sequence[ImportFile], source: Source = Source.IMPORT) -> ImportPreview:
    """Say what importing the files would do, row by row where something is wrong. Writes nothing."""
    return _preview(make_plan(files, source))


@transaction.atomic
def apply_import(
    *, files: Sequence[ImportFile], actor: Actor, at: datetime, source: Source = Source.IMPORT, digest: str = ""
) -> ImportResult:
    """Import the files, all or nothing. The same files once more change nothing.

    Raises:
        ImportHasErrors: when any row is wrong; its `details["preview"]` is the preview with the errors.
        ImportChangedSincePreview: when `digest` is given and the import would not do what that preview showed.
    """
    plan = make_plan(files, source)
    preview = _preview(plan)
    if not preview.is_applicable:
        first = preview.errors[0]
        raise ImportHasErrors(
            f"Nothing is imported: {preview.error_count} errors. The first: {first}.", preview=preview
        )
    if digest and digest != preview.digest:
        raise ImportChangedSincePreview(preview=preview)
    counts = {**plan.counts(), "unchanged": plan.unchanged, "disagreements": len(plan.disagreements)}
    run = ImportRun.objects.create(id=new_id(), at=at, actor=str(actor), source=source, files=plan.files, counts=counts)
    apply_plan(plan, run=run, actor=actor, at=at)
    audit.record(
        actor=actor, action="import inventory", subject=f"import {run.pk}", after={"files": plan.files, **counts}, at=at
    )
    facts.publish(
        InventoryImported(str(run.pk), preview.created_count, preview.updated_count, preview.disagreement_count, at)
    )
    hints.publish("inventory")
    return ImportResult(run.pk, preview)


def import_files(paths: Sequence[Path], *, actor: Actor, at: datetime, source: Source = Source.IMPORT) -> ImportResult:
    """`apply_import` of files on disk."""
    return apply_import(files=[ImportFile.from_path(path) for path in paths], actor=actor, at=at, source=source)


def _preview(plan: ImportPlan) -> ImportPreview:
    counts = plan.counts()
    return ImportPreview(
        files=tuple(plan.files),
        source=plan.source,
        created=counts["created"],
        updated=counts["updated"],
        unchanged=plan.unchanged,
        disagreement_count=len(plan.disagreements),
        error_count=plan.errors.count,
        errors=tuple(plan.errors.kept),
        creates=tuple(item.mrid for item in plan.created[:_SHOWN_CHANGES]),
        changes=tuple(_previewed_changes(plan)),
        disagreements=tuple(
            PreviewedChange(one.mrid, one.attribute, one.present, one.proposed, one.present_source)
            for one in plan.disagreements[:_SHOWN_CHANGES]
        ),
        digest=plan.digest(),
    )


def _previewed_changes(plan: ImportPlan) -> list[PreviewedChange]:
    shown: list[PreviewedChange] = []
    for item in plan.changed:
        if len(shown) >= _SHOWN_CHANGES:
            break
        shown += [PreviewedChange(item.mrid, name, as_json(old), as_json(new)) for name, old, new in item.changes]
        shown += [
            PreviewedChange(item.mrid, ATTRIBUTE_OF_TREE[tree], old, new) for tree, (old, new) in item.moves.items()
        ]
    return shown[:_SHOWN_CHANGES]


@transaction.atomic
def move(
    *,
    item_id: int,
    tree: Tree,
    parent_id: int | None,
    actor: Actor,
    at: datetime,
    source: Source = Source.FIELD,
    confidence: float = 1.0,
    reason: str = "",
) -> bool:
    """Hang an item under another parent from `at` on (None: under none). Returns whether that changed anything.

    Raises:
        ItemUnknown: when there is no such item or parent.
        ParentNotAllowed: when an item of that kind does not hang under such a parent.
        LinkMakesCycle: when the parent hangs below the item.
        MoveBeforeLastMove: when `at` is not after the present link's start.
    """
    item = _locked_item(item_id)
    parent = _item(parent_id) if parent_id is not None else None
    present = Link.objects.filter(child=item, tree=tree, ends_at__isnull=True).select_related("parent").first()
    if (present.parent_id if present else None) == parent_id:
        return False
    _check_move(item, parent, tree, present, at)
    network = Network()
    affected = set(devices_under(network, item_id, tree))
    if parent is not None and item_id in network.kind and parent.pk in network.nodes_under(item_id, tree):
        raise LinkMakesCycle(f"{parent.mrid} hangs below {item.mrid}, so {item.mrid} cannot hang under it.")
    if present is not None:
        end_links(tree, [item_id], at)
    if parent is not None:
        starts_at = at if Link.objects.filter(child=item, tree=tree).exists() else BEGINNING
        Link.objects.create(
            tree=tree, child=item, parent=parent, starts_at=starts_at, confidence=confidence, source=source
        )
    old = present.parent.mrid if present else None
    new = parent.mrid if parent else None
    _remember(item, [(ATTRIBUTE_OF_TREE[tree], old, new)], source, actor, at)
    network = Network()
    place_devices(network, sorted(affected | set(devices_under(network, item_id, tree))))
    audit.record(
        actor=actor, action="move item", subject=item.mrid, before={tree: old}, after={tree: new}, reason=reason, at=at
    )
    facts.publish(ConfigurationItemMoved(item_id, tree, present.parent_id if present else 0, parent_id or 0, at))
    hints.publish("inventory", str(item_id))
    return True


def _check_move(
    item: ConfigurationItem, parent: ConfigurationItem | None, tree: Tree, present: Link | None, at: datetime
) -> None:
    allowed = ALLOWED_PARENTS[tree].get(ItemKind(item.kind), ())
    if parent is not None and parent.kind not in allowed:
        wanted = " or ".join(allowed) or "nothing"
        raise ParentNotAllowed(
            f"{item.mrid} is a {item.kind} and hangs under {wanted}, not under the {parent.kind} {parent.mrid}."
        )
    last = Link.objects.filter(child=item, tree=tree).order_by("-starts_at").first()
    if last is not None and (at <= last.starts_at or (last.ends_at is not None and at < last.ends_at)):
        raise MoveBeforeLastMove(
            f"{item.mrid} moved at {last.ends_at or last.starts_at:%Y-%m-%d %H:%M:%S} UTC; a later time is needed."
        )


@transaction.atomic
def change_state(
    *, item_id: int, state: ItemState, actor: Actor, at: datetime, source: Source = Source.FIELD, reason: str = ""
) -> None:
    """Take an item one step further in its life (`lifecycle.TRANSITIONS`).

    Raises:
        ItemUnknown: when there is no such item.
        StateNotReachable: when that step is none of those allowed from where it is.
    """
    item = _locked_item(item_id)
    before = ItemState(item.state)
    if before == state:
        return
    if not is_allowed(before, state):
        allowed = ", ".join(TRANSITIONS[before]) or "nothing any more"
        raise StateNotReachable(f"{item.mrid} is {before}; it can become {allowed}, not {state}.")
    _write(_change_of(item, [("state", before, state)]), source)
    _remember(item, [("state", before, state)], source, actor, at)
    audit.record(
        actor=actor, action="change state", subject=item.mrid, before=before, after=state, reason=reason, at=at
    )
    facts.publish(ConfigurationItemStateChanged(item_id, item.kind, before, state, at))
    if (
        item.kind == ItemKind.END_DEVICE
        and state in READABLE_STATES
        and before in (ItemState.PLANNED, ItemState.IN_STOCK)
    ):
        facts.publish(EndDeviceInstalled(item_id, item.mrid, at))
    hints.publish("inventory", str(item_id))


@dataclass(frozen=True, slots=True)
class AttributesResult:
    """What became of the attributes that a source brought."""

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    queued: tuple[str, ...]


@transaction.atomic
def set_attributes(
    *, item_id: int, values: Mapping[str, Any], source: Source, actor: Actor, at: datetime, reason: str = ""
) -> AttributesResult:
    """Take in what a source says of an item. What a source of higher precedence contradicts goes to the queue.

    Names are those of `attributes`; `attributes.NAME` is a member of the JSON column (None takes it away).

    Raises:
        ItemUnknown: when there is no such item.
        AttributeUnknown: when such an item has no attribute of a name.
        AttributeNotValid: when a value is none that the attribute can have.
    """
    item = _locked_item(item_id)
    precedence = Precedence(dict(SourcePrecedence.objects.values_list("attribute", "sources")))
    verdicts: dict[Verdict, list[tuple[str, Any, Any]]] = {verdict: [] for verdict in Verdict}
    for name, raw in values.items():
        old, new = _present_value(item, name), _valid(item, name, raw)
        old_source = item.attribute_sources.get(name, item.source)
        verdict = precedence.judge(name, old=old, old_source=old_source, new=new, new_source=source)
        verdicts[verdict].append((name, old, new))
    _store(item, verdicts[Verdict.WRITE], source, actor, at, reason)
    for name, old, new in verdicts[Verdict.DISAGREE]:
        _queue(item, name, old, new, source, at)
    return AttributesResult(
        *(tuple(name for name, _, _ in verdicts[v]) for v in (Verdict.WRITE, Verdict.UNCHANGED, Verdict.DISAGREE))
    )


def _store(
    item: ConfigurationItem, changes: list[tuple[str, Any, Any]], source: str, actor: Actor, at: datetime, reason: str
) -> None:
    if not changes:
        return
    _write(_change_of(item, changes), source)
    _remember(item, changes, source, actor, at)
    if item.kind == ItemKind.USAGE_POINT and any(name == "address" for name, _, _ in changes):
        network = Network()
        place_devices(network, devices_under(network, item.pk, Tree.ELECTRICAL))
    audit.record(
        actor=actor,
        action="set attributes",
        subject=item.mrid,
        before={name: as_json(old) for name, old, _ in changes},
        after={name: as_json(new) for name, _, new in changes},
        reason=reason,
        at=at,
    )
    facts.publish(AttributesChanged(item.pk, tuple(name for name, _, _ in changes), str(source), at))
    hints.publish("inventory", str(item.pk))


def _queue(item: ConfigurationItem, name: str, old: Any, new: Any, source: Source, at: datetime) -> None:
    waiting, is_new = Disagreement.objects.exclude(state=DisagreementState.ACCEPTED).get_or_create(
        item=item,
        attribute=name,
        source=source,
        proposed_key=proposed_key(as_json(new)),
        defaults={
            "present": as_json(old),
            "present_source": item.attribute_sources.get(name, item.source),
            "proposed": as_json(new),
            "noticed_at": at,
        },
    )
    if is_new:
        facts.publish(SourcesDisagreed(waiting.pk, item.pk, name, str(source), at))
        hints.publish("disagreements", str(waiting.pk))


@transaction.atomic
def accept_disagreement(*, disagreement_id: int, actor: Actor, at: datetime, reason: str = "") -> None:
    """Write the proposed value after all. Its source counts as the attribute's source from then on.

    Raises:
        DisagreementUnknown: when there is none of that id.
        DisagreementIsSettled: when somebody settled it before.
    """
    waiting = _settle(disagreement_id, DisagreementState.ACCEPTED, actor, at, reason)
    item, name = _locked_item(waiting.item_id), waiting.attribute
    if name in TREE_OF_ATTRIBUTE:
        parent = ConfigurationItem.objects.filter(mrid=waiting.proposed).first() if waiting.proposed else None
        if waiting.proposed and parent is None:
            raise ItemUnknown(f"There is no item {waiting.proposed}.")
        move(
            item_id=item.pk, tree=TREE_OF_ATTRIBUTE[name], parent_id=parent.pk if parent else None,
            actor=actor, at=at, source=Source(waiting.source), reason=reason,
        )  # fmt: skip
    elif name == "state":
        change_state(
            item_id=item.pk,
            state=ItemState(str(waiting.proposed)),
            actor=actor,
            at=at,
            source=Source(waiting.source),
            reason=reason,
        )
    else:
        change = (name, _present_value(item, name), _valid(item, name, waiting.proposed))
        _store(item, [change], waiting.source, actor, at, reason)


@transaction.atomic
def reject_disagreement(*, disagreement_id: int, actor: Actor, at: datetime, reason: str = "") -> None:
    """Leave what stands. The same source saying the same again is not queued any more.

    Raises:
        DisagreementUnknown: when there is none of that id.
        DisagreementIsSettled: when somebody settled it before.
    """
    _settle(disagreement_id, DisagreementState.REJECTED, actor, at, reason)


def _settle(disagreement_id: int, state: DisagreementState, actor: Actor, at: datetime, reason: str) -> Disagreement:
    waiting = Disagreement.objects.select_for_update().select_related("item").filter(pk=disagreement_id).first()
    if waiting is None:
        raise DisagreementUnknown(f"There is no disagreement {disagreement_id}.")
    if waiting.state != DisagreementState.OPEN:
        raise DisagreementIsSettled(f"{waiting.settled_by} settled it before: {waiting.state.lower()}.")
    waiting.state, waiting.settled_at, waiting.settled_by, waiting.reason = state, at, str(actor), reason
    waiting.save(update_fields=["state", "settled_at", "settled_by", "reason"])
    audit.record(
        actor=actor,
        action=f"{'accept' if state == DisagreementState.ACCEPTED else 'reject'} disagreement",
        subject=waiting.item.mrid,
        before={waiting.attribute: waiting.present},
        after={waiting.attribute: waiting.proposed},
        reason=reason,
        at=at,
    )
    hints.publish("disagreements", str(disagreement_id))
    return waiting


@transaction.atomic
def set_precedence(*, attribute: str, sources: Sequence[Source], actor: Actor, at: datetime) -> None:
    """Decide which sources may write an attribute, the owner first. No sources: back to the default."""
    before = SourcePrecedence.objects.filter(attribute=attribute).values_list("sources", flat=True).first()
    if sources:
        SourcePrecedence.objects.update_or_create(attribute=attribute, defaults={"sources": [str(s) for s in sources]})
    else:
        SourcePrecedence.objects.filter(attribute=attribute).delete()
    audit.record(
        actor=actor, action="set precedence", subject=attribute, before=before, after=[str(s) for s in sources], at=at
    )


@transaction.atomic
def save_group(*, name: str, wanted: EndDeviceFilter, actor: Actor, at: datetime) -> None:
    """Keep a filter under a name; one of that name is replaced."""
    EndDeviceGroup.objects.update_or_create(
        name=name.strip(), defaults={"filter": wanted.as_dict(), "created_at": at, "created_by": str(actor)}
    )
    audit.record(actor=actor, action="save group", subject=f"group {name}", after=wanted.as_dict(), at=at)


@transaction.atomic
def delete_group(*, name: str, actor: Actor, at: datetime) -> None:
    """Forget a saved group; its meters stay what they are.

    Raises:
        GroupUnknown: when there is none of that name.
    """
    deleted, _ = EndDeviceGroup.objects.filter(name=name).delete()
    if not deleted:
        raise GroupUnknown(f"There is no saved group {name!r}.")
    audit.record(actor=actor, action="delete group", subject=f"group {name}", at=at)


# --- one item -------------------------------------------------------------------------------------------------------


def _item(item_id: int) -> ConfigurationItem:
    item = ConfigurationItem.objects.filter(pk=item_id).first()
    if item is None:
        raise ItemUnknown(f"There is no item {item_id}.")
    return item


def _locked_item(item_id: int) -> ConfigurationItem:
    item = ConfigurationItem.objects.select_for_update().filter(pk=item_id).first()
    if item is None:
        raise ItemUnknown(f"There is no item {item_id}.")
    return item


def _present_value(item: ConfigurationItem, name: str) -> Any:
    if name.startswith(EXTRA):
        return item.attributes.get(name.removeprefix(EXTRA))
    if name in ITEM_ATTRIBUTES:
        return getattr(item, name)
    if name in DEVICE_ATTRIBUTES and item.kind == ItemKind.END_DEVICE:
        return EndDevice.objects.filter(pk=item.pk).values_list(name, flat=True).get()
    raise AttributeUnknown(f"A {item.kind} has no attribute {name!r}.")


def _valid(item: ConfigurationItem, name: str, value: Any) -> Any:
    """The value as a cell of a file would give it: one set of checks for both ways in."""
    if name.startswith(EXTRA):
        return value
    columns = DEVICE_COLUMNS if name in DEVICE_ATTRIBUTES else NODE_COLUMNS
    column = next(column for column in columns if column.attribute == name)
    try:
        return column.parse(write_cell(value))
    except CellRefused as error:
        raise AttributeNotValid(f"{name} of {item.mrid}: {error.what}; allowed is {error.allowed}.") from error


def _change_of(item: ConfigurationItem, changes: list[tuple[str, Any, Any]]) -> ItemChange:
    return ItemChange(
        item.pk, item.mrid, ItemKind(item.kind), item.source, item.attribute_sources, item.attributes, changes
    )


def _write(change: ItemChange, source: str) -> None:
    for model, column, value in column_changes(change, source):
        update_rows(model, column, [(change.id, value)])


def _remember(
    item: ConfigurationItem, changes: Sequence[tuple[str, Any, Any]], source: str, actor: Actor, at: datetime
) -> None:
    AttributeChange.objects.bulk_create(
        AttributeChange(
            item=item, attribute=name, old=as_json(old), new=as_json(new), source=source, at=at, actor=str(actor)
        )
        for name, old, new in changes
    )
