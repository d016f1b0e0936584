"""Protect and unprotect with a key ring: the plain entry points, for pushes, tests and tools.

Associations use the ciphers of the ring directly.
"""

from __future__ import annotations

from meterops.protocols.dlms.errors import DecodeError
from meterops.protocols.dlms.security.gcm import BROADCAST, HEADER_LENGTH, GcmKey
from meterops.protocols.dlms.security.keys import KeyRing


def protect(plain: bytes, ring: KeyRing, title: bytes, counter: int, control: int, *, dedicated: bool = False) -> bytes:
    """Protect `plain` sent by system title `title` (8 octets) and return `SC || IC || content [|| tag]`."""
    return _cipher(ring, control, dedicated).protect(plain, title, counter, control)


def unprotect(protected: bytes, ring: KeyRing, title: bytes, *, dedicated: bool = False) -> tuple[bytes, int, int]:
    """Return (plain text, security control octet, invocation counter) of a text sent by `title`.

    Raises `DecodeError` or `SecurityError`. Whether the counter rises and the protection suffices, the caller checks.
    """
    if len(protected) < HEADER_LENGTH:
        raise DecodeError("a protected text has a security control octet and a 4-octet counter", len(protected))
    control = protected[0]
    plain = _cipher(ring, control, dedicated).unprotect(protected, title)
    return plain, control, int.from_bytes(protected[1:HEADER_LENGTH], "big")


def _cipher(ring: KeyRing, control: int, dedicated: bool) -> GcmKey:
    if dedicated:
        return ring.dedicated_cipher
    return ring.broadcast_cipher if control & BROADCAST else ring.unicast_cipher
