"""Which meters are meant: one value for lists, counts, saved groups and addresses of pages."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Q, QuerySet

from meterops.fleet.inventory.kinds import ItemKind
from meterops.fleet.inventory.models import ConfigurationItem, EndDevice, Link
from meterops.fleet.inventory.refusals import FilterNotValid, ItemUnknown
from meterops.fleet.inventory.rules import search_form
from meterops.kernel.among import among

_UNDER_COLUMN = {
    ItemKind.SUBSTATION: "substation_id",
    ItemKind.FEEDER: "feeder_id",
    ItemKind.POWER_TRANSFORMER: "transformer_id",
    ItemKind.LV_FEEDER: "lv_feeder_id",
    ItemKind.USAGE_POINT: "usage_point_id",
    ItemKind.DATA_CONCENTRATOR: "concentrator_id",
    ItemKind.ROUTE: "route_id",
    ItemKind.END_DEVICE: "pk",
}


@dataclass(frozen=True, slots=True)
class EndDeviceFilter:
    """Meters that fit every field that is not empty. Within a field any of its values fits.

    `text` is the beginning of a serial, a system title, an address or a host. `under` are mrids of nodes of either tree:
    every meter somewhere below one of them fits.
    """

    text: str = ""
    manufacturer: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    hardware_version: tuple[str, ...] = ()
    firmware_version: tuple[str, ...] = ()
    profile: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    under: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "EndDeviceFilter":
        """The filter that `as_dict` described; a single value may stand for a list of one.

        Raises:
            FilterNotValid: when a name is none of the fields.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        unknown = set(values) - names
        if unknown:
            raise FilterNotValid(
                f"Meters cannot be filtered by {', '.join(sorted(unknown))}; only by {', '.join(sorted(names))}."
            )
        return cls(**{name: _field(name, value) for name, value in values.items()})

    def as_dict(self) -> dict[str, Any]:
        """Only the fields that say something, as JSON can hold them."""
        said = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in said.items() if value}

    def checked(self) -> "EndDeviceFilter":
        """The filter itself, for those who typed it: a misspelled node is no empty list.

        Raises:
            ItemUnknown: naming every one of `under` that nobody knows.
        """
        known = set(ConfigurationItem.objects.filter(mrid__in=self.under).values_list("mrid", flat=True))
        if unknown := [mrid for mrid in self.under if mrid not in known]:
            raise ItemUnknown(f"There is no item {', '.join(unknown)}.")
        return self

    def select(self) -> QuerySet[EndDevice]:
        """The meters that fit, unordered."""
        found = EndDevice.objects.all()
        for name in ("manufacturer", "model", "hardware_version", "firmware_version", "profile", "state"):
            values = getattr(self, name)
            if values:
                found = found.filter(**{f"{name}__in": values})
        if self.ids:
            found = found.filter(among("pk", self.ids))
        if self.under:
            found = found.filter(_below(self.under))
        return found.filter(_begins(self.text)) if self.text.strip() else found


def _field(name: str, value: Any) -> Any:
    if name == "text":
        return str(value)
    values = value if isinstance(value, (list, tuple)) else (value,)
    try:
        return tuple(int(one) for one in values) if name == "ids" else tuple(str(one) for one in values if str(one))
    except ValueError as error:
        raise FilterNotValid(f"{name} are whole numbers.") from error


def _below(mrids: tuple[str, ...]) -> Q:
    by_column: dict[str, list[int]] = {}
    for pk, kind in ConfigurationItem.objects.filter(mrid__in=mrids).values_list("pk", "kind"):
        by_column.setdefault(_UNDER_COLUMN.get(ItemKind(kind), ""), []).append(pk)
    if "" in by_column:  # a head-end: whatever has a route
        return Q(route__isnull=False)
    condition = Q(pk__in=[])
    for column, ids in by_column.items():
        condition |= Q(**{f"{column}__in": _with_nested(ids)})
    return condition


def _with_nested(ids: list[int]) -> list[int]:
    """The nodes with those of their own kind below them (a lateral under a feeder): meters name only the nearest."""
    found, newest = set(ids), set(ids)
    while newest:
        below = Link.objects.filter(parent_id__in=newest, ends_at__isnull=True, child__kind=F("parent__kind"))
        newest = set(below.values_list("child_id", flat=True)) - found
        found |= newest
    return sorted(found)


def _begins(text: str) -> Q:
    stripped = text.strip()
    return (
        Q(serial__prefix=stripped)
        | Q(system_title__prefix=stripped.upper())
        | Q(search_address__prefix=search_form(text))
        | Q(host__prefix=stripped)
    )
