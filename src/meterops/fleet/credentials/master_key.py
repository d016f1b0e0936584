"""The key under which all others are stored, and where it comes from.

`MasterKey` is the port: an HSM or a vault takes the place of `LocalMasterKey` by wrapping and unwrapping elsewhere.
"""

import base64
import binascii
import hashlib
import os
import secrets
import stat
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from meterops.fleet.credentials.refusals import (
    MasterKeyExists,
    MasterKeyExposed,
    MasterKeyMissing,
    MasterKeyNotValid,
    WrappedKeyDamaged,
)

LENGTH: Final = 32
_NONCE: Final = 12
ENVIRONMENT: Final = "METEROPS_MASTER_KEY"


class MasterKey(Protocol):
    """Wraps and unwraps keys. `context` binds a wrapped key to its place: it opens nowhere else."""

    @property
    def id(self) -> str:
        """A short name that tells master keys apart and says nothing about the key."""
        ...

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Encrypt a key for storage."""
        ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Decrypt a stored key; `WrappedKeyDamaged` when it does not belong here."""
        ...


class LocalMasterKey:
    """A master key in this process's memory: AES-256-GCM with a random nonce, the context as associated data."""

    __slots__ = ("_cipher", "_id")

    def __init__(self, key: bytes) -> None:
        if len(key) != LENGTH:
            raise MasterKeyNotValid(f"A master key has {LENGTH} octets, not {len(key)}.")
        self._cipher = AESGCM(key)
        self._id = hashlib.sha256(b"meterops master key" + key).hexdigest()[:16]

    @property
    def id(self) -> str:
        """The first octets of a digest of the key."""
        return self._id

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Nonce, ciphertext and tag."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The key."""
        try:
            return self._cipher.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], context)
        except (InvalidTag, ValueError):
            raise WrappedKeyDamaged from None

    def __repr__(self) -> str:
        return f"LocalMasterKey({self._id})"


_loaded: dict[str, LocalMasterKey] = {}


def master_key() -> MasterKey:
    """The installation's master key: from METEROPS_MASTER_KEY, else from the file that METEROPS_MASTER_KEY_FILE names.

    Raises:
        MasterKeyMissing: when neither is there.
        MasterKeyNotValid: when it is not 32 octets in hexadecimal or base64.
        MasterKeyExposed: when others may read the file.
    """
    text = os.environ.get(ENVIRONMENT, "")
    if not text:
        file: Path = settings.METEROPS_MASTER_KEY_FILE
        if not file.exists():
            raise MasterKeyMissing
        _check_mode(file)
        text = file.read_text()
    known = _loaded.get(text)
    if known is None:
        _loaded.clear()
        known = _loaded[text] = LocalMasterKey(_octets(text))
    return known


def create_master_key() -> Path:
    """Draw a master key and store it in its file (mode 0600), which must not exist.

    Raises:
        MasterKeyExists: when there is one.
    """
    file: Path = settings.METEROPS_MASTER_KEY_FILE
    if os.environ.get(ENVIRONMENT) or file.exists():
        raise MasterKeyExists
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise MasterKeyExists from None
    with os.fdopen(descriptor, "w") as target:
        target.write(secrets.token_hex(LENGTH) + "\n")
    return file


def has_master_key() -> bool:
    """Whether one is configured, valid or not."""
    return bool(os.environ.get(ENVIRONMENT)) or settings.METEROPS_MASTER_KEY_FILE.exists()


def _check_mode(file: Path) -> None:
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise MasterKeyExposed(f"Others than its owner may read {file}: chmod 600 it, and consider the key known.")


def _octets(text: str) -> bytes:
    compact = text.strip()
    try:
        return bytes.fromhex(compact) if len(compact) == 2 * LENGTH else base64.b64decode(compact, validate=True)
    except (ValueError, binascii.Error):
        raise MasterKeyNotValid from None
