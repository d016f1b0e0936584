"""What can be asked about items and meters. Answers are frozen dataclasses; lists of meters are columns."""

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from django.db.models import Count, F, Max, Q, QuerySet
from numpy.typing import NDArray

from meterops.fleet.inventory.attributes import ATTRIBUTE_OF_TREE
from meterops.fleet.inventory.filters import EndDeviceFilter
from meterops.fleet.inventory.kinds import ItemKind, Tree
from meterops.fleet.inventory.lifecycle import READABLE_STATES, ItemState
from meterops.fleet.inventory.models import (
    AttributeChange,
    ConfigurationItem,
    Disagreement,
    DisagreementState,
    EndDevice,
    EndDeviceGroup,
    ImportRun,
    Link,
)
from meterops.fleet.inventory.refusals import FilterNotValid, GroupUnknown, ItemUnknown
from meterops.fleet.inventory.rules import search_form
from meterops.kernel.among import among

DEFAULT_SESSION_LIMIT: Final = 8
DEFAULT_CONNECT_RATE_PER_S: Final = 20.0
_CHUNK: Final = 5000


# --- routes and addresses -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RouteInfo:
    """A communications path and its limits: sessions at once, and new connections per second."""

    id: int
    mrid: str
    name: str
    session_limit: int
    connect_rate_per_s: float


@dataclass(frozen=True, slots=True)
class Addresses:
    """How to reach meters, in columns of one length. `route_id` 0 is a meter without a route."""

    end_device_id: NDArray[np.int64]
    route_id: NDArray[np.int64]
    serial: list[str]
    host: list[str]
    port: NDArray[np.int32]
    transport: list[str]
    server_sap: NDArray[np.int32]
    system_title: list[bytes]
    """Eight octets, or none where it is not known."""
    profile: list[str]
    make: list[tuple[str, str, str]]
    """Manufacturer, model and firmware: meters that share these have the same objects."""

    def __len__(self) -> int:
        return len(self.serial)


def list_routes() -> list[RouteInfo]:
    """Every route in service, with the limits that its attributes `session_limit` and `connect_rate_per_s` set."""
    return _routes(ConfigurationItem.objects.filter(kind=ItemKind.ROUTE, state=ItemState.ACTIVE))


def get_route(route_id: int) -> RouteInfo:
    """One route, in service or not.

    Raises:
        ItemUnknown: when there is no such route.
    """
    found = _routes(ConfigurationItem.objects.filter(kind=ItemKind.ROUTE, pk=route_id))
    if not found:
        raise ItemUnknown(f"There is no route {route_id}.")
    return found[0]


def _routes(found: QuerySet[ConfigurationItem]) -> list[RouteInfo]:
    return [
        RouteInfo(
            pk,
            mrid,
            name or mrid,
            int(_number(attributes.get("session_limit"), DEFAULT_SESSION_LIMIT)),
            float(_number(attributes.get("connect_rate_per_s"), DEFAULT_CONNECT_RATE_PER_S)),
        )
        for pk, mrid, name, attributes in found.order_by("pk").values_list("pk", "mrid", "name", "attributes")
    ]


def _number(value: Any, default: float) -> float:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 else default


def addresses_on_route(route_id: int) -> Addresses:
    """The meters on a route's rounds: those installed or in service that have an address."""
    states = [str(state) for state in READABLE_STATES]
    return _addresses(EndDevice.objects.filter(route_id=route_id, state__in=states).exclude(host="").order_by("pk"))


def addresses_of(end_device_ids: Iterable[int]) -> Addresses:
    """The meters asked for that can be reached, ascending; retired ones and those without an address are left out."""
    devices = EndDevice.objects.filter(among("pk", set(end_device_ids))).exclude(state=ItemState.RETIRED)
    return _addresses(devices.exclude(host="").order_by("pk"))


def _addresses(found: QuerySet[EndDevice]) -> Addresses:
    return _in_columns(_address_rows(found))


def _address_rows(found: QuerySet[EndDevice]) -> list[Any]:
    names = ("pk", "route_id", "serial", "host", "port", "transport", "server_sap", "system_title", "profile")
    return list(found.values_list(*names, "manufacturer", "model", "firmware_version"))


def _in_columns(rows: list[Any]) -> Addresses:
    columns = list(zip(*rows, strict=True)) if rows else [()] * 12
    ids, routes, serials, hosts, ports, transports, saps, titles, profiles, *make = columns
    return Addresses(
        end_device_id=np.array(ids, dtype=np.int64),
        route_id=np.array([route or 0 for route in routes], dtype=np.int64),
        serial=list(serials),
        host=list(hosts),
        port=np.array(ports, dtype=np.int32),
        transport=list(transports),
        server_sap=np.array(saps, dtype=np.int32),
        system_title=[bytes.fromhex(title) for title in titles],
        profile=list(profiles),
        make=list(zip(*make, strict=True)),
    )


def ids_by_system_title(titles: Iterable[bytes]) -> dict[bytes, int]:
    """Which meter each system title belongs to; titles of no known meter are not in the answer."""
    wanted = {title.hex().upper() for title in titles if len(title) == 8}
    rows = (
        EndDevice.objects.filter(among("system_title", wanted))
        .exclude(system_title="")
        .values_list("system_title", "pk")
    )
    return {bytes.fromhex(title): pk for title, pk in rows.iterator(chunk_size=_CHUNK)}


def ids_by_serial(serials: Iterable[str]) -> dict[str, int]:
    """Which meter each serial belongs to; those of no known meter are not in the answer."""
    found = EndDevice.objects.filter(among("serial", set(serials)))
    return dict(found.values_list("serial", "pk").iterator(chunk_size=_CHUNK))


def serials_of(end_device_ids: Iterable[int]) -> dict[int, str]:
    """The serial of each meter; unknown ids are not in the answer."""
    found = EndDevice.objects.filter(among("pk", set(end_device_ids)))
    return dict(found.values_list("pk", "serial").iterator(chunk_size=_CHUNK))


def ids_by_host(hosts: Iterable[str]) -> dict[str, list[int]]:
    """Which meters have each address; a concentrator's is shared by several."""
    rows = EndDevice.objects.filter(among("host", set(hosts) - {""})).order_by("pk").values_list("host", "pk")
    found: dict[str, list[int]] = {}
    for host, pk in rows.iterator(chunk_size=_CHUNK):
        found.setdefault(host, []).append(pk)
    return found


# --- one item -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ItemView:
    """A configuration item as readers see it."""

    id: int
    mrid: str
    kind: ItemKind
    name: str
    state: ItemState
    latitude: float | None
    longitude: float | None
    rated_kva: float | None
    nominal_voltage: float | None
    address: str
    attributes: dict[str, Any]
    source: str
    attribute_sources: dict[str, str]
    created_at: datetime

    @property
    def title(self) -> str:
        """What people call it."""
        return self.name or self.mrid


@dataclass(frozen=True, slots=True)
class Ancestor:
    """An item above another, nearest first; `confidence` is that of the link leading to it."""

    id: int
    mrid: str
    kind: ItemKind
    name: str
    starts_at: datetime
    confidence: float


@dataclass(frozen=True, slots=True)
class EndDeviceView:
    """Everything the inventory knows of one meter now."""

    item: ItemView
    serial: str
    manufacturer: str
    model: str
    hardware_version: str
    firmware_version: str
    profile: str
    logical_device_name: str
    system_title: str
    host: str
    port: int
    transport: str
    server_sap: int
    installed_at: datetime | None
    route_id: int | None
    transformer_id: int | None
    usage_point: ItemView | None
    electrical: tuple[Ancestor, ...]
    communication: tuple[Ancestor, ...]

    @property
    def id(self) -> int:
        """The meter's key everywhere, the lake included."""
        return self.item.id

    @property
    def state(self) -> ItemState:
        """Where it is in its life."""
        return self.item.state

    @property
    def address(self) -> str:
        """The address of its usage point."""
        return self.usage_point.address if self.usage_point else self.item.address

    @property
    def phases(self) -> str:
        """The phases of its usage point (L1, L2, L3, L123), as far as known."""
        said = (self.usage_point.attributes if self.usage_point else self.item.attributes).get("phases", "")
        return str(said)


def get_item(item: int | str) -> ItemView:
    """An item by its id or its mrid.

    Raises:
        ItemUnknown: when there is none.
    """
    wanted = Q(pk=item) if isinstance(item, int) else Q(mrid=item)
    found = ConfigurationItem.objects.filter(wanted).first()
    if found is None:
        raise ItemUnknown(f"There is no item {item}.")
    return _item_view(found)


def list_items(ids: Iterable[int]) -> dict[int, ItemView]:
    """Items by their ids; unknown ids are not in the answer."""
    found = ConfigurationItem.objects.filter(among("pk", set(ids)))
    return {item.pk: _item_view(item) for item in found.iterator(chunk_size=_CHUNK)}


def find_end_device(wanted: int | str | bytes) -> EndDeviceView | None:
    """A meter by its id, its serial (which is its mrid), or its system title (octets or hexadecimal).

    A text of digits is a serial before it is an id.
    """
    devices = EndDevice.objects.select_related("item", "usage_point")
    device = next((found for condition in _names(wanted) if (found := devices.filter(condition).first())), None)
    return _device_view(device) if device else None


def _names(wanted: int | str | bytes) -> list[Q]:
    if isinstance(wanted, int):
        return [Q(pk=wanted)]
    if isinstance(wanted, bytes):
        return [Q(system_title=wanted.hex().upper())] if wanted else []
    text = wanted.strip()
    names = [Q(serial=text)] if text else []
    if len(text) == 16:
        names.append(Q(system_title=text.upper()))
    if text.isascii() and text.isdigit() and len(text) < 19:
        names.append(Q(pk=int(text)))
    return names


def get_end_device(wanted: int | str | bytes) -> EndDeviceView:
    """Like `find_end_device`.

    Raises:
        ItemUnknown: when there is none.
    """
    found = find_end_device(wanted)
    if found is None:
        raise ItemUnknown(f"There is no meter {wanted.hex() if isinstance(wanted, bytes) else wanted}.")
    return found


def _item_view(item: ConfigurationItem) -> ItemView:
    return ItemView(
        item.pk,
        item.mrid,
        ItemKind(item.kind),
        item.name,
        ItemState(item.state),
        item.latitude,
        item.longitude,
        item.rated_kva,
        item.nominal_voltage,
        item.address,
        item.attributes,
        item.source,
        item.attribute_sources,
        item.created_at,
    )


def _device_view(device: EndDevice) -> EndDeviceView:
    return EndDeviceView(
        _item_view(device.item),
        device.serial,
        device.manufacturer,
        device.model,
        device.hardware_version,
        device.firmware_version,
        device.profile,
        device.logical_device_name,
        device.system_title,
        device.host,
        device.port,
        device.transport,
        device.server_sap,
        device.installed_at,
        device.route_id,
        device.transformer_id,
        _item_view(device.usage_point) if device.usage_point else None,
        tuple(ancestors(device.pk, Tree.ELECTRICAL)),
        tuple(ancestors(device.pk, Tree.COMMUNICATION)),
    )


# --- the trees, at a time -------------------------------------------------------------------------------------------


def parent_of(item_id: int, tree: Tree, at: datetime | None = None) -> Ancestor | None:
    """What an item hung under at a moment (None: now)."""
    link = _held(Link.objects.filter(child_id=item_id, tree=tree), at).select_related("parent").first()
    if link is None:
        return None
    above = link.parent
    return Ancestor(above.pk, above.mrid, ItemKind(above.kind), above.name, link.starts_at, link.confidence)


def ancestors(item_id: int, tree: Tree, at: datetime | None = None) -> list[Ancestor]:
    """Everything above an item at a moment (None: now), nearest first."""
    found: list[Ancestor] = []
    seen = {item_id}
    above = parent_of(item_id, tree, at)
    while above is not None and above.id not in seen:
        found.append(above)
        seen.add(above.id)
        above = parent_of(above.id, tree, at)
    return found


def _held(links: QuerySet[Link], at: datetime | None) -> QuerySet[Link]:
    if at is None:
        return links.filter(ends_at__isnull=True)
    return links.filter(Q(ends_at__isnull=True) | Q(ends_at__gt=at), starts_at__lte=at)


# --- search ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SearchHit:
    """Something that fits. For a usage point with a meter, the meter is given."""

    id: int
    kind: ItemKind
    mrid: str
    name: str
    matched: str
    """What fitted: serial, system title, host, name or address."""
    detail: str


def search(text: str, limit: int = 20) -> list[SearchHit]:
    """What one box finds: beginnings of serials, mrids, names, addresses and hosts, and whole or begun system titles.

    Exact names come first, then what begins with the text, by kind of match.
    """
    wanted = search_form(text)
    if not wanted:
        return []
    hits: dict[int, SearchHit] = {}
    for matched, column in (("name", "search_mrid"), ("name", "search_name"), ("address", "search_address")):
        if len(hits) < limit:
            found = ConfigurationItem.objects.filter(**{f"{column}__prefix": wanted}).order_by(column)[:limit]
            _add_items(hits, found, matched)
    if len(hits) < limit:
        _add_devices(hits, text, limit)
    return sorted(hits.values(), key=lambda hit: hit.mrid.casefold() != wanted)[:limit]


def _add_items(hits: dict[int, SearchHit], found: Iterable[ConfigurationItem], matched: str) -> None:
    items = list(found)
    points = [item.pk for item in items if item.kind == ItemKind.USAGE_POINT]
    meters = {device.usage_point_id: device for device in EndDevice.objects.filter(usage_point_id__in=points)}
    for item in items:
        device = meters.get(item.pk)
        if device is not None:
            hits.setdefault(
                device.pk,
                SearchHit(device.pk, ItemKind.END_DEVICE, device.serial, "", matched, item.address or item.mrid),
            )
        else:
            hits.setdefault(
                item.pk, SearchHit(item.pk, ItemKind(item.kind), item.mrid, item.name, matched, item.address)
            )


def _add_devices(hits: dict[int, SearchHit], text: str, limit: int) -> None:
    stripped = text.strip()
    for matched, column, wanted in (("system title", "system_title", stripped.upper()), ("host", "host", stripped)):
        for device in EndDevice.objects.filter(**{f"{column}__prefix": wanted}).order_by(column)[:limit]:
            detail = device.system_title if column == "system_title" else device.host
            hits.setdefault(device.pk, SearchHit(device.pk, ItemKind.END_DEVICE, device.serial, "", matched, detail))


# --- lists of meters ------------------------------------------------------------------------------------------------

SORTS: Final = {
    "serial": "serial",
    "address": "search_address",
    "model": "model",
    "firmware_version": "firmware_version",
    "state": "state",
    "installed_at": "installed_at",
}


@dataclass(frozen=True, slots=True)
class EndDeviceRow:
    """A meter in a list."""

    id: int
    serial: str
    manufacturer: str
    model: str
    firmware_version: str
    profile: str
    state: str
    address: str
    phases: str
    host: str
    installed_at: datetime | None
    transformer: str
    transformer_id: int | None
    feeder: str
    route: str
    route_id: int | None


@dataclass(frozen=True, slots=True)
class EndDevicePage:
    """A page of meters. `after` goes into the next call; empty where this page is the last. `total` counts all that fit."""

    rows: tuple[EndDeviceRow, ...]
    total: int
    after: str


def page_of_end_devices(
    wanted: EndDeviceFilter, *, sort: str = "serial", after: str = "", limit: int = 50, count: bool = True
) -> EndDevicePage:
    """Meters that fit, sorted (`-model` for descending), a page at a time. Pages stay right while meters come and go.

    Raises:
        FilterNotValid: when `sort` is none of `SORTS`, or `after` was made for another sort.
    """
    descending, name = sort.startswith("-"), sort.removeprefix("-")
    column = SORTS.get(name)
    if column is None:
        raise FilterNotValid(f"Meters are not sorted by {name!r}; only by {', '.join(SORTS)}.")
    selected = wanted.select()
    total = selected.count() if count else -1
    if name == "installed_at":
        selected = selected.filter(installed_at__isnull=False) if not after else selected
    found = _after(selected, column, after, descending).order_by(*_order(column, descending))
    rows = list(found.select_related("usage_point", "transformer", "feeder", "route")[: limit + 1])
    more = len(rows) > limit
    return EndDevicePage(
        tuple(_row(device) for device in rows[:limit]), total, _token(rows[limit - 1], column) if more else ""
    )


def _order(column: str, descending: bool) -> tuple[str, ...]:
    sign = "-" if descending else ""
    return (f"{sign}{column}", f"{sign}pk")


def _after(found: QuerySet[EndDevice], column: str, token: str, descending: bool) -> QuerySet[EndDevice]:
    if not token:
        return found
    try:
        of_column, value, pk = json.loads(base64.urlsafe_b64decode(token.encode()))
        if of_column != column:
            raise ValueError
    except (ValueError, binascii.Error, TypeError) as error:
        raise FilterNotValid("The next page was asked for with a mark of another list.") from error
    how = "lt" if descending else "gt"
    return found.filter(Q(**{f"{column}__{how}": value}) | Q(**{column: value, f"pk__{how}": pk}))


def _token(device: EndDevice, column: str) -> str:
    value = getattr(device, column)
    plain = value.isoformat() if isinstance(value, datetime) else value
    return base64.urlsafe_b64encode(json.dumps([column, plain, device.pk]).encode()).decode()


def _row(device: EndDevice) -> EndDeviceRow:
    point = device.usage_point
    return EndDeviceRow(
        device.pk,
        device.serial,
        device.manufacturer,
        device.model,
        device.firmware_version,
        device.profile,
        device.state,
        point.address if point else "",
        str(point.attributes.get("phases", "")) if point else "",
        device.host,
        device.installed_at,
        _called(device.transformer),
        device.transformer_id,
        _called(device.feeder),
        _called(device.route),
        device.route_id,
    )


def _called(item: ConfigurationItem | None) -> str:
    return (item.name or item.mrid) if item else ""


def count_end_devices(wanted: EndDeviceFilter | None = None) -> int:
    """How many meters fit (all of them without a filter)."""
    return (wanted or EndDeviceFilter()).select().count()


def ids_of_end_devices(wanted: EndDeviceFilter | None = None) -> NDArray[np.int64]:
    """The meters that fit, as ascending ids of shape (n,)."""
    found = (wanted or EndDeviceFilter()).select().order_by("pk").values_list("pk", flat=True)
    return np.fromiter(found.iterator(chunk_size=10_000), dtype=np.int64)


FACETS: Final = ("manufacturer", "model", "hardware_version", "firmware_version", "profile", "state")


def facets(wanted: EndDeviceFilter | None = None, names: Sequence[str] = FACETS) -> dict[str, dict[str, int]]:
    """For each column the values there are among the meters that fit, with how many have each, most frequent first."""
    selected = (wanted or EndDeviceFilter()).select()
    return {
        name: dict(selected.values_list(name).annotate(n=Count("pk")).order_by("-n", name))
        for name in names
        if name in FACETS
    }


COHORT_COLUMNS: Final = ("manufacturer", "model", "hardware_version", "firmware_version", "profile", "state")
PLACE_COLUMNS: Final = ("transformer_id", "feeder_id", "substation_id", "lv_feeder_id", "concentrator_id", "route_id")


def columns_of_end_devices(names: Sequence[str], wanted: EndDeviceFilter | None = None) -> dict[str, NDArray[Any]]:
    """Some columns of every meter that fits, ascending by `id`: texts as objects, ids as int64 with 0 for none.

    Raises:
        FilterNotValid: when a name is none of `COHORT_COLUMNS`, `PLACE_COLUMNS` or serial.
    """
    known = (*COHORT_COLUMNS, *PLACE_COLUMNS, "serial", "usage_point_id")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise FilterNotValid(f"There is no column {unknown[0]!r}.")
    found = (wanted or EndDeviceFilter()).select().order_by("pk").values_list("pk", *names)
    rows = list(found.iterator(chunk_size=10_000))
    columns: list[Any] = list(zip(*rows, strict=True)) if rows else [()] * (len(names) + 1)
    answer: dict[str, NDArray[Any]] = {"id": np.array(columns[0], dtype=np.int64)}
    for name, values in zip(names, columns[1:], strict=True):
        is_id = name.endswith("_id")
        answer[name] = np.array([v or 0 for v in values], np.int64) if is_id else np.array(values, dtype=object)
    return answer


# --- groups, disagreements, history ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GroupView:
    """A saved filter."""

    name: str
    filter: EndDeviceFilter
    created_at: datetime
    created_by: str


def list_groups() -> list[GroupView]:
    """Saved groups, by name."""
    return [
        GroupView(group.name, EndDeviceFilter.from_dict(group.filter), group.created_at, group.created_by)
        for group in EndDeviceGroup.objects.order_by("name")
    ]


def get_group(name: str) -> GroupView:
    """One saved group.

    Raises:
        GroupUnknown: when there is none of that name.
    """
    found = [group for group in list_groups() if group.name == name]
    if not found:
        raise GroupUnknown(f"There is no saved group {name!r}.")
    return found[0]


@dataclass(frozen=True, slots=True)
class DisagreementView:
    """Two sources say different things of one attribute."""

    id: int
    item_id: int
    mrid: str
    attribute: str
    present: Any
    present_source: str
    proposed: Any
    source: str
    state: str
    noticed_at: datetime
    settled_at: datetime | None
    settled_by: str
    reason: str


def list_disagreements(
    *, state: str = DisagreementState.OPEN, item_id: int | None = None, after_id: int = 0, limit: int = 100
) -> list[DisagreementView]:
    """The queue, oldest first; an empty state gives settled ones too."""
    found = Disagreement.objects.select_related("item").filter(pk__gt=after_id).order_by("pk")
    if state:
        found = found.filter(state=state)
    if item_id is not None:
        found = found.filter(item_id=item_id)
    return [
        DisagreementView(
            one.pk,
            one.item_id,
            one.item.mrid,
            one.attribute,
            one.present,
            one.present_source,
            one.proposed,
            one.source,
            one.state,
            one.noticed_at,
            one.settled_at,
            one.settled_by,
            one.reason,
        )
        for one in found[:limit]
    ]


def count_disagreements() -> int:
    """How many wait to be settled."""
    return Disagreement.objects.filter(state=DisagreementState.OPEN).count()


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One change of an item; `attribute` "created" is its beginning."""

    at: datetime
    attribute: str
    old: Any
    new: Any
    source: str
    actor: str
    import_id: str


def history_of(item_id: int, limit: int = 200) -> list[HistoryEntry]:
    """What changed on an item and where it was moved, newest first, down to its creation.

    Raises:
        ItemUnknown: when there is no such item.
    """
    item = ConfigurationItem.objects.filter(pk=item_id).first()
    if item is None:
        raise ItemUnknown(f"There is no item {item_id}.")
    entries = [
        HistoryEntry(c.at, c.attribute, c.old, c.new, c.source, c.actor, str(c.import_run_id or ""))
        for c in AttributeChange.objects.filter(item_id=item_id).order_by("-at", "-pk")[:limit]
    ]
    if len(entries) < limit:
        entries.append(HistoryEntry(item.created_at, "created", None, item.mrid, item.source, item.created_by, ""))
    return entries


@dataclass(frozen=True, slots=True)
class LinkView:
    """Where an item hung, from when to when."""

    tree: Tree
    parent_id: int
    parent: str
    starts_at: datetime
    ends_at: datetime | None
    confidence: float
    source: str


def links_of(item_id: int) -> list[LinkView]:
    """Every place of an item in both trees, newest first."""
    found = Link.objects.filter(child_id=item_id).select_related("parent").order_by("tree", "-starts_at")
    return [
        LinkView(
            Tree(link.tree),
            link.parent_id,
            link.parent.mrid,
            link.starts_at,
            link.ends_at,
            link.confidence,
            link.source,
        )
        for link in found
    ]


@dataclass(frozen=True, slots=True)
class ImportView:
    """An import that was applied."""

    id: str
    at: datetime
    actor: str
    source: str
    files: tuple[str, ...]
    counts: dict[str, Any]


def list_imports(limit: int = 50) -> list[ImportView]:
    """Imports, newest first."""
    found = ImportRun.objects.order_by("-at")[:limit]
    return [ImportView(str(run.pk), run.at, run.actor, run.source, tuple(run.files), run.counts) for run in found]


def version() -> str:
    """Changes whenever an item, a link or an attribute does: who keeps the trees in memory asks this before using them."""
    newest = AttributeChange.objects.aggregate(last=Max("pk"))["last"]
    imported = ImportRun.objects.aggregate(last=Max("at"))["last"]
    return f"{newest or 0} {imported.isoformat() if imported else ''}"


def meters_per(column: str, wanted: EndDeviceFilter | None = None) -> dict[int, int]:
    """How many meters hang under each node of one kind: node id -> count, for a column of `PLACE_COLUMNS`.

    Raises:
        FilterNotValid: when the column is none of those.
    """
    if column not in PLACE_COLUMNS:
        raise FilterNotValid(f"Meters are not counted by {column!r}.")
    selected = (wanted or EndDeviceFilter()).select().exclude(**{column: None})
    return dict(selected.values_list(F(column)).annotate(n=Count("pk")))


def tree_attribute(tree: Tree) -> str:
    """The attribute under which the history keeps moves in a tree."""
    return ATTRIBUTE_OF_TREE[tree]
