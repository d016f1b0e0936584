"""AES-GCM as DLMS/COSEM uses it: 12-octet tags, the authentication key as additional data (IEC 62056-5-3, 5.3.4).

A protected text is `SC || IC || content [|| tag]`: security control octet, 32-bit invocation counter, plain or ciphered
content, and a tag of 12 octets when it is authenticated.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from hmac import compare_digest
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from meterops.protocols.dlms.errors import DecodeError, SecurityError, SecurityFault

TAG_LENGTH: Final = 12
HEADER_LENGTH: Final = 5
TITLE_LENGTH: Final = 8

AUTHENTICATED: Final = 0x10
ENCRYPTED: Final = 0x20
BROADCAST: Final = 0x40
COMPRESSED: Final = 0x80
PROTECTION: Final = AUTHENTICATED | ENCRYPTED
SUITE_MASK: Final = 0x0F


class SecuritySuite(IntEnum):
    """The security suites: 0 and 1 use AES-128, 2 uses AES-256; 1 adds ECDSA on P-256, 2 on P-384."""

    SUITE_0 = 0
    SUITE_1 = 1
    SUITE_2 = 2

    @property
    def key_length(self) -> int:
        """Octets of a symmetric key."""
        return 32 if self is SecuritySuite.SUITE_2 else 16


@dataclass(frozen=True, slots=True)
class SecurityControl:
    """The security control octet, taken apart. The hot path passes the octet itself; this is for people and edges."""

    suite: int = 0
    authenticated: bool = True
    encrypted: bool = True
    broadcast: bool = False
    compressed: bool = False

    @property
    def octet(self) -> int:
        """The octet as it travels."""
        return (
            (self.suite & SUITE_MASK)
            | self.authenticated * AUTHENTICATED
            | self.encrypted * ENCRYPTED
            | self.broadcast * BROADCAST
            | self.compressed * COMPRESSED
        )

    @classmethod
    def of(cls, octet: int) -> SecurityControl:
        """Take an octet apart."""
        return cls(
            suite=octet & SUITE_MASK,
            authenticated=bool(octet & AUTHENTICATED),
            encrypted=bool(octet & ENCRYPTED),
            broadcast=bool(octet & BROADCAST),
            compressed=bool(octet & COMPRESSED),
        )


class GcmKey:
    """One encryption key with its authentication key, ready to use: the cipher is made once, here."""

    __slots__ = ("_additional", "_authentication", "_cipher")

    _cipher: AESGCM
    _authentication: bytes
    _additional: dict[int, bytes]

    def __init__(self, encryption: bytes, authentication: bytes) -> None:
        """Prepare keys of 16 or 32 octets; another length is a `SecurityError` (no-key) that does not show it."""
        if len(encryption) not in (16, 32):
            raise SecurityError(f"an AES-GCM key has 16 or 32 octets, not {len(encryption)}", SecurityFault.NO_KEY)
        self._cipher = AESGCM(encryption)
        self._authentication = authentication
        self._additional = {}

    def protect(self, plain: bytes, title: bytes, counter: int, control: int, header: bytes = b"") -> bytes:
        """Protect `plain` as `control` says and return `SC || IC || content [|| tag]`.

        `title` is the sender's system title, `counter` a value never used before with this key and title, `header` the
        fields of a general-ciphering APDU that are authenticated along.
        """
        if len(title) != TITLE_LENGTH:
            raise _no_title(title)
        number = counter.to_bytes(4, "big")
        nonce = title + number
        wanted = control & PROTECTION
        start = control.to_bytes(1, "big") + number
        if wanted == PROTECTION:
            # The full tag has 16 octets; the standard keeps the first 12.
            return start + self._cipher.encrypt(nonce, plain, self._additional_data(control) + header)[:-4]
        if wanted == AUTHENTICATED:
            return start + plain + self._tag(nonce, control, header + plain)
        if wanted == ENCRYPTED:
            return start + self._cipher.encrypt(nonce, plain, None)[:-16]
        raise SecurityError(f"security control {control:#04x} protects nothing", SecurityFault.WEAKER_PROTECTION)

    def unprotect(self, protected: bytes, title: bytes, header: bytes = b"") -> bytes:
        """Return the plain text of `SC || IC || content [|| tag]` sent by `title`.

        Raises `DecodeError` when it is too short and `SecurityError` when the tag is wrong, nothing is protected or the
        content is compressed. The caller decides by `protected[0]` whether the protection is strong enough.
        """
        if len(protected) < HEADER_LENGTH:
            raise DecodeError("a protected text has a security control octet and a 4-octet counter", len(protected))
        if len(title) != TITLE_LENGTH:
            raise _no_title(title)
        control = protected[0]
        nonce = title + protected[1:HEADER_LENGTH]
        if control & COMPRESSED:
            raise SecurityError("the content is compressed, which is not supported", SecurityFault.UNSUPPORTED)
        wanted = control & PROTECTION
        if wanted == ENCRYPTED:
            # Counter mode is its own inverse: encrypting the ciphered text gives the plain one.
            return self._cipher.encrypt(nonce, protected[HEADER_LENGTH:], None)[:-16]
        if not wanted:
            raise SecurityError(f"security control {control:#04x} protects nothing", SecurityFault.WEAKER_PROTECTION)
        if len(protected) < HEADER_LENGTH + TAG_LENGTH:
            raise DecodeError("an authenticated text ends with a 12-octet tag", len(protected))
        content = protected[HEADER_LENGTH:-TAG_LENGTH]
        if wanted == AUTHENTICATED:
            tag = self._tag(nonce, control, header + content)
        else:
            # Two one-shot calls: `AESGCM.decrypt` insists on 16-octet tags, a cipher context costs three times as much.
            content = self._cipher.encrypt(nonce, content, None)[:-16]
            tag = self._cipher.encrypt(nonce, content, self._additional_data(control) + header)[-16:-4]
        if not compare_digest(tag, protected[-TAG_LENGTH:]):
            raise SecurityError("the authentication tag is wrong", SecurityFault.BAD_TAG)
        return content

    def authenticate(self, text: bytes, title: bytes, counter: int, control: int) -> bytes:
        """Return `SC || IC || tag` over `text`, which itself does not travel: the GMAC of an HLS5 challenge."""
        if len(title) != TITLE_LENGTH:
            raise _no_title(title)
        number = counter.to_bytes(4, "big")
        return control.to_bytes(1, "big") + number + self._tag(title + number, control, text)

    def is_authentic(self, answer: bytes, text: bytes, title: bytes) -> bool:
        """Whether `answer`, 17 octets as made by `authenticate`, belongs to `text` and `title`."""
        if len(answer) != HEADER_LENGTH + TAG_LENGTH or len(title) != TITLE_LENGTH:
            return False
        return compare_digest(self._tag(title + answer[1:HEADER_LENGTH], answer[0], text), answer[HEADER_LENGTH:])

    def _tag(self, nonce: bytes, control: int, text: bytes) -> bytes:
        return self._cipher.encrypt(nonce, b"", self._additional_data(control) + text)[:TAG_LENGTH]

    def _additional_data(self, control: int) -> bytes:
        known = self._additional.get(control)
        if known is None:
            known = self._additional[control] = control.to_bytes(1, "big") + self._authentication
        return known

    def __repr__(self) -> str:
        return "GcmKey(***)"


def _no_title(title: bytes) -> SecurityError:
    said = f"{len(title)} octets" if title else "unknown"
    return SecurityError(f"a system title has 8 octets; the sender's is {said}", SecurityFault.TITLE_MISMATCH)
