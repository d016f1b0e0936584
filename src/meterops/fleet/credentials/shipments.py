"""Reading a key shipment: a CSV file with one meter a row, plain or sealed. Errors name row and column, never a value."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from meterops.fleet.credentials.refusals import ShipmentNotReadable
from meterops.protocols.dlms.security import KeyKind

COLUMNS: Final = {
    "encryption_key": KeyKind.UNICAST_ENCRYPTION,
    "authentication_key": KeyKind.AUTHENTICATION,
    "master_key": KeyKind.MASTER,
    "broadcast_key": KeyKind.BROADCAST_ENCRYPTION,
}
REQUIRED: Final = ("serial", "encryption_key", "authentication_key")
KEY_LENGTHS: Final = (16, 32)
SEAL: Final = b"METEROPS-SEALED-1\n"
_NONCE: Final = 12
MOST_OCTETS: Final = 2_000_000_000


@dataclass(frozen=True, slots=True)
class ShipmentError:
    """What is wrong in a row (counted from 1, the header being row 1) and column."""

    row: int
    column: str
    what: str


@dataclass(frozen=True, slots=True, repr=False)
class ShippedKeys:
    """The keys of one meter as shipped. Never shown."""

    row: int
    serial: str
    system_title: str
    keys: dict[KeyKind, bytes]


def read_shipment(path: Path, transport_key: bytes | None = None) -> tuple[list[ShippedKeys], list[ShipmentError]]:
    """Read a shipment; a sealed one with the key that travelled separately.

    Raises:
        ShipmentNotReadable: when it is no shipment at all, or sealed under another key.
    """
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise ShipmentNotReadable(f"{path}: {error.strerror or error}.") from None
    if octets.startswith(SEAL):
        octets = _unsealed(octets, transport_key)
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ShipmentNotReadable(f"{path.name} is not UTF-8 (octet {error.start}).") from None
    return _rows(text, path.name)


def seal_shipment(octets: bytes, transport_key: bytes, nonce: bytes) -> bytes:
    """Encrypt a shipment for its journey: AES-256-GCM; `nonce` are 12 random octets."""
    return SEAL + nonce + AESGCM(transport_key).encrypt(nonce, octets, SEAL)


def _unsealed(octets: bytes, transport_key: bytes | None) -> bytes:
    if transport_key is None:
        raise ShipmentNotReadable("The shipment is sealed: the transport key is needed (--transport-key FILE).")
    start = len(SEAL)
    try:
        cipher = AESGCM(transport_key)
        return cipher.decrypt(octets[start : start + _NONCE], octets[start + _NONCE :], SEAL)
    except (InvalidTag, ValueError):
        raise ShipmentNotReadable("The shipment does not open with this transport key.") from None


def _rows(text: str, name: str) -> tuple[list[ShippedKeys], list[ShipmentError]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [column.strip() for column in next(reader, [])]
        if missing := [column for column in REQUIRED if column not in header]:
            raise ShipmentNotReadable(f"{name}: the columns {', '.join(missing)} are missing.")
        found, errors, seen = [], [], dict[str, int]()
        for number, cells in enumerate(reader, start=2):
            if not any(cells):
                continue
            if len(cells) != len(header):
                errors.append(ShipmentError(number, "", f"{len(cells)} cells where the header has {len(header)}"))
                continue
            row = _row(number, dict(zip(header, cells, strict=True)), errors)
            if row.serial in seen:
                errors.append(ShipmentError(number, "serial", f"the meter stands in row {seen[row.serial]} already"))
            seen[row.serial] = number
            found.append(row)
    except csv.Error as error:
        raise ShipmentNotReadable(f"{name}, line {reader.line_num}: {error}.") from None
    return found, errors


def _row(number: int, cells: dict[str, str], errors: list[ShipmentError]) -> ShippedKeys:
    keys: dict[KeyKind, bytes] = {}
    for column, kind, problem in _keys(cells, keys):
        errors.append(ShipmentError(number, column, problem))
        keys.pop(kind, None)
    serial, title = cells["serial"].strip(), cells.get("system_title", "").strip().upper()
    if not serial:
        errors.append(ShipmentError(number, "serial", "is empty"))
    if title and not _is_title(title):
        errors.append(ShipmentError(number, "system_title", "is not 16 hexadecimal digits"))
    return ShippedKeys(number, serial, title, keys)


def _keys(cells: dict[str, str], keys: dict[KeyKind, bytes]) -> Iterator[tuple[str, KeyKind, str]]:
    for column, kind in COLUMNS.items():
        text = cells.get(column, "").strip()
        if not text:
            if column in REQUIRED:
                yield column, kind, "is empty"
            continue
        try:
            key = keys[kind] = bytes.fromhex(text)
        except ValueError:
            yield column, kind, "is not hexadecimal"
            continue
        if len(key) not in KEY_LENGTHS:
            yield column, kind, f"has {len(key)} octets where 16 or 32 were expected"
    if len({len(key) for key in keys.values()}) > 1:
        yield "encryption_key", KeyKind.UNICAST_ENCRYPTION, "differs in length from the meter's other keys"


def _is_title(text: str) -> bool:
    return len(text) == 16 and all(digit in "0123456789ABCDEF" for digit in text)
