"""Decisions of inventory: which source may write which attribute, and since when an unknown link has held. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from meterops.fleet.inventory.kinds import Source

BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Where no source says since when a link holds, it has always held."""

_METER: Final = (Source.HEAD_END, Source.DISCOVERY, Source.FIELD, Source.WAREHOUSE, Source.IMPORT)
_PLACE: Final = (Source.GIS, Source.FIELD, Source.BILLING, Source.DISCOVERY, Source.IMPORT)
_STOCK: Final = (Source.WAREHOUSE, Source.HEAD_END, Source.FIELD, Source.IMPORT)
_CUSTOMER: Final = (Source.BILLING, Source.GIS, Source.FIELD, Source.IMPORT)
_ANYBODY: Final = (
    Source.FIELD,
    Source.GIS,
    Source.WAREHOUSE,
    Source.HEAD_END,
    Source.BILLING,
    Source.DISCOVERY,
    Source.IMPORT,
)

DEFAULT_PRECEDENCE: Final[Mapping[str, Sequence[Source]]] = {
    "firmware_version": _METER,
    "logical_device_name": _METER,
    "system_title": _METER,
    "host": _METER,
    "port": _METER,
    "transport": _METER,
    "server_sap": _METER,
    "communication_parent": _METER,
    "manufacturer": _STOCK,
    "model": _STOCK,
    "hardware_version": _STOCK,
    "profile": _STOCK,
    "electrical_parent": _PLACE,
    "latitude": _PLACE,
    "longitude": _PLACE,
    "rated_kva": _PLACE,
    "nominal_voltage": _PLACE,
    "name": _PLACE,
    "address": _CUSTOMER,
    "installed_at": (Source.FIELD, Source.WAREHOUSE, Source.BILLING, Source.IMPORT),
}
"""Attribute -> sources, the owner first. Stored rows (`SourcePrecedence`) replace an entry; other attributes take `_ANYBODY`."""


class Verdict(Enum):
    """What becomes of a value that a source brings."""

    UNCHANGED = "unchanged"
    WRITE = "write"
    DISAGREE = "disagree"


class Precedence:
    """Who may overwrite whom, per attribute."""

    def __init__(self, stored: Mapping[str, Sequence[str]] | None = None) -> None:
        """`stored` rows come before the defaults."""
        self._order: dict[str, dict[str, int]] = {
            name: {str(source): rank for rank, source in enumerate(order)}
            for name, order in {**DEFAULT_PRECEDENCE, **(stored or {})}.items()
        }
        self._anybody = {str(source): rank for rank, source in enumerate(_ANYBODY)}

    def rank(self, attribute: str, source: str) -> int:
        """0 is the owner; sources that are not in the attribute's list come after all that are."""
        order = self._order.get(attribute, self._anybody)
        return order.get(source, len(order))

    def judge(self, attribute: str, *, old: Any, old_source: str, new: Any, new_source: str) -> Verdict:
        """Write what is at least as well founded as the present value; a value nobody gave yet may come from anybody."""
        if old == new:
            return Verdict.UNCHANGED
        if old is None or old == "":
            return Verdict.WRITE
        if self.rank(attribute, new_source) <= self.rank(attribute, old_source):
            return Verdict.WRITE
        return Verdict.DISAGREE


def search_form(text: str, longest: int = 300) -> str:
    """A text as `search` compares it: case folded, runs of blanks as one, no longer than its column."""
    return " ".join(text.casefold().split())[:longest]
