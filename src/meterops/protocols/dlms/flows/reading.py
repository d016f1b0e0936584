"""Reading attributes: one, several, profiles, and what an association has to offer."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from meterops.protocols.dlms import axdr, cosem_time
from meterops.protocols.dlms.apdu.descriptors import (
    Access,
    Attribute,
    AttributeSelection,
    CaptureObject,
    EntryAccess,
    RangeAccess,
    encode_attribute_with_access,
)
from meterops.protocols.dlms.apdu.enums import Conformance, DataAccessResult
from meterops.protocols.dlms.apdu.get import GET_RESPONSE, read_get_data_result
from meterops.protocols.dlms.apdu.reader import Reader
from meterops.protocols.dlms.association.client import CURRENT_ASSOCIATION, ClientAssociation
from meterops.protocols.dlms.axdr import Data, Tag
from meterops.protocols.dlms.errors import DecodeError, DlmsError, ProtocolError, ServiceRefused
from meterops.protocols.dlms.flows.steps import MAX_TRANSFER, Flow, exchange
from meterops.protocols.dlms.obis import Obis
from meterops.protocols.dlms.profile_rows import ProfileRows, decode_profile

_NEXT: Final = struct.Struct(">2ssI")
_BLOCK_NUMBER: Final = struct.Struct(">I")
_LIST_HEAD: Final = 3 + 3
_NORMAL, _WITH_BLOCK, _WITH_LIST = 1, 2, 3


@dataclass(frozen=True, slots=True)
class ObjectEntry:
    """One object of an association's view: what it is, and which attributes and methods may be used how.

    `attribute_access` maps an attribute's number to its access mode (as the meter's class version encodes it),
    `method_access` a method's number.
    """

    class_id: int
    version: int
    obis: Obis
    attribute_access: dict[int, int]
    method_access: dict[int, int]


def read_octets(a: ClientAssociation, attribute: Attribute, access: Access | None = None) -> Flow[bytes]:
    """Read an attribute and return its A-XDR octets, perhaps followed by octets that do not belong to them.

    Raises `ServiceRefused` when the meter has no value to give.
    """
    invoke = a.next_invoke()
    selection = b"\x00" if access is None else b"\x01" + access.encode()
    answer = yield from exchange(a, b"\xc0\x01" + invoke + attribute.octets + selection)
    a.check_answer(answer, GET_RESPONSE, invoke)
    kind = answer[1]
    if kind == _NORMAL:
        if answer[3] == 0:
            return answer[4:]
        raise _refusal(answer, attribute)
    if kind == _WITH_BLOCK:
        return (yield from _read_blocks(a, answer, invoke, attribute))
    raise ProtocolError(f"get-response type {kind}")


def read(a: ClientAssociation, attribute: Attribute, access: Access | None = None) -> Flow[Data]:
    """Read an attribute with its types."""
    octets = yield from read_octets(a, attribute, access)
    return axdr.decode(octets)[0]


def read_plain(a: ClientAssociation, attribute: Attribute, access: Access | None = None) -> Flow[Any]:
    """Read an attribute as natives: int, float, bool, bytes, str, None, list, `BitString` (see `axdr.decode_plain`)."""
    octets = yield from read_octets(a, attribute, access)
    return axdr.decode_plain(octets)[0]


def read_many(
    a: ClientAssociation, attributes: Sequence[Attribute | AttributeSelection]
) -> Flow[list[Data | DataAccessResult]]:
    """Read several attributes with as few requests as the meter allows.

    The result has one entry for each, in order: its value, or why there is none.
    """
    selections = [item if isinstance(item, tuple) else (item, None) for item in attributes]
    if not _may_list(a) or len(selections) == 1:
        return (yield from _read_singly(a, selections))
    results: list[Data | DataAccessResult] = []
    for batch in _batches(a, selections):
        results += yield from _read_list(a, batch)
    return results


def read_profile(
    a: ClientAssociation,
    obis: Obis,
    starts_epoch: int,
    ends_epoch: int,
    columns: tuple[CaptureObject, ...] = (),
    *,
    clock_columns: tuple[int, ...] = (0,),
    period_s: int = 0,
) -> Flow[ProfileRows]:
    """Read the rows of a profile captured from `starts_epoch` up to and excluding `ends_epoch` (seconds since 1970, UTC).

    `columns` restricts what is read; `clock_columns` (counted from 0 in what is read) become epochs; `period_s` (capture
    period) fills clocks that the meter leaves out. A period without rows gives none, also from a meter that refuses to
    read what is not there.
    """
    quirks = a.parameters.quirks
    if quirks.no_range_access:
        rows = yield from read_profile_entries(a, obis, clock_columns=clock_columns, period_s=period_s)
        return _rows_within(rows, starts_epoch, ends_epoch, clock_columns)
    access = _range(a, starts_epoch, ends_epoch - 1, columns)
    octets = yield from _read_rows(a, Attribute(7, obis, 2), access)
    return decode_profile(octets, clock_columns, period_s, quirks.local_deviation_minutes)


def read_profile_entries(
    a: ClientAssociation,
    obis: Obis,
    first: int = 1,
    last: int = 0,
    first_column: int = 1,
    last_column: int = 0,
    *,
    clock_columns: tuple[int, ...] = (0,),
    period_s: int = 0,
) -> Flow[ProfileRows]:
    """Read rows `first` to `last` of a profile as the meter sorts them, both included; 0 means the highest there is."""
    access = EntryAccess(first, last, first_column, last_column)
    octets = yield from _read_rows(a, Attribute(7, obis, 2), access)
    return decode_profile(octets, clock_columns, period_s, a.parameters.quirks.local_deviation_minutes)


def read_capture_objects(a: ClientAssociation, obis: Obis) -> Flow[tuple[CaptureObject, ...]]:
    """Read which attributes a profile captures, in the order of its columns."""
    data = yield from read(a, Attribute(7, obis, 3))
    return tuple([CaptureObject.of(column) for column in data.elements])


def read_association_view(a: ClientAssociation, obis: Obis = CURRENT_ASSOCIATION) -> Flow[tuple[ObjectEntry, ...]]:
    """Read which objects the association shows, with the access it gives to each."""
    listed = yield from read_plain(a, Attribute(15, obis, 2))
    if not isinstance(listed, list):
        raise DecodeError("object list: not an array")
    return tuple([_object_entry(entry) for entry in listed])


# --- blocks ---------------------------------------------------------------------------------------


def _read_blocks(a: ClientAssociation, answer: bytes, invoke: bytes, attribute: Attribute | None) -> Flow[bytes]:
    """Collect an answer that comes block by block; `answer` is the one with the first."""
    parts: list[bytes] = []
    size = 0
    expected = -1
    while True:
        last, number, data = _block(answer, attribute)
        if expected < 0 and number in (0, 1):  # meters begin with either
            expected = number
        if number != expected:
            raise ProtocolError(f"block {number} where block {max(expected, 1)} was expected")
        size += len(data)
        if size > MAX_TRANSFER:
            raise ProtocolError(f"an answer of more than {MAX_TRANSFER} octets")
        parts.append(data)
        if last:
            return b"".join(parts)
        if not data:
            raise ProtocolError(f"block {number} is empty and not the last")
        answer = yield from exchange(a, _NEXT.pack(b"\xc0\x02", invoke, number))
        a.check_answer(answer, GET_RESPONSE, invoke)
        if answer[1] != _WITH_BLOCK:
            if answer[1] == _NORMAL and answer[3] == 1:
                raise _refusal(answer, attribute)
            raise ProtocolError(f"get-response type {answer[1]} amid block transfer")
        expected += 1


def _block(answer: bytes, attribute: Attribute | None) -> tuple[bool, int, bytes]:
    """Take a Get-Response-With-Datablock apart: last, number, octets."""
    if len(answer) < 10:
        raise DecodeError("datablock: cut short", len(answer))
    number: int = _BLOCK_NUMBER.unpack_from(answer, 4)[0]
    if answer[8] == 1:
        raise ServiceRefused(DataAccessResult(answer[9]), str(attribute or "list of attributes"))
    if answer[8] != 0:
        raise DecodeError(f"datablock result: choice {answer[8]}", 8)
    data, _ = axdr.decode_octets(answer, 9, "raw-data")
    return answer[3] != 0, number, data


def _refusal(answer: bytes, attribute: Attribute | None) -> DlmsError:
    if answer[3] != 1:
        return DecodeError(f"get-data-result: choice {answer[3]}", 3)
    if len(answer) < 5:
        return DecodeError("data-access-result: missing", 4)
    return ServiceRefused(DataAccessResult(answer[4]), str(attribute or "list of attributes"))


# --- lists ----------------------------------------------------------------------------------------


def _may_list(a: ClientAssociation) -> bool:
    return a.can(Conformance.MULTIPLE_REFERENCES) and not a.parameters.quirks.no_lists


def _read_singly(a: ClientAssociation, selections: Sequence[AttributeSelection]) -> Flow[list[Data | DataAccessResult]]:
    results: list[Data | DataAccessResult] = []
    for attribute, access in selections:
        try:
            results.append((yield from read(a, attribute, access)))
        except ServiceRefused as refused:
            results.append(DataAccessResult(refused.result))
    return results


def _batches(a: ClientAssociation, selections: Sequence[AttributeSelection]) -> list[list[bytes]]:
    """Put encoded selections together as far as the PDU size and the meter's limit go."""
    room = a.max_plain_size - _LIST_HEAD
    limit = a.parameters.quirks.list_limit or len(selections)
    batches: list[list[bytes]] = [[]]
    used = 0
    for selection in selections:
        octets = encode_attribute_with_access(selection)
        if batches[-1] and (used + len(octets) > room or len(batches[-1]) >= limit):
            batches.append([])
            used = 0
        batches[-1].append(octets)
        used += len(octets)
    return batches


def _read_list(a: ClientAssociation, batch: list[bytes]) -> Flow[list[Data | DataAccessResult]]:
    invoke = a.next_invoke()
    request = b"\xc0\x03" + invoke + axdr.encode_length(len(batch)) + b"".join(batch)
    answer = yield from exchange(a, request)
    a.check_answer(answer, GET_RESPONSE, invoke)
    kind = answer[1]
    if kind == _WITH_LIST:
        reader = Reader(answer, 3)
    elif kind == _WITH_BLOCK:
        reader = Reader((yield from _read_blocks(a, answer, invoke, None)))
    elif kind == _NORMAL:
        raise _refusal(answer, None)
    else:
        raise ProtocolError(f"get-response type {kind}")
    results = reader.list_of(read_get_data_result, "results")
    if len(results) != len(batch):
        raise ProtocolError(f"{len(results)} results for {len(batch)} attributes")
    return [axdr.decode(result)[0] if isinstance(result, bytes) else result for result in results]


# --- profiles -------------------------------------------------------------------------------------

_NOTHING_THERE: Final = (DataAccessResult.OBJECT_UNAVAILABLE, DataAccessResult.DATA_BLOCK_UNAVAILABLE)
_NO_ROWS: Final = b"\x01\x00"
_UNSPECIFIED_DEVIATION: Final = b"\x80\x00"


def _read_rows(a: ClientAssociation, attribute: Attribute, access: Access) -> Flow[bytes]:
    try:
        octets = yield from read_octets(a, attribute, access)
    except ServiceRefused as refused:
        if refused.result in _NOTHING_THERE:
            return _NO_ROWS
        raise
    return _NO_ROWS if octets[:1] == b"\x00" else octets


def _range(a: ClientAssociation, starts: int, ends: int, columns: tuple[CaptureObject, ...]) -> RangeAccess:
    quirks = a.parameters.quirks
    tag = Tag.DATE_TIME if quirks.range_as_date_time else Tag.OCTET_STRING
    bounds = [cosem_time.encode_epoch(bound, quirks.local_deviation_minutes) for bound in (starts, ends)]
    if quirks.unspecified_deviation:
        bounds = [bound[:9] + _UNSPECIFIED_DEVIATION + bound[11:] for bound in bounds]
    return RangeAccess(Data(tag, bounds[0]), Data(tag, bounds[1]), columns)


def _rows_within(rows: ProfileRows, starts: int, ends: int, clock_columns: tuple[int, ...]) -> ProfileRows:
    if not rows.row_count:
        return rows
    clocks = rows.columns[clock_columns[0]]
    kept = [index for index, clock in enumerate(clocks) if isinstance(clock, int) and starts <= clock < ends]
    columns = tuple([[column[index] for index in kept] for column in rows.columns])
    raw_clocks = [rows.raw_clocks[index] for index in kept] if rows.raw_clocks else ()
    return ProfileRows(columns, len(kept), raw_clocks)


def _object_entry(entry: Any) -> ObjectEntry:
    try:
        class_id, version, name, (attributes, methods) = entry
        return ObjectEntry(
            int(class_id),
            int(version),
            Obis.of(bytes(name)),
            {int(item[0]): int(item[1]) for item in attributes},
            {int(item[0]): int(item[1]) for item in methods},
        )
    except (TypeError, ValueError, IndexError):
        raise DecodeError("object list: an entry is not a structure of class, version, name and access") from None
