"""Invoking methods, with parameters and results in blocks where they are long."""

from __future__ import annotations

from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.apdu.action import (
    ACTION_RESPONSE,
    ActionOutcome,
    ActionResponse,
    ActionResponseBlock,
    ActionResponseNextBlock,
    ActionResponseNormal,
    decode_action_response,
    read_outcome,
)
from meterops.protocols.dlms.apdu.descriptors import Method
from meterops.protocols.dlms.apdu.enums import ActionResult, Conformance
from meterops.protocols.dlms.apdu.get import encode_numbered
from meterops.protocols.dlms.apdu.reader import Reader
from meterops.protocols.dlms.apdu.set import encode_block
from meterops.protocols.dlms.association.client import ClientAssociation
from meterops.protocols.dlms.axdr import Data
from meterops.protocols.dlms.errors import DecodeError, EncodeError, ProtocolError, ServiceRefused
from meterops.protocols.dlms.flows.steps import MAX_TRANSFER, Flow, exchange

_BLOCK_HEAD = 3 + 1 + 4 + 5


def invoke(a: ClientAssociation, method: Method, parameter: Data | None = None) -> Flow[Data | None]:
    """Invoke a method and return what it returns, if anything; `ServiceRefused` says why it was not carried out."""
    octets = None if parameter is None else axdr.encode(parameter)
    invoke_id = a.next_invoke()
    head = b"\xc3\x01" + invoke_id + method.octets
    request = head + b"\x00" if octets is None else head + b"\x01" + octets
    too_long = len(request) > a.max_plain_size and a.can(Conformance.BLOCK_TRANSFER_WITH_ACTION)
    if too_long and octets is not None:
        response = yield from _send_blocks(a, method, octets, invoke_id)
    else:
        response = yield from _act(a, request, invoke_id)
    if isinstance(response, ActionResponseBlock):
        outcome = yield from _receive_blocks(a, response, invoke_id)
    elif isinstance(response, ActionResponseNormal):
        outcome = ActionOutcome(response.result, response.returned)
    else:
        raise ProtocolError(f"{type(response).__name__} to an ACTION")
    return _result(outcome, method)


def _act(a: ClientAssociation, request: bytes, invoke_id: bytes) -> Flow[ActionResponse]:
    answer = yield from exchange(a, request)
    a.check_answer(answer, ACTION_RESPONSE, invoke_id)
    return decode_action_response(answer)


def _send_blocks(a: ClientAssociation, method: Method, octets: bytes, invoke_id: bytes) -> Flow[ActionResponse]:
    start = 0
    number = 1
    head = b"\xc3\x04" + invoke_id + method.octets
    while True:
        room = a.max_plain_size - len(head) - _BLOCK_HEAD
        if room < 1:
            raise EncodeError(f"the meter takes {a.server_pdu_size} octets, too few for a block")
        last = start + room >= len(octets)
        response = yield from _act(a, head + encode_block(last, number, octets[start : start + room]), invoke_id)
        if last:
            return response
        if not isinstance(response, ActionResponseNextBlock):
            if isinstance(response, ActionResponseNormal) and response.result != ActionResult.SUCCESS:
                raise ServiceRefused(response.result, str(method))
            raise ProtocolError(f"{type(response).__name__} amid block transfer")
        if response.block_number != number:
            raise ProtocolError(f"block {response.block_number} confirmed, {number} sent")
        start += room
        number += 1
        head = b"\xc3\x06" + invoke_id


def _receive_blocks(a: ClientAssociation, first: ActionResponseBlock, invoke_id: bytes) -> Flow[ActionOutcome]:
    parts = []
    size = 0
    expected = first.block_number if first.block_number in (0, 1) else 1
    block = first
    while True:
        if block.block_number != expected:
            raise ProtocolError(f"block {block.block_number} where block {expected} was expected")
        size += len(block.data)
        if size > MAX_TRANSFER:
            raise ProtocolError(f"an answer of more than {MAX_TRANSFER} octets")
        parts.append(block.data)
        if block.last:
            return _outcome(b"".join(parts))
        if not block.data:
            raise ProtocolError(f"block {block.block_number} is empty and not the last")
        response = yield from _act(a, encode_numbered(0xC3, 2, invoke_id[0], block.block_number), invoke_id)
        if not isinstance(response, ActionResponseBlock):
            raise ProtocolError(f"{type(response).__name__} amid block transfer")
        block = response
        expected += 1


def _outcome(octets: bytes) -> ActionOutcome:
    """Read what the blocks of an answer carry: result and value, or from some meters the value alone."""
    reader = Reader(octets)
    try:
        outcome = read_outcome(reader)
        if reader.at_end():
            return outcome
    except DecodeError:
        pass  # it is read the other way
    if axdr.end_of(octets, 0) != len(octets):
        raise DecodeError("return parameters in blocks: neither an outcome nor a value", 0)
    return ActionOutcome(ActionResult.SUCCESS, octets)


def _result(outcome: ActionOutcome, method: Method) -> Data | None:
    if outcome.result != ActionResult.SUCCESS:
        raise ServiceRefused(outcome.result, str(method))
    returned = outcome.returned
    if returned is None:
        return None
    if not isinstance(returned, bytes):
        raise ServiceRefused(returned, str(method))
    return axdr.decode(returned)[0]
