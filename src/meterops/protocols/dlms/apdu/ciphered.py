"""Protected APDUs: service-specific glo- and ded-, general-glo, general-ded, general-ciphering, general-signing.

Only their outer form is read here; keys, tags and counters are the business of `security`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from meterops.protocols.dlms.apdu.base import Apdu
from meterops.protocols.dlms.apdu.reader import Reader
from meterops.protocols.dlms.axdr import encode_octets
from meterops.protocols.dlms.errors import DecodeError, EncodeError

GENERAL_GLO_CIPHERING: Final = 0xDB
GENERAL_DED_CIPHERING: Final = 0xDC
GENERAL_CIPHERING: Final = 0xDD
GENERAL_SIGNING: Final = 0xDF

GLO_OF_PLAIN: Final[dict[int, int]] = {
    0x01: 0x21,
    0x05: 0x25,
    0x06: 0x26,
    0x08: 0x28,
    0x0C: 0x2C,
    0x0D: 0x2D,
    0x0E: 0x2E,
    0x16: 0x36,
    0x18: 0x38,
    0xC0: 0xC8,
    0xC1: 0xC9,
    0xC2: 0xCA,
    0xC3: 0xCB,
    0xC4: 0xCC,
    0xC5: 0xCD,
    0xC7: 0xCF,
}
"""The tag of the glo- APDU that carries a plain APDU of the given tag."""

DED_OF_PLAIN: Final[dict[int, int]] = {
    0x01: 0x41,
    0x05: 0x45,
    0x06: 0x46,
    0x08: 0x48,
    0x0C: 0x4C,
    0x0D: 0x4D,
    0x0E: 0x4E,
    0x16: 0x56,
    0x18: 0x58,
    0xC0: 0xD0,
    0xC1: 0xD1,
    0xC2: 0xD2,
    0xC3: 0xD3,
    0xC4: 0xD4,
    0xC5: 0xD5,
    0xC7: 0xD7,
}
"""The tag of the ded- APDU that carries a plain APDU of the given tag."""

PLAIN_OF_GLO: Final[dict[int, int]] = {glo: plain for plain, glo in GLO_OF_PLAIN.items()}
PLAIN_OF_DED: Final[dict[int, int]] = {ded: plain for plain, ded in DED_OF_PLAIN.items()}


@dataclass(slots=True)
class ServiceCiphered(Apdu):
    """A glo- or ded- APDU: `tag` says which service, `control` is the security control octet, `counter` the
    invocation counter.

    `payload` is what follows them: ciphertext or plaintext, and the authentication tag if `control` says there is one.
    """

    tag: int
    control: int
    counter: int
    payload: bytes

    @property
    def dedicated(self) -> bool:
        """Whether the dedicated key protects it (rather than a global one)."""
        return self.tag in PLAIN_OF_DED

    @property
    def plain_tag(self) -> int:
        """The tag of the APDU inside."""
        return PLAIN_OF_DED[self.tag] if self.tag in PLAIN_OF_DED else PLAIN_OF_GLO[self.tag]

    def encode(self) -> bytes:
        return bytes((self.tag,)) + encode_octets(_body(self.control, self.counter, self.payload))


@dataclass(slots=True)
class GeneralGloCiphering(Apdu):
    """Any APDU under a global key, with the sender's system title (which may be empty)."""

    system_title: bytes
    control: int
    counter: int
    payload: bytes

    def encode(self) -> bytes:
        body = encode_octets(_body(self.control, self.counter, self.payload))
        return b"\xdb" + encode_octets(self.system_title) + body


@dataclass(slots=True)
class GeneralDedCiphering(Apdu):
    """Any APDU under the dedicated key, with the sender's system title (which may be empty)."""

    system_title: bytes
    control: int
    counter: int
    payload: bytes

    def encode(self) -> bytes:
        body = encode_octets(_body(self.control, self.counter, self.payload))
        return b"\xdc" + encode_octets(self.system_title) + body


@dataclass(slots=True)
class IdentifiedKey:
    """key-info: the key is known by its id (0 global unicast, 1 global broadcast)."""

    key_id: int

    def encode(self) -> bytes:
        """Write the choice."""
        return bytes((0, self.key_id))


@dataclass(slots=True)
class WrappedKey:
    """key-info: the key travels wrapped under the key `kek_id` (0 master key)."""

    kek_id: int
    ciphered_key: bytes

    def encode(self) -> bytes:
        """Write the choice."""
        return bytes((1, self.kek_id)) + encode_octets(self.ciphered_key)


@dataclass(slots=True)
class AgreedKey:
    """key-info: both sides agree on the key: the scheme (`parameters`) and what it needs."""

    parameters: bytes
    ciphered_key: bytes

    def encode(self) -> bytes:
        """Write the choice."""
        return b"\x02" + encode_octets(self.parameters) + encode_octets(self.ciphered_key)


KeyInfo = IdentifiedKey | WrappedKey | AgreedKey


@dataclass(slots=True)
class GeneralCiphering(Apdu):
    """Any APDU between any two parties, with the key or how to get it. All header fields are octet strings, maybe
    empty.
    """

    transaction_id: bytes
    originator: bytes
    recipient: bytes
    date_time: bytes
    other_information: bytes
    key_info: KeyInfo | None
    control: int
    counter: int
    payload: bytes

    def header(self) -> bytes:
        """The header octets that are authenticated along with the APDU, each with its length."""
        return encode_header(
            self.transaction_id, self.originator, self.recipient, self.date_time, self.other_information
        )

    def encode(self) -> bytes:
        key = b"\x00" if self.key_info is None else b"\x01" + self.key_info.encode()
        return b"\xdd" + self.header() + key + encode_octets(_body(self.control, self.counter, self.payload))


@dataclass(slots=True)
class GeneralSigning(Apdu):
    """Any APDU (`content`) with a signature over header and content. All header fields are octet strings, maybe
    empty.
    """

    transaction_id: bytes
    originator: bytes
    recipient: bytes
    date_time: bytes
    other_information: bytes
    content: bytes
    signature: bytes

    def signed(self) -> bytes:
        """The header fields and the content, each with its length."""
        header = encode_header(
            self.transaction_id, self.originator, self.recipient, self.date_time, self.other_information
        )
        return header + encode_octets(self.content)

    def encode(self) -> bytes:
        return b"\xdf" + self.signed() + encode_octets(self.signature)


def encode_header(*fields: bytes) -> bytes:
    """Write the octet strings of a general header."""
    return b"".join([encode_octets(field) for field in fields])


def _body(control: int, counter: int, payload: bytes) -> bytes:
    if not 0 <= control <= 0xFF or not 0 <= counter <= 0xFFFF_FFFF:
        raise EncodeError(f"security control {control} or invocation counter {counter} out of range")
    return bytes((control,)) + counter.to_bytes(4, "big") + payload


def _read_body(reader: Reader) -> tuple[int, int, bytes]:
    start = reader.offset
    body = reader.octets("ciphered APDU")
    if len(body) < 5:
        raise DecodeError("ciphered APDU: too short for security control and invocation counter", start)
    return body[0], int.from_bytes(body[1:5], "big"), body[5:]


def decode_service_ciphered(buf: bytes) -> ServiceCiphered:
    """Read a glo- or ded- APDU."""
    return ServiceCiphered(buf[0], *_read_body(Reader(buf, 1)))


def decode_general_glo(buf: bytes) -> GeneralGloCiphering:
    """Read a general-glo-ciphering APDU."""
    reader = Reader(buf, 1)
    return GeneralGloCiphering(reader.octets("system title"), *_read_body(reader))


def decode_general_ded(buf: bytes) -> GeneralDedCiphering:
    """Read a general-ded-ciphering APDU."""
    reader = Reader(buf, 1)
    return GeneralDedCiphering(reader.octets("system title"), *_read_body(reader))


def _read_header(reader: Reader) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    return (
        reader.octets("transaction-id"),
        reader.octets("originator-system-title"),
        reader.octets("recipient-system-title"),
        reader.octets("date-time"),
        reader.octets("other-information"),
    )


def decode_general_ciphering(buf: bytes) -> GeneralCiphering:
    """Read a general-ciphering APDU."""
    reader = Reader(buf, 1)
    header = _read_header(reader)
    key_info = _read_key_info(reader) if reader.flag("presence of key-info") else None
    return GeneralCiphering(*header, key_info, *_read_body(reader))


def _read_key_info(reader: Reader) -> KeyInfo:
    offset = reader.offset
    choice = reader.uint8("key-info")
    if choice == 0:
        return IdentifiedKey(reader.uint8("key-id"))
    if choice == 1:
        return WrappedKey(reader.uint8("kek-id"), reader.octets("key-ciphered-data"))
    if choice == 2:
        return AgreedKey(reader.octets("key-parameters"), reader.octets("key-ciphered-data"))
    raise DecodeError(f"key-info: choice {choice}", offset)


def decode_general_signing(buf: bytes) -> GeneralSigning:
    """Read a general-signing APDU."""
    reader = Reader(buf, 1)
    header = _read_header(reader)
    return GeneralSigning(*header, reader.octets("content"), reader.octets("signature"))
