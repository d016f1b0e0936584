"""Where a thing of the inventory is shown in the console."""

from dataclasses import dataclass

from django.urls import reverse

from meterops.fleet.inventory import api as inventory
from meterops.fleet.inventory.api import ItemKind

KIND_WORDS = {
    ItemKind.SUBSTATION: "substation",
    ItemKind.FEEDER: "feeder",
    ItemKind.POWER_TRANSFORMER: "transformer",
    ItemKind.LV_FEEDER: "low-voltage feeder",
    ItemKind.USAGE_POINT: "usage point",
    ItemKind.HEAD_END: "head-end",
    ItemKind.ROUTE: "route",
    ItemKind.DATA_CONCENTRATOR: "data concentrator",
    ItemKind.END_DEVICE: "meter",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A thing with its name and where it is shown."""

    label: str
    kind: str
    href: str


def address_of(item_id: int, kind: ItemKind, mrid: str) -> str:
    """The page of an item."""
    if kind is ItemKind.END_DEVICE:
        return reverse("console:meter", args=[item_id])
    if kind is ItemKind.POWER_TRANSFORMER:
        return reverse("console:one-line", args=[item_id])
    if kind is ItemKind.USAGE_POINT:
        return reverse("console:grid-item", args=[item_id])
    return f"{reverse('console:meters')}?under={mrid}"


def way_down(ancestors: tuple[inventory.Ancestor, ...]) -> list[Place]:
    """What an item hangs under, outermost first, as links."""
    return [
        Place(one.name or one.mrid, KIND_WORDS[one.kind], address_of(one.id, one.kind, one.mrid))
        for one in reversed(ancestors)
    ]
