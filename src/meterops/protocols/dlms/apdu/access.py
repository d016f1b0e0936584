"""ACCESS (Green Book, Access-Request 0xD9 and Access-Response 0xDA): any mix of reads, writes and methods in one
APDU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from meterops.protocols.dlms.apdu.base import Apdu
from meterops.protocols.dlms.apdu.descriptors import (
    Access,
    Attribute,
    Method,
    read_access,
    read_attribute,
    read_method,
)
from meterops.protocols.dlms.apdu.enums import ActionResult, DataAccessResult
from meterops.protocols.dlms.apdu.notification import read_date_time
from meterops.protocols.dlms.apdu.reader import Reader
from meterops.protocols.dlms.axdr import encode_length, encode_octets
from meterops.protocols.dlms.errors import DecodeError, EncodeError

ACCESS_REQUEST: Final = 0xD9
ACCESS_RESPONSE: Final = 0xDA

_GET, _SET, _ACTION, _GET_WITH_SELECTION, _SET_WITH_SELECTION = 1, 2, 3, 4, 5


@dataclass(slots=True)
class AccessGet:
    """Read an attribute, or a selection of it."""

    attribute: Attribute
    access: Access | None = None

    def encode(self) -> bytes:
        """Write the specification."""
        return _encode_specification(_GET, _GET_WITH_SELECTION, self.attribute, self.access)


@dataclass(slots=True)
class AccessSet:
    """Write an attribute, or a selection of it."""

    attribute: Attribute
    access: Access | None = None

    def encode(self) -> bytes:
        """Write the specification."""
        return _encode_specification(_SET, _SET_WITH_SELECTION, self.attribute, self.access)


@dataclass(slots=True)
class AccessAction:
    """Invoke a method."""

    method: Method

    def encode(self) -> bytes:
        """Write the specification."""
        return bytes((_ACTION,)) + self.method.octets


AccessSpecification = AccessGet | AccessSet | AccessAction


@dataclass(slots=True)
class AccessResult:
    """What became of one specification: `kind` 1 get, 2 set, 3 action, and its result."""

    kind: int
    result: DataAccessResult | ActionResult


@dataclass(slots=True)
class AccessRequest(Apdu):
    """Specifications and, one for each, A-XDR octets (null-data where there is nothing to send)."""

    long_invoke: int
    date_time: bytes | None
    specifications: tuple[AccessSpecification, ...]
    values: tuple[bytes, ...]

    def encode(self) -> bytes:
        head = _encode_head(ACCESS_REQUEST, self.long_invoke, self.date_time)
        return head + _encode_specifications(self.specifications) + _encode_values(self.values)


@dataclass(slots=True)
class AccessResponse(Apdu):
    """For each specification A-XDR octets (null-data where there is nothing to return) and a result."""

    long_invoke: int
    date_time: bytes | None
    values: tuple[bytes, ...]
    results: tuple[AccessResult, ...]
    specifications: tuple[AccessSpecification, ...] | None = None

    def encode(self) -> bytes:
        head = _encode_head(ACCESS_RESPONSE, self.long_invoke, self.date_time)
        echoed = b"\x00" if self.specifications is None else b"\x01" + _encode_specifications(self.specifications)
        results = b"".join([bytes((result.kind, result.result)) for result in self.results])
        return head + echoed + _encode_values(self.values) + encode_length(len(self.results)) + results


def _encode_head(tag: int, long_invoke: int, date_time: bytes | None) -> bytes:
    if not 0 <= long_invoke <= 0xFFFF_FFFF:
        raise EncodeError(f"long invoke id {long_invoke} does not fit 32 bits")
    return bytes((tag,)) + long_invoke.to_bytes(4, "big") + encode_octets(date_time or b"")


def _encode_specification(plain: int, with_selection: int, attribute: Attribute, access: Access | None) -> bytes:
    if access is None:
        return bytes((plain,)) + attribute.octets
    return bytes((with_selection,)) + attribute.octets + access.encode()


def _encode_specifications(specifications: tuple[AccessSpecification, ...]) -> bytes:
    return encode_length(len(specifications)) + b"".join([one.encode() for one in specifications])


def _encode_values(values: tuple[bytes, ...]) -> bytes:
    return encode_length(len(values)) + b"".join(values)


def decode_access_request(buf: bytes) -> AccessRequest:
    """Read an Access-Request."""
    reader = Reader(buf, 1)
    long_invoke = reader.uint32("long-invoke-id-and-priority")
    date_time = read_date_time(reader)
    specifications = reader.list_of(_read_specification, "access specifications")
    return AccessRequest(long_invoke, date_time, specifications, reader.list_of(_read_value, "values"))


def decode_access_response(buf: bytes) -> AccessResponse:
    """Read an Access-Response."""
    reader = Reader(buf, 1)
    long_invoke = reader.uint32("long-invoke-id-and-priority")
    date_time = read_date_time(reader)
    specifications = None
    if reader.flag("presence of access specifications"):
        specifications = reader.list_of(_read_specification, "access specifications")
    values = reader.list_of(_read_value, "values")
    return AccessResponse(long_invoke, date_time, values, reader.list_of(_read_result, "results"), specifications)


def _read_value(reader: Reader) -> bytes:
    return reader.value("value")


def _read_specification(reader: Reader) -> AccessSpecification:
    offset = reader.offset
    kind = reader.uint8("access specification")
    if kind == _ACTION:
        return AccessAction(read_method(reader))
    if kind not in (_GET, _SET, _GET_WITH_SELECTION, _SET_WITH_SELECTION):
        raise DecodeError(f"access specification: choice {kind}", offset)
    attribute = read_attribute(reader)
    access = read_access(reader, attribute.class_id) if kind >= _GET_WITH_SELECTION else None
    return AccessGet(attribute, access) if kind in (_GET, _GET_WITH_SELECTION) else AccessSet(attribute, access)


def _read_result(reader: Reader) -> AccessResult:
    offset = reader.offset
    kind = reader.uint8("access response specification")
    if kind in (_GET, _SET):
        return AccessResult(kind, DataAccessResult(reader.uint8("data-access-result")))
    if kind == _ACTION:
        return AccessResult(kind, ActionResult(reader.uint8("action-result")))
    raise DecodeError(f"access response specification: choice {kind}", offset)
