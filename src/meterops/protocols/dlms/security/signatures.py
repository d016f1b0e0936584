"""ECDSA as suites 1 and 2 use it: P-256 with SHA-256, P-384 with SHA-384, plain `r || s` (IEC 62056-5-3, 5.3.4.4)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.x509 import load_pem_x509_certificate

from meterops.protocols.dlms.errors import SecurityError, SecurityFault

_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {"secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384()}


def sign(key: EllipticCurvePrivateKey, text: bytes) -> bytes:
    """Sign `text`: 64 octets on P-256, 96 on P-384."""
    size = _size_of(key)
    r, s = decode_dss_signature(key.sign(text, ECDSA(_hash_of(key))))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def is_signed(key: EllipticCurvePublicKey, text: bytes, signature: bytes) -> bool:
    """Whether `signature` (`r || s`) over `text` was made by the owner of `key`."""
    size = _size_of(key)
    if len(signature) != 2 * size:
        return False
    r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
    try:
        key.verify(encode_dss_signature(r, s), text, ECDSA(_hash_of(key)))
    except InvalidSignature:
        return False
    return True


def load_signing_key(path: Path) -> EllipticCurvePrivateKey:
    """Load a private key from an unencrypted PEM file; `SecurityError` (no-key) says what is wrong with it."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SecurityError(f"{path} is not an unencrypted PEM private key", SecurityFault.NO_KEY) from None
    if not isinstance(key, EllipticCurvePrivateKey):
        raise SecurityError(f"{path} does not hold an elliptic-curve key", SecurityFault.NO_KEY)
    _hash_of(key)
    return key


def load_verification_key(path: Path) -> EllipticCurvePublicKey:
    """Load a public key from a PEM file with a public key or a certificate; `SecurityError` (no-key) otherwise."""
    pem = path.read_bytes()
    try:
        is_certificate = b"BEGIN CERTIFICATE" in pem
        key = load_pem_x509_certificate(pem).public_key() if is_certificate else serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise SecurityError(f"{path} is not a PEM public key or certificate", SecurityFault.NO_KEY) from None
    if not isinstance(key, EllipticCurvePublicKey):
        raise SecurityError(f"{path} does not hold an elliptic-curve key", SecurityFault.NO_KEY)
    _hash_of(key)
    return key


def _size_of(key: EllipticCurvePrivateKey | EllipticCurvePublicKey) -> int:
    return (key.curve.key_size + 7) // 8


def _hash_of(key: EllipticCurvePrivateKey | EllipticCurvePublicKey) -> hashes.HashAlgorithm:
    algorithm = _HASHES.get(key.curve.name)
    if algorithm is None:
        raise SecurityError(f"curve {key.curve.name} belongs to no security suite", SecurityFault.UNSUPPORTED)
    return algorithm
