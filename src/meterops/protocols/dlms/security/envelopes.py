"""The APDUs that carry protected ones: glo-, ded-, general-glo, general-ded, general-ciphering and general-signing.

Service-specific ciphering puts a protected text behind a tag of its own for every service; general protection puts it
behind one tag for all and names the sender (IEC 62056-5-3, 6.5 and 8.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from meterops.protocols.dlms.apdu.ciphered import DED_OF_PLAIN, GLO_OF_PLAIN, PLAIN_OF_DED, PLAIN_OF_GLO
from meterops.protocols.dlms.axdr import decode_octets, encode_octets
from meterops.protocols.dlms.errors import DecodeError, EncodeError, SecurityError, SecurityFault
from meterops.protocols.dlms.security.gcm import BROADCAST, GcmKey
from meterops.protocols.dlms.security.keys import KeyRing, unwrap_key
from meterops.protocols.dlms.security.signatures import is_signed, sign


class EnvelopeTag(IntEnum):
    """Tags of the general protection APDUs."""

    GENERAL_GLO_CIPHERING = 0xDB
    GENERAL_DED_CIPHERING = 0xDC
    GENERAL_CIPHERING = 0xDD
    GENERAL_SIGNING = 0xDF


@dataclass(frozen=True, slots=True)
class Envelope:
    """A protection APDU taken apart, its content still protected.

    `title` is the sender's where the envelope names it (empty octets where it does but says nothing, None where it
    cannot). `dedicated` says which key. `header` are the further octets that are authenticated along, `wrapped_key` the
    session key that a general-ciphering APDU brings, `broadcast` that it names the broadcast key.
    """

    tag: int
    content: bytes
    title: bytes | None = None
    dedicated: bool = False
    recipient: bytes | None = None
    header: bytes = b""
    wrapped_key: bytes | None = None
    broadcast: bool = False

    @property
    def counter(self) -> int:
        """The invocation counter that it claims; believe it after the tag was checked."""
        return int.from_bytes(self.content[1:5], "big")

    def open(self, ring: KeyRing, title: bytes) -> bytes:
        """Unprotect the content sent by `title`; see `GcmKey.unprotect` for what is raised."""
        return self.key_of(ring).unprotect(self.content, title, self.header)

    def key_of(self, ring: KeyRing) -> GcmKey:
        """The key of the ring that it is protected with."""
        if self.wrapped_key is not None:
            if ring.master is None:
                raise SecurityError("no master key is known", SecurityFault.NO_KEY)
            return GcmKey(unwrap_key(ring.master, self.wrapped_key), ring.authentication)
        if self.dedicated:
            return ring.dedicated_cipher
        if self.broadcast or (self.content and self.content[0] & BROADCAST):
            return ring.broadcast_cipher
        return ring.unicast_cipher


@dataclass(frozen=True, slots=True)
class SignedApdu:
    """A general-signing APDU: an APDU (plain or ciphered) with the originator's signature over all fields."""

    transaction_id: bytes
    originator: bytes
    recipient: bytes
    date_time: bytes
    other_information: bytes
    content: bytes
    signature: bytes = b""

    def encode(self) -> bytes:
        """Encode with its signature as it stands."""
        return (
            bytes((EnvelopeTag.GENERAL_SIGNING,))
            + self._header()
            + encode_octets(self.content)
            + encode_octets(self.signature)
        )

    def is_signed_by(self, ring: KeyRing) -> bool:
        """Whether the signature is the partner's.

        Implementations differ in whether the length of the content, or also the tag, is signed along. All three cover
        every field, so any of them proves the same.
        """
        if ring.verification is None:
            raise SecurityError("no verification key of the partner is known", SecurityFault.NO_KEY)
        header = self._header()
        tag = bytes((EnvelopeTag.GENERAL_SIGNING,))
        with_length = header + encode_octets(self.content)
        texts = (header + self.content, with_length, tag + with_length)
        key = ring.verification
        return any(is_signed(key, text, self.signature) for text in texts)

    def signed_with(self, ring: KeyRing) -> SignedApdu:
        """Return it with a signature by the ring's own signing key, over header and content."""
        if ring.signing is None:
            raise SecurityError("no signing key is known", SecurityFault.NO_KEY)
        signature = sign(ring.signing, self._header() + self.content)
        return SignedApdu(
            self.transaction_id,
            self.originator,
            self.recipient,
            self.date_time,
            self.other_information,
            self.content,
            signature,
        )

    def _header(self) -> bytes:
        fields = (self.transaction_id, self.originator, self.recipient, self.date_time, self.other_information)
        return b"".join(map(encode_octets, fields))


def seal_glo(tag: int, protected: bytes) -> bytes:
    """Put a protected text behind the glo- tag of the service `tag`."""
    return _service_specific(GLO_OF_PLAIN, tag) + encode_octets(protected)


def seal_ded(tag: int, protected: bytes) -> bytes:
    """Put a protected text behind the ded- tag of the service `tag`."""
    return _service_specific(DED_OF_PLAIN, tag) + encode_octets(protected)


def seal_general(tag: EnvelopeTag, title: bytes, protected: bytes) -> bytes:
    """Put a protected text into a general-glo- or general-ded-ciphering APDU sent by `title`."""
    return bytes((tag, len(title))) + title + encode_octets(protected)


def is_protected(apdu: bytes) -> bool:
    """Whether an APDU is one of the ciphering envelopes (general-signing is not: it signs, it does not cipher)."""
    tag = apdu[0] if apdu else 0
    return tag in PLAIN_OF_GLO or tag in PLAIN_OF_DED or 0xDB <= tag <= 0xDD


def open_envelope(apdu: bytes) -> Envelope:
    """Take a ciphering APDU apart; trailing octets are tolerated, anything else wrong is a `DecodeError`."""
    if not apdu:
        raise DecodeError("an APDU has at least a tag", 0)
    tag = apdu[0]
    if tag in PLAIN_OF_GLO or tag in PLAIN_OF_DED:
        content, _ = decode_octets(apdu, 1, "ciphered service")
        return Envelope(tag, content, dedicated=tag in PLAIN_OF_DED)
    if tag in (EnvelopeTag.GENERAL_GLO_CIPHERING, EnvelopeTag.GENERAL_DED_CIPHERING):
        title, offset = decode_octets(apdu, 1, "system title")
        content, _ = decode_octets(apdu, offset, "ciphered service")
        return Envelope(tag, content, title, dedicated=tag == EnvelopeTag.GENERAL_DED_CIPHERING)
    if tag == EnvelopeTag.GENERAL_CIPHERING:
        return _open_general_ciphering(apdu)
    raise DecodeError(f"tag {tag:#04x} is not a ciphering APDU", 0)


def open_signed(apdu: bytes) -> SignedApdu:
    """Take a general-signing APDU apart, its signature not yet checked."""
    if not apdu or apdu[0] != EnvelopeTag.GENERAL_SIGNING:
        raise DecodeError("not a general-signing APDU", 0)
    fields = []
    offset = 1
    for name in (*_HEADER_FIELDS, "content", "signature"):
        value, offset = decode_octets(apdu, offset, name)
        fields.append(value)
    return SignedApdu(*fields)


_HEADER_FIELDS: Final = (
    "transaction-id",
    "originator system title",
    "recipient system title",
    "date-time",
    "other information",
)


def _open_general_ciphering(apdu: bytes) -> Envelope:
    offset = 1
    fields = []
    for name in _HEADER_FIELDS:
        value, offset = decode_octets(apdu, offset, name)
        fields.append(value)
    header = apdu[1:offset]
    wrapped: bytes | None = None
    broadcast = False
    if _octet(apdu, offset, "key-info"):
        wrapped, broadcast, offset = _key_info(apdu, offset + 1)
    else:
        offset += 1
    content, _ = decode_octets(apdu, offset, "ciphered content")
    return Envelope(apdu[0], content, fields[1], False, fields[2], header, wrapped, broadcast)


def _key_info(apdu: bytes, offset: int) -> tuple[bytes | None, bool, int]:
    """Return (wrapped key, broadcast key named, next offset)."""
    choice = _octet(apdu, offset, "key-info choice")
    if choice == 0:
        return None, _octet(apdu, offset + 1, "key-id") == 1, offset + 2
    if choice == 1:
        _octet(apdu, offset + 1, "kek-id")
        wrapped, offset = decode_octets(apdu, offset + 2, "wrapped key")
        return wrapped, False, offset
    if choice == 2:
        raise SecurityError("key agreement is not supported", SecurityFault.UNSUPPORTED)
    raise DecodeError(f"key-info choice {choice} is unknown", offset)


def _octet(buf: bytes, offset: int, what: str) -> int:
    if offset >= len(buf):
        raise DecodeError(f"{what} is missing", offset)
    return buf[offset]


def _service_specific(table: dict[int, int], tag: int) -> bytes:
    ciphered = table.get(tag)
    if ciphered is None:
        raise EncodeError(f"service {tag:#04x} has no ciphered variant of its own")
    return ciphered.to_bytes(1, "big")
