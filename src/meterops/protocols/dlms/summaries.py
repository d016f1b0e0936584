"""One line for people about an APDU: what is asked, of what, and what came of it. Secrets are not shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.apdu.acse import Aare, Aarq, Rlre, Rlrq
from meterops.protocols.dlms.apdu.action import (
    ActionRequestFirstBlock,
    ActionRequestNormal,
    ActionResponseNormal,
)
from meterops.protocols.dlms.apdu.base import Apdu
from meterops.protocols.dlms.apdu.descriptors import Attribute, EntryAccess, Method, RangeAccess
from meterops.protocols.dlms.apdu.faults import ConfirmedServiceError, ExceptionResponse
from meterops.protocols.dlms.apdu.get import (
    GetRequestNext,
    GetRequestNormal,
    GetRequestWithList,
    GetResponseNormal,
    GetResponseWithDatablock,
    GetResponseWithList,
)
from meterops.protocols.dlms.apdu.notification import DataNotification, EventNotification
from meterops.protocols.dlms.apdu.set import SetRequestFirstBlock, SetRequestNormal, SetResponseNormal
from meterops.protocols.dlms.axdr import Data, Tag
from meterops.protocols.dlms.cosem import find_class
from meterops.protocols.dlms.cosem.names import name_of
from meterops.protocols.dlms.cosem_time import decode_date_time
from meterops.protocols.dlms.errors import DecodeError

MAX_VALUE: Final = 96
"""Characters of a value that fit a line."""


def name_target(target: Attribute | Method) -> str:
    """An attribute or method in words: its object's code and name, its number and what the class calls it."""
    octets = target.octets
    class_id, number = int.from_bytes(octets[:2], "big"), octets[8]
    described = find_class(class_id)
    is_method = isinstance(target, Method)
    member = None
    if described is not None:
        member = described.method(number) if is_method else described.attribute(number)
    title = name_of(target.obis)
    kind = "method" if is_method else "attribute"
    return "".join(
        (
            f"{described.name if described else f'class {class_id}'} {target.obis}",
            f" ({title})" if title else "",
            f" {kind} {number}",
            f" {member.name}" if member is not None else "",
        )
    )


def brief_value(octets: bytes) -> str:
    """A value on one line, long ones cut off."""
    try:
        text = _brief(axdr.decode(octets, raw_descriptors=True)[0])
    except DecodeError:
        text = f"{len(octets)} octets {octets.hex()}"
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 1]}…"


def _brief(data: Data) -> str:
    tag, value = data.tag, data.value
    if tag in (Tag.ARRAY, Tag.COMPACT_ARRAY):
        first = f", first {_brief(data.elements[0])}" if len(data) else ""
        return f"{len(data)} elements{first}"
    if tag is Tag.STRUCTURE:
        return "{" + ", ".join(map(_brief, data.elements)) + "}"
    if tag in (Tag.NULL, Tag.DONT_CARE):
        return "null"
    if tag in (Tag.VISIBLE_STRING, Tag.UTF8_STRING):
        return repr(value.decode("utf-8", "replace"))
    if isinstance(value, bytes):
        return _moment(value) or value.hex()
    return str(value)


def _moment(octets: bytes) -> str | None:
    """A date-time of twelve octets that could be one."""
    if len(octets) != 12:
        return None
    try:
        text = str(decode_date_time(octets))
    except DecodeError:
        return None
    return text if octets[0] in (0x07, 0x08) else None


def _access(access: Any) -> str:
    if isinstance(access, RangeAccess):
        return f" from {_brief(access.starts)} to {_brief(access.ends)}"
    if isinstance(access, EntryAccess):
        return f" entries {access.first} to {access.last or 'the last'}"
    return "" if access is None else f" with selector {access.selector}"


def _word(member: Any) -> str:
    return "" if member is None else str(member.name).lower().replace("_", "-")


Say = Callable[[bytes], str]
"""Puts a value into words, or says that it is redacted."""


def summarize(apdu: Apdu, *, is_secret: bool = False) -> str:
    """Say what an APDU asks for or answers; with `is_secret` without the values in it."""
    say = _say_redacted if is_secret else brief_value
    summarizer = _SUMMARIES.get(type(apdu))
    return type(apdu).__name__ if summarizer is None else summarizer(apdu, say)


def _say_redacted(_octets: bytes) -> str:
    return "redacted"


def _aarq(apdu: Aarq, _say: Say) -> str:
    return f"associate: {_word(apdu.mechanism) if apdu.mechanism else 'no security'}, {_word(apdu.context)}"


def _aare(apdu: Aare, _say: Say) -> str:
    why = f", diagnostic {apdu.diagnostic} of the {_word(apdu.diagnostic_source)}" if apdu.diagnostic else ""
    return f"association {_word(apdu.result)}{why}"


def _get(apdu: GetRequestNormal, _say: Say) -> str:
    return f"get {name_target(apdu.attribute)}{_access(apdu.access)}"


def _get_list(apdu: GetRequestWithList, _say: Say) -> str:
    return f"get {len(apdu.items)}: {'; '.join(name_target(one) for one, _ in apdu.items)}"


def _got(apdu: GetResponseNormal, say: Say) -> str:
    return f"refused: {_word(apdu.result)}" if apdu.data is None else say(apdu.data)


def _got_block(apdu: GetResponseWithDatablock, _say: Say) -> str:
    if apdu.data is None:
        return f"refused: {_word(apdu.result)}"
    return f"block {apdu.block_number}, {len(apdu.data)} octets{', the last' if apdu.last else ''}"


def _got_list(apdu: GetResponseWithList, say: Say) -> str:
    return "; ".join(say(one) if isinstance(one, bytes) else _word(one) for one in apdu.results)


def _set(apdu: SetRequestNormal, say: Say) -> str:
    return f"set {name_target(apdu.attribute)} to {say(apdu.value)}"


def _invoke(apdu: ActionRequestNormal, say: Say) -> str:
    given = "" if apdu.parameter is None else f" with {say(apdu.parameter)}"
    return f"invoke {name_target(apdu.method)}{given}"


def _invoked(apdu: ActionResponseNormal, say: Say) -> str:
    returned = f", returns {say(apdu.returned)}" if isinstance(apdu.returned, bytes) else ""
    return f"{_done(apdu.result)}{returned}"


def _exception(apdu: ExceptionResponse, _say: Say) -> str:
    counter = "" if apdu.invocation_counter is None else f", expects counter {apdu.invocation_counter}"
    return f"exception: {_word(apdu.state_error)}, {_word(apdu.service_error)}{counter}"


def _done(result: Any) -> str:
    return f"refused: {_word(result)}" if result else "done"


_SUMMARIES: Final[dict[type, Callable[[Any, Say], str]]] = {
    Aarq: _aarq,
    Aare: _aare,
    Rlrq: lambda _apdu, _say: "release the association",
    Rlre: lambda _apdu, _say: "association released",
    GetRequestNormal: _get,
    GetRequestNext: lambda apdu, _say: f"next block after {apdu.block_number}",
    GetRequestWithList: _get_list,
    GetResponseNormal: _got,
    GetResponseWithDatablock: _got_block,
    GetResponseWithList: _got_list,
    SetRequestNormal: _set,
    SetRequestFirstBlock: lambda apdu, _say: f"set {name_target(apdu.attribute)} in blocks",
    SetResponseNormal: lambda apdu, _say: _done(apdu.result),
    ActionRequestNormal: _invoke,
    ActionRequestFirstBlock: lambda apdu, _say: f"invoke {name_target(apdu.method)} with a parameter in blocks",
    ActionResponseNormal: _invoked,
    ExceptionResponse: _exception,
    ConfirmedServiceError: lambda apdu, _say: f"{_word(apdu.service)} failed: {_word(apdu.error_class)} {apdu.value}",
    DataNotification: lambda apdu, say: f"pushes {say(apdu.body)}",
    EventNotification: lambda apdu, say: f"reports {name_target(apdu.attribute)}: {say(apdu.value)}",
}
