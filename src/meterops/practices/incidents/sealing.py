"""Addresses of channels hold passwords, so they lie in the store sealed under a key that does not."""

import secrets
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_NONCE = 12


class SealBroken(ValueError):
    """The sealed text was not made with this installation's key, or was changed."""


@lru_cache(maxsize=4)
def _cipher(secret: str) -> AESGCM:
    key = HKDF(hashes.SHA256(), 32, None, b"meterops incidents channel addresses").derive(secret.encode())
    return AESGCM(key)


def seal(text: str, context: str) -> bytes:
    """A text sealed for one place (`context`); moved elsewhere it does not open."""
    nonce = secrets.token_bytes(_NONCE)
    return nonce + _cipher(settings.SECRET_KEY).encrypt(nonce, text.encode(), context.encode())


def unseal(sealed: bytes | memoryview, context: str) -> str:
    """The text again.

    Raises:
        SealBroken: when it does not open.
    """
    raw = bytes(sealed)
    try:
        return _cipher(settings.SECRET_KEY).decrypt(raw[:_NONCE], raw[_NONCE:], context.encode()).decode()
    except (InvalidTag, ValueError) as error:
        raise SealBroken(f"the sealed {context} does not open with this installation's key") from error
