"""The keys one partner shares with another, and how new ones travel (IEC 62056-5-3, 5.3.5 and RFC 3394)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from meterops.protocols.dlms.errors import SecurityError, SecurityFault
from meterops.protocols.dlms.security.gcm import GcmKey


class KeyKind(IntEnum):
    """The symmetric keys a security set-up knows, with their key_id in its key_transfer method."""

    UNICAST_ENCRYPTION = 0
    BROADCAST_ENCRYPTION = 1
    AUTHENTICATION = 2
    MASTER = 3


@dataclass(frozen=True, slots=True, repr=False)
class KeyRing:
    """All keys for one meter. Symmetric keys are 16 octets (suites 0, 1) or 32 (suite 2).

    `signing` is our own private key and `verification` the partner's public key (HLS7, general-signing). The ring never
    shows a key in its `repr`, and keeps one ready cipher per key.
    """

    encryption: bytes
    authentication: bytes
    dedicated: bytes | None = None
    master: bytes | None = None
    broadcast: bytes | None = None
    signing: EllipticCurvePrivateKey | None = None
    verification: EllipticCurvePublicKey | None = None
    _ready: dict[str, GcmKey] = field(default_factory=dict, init=False, compare=False)

    @property
    def unicast_cipher(self) -> GcmKey:
        """The global unicast encryption key with the authentication key."""
        return self._ready.get("unicast") or self._prepare("unicast", self.encryption)

    @property
    def broadcast_cipher(self) -> GcmKey:
        """The global broadcast encryption key; `SecurityError` (no-key) when the ring has none."""
        return self._ready.get("broadcast") or self._prepare("broadcast", self.broadcast)

    @property
    def dedicated_cipher(self) -> GcmKey:
        """The dedicated key of the association; `SecurityError` (no-key) when the ring has none."""
        return self._ready.get("dedicated") or self._prepare("dedicated", self.dedicated)

    def with_dedicated(self, dedicated: bytes | None) -> KeyRing:
        """Return the same ring for an association with this dedicated key."""
        return replace(self, dedicated=dedicated)

    def _prepare(self, name: str, key: bytes | None) -> GcmKey:
        if key is None:
            raise SecurityError(f"no {name} key is known", SecurityFault.NO_KEY)
        cipher = self._ready[name] = GcmKey(key, self.authentication)
        return cipher

    def __repr__(self) -> str:
        names = ("encryption", "authentication", "dedicated", "master", "broadcast", "signing", "verification")
        return f"KeyRing({', '.join(name for name in names if getattr(self, name) is not None)})"


def wrap_key(key_encryption_key: bytes, key: bytes) -> bytes:
    """Wrap `key` for its journey (AES key wrap, RFC 3394); the result is 8 octets longer."""
    try:
        return aes_key_wrap(key_encryption_key, key)
    except ValueError as error:
        raise SecurityError(f"the key cannot be wrapped: {error}", SecurityFault.NO_KEY) from None


def unwrap_key(key_encryption_key: bytes, wrapped: bytes) -> bytes:
    """Unwrap a key; `SecurityError` (bad-tag) when it was wrapped under another key or altered."""
    try:
        return aes_key_unwrap(key_encryption_key, wrapped)
    except (InvalidUnwrap, ValueError):
        raise SecurityError("the wrapped key does not open with this master key", SecurityFault.BAD_TAG) from None
