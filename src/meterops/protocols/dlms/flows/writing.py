"""Writing attributes, in blocks when a value is longer than the meter takes at once."""

from __future__ import annotations

from collections.abc import Sequence

from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.apdu.descriptors import Access, Attribute, encode_optional_access
from meterops.protocols.dlms.apdu.enums import Conformance, DataAccessResult
from meterops.protocols.dlms.apdu.set import (
    SET_RESPONSE,
    SetResponse,
    SetResponseBlock,
    SetResponseLastBlock,
    SetResponseNormal,
    SetResponseWithList,
    decode_set_response,
    encode_block,
)
from meterops.protocols.dlms.association.client import ClientAssociation
from meterops.protocols.dlms.axdr import Data
from meterops.protocols.dlms.errors import EncodeError, ProtocolError, ServiceRefused
from meterops.protocols.dlms.flows.steps import Flow, exchange

_BLOCK_HEAD = 3 + 1 + 4 + 5


def write(a: ClientAssociation, attribute: Attribute, value: Data, access: Access | None = None) -> Flow[None]:
    """Write an attribute; `ServiceRefused` says why the meter does not take the value."""
    descriptor = attribute.octets + encode_optional_access(access)
    octets = axdr.encode(value)
    invoke = a.next_invoke()
    request = b"\xc1\x01" + invoke + descriptor + octets
    if _fits(a, request):
        response = yield from _set(a, request, invoke)
    else:
        response = yield from _write_blocks(a, invoke, descriptor, octets)
    if not isinstance(response, SetResponseNormal | SetResponseLastBlock):
        raise ProtocolError(f"{type(response).__name__} to a SET")
    if response.result != DataAccessResult.SUCCESS:
        raise ServiceRefused(response.result, str(attribute))


def write_many(a: ClientAssociation, values: Sequence[tuple[Attribute, Data]]) -> Flow[list[DataAccessResult]]:
    """Write several attributes in one request where the meter can and it fits, else one by one; the result of each.

    A list in blocks (set-request-with-list-and-first-datablock) saves little, and few meters know it.
    """
    if not a.can(Conformance.MULTIPLE_REFERENCES) or a.parameters.quirks.no_lists or len(values) == 1:
        return (yield from _write_singly(a, values))
    count = axdr.encode_length(len(values))
    descriptors = count + b"".join([attribute.octets + b"\x00" for attribute, _ in values])
    octets = count + b"".join([axdr.encode(value) for _, value in values])
    invoke = a.next_invoke()
    request = b"\xc1\x04" + invoke + descriptors + octets
    if not _fits(a, request):
        return (yield from _write_singly(a, values))
    response = yield from _set(a, request, invoke)
    if not isinstance(response, SetResponseWithList):
        raise _refused_as_a_whole(response)
    if len(response.results) != len(values):
        raise ProtocolError(f"{len(response.results)} results for {len(values)} attributes")
    return list(response.results)


def _write_singly(a: ClientAssociation, values: Sequence[tuple[Attribute, Data]]) -> Flow[list[DataAccessResult]]:
    results = []
    for attribute, value in values:
        try:
            yield from write(a, attribute, value)
            results.append(DataAccessResult.SUCCESS)
        except ServiceRefused as refused:
            results.append(DataAccessResult(refused.result))
    return results


def _fits(a: ClientAssociation, request: bytes) -> bool:
    """Whether a request goes out as it is; without SET blocks, general block transfer carries what does not fit."""
    return len(request) <= a.max_plain_size or not a.can(Conformance.BLOCK_TRANSFER_WITH_SET)


def _set(a: ClientAssociation, request: bytes, invoke: bytes) -> Flow[SetResponse]:
    answer = yield from exchange(a, request)
    a.check_answer(answer, SET_RESPONSE, invoke)
    return decode_set_response(answer)


def _write_blocks(a: ClientAssociation, invoke: bytes, descriptor: bytes, octets: bytes) -> Flow[SetResponse]:
    """Send `octets` in blocks; the first one names what is written. Return what is said to the last."""
    start = 0
    number = 1
    head = b"\xc1\x02" + invoke + descriptor
    while True:
        room = a.max_plain_size - len(head) - _BLOCK_HEAD
        if room < 1:
            raise EncodeError(f"the meter takes {a.server_pdu_size} octets, too few for a block")
        last = start + room >= len(octets)
        block = encode_block(last, number, octets[start : start + room])
        response = yield from _set(a, head + block, invoke)
        if last or not isinstance(response, SetResponseBlock):
            break
        if response.block_number != number:
            raise ProtocolError(f"block {response.block_number} confirmed, {number} sent")
        start += room
        number += 1
        head = b"\xc1\x03" + invoke
    if not last and not isinstance(response, SetResponseNormal | SetResponseLastBlock):
        raise ProtocolError(f"{type(response).__name__} amid block transfer")
    if not last and isinstance(response, SetResponseNormal | SetResponseLastBlock):
        raise ServiceRefused(_as_refusal(response.result), "block transfer")
    return response


def _as_refusal(result: DataAccessResult) -> DataAccessResult:
    """A meter that stops a transfer halfway has not written, even where it says success."""
    return DataAccessResult.LONG_SET_ABORTED if result == DataAccessResult.SUCCESS else result


def _refused_as_a_whole(response: SetResponse) -> ServiceRefused | ProtocolError:
    if isinstance(response, SetResponseNormal | SetResponseLastBlock) and response.result:
        return ServiceRefused(response.result, "list of attributes")
    return ProtocolError(f"{type(response).__name__} to a SET with a list")
