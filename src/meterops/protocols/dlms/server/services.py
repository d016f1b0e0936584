"""GET, SET and ACTION as a meter answers them, with lists and with blocks both ways (IEC 62056-5-3, 7.3 and 7.4).

Everything here is plain: protection has been taken off before and is put on afterwards by the association.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from meterops.protocols.dlms import apdu as pdu
from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.apdu.descriptors import Attribute, Method, read_access
from meterops.protocols.dlms.apdu.enums import ActionResult, Conformance, DataAccessResult, ServiceError, StateError
from meterops.protocols.dlms.apdu.get import encode_get_data_result
from meterops.protocols.dlms.apdu.reader import Reader
from meterops.protocols.dlms.axdr import Data
from meterops.protocols.dlms.errors import DecodeError
from meterops.protocols.dlms.server.object_table import (
    Access,
    ObjectView,
    invoke_method,
    read_attribute,
    write_attribute,
)

OPERATION_NOT_POSSIBLE: Final = pdu.ExceptionResponse(
    StateError.SERVICE_NOT_ALLOWED, ServiceError.OPERATION_NOT_POSSIBLE
).encode()
SERVICE_NOT_SUPPORTED: Final = pdu.ExceptionResponse(
    StateError.SERVICE_UNKNOWN, ServiceError.SERVICE_NOT_SUPPORTED
).encode()
PDU_TOO_LONG: Final = pdu.ExceptionResponse(StateError.SERVICE_NOT_ALLOWED, ServiceError.PDU_TOO_LONG).encode()
OTHER_REASON: Final = pdu.ExceptionResponse(StateError.SERVICE_UNKNOWN, ServiceError.OTHER_REASON).encode()

MAX_COLLECTED: Final = 1 << 20
"""Octets a client may send in blocks before they are thrown away."""

LONG_BLOCK: Final = 12
"""Octets around the data of a get-response-with-datablock (tag, type, invoke, last, number, choice, length)."""

_GET_HEAD: Final = struct.Struct(">BBBB")
_BLOCK_HEAD: Final = struct.Struct(">BBBBIB")

Interceptor = Callable[[bytes], "bytes | DataAccessResult"]
"""Answers the attributes of the current association, which belong to the session and not to the meter."""


@dataclass(slots=True)
class _Outgoing:
    """A long answer on its way: what, how far, the number of the last block sent."""

    data: bytes
    position: int = 0
    block_number: int = 0

    def take(self, room: int) -> tuple[bytes, bool]:
        """Give the next octets and whether they are the last."""
        chunk = self.data[self.position : self.position + max(room, 1)]
        self.position += len(chunk)
        self.block_number += 1
        return chunk, self.position >= len(self.data)


@dataclass(slots=True)
class _Incoming:
    """A long request coming in: what it is about, what came so far, the number of the block expected next."""

    targets: tuple[Any, ...]
    is_list: bool
    data: bytearray
    expected: int


class Services:
    """Serves the plain requests of one open association."""

    def __init__(self, device: Any, view: ObjectView, own_association: bytes, intercept: Interceptor) -> None:
        """Serve `device` through `view`; attributes of the object `own_association` (8 octets) go to `intercept`."""
        self._device = device
        self._view = view
        self._own = own_association
        self._intercept = intercept
        self.conformance = Conformance(0)
        self._long_get: _Outgoing | None = None
        self._long_action: _Outgoing | None = None
        self._long_set: _Incoming | None = None
        self._long_call: _Incoming | None = None

    def answer(self, request: bytes, room: int) -> bytes | None:
        """Answer a GET, SET or ACTION request within `room` octets; None where the client wants no answer.

        A longer answer begins a block transfer, or is given whole when general block transfer can carry it.
        Octets that are no such request give an exception response.
        """
        if len(request) == 13 and request[:2] == b"\xc0\x01" and not request[12]:
            return self._get_normal(request[2], request[3:12], None, room)
        tag = request[0] if request else 0
        try:
            if tag == 0xC0:
                return self._get(request, room)
            if tag == 0xC1:
                return self._set(request)
            if tag == 0xC3:
                return self._action(request, room)
            if tag == 0xD9:
                return self._access(request)
        except DecodeError:
            return OTHER_REASON
        return SERVICE_NOT_SUPPORTED

    def _allows(self, what: Conformance) -> bool:
        return bool(self.conformance & what)

    def _read(self, descriptor: bytes, access: Access) -> bytes | DataAccessResult:
        if descriptor[:8] == self._own:
            return self._intercept(descriptor)
        return read_attribute(self._view, self._device, descriptor, access)

    # GET

    def _get(self, request: bytes, room: int) -> bytes:
        if not self._allows(Conformance.GET):
            return SERVICE_NOT_SUPPORTED
        kind = request[1] if len(request) > 2 else 0
        if kind == 1 and len(request) > 13:
            access = _parsed_access(request[3:5], request[12:])
            return self._get_normal(request[2], request[3:12], access, room)
        asked = pdu.decode_apdu(request)
        if isinstance(asked, pdu.GetRequestNormal):
            return self._get_normal(asked.invoke, asked.attribute.octets, asked.access, room)
        if isinstance(asked, pdu.GetRequestNext):
            return self._get_next(asked.invoke, asked.block_number, room)
        if isinstance(asked, pdu.GetRequestWithList):
            return self._get_list(asked, room)
        return SERVICE_NOT_SUPPORTED

    def _get_normal(self, invoke: int, descriptor: bytes, access: Access, room: int) -> bytes:
        self._long_get = None
        data = self._read(descriptor, access)
        if isinstance(data, DataAccessResult):
            return bytes((0xC4, 1, invoke, 1, data))
        if len(data) + 4 <= room or self._allows(Conformance.GENERAL_BLOCK_TRANSFER):
            return _GET_HEAD.pack(0xC4, 1, invoke, 0) + data
        return self._begin_long_get(invoke, data, room)

    def _get_list(self, asked: pdu.GetRequestWithList, room: int) -> bytes:
        self._long_get = None
        results = [encode_get_data_result(self._read(one.octets, access)) for one, access in asked.items]
        data = axdr.encode_length(len(results)) + b"".join(results)
        if len(data) + 3 <= room or self._allows(Conformance.GENERAL_BLOCK_TRANSFER):
            return bytes((0xC4, 3, asked.invoke)) + data
        return self._begin_long_get(asked.invoke, data, room)

    def _begin_long_get(self, invoke: int, data: bytes, room: int) -> bytes:
        if not self._allows(Conformance.BLOCK_TRANSFER_WITH_GET):
            return PDU_TOO_LONG
        self._long_get = _Outgoing(data)
        return self._get_block(self._long_get, invoke, room)

    def _get_next(self, invoke: int, number: int, room: int) -> bytes:
        sending = self._long_get
        if sending is None:
            return _get_block_refused(invoke, number, DataAccessResult.NO_LONG_GET_IN_PROGRESS)
        if number != sending.block_number:
            self._long_get = None
            return _get_block_refused(invoke, number, DataAccessResult.DATA_BLOCK_NUMBER_INVALID)
        return self._get_block(sending, invoke, room)

    def _get_block(self, sending: _Outgoing, invoke: int, room: int) -> bytes:
        chunk, last = sending.take(room - LONG_BLOCK)
        if last:
            self._long_get = None
        head = _BLOCK_HEAD.pack(0xC4, 2, invoke, last, sending.block_number, 0)
        return head + axdr.encode_octets(chunk)

    # SET

    def _set(self, request: bytes) -> bytes | None:
        if not self._allows(Conformance.SET):
            return SERVICE_NOT_SUPPORTED
        asked = pdu.decode_apdu(request)
        confirmed = bool(request[2] & pdu.CONFIRMED)
        answer = self._answer_set(asked)
        return answer if confirmed else None

    def _answer_set(self, asked: pdu.Apdu) -> bytes:
        if isinstance(asked, pdu.SetRequestNormal):
            return pdu.SetResponseNormal(asked.invoke, self._write(asked.attribute, asked.value)).encode()
        if isinstance(asked, pdu.SetRequestWithList):
            results = self._write_all([one for one, _ in asked.items], asked.values)
            return pdu.SetResponseWithList(asked.invoke, results).encode()
        if isinstance(asked, pdu.SetRequestFirstBlock | pdu.SetRequestListFirstBlock):
            targets: tuple[Attribute, ...]
            if isinstance(asked, pdu.SetRequestListFirstBlock):
                targets = tuple(one for one, _ in asked.items)
            else:
                targets = (asked.attribute,)
            self._long_set = _Incoming(
                targets, isinstance(asked, pdu.SetRequestListFirstBlock), bytearray(), asked.block_number
            )
            return self._set_block(asked.invoke, asked.last, asked.block_number, asked.data)
        if isinstance(asked, pdu.SetRequestBlock):
            return self._set_block(asked.invoke, asked.last, asked.block_number, asked.data)
        return SERVICE_NOT_SUPPORTED

    def _set_block(self, invoke: int, last: bool, number: int, data: bytes) -> bytes:
        receiving = self._long_set
        refusal = _cannot_collect(receiving, number, data, DataAccessResult.NO_LONG_SET_IN_PROGRESS)
        if receiving is None or refusal is not None:
            self._long_set = None
            result = DataAccessResult(refusal or DataAccessResult.OTHER_REASON)
            return pdu.SetResponseLastBlock(invoke, result, number).encode()
        if not last:
            return pdu.SetResponseBlock(invoke, number).encode()
        self._long_set = None
        collected = bytes(receiving.data)
        if not receiving.is_list:
            return pdu.SetResponseLastBlock(invoke, self._write(receiving.targets[0], collected), number).encode()
        results = self._write_all(receiving.targets, _values(collected, len(receiving.targets)))
        return pdu.SetResponseLastBlockList(invoke, results, number).encode()

    def _write_all(self, targets: Any, values: tuple[bytes, ...]) -> tuple[DataAccessResult, ...]:
        if len(targets) != len(values):
            return tuple(DataAccessResult.TYPE_UNMATCHED for _ in targets)
        return tuple(self._write(target, value) for target, value in zip(targets, values, strict=True))

    def _write(self, target: Attribute, octets: bytes) -> DataAccessResult:
        try:
            value = axdr.decode_all(octets, allow_trailing=True)
        except DecodeError:
            return DataAccessResult.TYPE_UNMATCHED
        return write_attribute(self._view, self._device, target.octets, value)

    # ACTION

    def _action(self, request: bytes, room: int) -> bytes | None:
        if not self._allows(Conformance.ACTION):
            return SERVICE_NOT_SUPPORTED
        asked = pdu.decode_apdu(request)
        confirmed = bool(request[2] & pdu.CONFIRMED)
        answer = self._answer_action(asked, room)
        return answer if confirmed else None

    def _answer_action(self, asked: pdu.Apdu, room: int) -> bytes:
        if isinstance(asked, pdu.ActionRequestNormal):
            return self._one_outcome(asked.invoke, self._invoke(asked.method, asked.parameter), room)
        if isinstance(asked, pdu.ActionRequestWithList):
            return self._many_outcomes(asked.invoke, asked.methods, asked.parameters, room)
        if isinstance(asked, pdu.ActionRequestFirstBlock | pdu.ActionRequestListFirstBlock):
            is_list = isinstance(asked, pdu.ActionRequestListFirstBlock)
            targets = asked.methods if isinstance(asked, pdu.ActionRequestListFirstBlock) else (asked.method,)
            self._long_call = _Incoming(targets, is_list, bytearray(), asked.block_number)
            return self._action_block(asked.invoke, asked.last, asked.block_number, asked.data, room)
        if isinstance(asked, pdu.ActionRequestBlock):
            return self._action_block(asked.invoke, asked.last, asked.block_number, asked.data, room)
        if isinstance(asked, pdu.ActionRequestNextBlock):
            return self._action_next(asked.invoke, asked.block_number, room)
        return SERVICE_NOT_SUPPORTED

    def _action_block(self, invoke: int, last: bool, number: int, data: bytes, room: int) -> bytes:
        receiving = self._long_call
        refusal = _cannot_collect(receiving, number, data, ActionResult.NO_LONG_ACTION_IN_PROGRESS)
        if receiving is None or refusal is not None:
            self._long_call = None
            return bytes((0xC7, 1, invoke, refusal or ActionResult.OTHER_REASON, 0))
        if not last:
            return pdu.ActionResponseNextBlock(invoke, number).encode()
        self._long_call = None
        collected = bytes(receiving.data)
        if receiving.is_list:
            values = _values(collected, len(receiving.targets))
            return self._many_outcomes(invoke, receiving.targets, values, room)
        return self._one_outcome(invoke, self._invoke(receiving.targets[0], _parameter(collected)), room)

    def _one_outcome(self, invoke: int, outcome: pdu.ActionOutcome, room: int) -> bytes:
        octets = outcome.encode()
        if len(octets) + 3 <= room or self._allows(Conformance.GENERAL_BLOCK_TRANSFER):
            return bytes((0xC7, 1, invoke)) + octets
        return self._begin_long_action(invoke, octets, room)

    def _many_outcomes(
        self, invoke: int, methods: tuple[Method, ...], parameters: tuple[bytes, ...], room: int
    ) -> bytes:
        if len(methods) != len(parameters):
            outcomes = [pdu.ActionOutcome(ActionResult.TYPE_UNMATCHED) for _ in methods]
        else:
            outcomes = [self._invoke(one, value) for one, value in zip(methods, parameters, strict=True)]
        octets = axdr.encode_length(len(outcomes)) + b"".join([outcome.encode() for outcome in outcomes])
        if len(octets) + 3 <= room or self._allows(Conformance.GENERAL_BLOCK_TRANSFER):
            return bytes((0xC7, 3, invoke)) + octets
        return self._begin_long_action(invoke, octets, room)

    def _begin_long_action(self, invoke: int, octets: bytes, room: int) -> bytes:
        if not self._allows(Conformance.BLOCK_TRANSFER_WITH_ACTION):
            return PDU_TOO_LONG
        self._long_action = _Outgoing(octets)
        return self._outgoing_action_block(self._long_action, invoke, room)

    def _action_next(self, invoke: int, number: int, room: int) -> bytes:
        sending = self._long_action
        if sending is None or number != sending.block_number:
            self._long_action = None
            return bytes((0xC7, 1, invoke, ActionResult.NO_LONG_ACTION_IN_PROGRESS, 0))
        return self._outgoing_action_block(sending, invoke, room)

    def _outgoing_action_block(self, sending: _Outgoing, invoke: int, room: int) -> bytes:
        chunk, last = sending.take(room - LONG_BLOCK)
        if last:
            self._long_action = None
        return pdu.ActionResponseBlock(invoke, last, sending.block_number, chunk).encode()

    def _invoke(self, method: Method, octets: bytes | None) -> pdu.ActionOutcome:
        parameters: Data | None = None
        if octets is not None:
            try:
                parameters = axdr.decode_all(octets, allow_trailing=True)
            except DecodeError:
                return pdu.ActionOutcome(ActionResult.TYPE_UNMATCHED)
        result, returned = invoke_method(self._view, self._device, method.octets, parameters)
        return pdu.ActionOutcome(result, returned)

    # ACCESS

    def _access(self, request: bytes) -> bytes:
        if not self._allows(Conformance.ACCESS):
            return SERVICE_NOT_SUPPORTED
        asked = pdu.decode_apdu(request)
        if not isinstance(asked, pdu.AccessRequest):
            return SERVICE_NOT_SUPPORTED
        values: list[bytes] = []
        results: list[pdu.AccessResult] = []
        for specification, value in zip(asked.specifications, asked.values, strict=False):
            data, result = self._access_one(specification, value)
            values.append(data)
            results.append(result)
        return pdu.AccessResponse(asked.long_invoke, None, tuple(values), tuple(results)).encode()

    def _access_one(self, specification: pdu.AccessSpecification, value: bytes) -> tuple[bytes, pdu.AccessResult]:
        if isinstance(specification, pdu.AccessGet):
            data = self._read(specification.attribute.octets, specification.access)
            if isinstance(data, DataAccessResult):
                return b"\x00", pdu.AccessResult(1, data)
            return data, pdu.AccessResult(1, DataAccessResult.SUCCESS)
        if isinstance(specification, pdu.AccessSet):
            return b"\x00", pdu.AccessResult(2, self._write(specification.attribute, value))
        outcome = self._invoke(specification.method, value)
        returned = outcome.returned if isinstance(outcome.returned, bytes) else b"\x00"
        return returned, pdu.AccessResult(3, outcome.result)


@lru_cache(maxsize=512)
def _parsed_access(class_id: bytes, octets: bytes) -> Access:
    """Read an OPTIONAL selective access; a whole fleet is asked with the same octets."""
    if not octets[0]:
        return None
    return read_access(Reader(octets, 1), int.from_bytes(class_id, "big"))


def _get_block_refused(invoke: int, number: int, result: DataAccessResult) -> bytes:
    return pdu.GetResponseWithDatablock(invoke, True, number, None, result).encode()


def _cannot_collect(receiving: _Incoming | None, number: int, data: bytes, nothing_begun: int) -> int | None:
    """Add a block to a long request, or say why not. Blocks count from 1; clients that count from 0 are followed."""
    if receiving is None:
        return nothing_begun
    if number != receiving.expected or len(receiving.data) + len(data) > MAX_COLLECTED:
        return DataAccessResult.DATA_BLOCK_NUMBER_INVALID
    receiving.data += data
    receiving.expected = number + 1
    return None


def _values(octets: bytes, count: int) -> tuple[bytes, ...]:
    """Split a list of values, with its length before it as the standard has it, or without."""
    for start in (1, 0):
        reader = Reader(octets, start)
        if start and (not octets or octets[0] != count):
            continue
        try:
            return tuple(reader.value("value") for _ in range(count))
        except DecodeError:
            continue
    return ()


def _parameter(octets: bytes) -> bytes | None:
    """The parameter that came in blocks; some clients put the presence flag before it."""
    if not octets:
        return None
    try:
        axdr.decode_all(octets)
    except DecodeError:
        if octets[0] == 1:
            return octets[1:]
    return octets
