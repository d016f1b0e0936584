"""ACTION: invoke methods (Green Book, Action-Request 0xC3 and Action-Response 0xC7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from meterops.protocols.dlms.apdu.base import Apdu
from meterops.protocols.dlms.apdu.descriptors import Method, read_method
from meterops.protocols.dlms.apdu.enums import ActionResult, DataAccessResult
from meterops.protocols.dlms.apdu.get import encode_get_data_result, encode_numbered
from meterops.protocols.dlms.apdu.reader import Reader
from meterops.protocols.dlms.apdu.set import encode_block, read_block
from meterops.protocols.dlms.axdr import encode_length
from meterops.protocols.dlms.errors import DecodeError

ACTION_REQUEST: Final = 0xC3
ACTION_RESPONSE: Final = 0xC7


@dataclass(slots=True)
class ActionRequestNormal(Apdu):
    """Invoke one method; `parameter` is A-XDR octets."""

    invoke: int
    method: Method
    parameter: bytes | None = None

    def encode(self) -> bytes:
        head = bytes((ACTION_REQUEST, 1, self.invoke)) + self.method.octets
        return head + b"\x00" if self.parameter is None else head + b"\x01" + self.parameter


@dataclass(slots=True)
class ActionRequestNextBlock(Apdu):
    """Ask for the block of the answer after `block_number`."""

    invoke: int
    block_number: int

    def encode(self) -> bytes:
        return encode_numbered(ACTION_REQUEST, 2, self.invoke, self.block_number)


@dataclass(slots=True)
class ActionRequestWithList(Apdu):
    """Invoke several methods; `parameters` are A-XDR octets, one for each (null-data for none)."""

    invoke: int
    methods: tuple[Method, ...]
    parameters: tuple[bytes, ...]

    def encode(self) -> bytes:
        head = bytes((ACTION_REQUEST, 3, self.invoke)) + _encode_methods(self.methods)
        return head + encode_length(len(self.parameters)) + b"".join(self.parameters)


@dataclass(slots=True)
class ActionRequestFirstBlock(Apdu):
    """Begin to invoke one method with a parameter in blocks."""

    invoke: int
    method: Method
    last: bool
    block_number: int
    data: bytes

    def encode(self) -> bytes:
        head = bytes((ACTION_REQUEST, 4, self.invoke)) + self.method.octets
        return head + encode_block(self.last, self.block_number, self.data)


@dataclass(slots=True)
class ActionRequestListFirstBlock(Apdu):
    """Begin to invoke several methods with parameters in blocks."""

    invoke: int
    methods: tuple[Method, ...]
    last: bool
    block_number: int
    data: bytes

    def encode(self) -> bytes:
        head = bytes((ACTION_REQUEST, 5, self.invoke)) + _encode_methods(self.methods)
        return head + encode_block(self.last, self.block_number, self.data)


@dataclass(slots=True)
class ActionRequestBlock(Apdu):
    """Go on with a parameter in blocks."""

    invoke: int
    last: bool
    block_number: int
    data: bytes

    def encode(self) -> bytes:
        return bytes((ACTION_REQUEST, 6, self.invoke)) + encode_block(self.last, self.block_number, self.data)


@dataclass(slots=True)
class ActionOutcome:
    """What became of one method: the result, and what it returned (A-XDR octets, or why there is nothing) if it
    returns.
    """

    result: ActionResult
    returned: bytes | DataAccessResult | None = None

    def encode(self) -> bytes:
        """Write an Action-Response-With-Optional-Data."""
        head = bytes((self.result,))
        return head + b"\x00" if self.returned is None else head + b"\x01" + encode_get_data_result(self.returned)


@dataclass(slots=True)
class ActionResponseNormal(Apdu):
    """Whether the method was carried out, and what it returned (A-XDR octets, or why there is nothing)."""

    invoke: int
    result: ActionResult
    returned: bytes | DataAccessResult | None = None

    def encode(self) -> bytes:
        return bytes((ACTION_RESPONSE, 1, self.invoke)) + ActionOutcome(self.result, self.returned).encode()


@dataclass(slots=True)
class ActionResponseBlock(Apdu):
    """One block of a long answer: the outcome (or list of them) it is part of is read when all blocks are there."""

    invoke: int
    last: bool
    block_number: int
    data: bytes

    def encode(self) -> bytes:
        return bytes((ACTION_RESPONSE, 2, self.invoke)) + encode_block(self.last, self.block_number, self.data)


@dataclass(slots=True)
class ActionResponseWithList(Apdu):
    """What became of each method."""

    invoke: int
    outcomes: tuple[ActionOutcome, ...]

    def encode(self) -> bytes:
        head = bytes((ACTION_RESPONSE, 3, self.invoke)) + encode_length(len(self.outcomes))
        return head + b"".join([outcome.encode() for outcome in self.outcomes])


@dataclass(slots=True)
class ActionResponseNextBlock(Apdu):
    """The block `block_number` of the parameter has arrived; the next may come."""

    invoke: int
    block_number: int

    def encode(self) -> bytes:
        return encode_numbered(ACTION_RESPONSE, 4, self.invoke, self.block_number)


ActionRequest = (
    ActionRequestNormal
    | ActionRequestNextBlock
    | ActionRequestWithList
    | ActionRequestFirstBlock
    | ActionRequestListFirstBlock
    | ActionRequestBlock
)
ActionResponse = ActionResponseNormal | ActionResponseBlock | ActionResponseWithList | ActionResponseNextBlock


def _encode_methods(methods: tuple[Method, ...]) -> bytes:
    return encode_length(len(methods)) + b"".join([method.octets for method in methods])


def decode_action_request(buf: bytes) -> ActionRequest:
    """Read an Action-Request."""
    reader = Reader(buf, 1)
    kind = reader.uint8("action-request type")
    invoke = reader.uint8("invoke-id-and-priority")
    if kind == 1:
        method = read_method(reader)
        # Some clients leave the presence flag out when there is no parameter.
        present = not reader.at_end() and reader.flag("presence of a parameter")
        return ActionRequestNormal(invoke, method, reader.rest("parameter") if present else None)
    if kind == 2:
        return ActionRequestNextBlock(invoke, reader.uint32("block number"))
    if kind == 3:
        methods = reader.list_of(read_method, "method descriptors")
        return ActionRequestWithList(invoke, methods, reader.list_of(_read_parameter, "parameters"))
    if kind == 4:
        return ActionRequestFirstBlock(invoke, read_method(reader), *read_block(reader))
    if kind == 5:
        methods = reader.list_of(read_method, "method descriptors")
        return ActionRequestListFirstBlock(invoke, methods, *read_block(reader))
    if kind == 6:
        return ActionRequestBlock(invoke, *read_block(reader))
    raise DecodeError(f"action-request type {kind}", 1)


def _read_parameter(reader: Reader) -> bytes:
    return reader.value("parameter")


def decode_action_response(buf: bytes) -> ActionResponse:
    """Read an Action-Response."""
    reader = Reader(buf, 1)
    kind = reader.uint8("action-response type")
    invoke = reader.uint8("invoke-id-and-priority")
    if kind == 1:
        outcome = read_outcome(reader)
        return ActionResponseNormal(invoke, outcome.result, outcome.returned)
    if kind == 2:
        return ActionResponseBlock(invoke, *read_block(reader))
    if kind == 3:
        return ActionResponseWithList(invoke, reader.list_of(read_outcome, "outcomes"))
    if kind == 4:
        return ActionResponseNextBlock(invoke, reader.uint32("block number"))
    raise DecodeError(f"action-response type {kind}", 1)


def read_outcome(reader: Reader) -> ActionOutcome:
    """Read an Action-Response-With-Optional-Data; some servers leave its presence flag out at the end of an APDU."""
    result = ActionResult(reader.uint8("action-result"))
    if reader.at_end() or not reader.flag("presence of return parameters"):
        return ActionOutcome(result)
    offset = reader.offset
    choice = reader.uint8("return parameters")
    if choice == 0:
        return ActionOutcome(result, reader.value("data"))
    if choice == 1:
        return ActionOutcome(result, DataAccessResult(reader.uint8("data-access-result")))
    raise DecodeError(f"return parameters: choice {choice}", offset)
