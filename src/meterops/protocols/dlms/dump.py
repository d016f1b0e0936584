"""APDUs written out for people and programs: a tree of named nodes, as XML or as JSON.

The XML of a push is `DataNotification` with its date-time and its values by type; protected APDUs stand inside the element
of their envelope. Octet strings of six octets are shown as OBIS codes with their names, of twelve as date-times where
they are some, else as text where they can be read. Passwords and keys are never shown.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from enum import IntEnum, IntFlag
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.apdu.acse import Aare, Aarq
from meterops.protocols.dlms.apdu.base import Apdu
from meterops.protocols.dlms.apdu.codec import decode_apdu
from meterops.protocols.dlms.apdu.descriptors import Attribute, CaptureObject, Method
from meterops.protocols.dlms.apdu.enums import Mechanism
from meterops.protocols.dlms.apdu.notification import DataNotification, EventNotification
from meterops.protocols.dlms.axdr import Data, Tag
from meterops.protocols.dlms.cosem.names import name_of
from meterops.protocols.dlms.cosem.units import unit_symbol
from meterops.protocols.dlms.cosem_time import CosemDateTime, decode_date_time
from meterops.protocols.dlms.errors import DecodeError, SecurityError, SecurityFault
from meterops.protocols.dlms.obis import Obis
from meterops.protocols.dlms.security import Envelope, EnvelopeTag, GcmKey, is_protected, open_envelope, open_signed
from meterops.protocols.dlms.security.gcm import AUTHENTICATED, ENCRYPTED, HEADER_LENGTH, PROTECTION, TAG_LENGTH

DECLARATION: Final = "<?xml version='1.0' encoding='utf-8'?>"
REDACTED: Final = "redacted"
_INDENT: Final = "  "
_ENVELOPES: Final = {
    EnvelopeTag.GENERAL_GLO_CIPHERING: "GeneralGloCiphering",
    EnvelopeTag.GENERAL_DED_CIPHERING: "GeneralDedCiphering",
    EnvelopeTag.GENERAL_CIPHERING: "GeneralCiphering",
}


@dataclasses.dataclass(slots=True)
class Node:
    """An element: its name, attributes in order, children, and a comment that stands behind it."""

    name: str
    attributes: dict[str, str] = dataclasses.field(default_factory=dict)
    children: list[Node] = dataclasses.field(default_factory=list)
    comment: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The same as an object: `name`, `attributes` and `children` where there are some."""
        shown: dict[str, Any] = {"name": self.name}
        if self.attributes:
            shown["attributes"] = dict(self.attributes)
        if self.comment is not None:
            shown["comment"] = self.comment
        if self.children:
            shown["children"] = [child.as_json() for child in self.children]
        return shown


@dataclasses.dataclass(frozen=True, slots=True)
class CaptureKeys:
    """What is known to read protected APDUs: keys of 16 or 32 octets, and the sender's title where it names none.

    Without `authentication` the content is deciphered but its tag is not checked.
    """

    encryption: bytes | None = None
    authentication: bytes | None = None
    system_title: bytes = b""

    def __repr__(self) -> str:
        return (
            f"CaptureKeys(encryption={self.encryption is not None}, authentication={self.authentication is not None})"
        )


def as_xml(nodes: list[Node]) -> str:
    """An XML document; several nodes stand inside `Telegrams`."""
    root = nodes[0] if len(nodes) == 1 else Node("Telegrams", {"Qty": str(len(nodes))}, nodes)
    return "\n".join((DECLARATION, *_lines(root, ""))) + "\n"


def _lines(node: Node, indent: str) -> Iterator[str]:
    head = node.name + "".join(f" {name}={_quoted(value)}" for name, value in node.attributes.items())
    comment = f" <!-- {node.comment} -->" if node.comment is not None else ""
    if not node.children:
        yield f"{indent}<{head} />{comment}"
        return
    yield f"{indent}<{head}>{comment}"
    for child in node.children:
        yield from _lines(child, indent + _INDENT)
    yield f"{indent}</{node.name}>"


def _quoted(value: str) -> str:
    return quoteattr(value, {'"': "&quot;"})


def dump_apdu(octets: bytes, keys: CaptureKeys | None = None) -> Node:
    """Write an APDU out, or a bare A-XDR value as some meters send it.

    Raises:
        DecodeError: the octets are no APDU.
        SecurityError: the keys do not fit, or the content cannot be opened with any key.
    """
    keys = keys or CaptureKeys()
    if not octets:
        raise DecodeError("APDU: empty", 0)
    if octets[0] in (Tag.ARRAY, Tag.STRUCTURE):  # an InitiateRequest (0x01) never travels by itself
        return _value(_data(octets))
    if octets[0] == EnvelopeTag.GENERAL_SIGNING:
        signed = open_signed(octets)
        attributes = {"SystemTitle": _hex(signed.originator), "Signature": _hex(signed.signature)}
        return Node("GeneralSigning", attributes, [dump_apdu(signed.content, keys)])
    if is_protected(octets):
        return _protected(open_envelope(octets), keys)
    return _plain(decode_apdu(octets))


def _protected(envelope: Envelope, keys: CaptureKeys) -> Node:
    known = EnvelopeTag(envelope.tag) if envelope.tag in _ENVELOPES else None
    name = _ENVELOPES[known] if known is not None else f"Ciphered{envelope.tag:02X}"
    title = envelope.title or keys.system_title
    attributes = {"SystemTitle": _hex(title), "FrameCounter": str(envelope.counter)}
    if not title:
        del attributes["SystemTitle"]
    if keys.encryption is None or not title or envelope.dedicated or envelope.wrapped_key is not None:
        ciphertext = _hex(envelope.content[HEADER_LENGTH:])
        return Node(name, {**attributes, "Encrypted": "true", "Ciphertext": ciphertext})
    plain = open_content(envelope, title, keys.encryption, keys.authentication)
    try:
        if is_protected(plain):
            raise DecodeError("it is ciphered once more", 0)
        return Node(name, attributes, [dump_apdu(plain, keys)])
    except DecodeError as error:
        raise SecurityError(f"the key does not fit: what it opens is no APDU ({error})", SecurityFault.NO_KEY) from None


def redact_values(node: Node) -> None:
    """Take every value out of an APDU that carries a secret; what it is about stays."""
    for name in _CARRIERS & node.attributes.keys():
        node.attributes[name] = REDACTED
    node.children = [
        child if child.name.endswith("Descriptor") else Node(child.name, {"Value": REDACTED}) for child in node.children
    ]


def open_content(envelope: Envelope, title: bytes, encryption: bytes, authentication: bytes | None) -> bytes:
    """The content of an envelope that `title` sent; without an authentication key the tag is cut off unseen.

    Raises:
        SecurityError: the tag is wrong, or the content cannot be opened.
    """
    content = envelope.content
    if authentication is None and content and content[0] & AUTHENTICATED:
        if not content[0] & ENCRYPTED:
            return content[HEADER_LENGTH:-TAG_LENGTH]
        content = bytes((content[0] & ~PROTECTION | ENCRYPTED,)) + content[1:-TAG_LENGTH]
    try:
        return GcmKey(encryption, authentication or b"").unprotect(content, title, envelope.header)
    except SecurityError as error:
        if error.reason is SecurityFault.BAD_TAG:
            raise SecurityError(f"{error}: the keys are not those of {title.hex()}", error.reason) from None
        raise


def _plain(apdu: Apdu) -> Node:
    if isinstance(apdu, DataNotification):
        children = [_date_time(apdu.date_time), *([_value(_data(apdu.body))] if apdu.body else ())]
        return Node("DataNotification", {"LongInvokeId": f"{apdu.long_invoke:08X}"}, children)
    if isinstance(apdu, EventNotification):
        value = [_value(_data(apdu.value))] if apdu.value else []
        return Node("EventNotification", {}, [_date_time(apdu.date_time), _descriptor(apdu.attribute.octets), *value])
    node = Node(type(apdu).__name__)
    for field in dataclasses.fields(apdu):  # type: ignore[arg-type]  # every APDU is a dataclass
        _put(node, apdu, field.name, getattr(apdu, field.name))
    return node


_VALUES: Final = frozenset(("value", "values", "parameter", "parameters", "returned", "results"))
_BLOCKS: Final = frozenset(("last", "block_number"))
_SECRETS: Final = frozenset(("dedicated_key",))
_CARRIERS: Final = frozenset(("Data", "Value", "Values", "Parameter", "Parameters", "Returned", "Results"))


def _put(node: Node, owner: Any, name: str, value: Any) -> None:
    """Write one field of an APDU: scalars as attributes, values and descriptors as children."""
    word = "".join(part.capitalize() for part in name.split("_"))
    if value is None:
        return
    if name in _SECRETS or (name == "authentication_value" and _is_password(owner)):
        node.attributes[word] = REDACTED
    elif name == "user_information":
        node.children.append(_user_information(value))
    elif isinstance(value, bytes):
        holds_value = name in _VALUES or (name == "data" and not _is_block(owner))
        _put_octets(node, word, value, holds_value)
    elif isinstance(value, tuple):
        members = Node(word, {"Qty": str(len(value))})
        for one in value:
            _put(members, owner, name if isinstance(one, bytes) else "item", one)
        node.children.append(members)
    elif isinstance(value, Attribute | Method):
        node.children.append(_descriptor(value.octets, isinstance(value, Method)))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        inner = Node(type(value).__name__)
        for field in dataclasses.fields(value):
            _put(inner, value, field.name, getattr(value, field.name))
        node.children.append(inner)
    else:
        _put_scalar(node, word, value)


def _user_information(octets: bytes) -> Node:
    """What both sides propose. Never as octets: a dedicated key may be among them."""
    if is_protected(octets):
        return _protected(open_envelope(octets), CaptureKeys())
    try:
        return Node("UserInformation", {}, [_plain(decode_apdu(octets))])
    except DecodeError:
        return Node("UserInformation", {"Octets": str(len(octets))})


def _put_scalar(node: Node, word: str, value: Any) -> None:
    text = _scalar(value)
    if word == "Item" or word in node.attributes:
        node.children.append(Node("Result", {"Value": text}))
    else:
        node.attributes[word] = text


def _put_octets(node: Node, word: str, octets: bytes, holds_value: bool) -> None:
    if holds_value and octets:
        try:
            node.children.append(_value(_data(octets)))
        except DecodeError:  # a part of a value, or none: shown as it came
            node.attributes[word] = _hex(octets)
    else:
        node.attributes[word] = _hex(octets)


def _is_password(owner: Any) -> bool:
    """Whether the authentication value is a password (LLS, or a meter that does not say)."""
    challenges = (
        Mechanism.HIGH_MD5,
        Mechanism.HIGH_SHA1,
        Mechanism.HIGH_GMAC,
        Mechanism.HIGH_SHA256,
        Mechanism.HIGH_ECDSA,
    )
    return isinstance(owner, Aarq | Aare) and owner.mechanism not in challenges


def _is_block(owner: Any) -> bool:
    return any(hasattr(owner, name) for name in _BLOCKS)


def _scalar(value: Any) -> str:
    if isinstance(value, IntFlag):
        return f"{int(value):06X}"
    if isinstance(value, IntEnum):
        return value.name.lower().replace("_", "-")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, CaptureObject):
        return str(value)
    return str(value)


def _data(octets: bytes) -> Data:
    """The value; octets after it are passed over, as some meters pad."""
    return axdr.decode(octets, raw_descriptors=True)[0]


def _value(data: Data) -> Node:
    tag, value = data.tag, data.value
    name = _TAG_NAMES[tag]
    if tag is Tag.RAW_DESCRIPTOR:
        return _descriptor(value)
    if tag in (Tag.ARRAY, Tag.STRUCTURE, Tag.COMPACT_ARRAY):
        return Node(name, {"Qty": str(len(data.elements))}, [_value(one) for one in data.elements])
    if tag is Tag.OCTET_STRING:
        return _octet_string(name, value)
    if tag in (Tag.NULL, Tag.DONT_CARE):
        return Node(name)
    unit = unit_symbol(value) if tag is Tag.ENUM else None
    return Node(name, {"Value": _shown(tag, value), **({"Unit": unit} if unit else {})})


_TAG_NAMES: Final = {tag: tag.name.replace("_", "") for tag in Tag}


def _shown(tag: Tag, value: Any) -> str:
    if tag in (Tag.VISIBLE_STRING, Tag.UTF8_STRING):
        return _text(value) if _is_text(value) else _hex(value)
    if tag is Tag.DATE_TIME:
        return _moment(value) or _hex(value)
    if isinstance(value, bytes):
        return _hex(value)
    return _scalar(value)


def _octet_string(name: str, octets: bytes) -> Node:
    if len(octets) == 6:
        obis = Obis.of(octets)
        title = name_of(obis)
        return Node(name, {"Value": str(obis), **({"Name": title} if title else {})})
    moment = _moment(octets) if len(octets) == 12 else None
    return Node(name, {"Value": moment or (_text(octets) if _is_text(octets) else _hex(octets))})


def _descriptor(octets: bytes, is_method: bool = False) -> Node:
    """An attribute or method descriptor: class id (2 octets), OBIS code (6), number (1)."""
    obis = Obis.of(octets[2:8])
    kind = "Method" if is_method else "Attribute"
    parts = [
        Node("ClassId", {"Value": octets[:2].hex().upper()}),
        Node("InstanceId", {"Value": str(obis)}, comment=name_of(obis)),
        Node(f"{kind}Id", {"Value": octets[8:9].hex().upper()}),
    ]
    return Node(f"{kind}Descriptor", {}, parts)


def _date_time(octets: bytes | None) -> Node:
    shown = _moment(octets) or _hex(octets) if octets else None
    return Node("DateTime", {"Value": shown} if shown else {})


def _moment(octets: bytes) -> str | None:
    """Twelve octets as a date-time, None when they are none; parts that are not specified are left out at the end."""
    moment = decode_date_time(octets)
    if not _is_plausible(moment):
        return None
    date = f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}"
    time = f"{moment.hour or 0:02d}:{moment.minute or 0:02d}:{moment.second or 0:02d}"
    hundredths = "" if moment.hundredths is None else f".{moment.hundredths:02d}"
    return f"{date} {time}{hundredths}{_deviation(moment.deviation_minutes)}"


def _is_plausible(moment: CosemDateTime) -> bool:
    if moment.year is None or moment.month is None or moment.day is None:
        return False
    date = 1970 <= moment.year <= 2199 and 1 <= moment.month <= 12 and 1 <= moment.day <= 31
    time = (moment.hour or 0) <= 23 and (moment.minute or 0) <= 59 and (moment.second or 0) <= 59
    return date and time and (moment.hundredths or 0) <= 99 and (moment.weekday or 1) <= 7


def _deviation(minutes: int | None) -> str:
    """The deviation with the sign it travels with: UTC minus local time, so Central European Time is -01:00."""
    if minutes is None:
        return ""
    hours, rest = divmod(abs(minutes), 60)
    return f" {'-' if minutes < 0 else '+'}{hours:02d}:{rest:02d}"


def _is_text(octets: bytes) -> bool:
    try:
        return octets.decode().isprintable()
    except UnicodeDecodeError:
        return False


def _text(octets: bytes) -> str:
    return octets.decode()


def _hex(octets: bytes) -> str:
    return octets.hex().upper()
