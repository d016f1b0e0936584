"""GET: read attributes (Green Book, Get-Request 0xC0 and Get-Response 0xC4)."""

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
from meterops.protocols.dlms.apdu.reader import Reader
from meterops.protocols.dlms.axdr import encode_length, encode_octets
from meterops.protocols.dlms.errors import DecodeError, EncodeError

GET_REQUEST: Final = 0xC0
GET_RESPONSE: Final = 0xC4

_BLOCK: Final = struct.Struct(">BBBBIB")
_NUMBERED: Final = struct.Struct(">BBBI")


@dataclass(slots=True)
class GetRequestNormal(Apdu):
    """Read one attribute, or a selection of it."""

    invoke: int
    attribute: Attribute
    access: Access | None = None

    def encode(self) -> bytes:
        head = bytes((GET_REQUEST, 1, self.invoke)) + self.attribute.octets
        return head + b"\x00" if self.access is None else head + encode_optional_access(self.access)


@dataclass(slots=True)
class GetRequestNext(Apdu):
    """Ask for the block after `block_number`."""

    invoke: int
    block_number: int

    def encode(self) -> bytes:
        return encode_numbered(GET_REQUEST, 2, self.invoke, self.block_number)


@dataclass(slots=True)
class GetRequestWithList(Apdu):
    """Read several attributes."""

    invoke: int
    items: tuple[AttributeSelection, ...]

    def encode(self) -> bytes:
        head = bytes((GET_REQUEST, 3, self.invoke)) + encode_length(len(self.items))
        return head + b"".join([encode_attribute_with_access(item) for item in self.items])


@dataclass(slots=True)
class GetResponseNormal(Apdu):
    """The value as A-XDR octets, or (`data` None) why there is none."""

    invoke: int
    data: bytes | None
    result: DataAccessResult = DataAccessResult.SUCCESS

    def encode(self) -> bytes:
        return bytes((GET_RESPONSE, 1, self.invoke)) + encode_get_data_result(
            self.result if self.data is None else self.data
        )


@dataclass(slots=True)
class GetResponseWithDatablock(Apdu):
    """One block of a long answer, or (`data` None) why there is none."""

    invoke: int
    last: bool
    block_number: int
    data: bytes | None
    result: DataAccessResult = DataAccessResult.SUCCESS

    def encode(self) -> bytes:
        try:
            head = _BLOCK.pack(
                GET_RESPONSE, 2, self.invoke, self.last, self.block_number, 0 if self.data is not None else 1
            )
        except struct.error:
            raise EncodeError(f"block number {self.block_number} does not fit 32 bits") from None
        return head + (bytes((self.result,)) if self.data is None else encode_octets(self.data))


@dataclass(slots=True)
class GetResponseWithList(Apdu):
    """For each attribute its value as A-XDR octets, or why there is none."""

    invoke: int
    results: tuple[bytes | DataAccessResult, ...]

    def encode(self) -> bytes:
        head = bytes((GET_RESPONSE, 3, self.invoke)) + encode_length(len(self.results))
        return head + b"".join([encode_get_data_result(result) for result in self.results])


GetRequest = GetRequestNormal | GetRequestNext | GetRequestWithList
GetResponse = GetResponseNormal | GetResponseWithDatablock | GetResponseWithList


def encode_get_data_result(result: bytes | DataAccessResult) -> bytes:
    """Write a Get-Data-Result."""
    return bytes((1, result)) if isinstance(result, DataAccessResult) else b"\x00" + result


def read_get_data_result(reader: Reader) -> bytes | DataAccessResult:
    """Read a Get-Data-Result."""
    offset = reader.offset
    choice = reader.uint8("get-data-result")
    if choice == 0:
        return reader.value("data")
    if choice == 1:
        return DataAccessResult(reader.uint8("data-access-result"))
    raise DecodeError(f"get-data-result: choice {choice}", offset)


def encode_numbered(tag: int, kind: int, invoke: int, block_number: int) -> bytes:
    """Write an APDU that carries nothing but a block number."""
    try:
        return _NUMBERED.pack(tag, kind, invoke, block_number)
    except struct.error:
        raise EncodeError(f"block number {block_number} does not fit 32 bits") from None


def decode_get_request(buf: bytes) -> GetRequest:
    """Read a Get-Request."""
    reader = Reader(buf, 1)
    kind = reader.uint8("get-request type")
    invoke = reader.uint8("invoke-id-and-priority")
    if kind == 1:
        attribute = read_attribute(reader)
        return GetRequestNormal(invoke, attribute, read_optional_access(reader, attribute.class_id))
    if kind == 2:
        return GetRequestNext(invoke, reader.uint32("block number"))
    if kind == 3:
        return GetRequestWithList(invoke, reader.list_of(read_attribute_with_access, "attribute descriptors"))
    raise DecodeError(f"get-request type {kind}", 1)


def decode_get_response(buf: bytes) -> GetResponse:
    """Read a Get-Response."""
    if len(buf) > 4 and buf[1] == 1 and buf[3] == 0:
        return GetResponseNormal(buf[2], buf[4:])
    reader = Reader(buf, 1)
    kind = reader.uint8("get-response type")
    invoke = reader.uint8("invoke-id-and-priority")
    if kind == 2:
        return _datablock(reader, invoke)
    if kind == 1:
        offset = reader.offset
        choice = reader.uint8("get-data-result")
        if choice == 1:
            return GetResponseNormal(invoke, None, DataAccessResult(reader.uint8("data-access-result")))
        if choice == 0:
            return GetResponseNormal(invoke, reader.rest("data"))
        raise DecodeError(f"get-data-result: choice {choice}", offset)
    if kind == 3:
        return GetResponseWithList(invoke, reader.list_of(read_get_data_result, "results"))
    raise DecodeError(f"get-response type {kind}", 1)


def _datablock(reader: Reader, invoke: int) -> GetResponseWithDatablock:
    last = reader.flag("last-block")
    block_number = reader.uint32("block number")
    offset = reader.offset
    choice = reader.uint8("datablock result")
    if choice == 0:
        return GetResponseWithDatablock(invoke, last, block_number, reader.octets("raw-data"))
    if choice == 1:
        result = DataAccessResult(reader.uint8("data-access-result"))
        return GetResponseWithDatablock(invoke, last, block_number, None, result)
    raise DecodeError(f"datablock result: choice {choice}", offset)
