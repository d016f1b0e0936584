"""SET: write attributes (Green Book, Set-Request 0xC1 and Set-Response 0xC5)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from meterops.protocols.dlms.apdu.base import Apdu
from meterops.protocols.dlms.apdu.descriptors import (
    Access,
    Attribute,
    AttributeSelection,
    encode_attribute_with_access,
    encode_optional_access,
    read_attribute,
    read_attribute_with_access,
    read_optional_access,
)
from meterops.protocols.dlms.apdu.enums import DataAccessResult
from meterops.protocols.dlms.apdu.get import encode_numbered
from meterops.protocols.dlms.apdu.reader import Reader
from meterops.protocols.dlms.axdr import encode_length, encode_octets
from meterops.protocols.dlms.errors import DecodeError, EncodeError

SET_REQUEST: Final = 0xC1
SET_RESPONSE: Final = 0xC5

_BLOCK_HEAD: Final = struct.Struct(">BI")


@dataclass(slots=True)
class SetRequestNormal(Apdu):
    """Write one attribute; `value` is A-XDR octets."""

    invoke: int
    attribute: Attribute
    access: Access | None
    value: bytes

    def encode(self) -> bytes:
        head = bytes((SET_REQUEST, 1, self.invoke)) + self.attribute.octets
        return head + encode_optional_access(self.access) + self.value


@dataclass(slots=True)
class SetRequestFirstBlock(Apdu):
    """Begin to write one attribute in blocks."""

    invoke: int
    attribute: Attribute
    access: Access | None
    last: bool
    block_number: int
    data: bytes

    def encode(self) -> bytes:
        head = bytes((SET_REQUEST, 2, self.invoke)) + self.attribute.octets + encode_optional_access(self.access)
        return head + encode_block(self.last, self.block_number, self.data)


@dataclass(slots=True)
class SetRequestBlock(Apdu):
    """Go on writing in blocks."""

    invoke: int
    last: bool
    block_number: int
    data: bytes

    def encode(self) -> bytes:
        return bytes((SET_REQUEST, 3, self.invoke)) + encode_block(self.last, self.block_number, self.data)


@dataclass(slots=True)
class SetRequestWithList(Apdu):
    """Write several attributes; `values` are A-XDR octets, one for each."""

    invoke: int
    items: tuple[AttributeSelection, ...]
    values: tuple[bytes, ...]

    def encode(self) -> bytes:
        head = bytes((SET_REQUEST, 4, self.invoke)) + _encode_items(self.items)
        return head + encode_length(len(self.values)) + b"".join(self.values)


@dataclass(slots=True)
class SetRequestListFirstBlock(Apdu):
    """Begin to write several attributes in blocks."""

    invoke: int
    items: tuple[AttributeSelection, ...]
    last: bool
    block_number: int
    data: bytes

    def encode(self) -> bytes:
        head = bytes((SET_REQUEST, 5, self.invoke)) + _encode_items(self.items)
        return head + encode_block(self.last, self.block_number, self.data)


@dataclass(slots=True)
class SetResponseNormal(Apdu):
    """Whether the attribute was written."""

    invoke: int
    result: DataAccessResult

    def encode(self) -> bytes:
        return bytes((SET_RESPONSE, 1, self.invoke, self.result))


@dataclass(slots=True)
class SetResponseBlock(Apdu):
    """The block `block_number` has arrived; the next may come."""

    invoke: int
    block_number: int

    def encode(self) -> bytes:
        return encode_numbered(SET_RESPONSE, 2, self.invoke, self.block_number)


@dataclass(slots=True)
class SetResponseLastBlock(Apdu):
    """Whether the attribute written in blocks was written."""

    invoke: int
    result: DataAccessResult
    block_number: int

    def encode(self) -> bytes:
        return bytes((SET_RESPONSE, 3, self.invoke, self.result)) + encode_block_number(self.block_number)


@dataclass(slots=True)
class SetResponseLastBlockList(Apdu):
    """Which of the attributes written in blocks were written."""

    invoke: int
    results: tuple[DataAccessResult, ...]
    block_number: int

    def encode(self) -> bytes:
        head = bytes((SET_RESPONSE, 4, self.invoke)) + encode_length(len(self.results)) + bytes(self.results)
        return head + encode_block_number(self.block_number)


@dataclass(slots=True)
class SetResponseWithList(Apdu):
    """Which of the attributes were written."""

    invoke: int
    results: tuple[DataAccessResult, ...]

    def encode(self) -> bytes:
        return bytes((SET_RESPONSE, 5, self.invoke)) + encode_length(len(self.results)) + bytes(self.results)


SetRequest = SetRequestNormal | SetRequestFirstBlock | SetRequestBlock | SetRequestWithList | SetRequestListFirstBlock
SetResponse = (
    SetResponseNormal | SetResponseBlock | SetResponseLastBlock | SetResponseLastBlockList | SetResponseWithList
)


def encode_block(last: bool, block_number: int, data: bytes) -> bytes:
    """Write a DataBlock-SA."""
    try:
        return _BLOCK_HEAD.pack(last, block_number) + encode_octets(data)
    except struct.error:
        raise EncodeError(f"block number {block_number} does not fit 32 bits") from None


def encode_block_number(block_number: int) -> bytes:
    """Write a block number."""
    if not 0 <= block_number <= 0xFFFF_FFFF:
        raise EncodeError(f"block number {block_number} does not fit 32 bits")
    return block_number.to_bytes(4, "big")


def read_block(reader: Reader) -> tuple[bool, int, bytes]:
    """Read a DataBlock-SA: last, block number, octets."""
    return reader.flag("last-block"), reader.uint32("block number"), reader.octets("raw-data")


def _encode_items(items: tuple[AttributeSelection, ...]) -> bytes:
    return encode_length(len(items)) + b"".join([encode_attribute_with_access(item) for item in items])


def decode_set_request(buf: bytes) -> SetRequest:
    """Read a Set-Request."""
    reader = Reader(buf, 1)
    kind = reader.uint8("set-request type")
    invoke = reader.uint8("invoke-id-and-priority")
    if kind == 1 or kind == 2:
        attribute = read_attribute(reader)
        access = read_optional_access(reader, attribute.class_id)
        if kind == 1:
            return SetRequestNormal(invoke, attribute, access, reader.rest("value"))
        return SetRequestFirstBlock(invoke, attribute, access, *read_block(reader))
    if kind == 3:
        return SetRequestBlock(invoke, *read_block(reader))
    if kind == 4 or kind == 5:
        items = reader.list_of(read_attribute_with_access, "attribute descriptors")
        if kind == 4:
            return SetRequestWithList(invoke, items, reader.list_of(_read_value, "values"))
        return SetRequestListFirstBlock(invoke, items, *read_block(reader))
    raise DecodeError(f"set-request type {kind}", 1)


def _read_value(reader: Reader) -> bytes:
    return reader.value("value")


def _read_result(reader: Reader) -> DataAccessResult:
    return DataAccessResult(reader.uint8("data-access-result"))


def decode_set_response(buf: bytes) -> SetResponse:
    """Read a Set-Response."""
    reader = Reader(buf, 1)
    kind = reader.uint8("set-response type")
    invoke = reader.uint8("invoke-id-and-priority")
    if kind == 1:
        return SetResponseNormal(invoke, _read_result(reader))
    if kind == 2:
        return SetResponseBlock(invoke, reader.uint32("block number"))
    if kind == 3:
        return SetResponseLastBlock(invoke, _read_result(reader), reader.uint32("block number"))
    if kind == 4:
        results = reader.list_of(_read_result, "results")
        return SetResponseLastBlockList(invoke, results, reader.uint32("block number"))
    if kind == 5:
        return SetResponseWithList(invoke, reader.list_of(_read_result, "results"))
    raise DecodeError(f"set-response type {kind}", 1)
