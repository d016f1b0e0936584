"""Association control in BER: AARQ (0x60), AARE (0x61), RLRQ (0x62), RLRE (0x63)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from meterops.protocols.dlms.apdu.base import Apdu
from meterops.protocols.dlms.apdu.enums import (
    ApplicationContext,
    AssociationResult,
    DiagnosticSource,
    Mechanism,
    ReleaseRequestReason,
    ReleaseResponseReason,
)
from meterops.protocols.dlms.ber import (
    Element,
    decode_element,
    decode_elements,
    decode_integer,
    encode_element,
    encode_integer,
    unwrap,
)
from meterops.protocols.dlms.errors import DecodeError

AARQ_TAG: Final = 0x60
AARE_TAG: Final = 0x61
RLRQ_TAG: Final = 0x62
RLRE_TAG: Final = 0x63

_DLMS_ARC: Final = bytes((0x60, 0x85, 0x74, 0x05, 0x08))
_CONTEXT_ARC: Final = _DLMS_ARC + b"\x01"
_MECHANISM_ARC: Final = _DLMS_ARC + b"\x02"
_AUTHENTICATION_REQUIREMENT: Final = b"\x07\x80"


@dataclass(slots=True)
class Aarq(Apdu):
    """Request for an association.

    `calling_ap_title` is the client's system title, `calling_ae_qualifier` its certificate, `authentication_value`
    the password or the challenge CtoS, `user_information` the octets of an InitiateRequest (plain or ciphered),
    `user_id` the calling-AE-invocation-identifier.
    """

    context: ApplicationContext
    user_information: bytes | None
    mechanism: Mechanism | None = None
    authentication_value: bytes | None = None
    calling_ap_title: bytes | None = None
    calling_ae_qualifier: bytes | None = None
    user_id: int | None = None
    called_ap_title: bytes | None = None
    called_ae_qualifier: bytes | None = None

    def __repr__(self) -> str:
        return f"Aarq({self.context!r}, mechanism={self.mechanism!r}, calling_ap_title={_hex(self.calling_ap_title)})"

    def encode(self) -> bytes:
        parts = [
            _encode_context(self.context),
            _encode_octets(0xA2, self.called_ap_title),
            _encode_octets(0xA3, self.called_ae_qualifier),
            _encode_octets(0xA6, self.calling_ap_title),
            _encode_octets(0xA7, self.calling_ae_qualifier),
            b"" if self.user_id is None else encode_element(0xA9, encode_integer(self.user_id)),
            _encode_authentication(self.mechanism, self.authentication_value, 0x8A, 0x8B, 0xAC),
            _encode_octets(0xBE, self.user_information),
        ]
        return encode_element(AARQ_TAG, b"".join(parts))


@dataclass(slots=True)
class Aare(Apdu):
    """Answer to a request for an association.

    `responding_ap_title` is the server's system title, `responding_ae_qualifier` its certificate,
    `authentication_value` the challenge StoC, `user_information` the octets of an InitiateResponse (plain or
    ciphered) or a ConfirmedServiceError. Servers leave optional fields out at will, so every one may be None.
    """

    context: ApplicationContext | None
    result: AssociationResult
    diagnostic: int = 0
    diagnostic_source: DiagnosticSource = DiagnosticSource.SERVICE_USER
    user_information: bytes | None = None
    mechanism: Mechanism | None = None
    authentication_value: bytes | None = None
    responding_ap_title: bytes | None = None
    responding_ae_qualifier: bytes | None = None

    def encode(self) -> bytes:
        diagnostic = encode_element(0xA0 | self.diagnostic_source, encode_integer(self.diagnostic))
        parts = [
            b"" if self.context is None else _encode_context(self.context),
            encode_element(0xA2, encode_integer(self.result)),
            encode_element(0xA3, diagnostic),
            _encode_octets(0xA4, self.responding_ap_title),
            _encode_octets(0xA5, self.responding_ae_qualifier),
            _encode_authentication(self.mechanism, self.authentication_value, 0x88, 0x89, 0xAA),
            _encode_octets(0xBE, self.user_information),
        ]
        return encode_element(AARE_TAG, b"".join(parts))


@dataclass(slots=True)
class Rlrq(Apdu):
    """Request to release the association; `user_information` is a (ciphered) InitiateRequest, if any."""

    reason: ReleaseRequestReason | None = ReleaseRequestReason.NORMAL
    user_information: bytes | None = None

    def encode(self) -> bytes:
        return encode_element(RLRQ_TAG, _encode_release(self.reason, self.user_information))


@dataclass(slots=True)
class Rlre(Apdu):
    """Answer to a request to release the association; `user_information` is a (ciphered) InitiateResponse, if any."""

    reason: ReleaseResponseReason | None = ReleaseResponseReason.NORMAL
    user_information: bytes | None = None

    def encode(self) -> bytes:
        return encode_element(RLRE_TAG, _encode_release(self.reason, self.user_information))


# --- encoding -------------------------------------------------------------------------------------


def _encode_context(context: ApplicationContext) -> bytes:
    return encode_element(0xA1, encode_element(0x06, _CONTEXT_ARC + bytes((context,))))


def _encode_octets(tag: int, octets: bytes | None) -> bytes:
    return b"" if octets is None else encode_element(tag, encode_element(0x04, octets))


def _encode_authentication(mechanism: Mechanism | None, value: bytes | None, *tags: int) -> bytes:
    requirements_tag, mechanism_tag, value_tag = tags
    if mechanism is None and value is None:
        return b""
    name = b"" if mechanism is None else encode_element(mechanism_tag, _MECHANISM_ARC + bytes((mechanism,)))
    inner = b"" if value is None else encode_element(value_tag, encode_element(0x80, value))
    return encode_element(requirements_tag, _AUTHENTICATION_REQUIREMENT) + name + inner


def _encode_release(reason: int | None, user_information: bytes | None) -> bytes:
    # The reason is [0] IMPLICIT INTEGER: the tag stands in place of that of the INTEGER.
    head = b"" if reason is None else b"\x80" + encode_integer(reason)[1:]
    return head + _encode_octets(0xBE, user_information)


# --- decoding -------------------------------------------------------------------------------------


def decode_aarq(buf: bytes) -> Aarq:
    """Read an AARQ; fields this stack has no use for are passed over."""
    fields = _fields(buf, "AARQ")
    context = _context(fields, "AARQ")
    if context is None:
        raise DecodeError("AARQ: application context name missing", 0)
    return Aarq(
        context=context,
        user_information=_octets(fields, 0xBE, "user information"),
        mechanism=_mechanism(fields, 0x8B),
        authentication_value=_authentication_value(fields, 0xAC, "calling authentication value"),
        calling_ap_title=_octets(fields, 0xA6, "calling AP title"),
        calling_ae_qualifier=_octets(fields, 0xA7, "calling AE qualifier"),
        user_id=_integer(fields, 0xA9, "calling AE invocation identifier"),
        called_ap_title=_octets(fields, 0xA2, "called AP title"),
        called_ae_qualifier=_octets(fields, 0xA3, "called AE qualifier"),
    )


def decode_aare(buf: bytes) -> Aare:
    """Read an AARE; fields this stack has no use for are passed over."""
    fields = _fields(buf, "AARE")
    result = _integer(fields, 0xA2, "association result")
    if result is None:
        raise DecodeError("AARE: association result missing", 0)
    source, diagnostic = _diagnostic(fields)
    return Aare(
        context=_context(fields, "AARE"),
        result=_enumerated(AssociationResult, result, "association result"),
        diagnostic=diagnostic,
        diagnostic_source=source,
        user_information=_octets(fields, 0xBE, "user information"),
        mechanism=_mechanism(fields, 0x89),
        authentication_value=_authentication_value(fields, 0xAA, "responding authentication value"),
        responding_ap_title=_octets(fields, 0xA4, "responding AP title"),
        responding_ae_qualifier=_octets(fields, 0xA5, "responding AE qualifier"),
    )


def decode_rlrq(buf: bytes) -> Rlrq:
    """Read an RLRQ."""
    fields = _fields(buf, "RLRQ")
    reason = _reason(fields)
    user_information = _octets(fields, 0xBE, "user information")
    return Rlrq(
        None if reason is None else _enumerated(ReleaseRequestReason, reason, "release reason"), user_information
    )


def decode_rlre(buf: bytes) -> Rlre:
    """Read an RLRE."""
    fields = _fields(buf, "RLRE")
    reason = _reason(fields)
    user_information = _octets(fields, 0xBE, "user information")
    return Rlre(
        None if reason is None else _enumerated(ReleaseResponseReason, reason, "release reason"), user_information
    )


E = TypeVar("E")
_Fields = dict[int, Element]


def _fields(buf: bytes, what: str) -> _Fields:
    outer, _ = decode_element(buf, 0, what)
    start = outer.contents_offset
    fields: _Fields = {}
    for element in decode_elements(outer.contents, 0, what):
        if element.tag in fields:
            raise DecodeError(f"{what}: field 0x{element.tag:02x} twice", start + element.offset)
        fields[element.tag] = Element(element.tag, element.contents, start + element.offset)
    return fields


def _context(fields: _Fields, what: str) -> ApplicationContext | None:
    element = fields.get(0xA1)
    if element is None:
        return None
    name = unwrap(element, 0x06, f"{what}: application context name")
    return ApplicationContext(_last_arc(name, _CONTEXT_ARC, "application context name", element.offset))


def _mechanism(fields: _Fields, tag: int) -> Mechanism | None:
    element = fields.get(tag)
    if element is None:
        return None
    name = element.contents
    if name[:1] == b"\x06":  # some servers write the tag of the OBJECT IDENTIFIER although it is implicit
        name = unwrap(element, 0x06, "mechanism name")
    return Mechanism(_last_arc(name, _MECHANISM_ARC, "mechanism name", element.offset))


def _last_arc(name: bytes, arc: bytes, what: str, offset: int) -> int:
    if len(name) != len(arc) + 1 or name[:-1] != arc:
        raise DecodeError(f"{what}: {name.hex()} is not one of DLMS", offset)
    return name[-1]


def _authentication_value(fields: _Fields, tag: int, what: str) -> bytes | None:
    element = fields.get(tag)
    return None if element is None else unwrap(element, 0x80, what)


def _octets(fields: _Fields, tag: int, what: str) -> bytes | None:
    """Read an octet string inside a field; some peers leave the inner tag out, then the contents are the octets."""
    element = fields.get(tag)
    if element is None:
        return None
    contents = element.contents
    if contents[:1] != b"\x04":
        return contents
    inner, end = decode_element(contents, 0, what)
    return inner.contents if end == len(contents) else contents


def _integer(fields: _Fields, tag: int, what: str) -> int | None:
    element = fields.get(tag)
    if element is None:
        return None
    return decode_integer(unwrap(element, 0x02, what), what, element.contents_offset)


def _diagnostic(fields: _Fields) -> tuple[DiagnosticSource, int]:
    element = fields.get(0xA3)
    if element is None:
        return DiagnosticSource.SERVICE_USER, 0
    choice, _ = decode_element(element.contents, 0, "result source diagnostic")
    if choice.tag not in (0xA1, 0xA2):
        raise DecodeError(f"result source diagnostic: choice 0x{choice.tag:02x}", element.contents_offset)
    value = decode_integer(unwrap(choice, 0x02, "diagnostic"), "diagnostic", element.contents_offset)
    return DiagnosticSource(choice.tag & 0x0F), value


def _reason(fields: _Fields) -> int | None:
    element = fields.get(0x80)
    return None if element is None else decode_integer(element.contents, "release reason", element.contents_offset)


def _enumerated(make: Callable[[int], E], value: int, what: str) -> E:
    try:
        return make(value)
    except ValueError:
        raise DecodeError(f"{what}: {value}") from None


def _hex(octets: bytes | None) -> str:
    return "None" if octets is None else octets.hex()
