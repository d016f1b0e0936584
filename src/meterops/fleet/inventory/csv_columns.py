"""The columns of inventory files: how a cell becomes a value, and a value a cell. Pure.

A value here is what the tables hold; `column_parser(cell)` of what `write_cell(value)` gave is the value again.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from meterops.fleet.inventory.kinds import ItemKind, Transport
from meterops.fleet.inventory.lifecycle import ItemState

Value = Any
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
MAX_JSON: Final = 20_000


class CellRefused(ValueError):
    """A cell's text is no value of its column; `allowed` says what would be."""

    def __init__(self, what: str, allowed: str) -> None:
        super().__init__(what)
        self.what = what
        self.allowed = allowed


@dataclass(frozen=True, slots=True)
class Column:
    """A column: the attribute it fills, how its cells are read, and whether a new item can do without."""

    name: str
    attribute: str
    parse: Callable[[str], Value]
    needed: bool = False
    optional_in_export: bool = False


def unescape(cell: str) -> str:
    """Undo what `escape` did to a text that a spreadsheet would take for a formula."""
    return cell[1:] if len(cell) > 1 and cell[0] == "'" and cell[1] in _FORMULA else cell


def escape(text: str) -> str:
    """Keep spreadsheets from running a cell: a text that begins like a formula gets an apostrophe before it."""
    return "'" + text if text.startswith(_FORMULA) else text


def write_cell(value: Value) -> str:
    """A value as its cell."""
    if value is None:
        return ""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")) if value else ""
    return str(value)


def text(longest: int) -> Callable[[str], str]:
    """Any text without control characters, up to `longest` characters."""

    def parse(cell: str) -> str:
        if len(cell) > longest + 1:
            raise CellRefused(f"the text is {len(cell)} characters long", f"at most {longest} characters")
        value = unescape(cell).strip()
        if len(value) > longest:
            raise CellRefused(f"the text is {len(value)} characters long", f"at most {longest} characters")
        if _CONTROL.search(value):
            raise CellRefused("the text holds control characters", "printable characters only")
        return value

    return parse


def number(lowest: float, highest: float) -> Callable[[str], float | None]:
    """A decimal number within bounds; empty is None."""
    allowed = f"a number from {lowest:g} to {highest:g}, with a point"

    def parse(cell: str) -> float | None:
        if not cell.strip():
            return None
        try:
            value = float(cell)
        except ValueError:
            raise CellRefused(f"{_shown(cell)} is not a number", allowed) from None
        if not math.isfinite(value) or not lowest <= value <= highest:
            raise CellRefused(f"{_shown(cell)} is out of range", allowed)
        return value + 0.0  # minus zero becomes zero

    return parse


def whole_number(lowest: int, highest: int, empty: int) -> Callable[[str], int]:
    """A whole number within bounds; empty is `empty`."""
    allowed = f"a whole number from {lowest} to {highest}"

    def parse(cell: str) -> int:
        stripped = cell.strip()
        if not stripped:
            return empty
        if not (stripped.isascii() and stripped.isdigit() and len(stripped) < 12):
            raise CellRefused(f"{_shown(cell)} is not a whole number", allowed)
        value = int(stripped)
        if not lowest <= value <= highest:
            raise CellRefused(f"{_shown(cell)} is out of range", allowed)
        return value

    return parse


def one_of(members: tuple[str, ...], empty: str | None) -> Callable[[str], str | None]:
    """One of a few words, in any case; empty is `empty`."""
    known = {member: member for member in members}
    allowed = "one of " + ", ".join(members)

    def parse(cell: str) -> str | None:
        found = known.get(cell) or known.get(cell.strip().upper())
        if found is not None:
            return found
        if not cell.strip():
            return empty
        raise CellRefused(f"{_shown(cell)} is not known", allowed)

    return parse


def system_title(cell: str) -> str:
    """Eight octets in hexadecimal (IEC 62056-5-3, 4.3.4), given back in upper case; empty where unknown."""
    stripped = cell.strip().replace(" ", "").upper()
    if stripped and not re.fullmatch("[0-9A-F]{16}", stripped):
        raise CellRefused(f"{_shown(cell)} is not a system title", "16 hexadecimal digits")
    return stripped


def moment(cell: str) -> datetime | None:
    """An ISO 8601 date and time with its zone, or a date (midnight UTC); empty is None."""
    stripped = cell.strip()
    if not stripped:
        return None
    try:
        value = datetime.fromisoformat(stripped)
        if value.tzinfo is None:
            if len(stripped) > 10:
                raise CellRefused(f"{_shown(cell)} has no time zone", "for example 2026-03-01T12:00:00Z")
            value = value.replace(tzinfo=UTC)
        value = value.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        if isinstance(error, CellRefused):
            raise
        raise CellRefused(f"{_shown(cell)} is not a date and time", "for example 2026-03-01T12:00:00Z") from None
    if not 1970 <= value.year <= 2200:
        raise CellRefused(f"{_shown(cell)} is out of range", "a moment from 1970 to 2200")
    return value


def json_object(cell: str) -> dict[str, Value]:
    """A JSON object; empty is one without members."""
    if not cell.strip():
        return {}
    if len(cell) > MAX_JSON:
        raise CellRefused(f"the JSON is {len(cell)} characters long", f"at most {MAX_JSON} characters")
    try:
        value = json.loads(cell)
        storable = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise CellRefused(f"{_shown(cell)} is not valid JSON", 'a JSON object, for example {"phases":"L1"}') from None
    if not isinstance(value, dict) or b"\\u0000" in storable or "" in value or any(len(key) > 80 for key in value):
        raise CellRefused(
            f"{_shown(cell)} is not storable", "a JSON object with names of 1 to 80 characters and no NUL"
        )
    return value


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= 40 else cell[:37] + "...")


_STATES = tuple(str(state) for state in ItemState)
_NODE_KINDS = tuple(str(kind) for kind in ItemKind if kind is not ItemKind.END_DEVICE)

NODE_COLUMNS: Final = (
    Column("mrid", "mrid", text(100), needed=True),
    Column("kind", "kind", one_of(_NODE_KINDS, None), needed=True),
    Column("name", "name", text(200)),
    Column("parent_electrical", "electrical_parent", text(100)),
    Column("parent_communication", "communication_parent", text(100)),
    Column("latitude", "latitude", number(-90, 90)),
    Column("longitude", "longitude", number(-180, 180)),
    Column("rated_kva", "rated_kva", number(0, 1e7)),
    Column("nominal_voltage", "nominal_voltage", number(0, 1e7)),
    Column("address", "address", text(300)),
    Column("attributes_json", "attributes", json_object),
    Column("state", "state", one_of(_STATES, None), optional_in_export=True),
)
DEVICE_COLUMNS: Final = (
    Column("serial", "serial", text(64), needed=True),
    Column("manufacturer", "manufacturer", text(64)),
    Column("model", "model", text(64)),
    Column("hardware_version", "hardware_version", text(64)),
    Column("firmware_version", "firmware_version", text(64)),
    Column("profile", "profile", text(64)),
    Column("logical_device_name", "logical_device_name", text(64)),
    Column("system_title", "system_title", system_title),
    Column("usage_point", "electrical_parent", text(100)),
    Column("route", "communication_parent", text(100)),
    Column("host", "host", text(255)),
    Column("port", "port", whole_number(1, 65535, 4059)),
    Column("transport", "transport", one_of(tuple(str(t) for t in Transport), str(Transport.WRAPPER))),
    Column("server_sap", "server_sap", whole_number(0, 0x3FFF, 1)),
    Column("state", "state", one_of(_STATES, None)),
    Column("installed_at", "installed_at", moment),
    Column("attributes_json", "attributes", json_object, optional_in_export=True),
)
