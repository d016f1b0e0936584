"""Passes 3 and 4 of high-level security: answers to a challenge (IEC 62056-5-3, 5.2.2.2.2 and table 32)."""

from __future__ import annotations

import secrets
from typing import Final

from meterops.protocols.dlms.errors import SecurityError, SecurityFault
from meterops.protocols.dlms.security.gcm import AUTHENTICATED, HEADER_LENGTH, TAG_LENGTH
from meterops.protocols.dlms.security.keys import KeyRing
from meterops.protocols.dlms.security.signatures import is_signed, sign

MIN_CHALLENGE: Final = 8
MAX_CHALLENGE: Final = 64


def new_challenge(length: int = 16) -> bytes:
    """Draw a challenge of 8 to 64 octets."""
    return secrets.token_bytes(length)


def gmac_answer(ring: KeyRing, own_title: bytes, counter: int, challenge: bytes, control: int = AUTHENTICATED) -> bytes:
    """Answer the partner's `challenge` under HLS5: `SC || IC || tag`, 17 octets.

    `counter` is used up by this: the ciphered ACTION that carries the answer needs another one.
    """
    return ring.unicast_cipher.authenticate(challenge, own_title, counter, control)


def check_gmac_answer(ring: KeyRing, answer: bytes, peer_title: bytes, challenge: bytes, suite: int = 0) -> int:
    """Check the partner's HLS5 answer to our `challenge` and return its invocation counter.

    The security control octet may carry the suite or leave it 0: meters with suites 1 and 2 do either. Anything else,
    and a wrong tag, is a `SecurityError` (bad-challenge-answer).
    """
    if len(answer) != HEADER_LENGTH + TAG_LENGTH or answer[0] not in (AUTHENTICATED, AUTHENTICATED | suite):
        raise _wrong_answer()
    if not ring.unicast_cipher.is_authentic(answer, challenge, peer_title):
        raise _wrong_answer()
    return int.from_bytes(answer[1:HEADER_LENGTH], "big")


def ecdsa_answer(
    ring: KeyRing, own_title: bytes, peer_title: bytes, peer_challenge: bytes, own_challenge: bytes
) -> bytes:
    """Answer the partner's challenge under HLS7: a signature over both titles and both challenges, own title first."""
    if ring.signing is None:
        raise SecurityError("no signing key is known", SecurityFault.NO_KEY)
    return sign(ring.signing, own_title + peer_title + peer_challenge + own_challenge)


def check_ecdsa_answer(
    ring: KeyRing, answer: bytes, own_title: bytes, peer_title: bytes, peer_challenge: bytes, own_challenge: bytes
) -> None:
    """Check the partner's HLS7 answer to our challenge; `SecurityError` (bad-challenge-answer) when it is wrong."""
    if ring.verification is None:
        raise SecurityError("no verification key of the partner is known", SecurityFault.NO_KEY)
    if not is_signed(ring.verification, peer_title + own_title + own_challenge + peer_challenge, answer):
        raise _wrong_answer()


def _wrong_answer() -> SecurityError:
    return SecurityError("the answer to the challenge is wrong", SecurityFault.BAD_CHALLENGE_ANSWER)
