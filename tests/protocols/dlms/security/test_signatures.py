"""HLS7 answers and general-signing on both curves."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from meterops.protocols.dlms.errors import SecurityError, SecurityFault
from meterops.protocols.dlms.security import (
    KeyRing,
    SignedApdu,
    check_ecdsa_answer,
    ecdsa_answer,
    is_signed,
    load_signing_key,
    load_verification_key,
    open_signed,
    sign,
)

CURVES = [(ec.SECP256R1(), 64), (ec.SECP384R1(), 96)]


def ring(signing: ec.EllipticCurvePrivateKey | None, peer: ec.EllipticCurvePrivateKey | None) -> KeyRing:
    return KeyRing(bytes(16), bytes(16), signing=signing, verification=peer.public_key() if peer else None)


@pytest.mark.parametrize(("curve", "length"), CURVES)
def test_hls7_both_ways(curve: ec.EllipticCurve, length: int) -> None:
    client_key, meter_key = ec.generate_private_key(curve), ec.generate_private_key(curve)
    client, meter = ring(client_key, meter_key), ring(meter_key, client_key)
    ctos, stoc = b"from the client", b"from the server"
    pass_3 = ecdsa_answer(client, b"CLIENT01", b"METER001", stoc, ctos)
    assert len(pass_3) == length
    assert is_signed(client_key.public_key(), b"CLIENT01METER001" + stoc + ctos, pass_3)
    check_ecdsa_answer(meter, pass_3, b"METER001", b"CLIENT01", ctos, stoc)
    pass_4 = ecdsa_answer(meter, b"METER001", b"CLIENT01", ctos, stoc)
    check_ecdsa_answer(client, pass_4, b"CLIENT01", b"METER001", stoc, ctos)
    for wrong in (pass_3, pass_4[:-1], b"", bytes(length)):
        with pytest.raises(SecurityError) as caught:
            check_ecdsa_answer(client, wrong, b"CLIENT01", b"METER001", stoc, ctos)
        assert caught.value.reason is SecurityFault.BAD_CHALLENGE_ANSWER


def test_without_keys_the_error_says_so() -> None:
    for call in (
        lambda: ecdsa_answer(ring(None, None), b"a", b"b", b"c", b"d"),
        lambda: check_ecdsa_answer(ring(None, None), b"", b"a", b"b", b"c", b"d"),
    ):
        with pytest.raises(SecurityError) as caught:
            call()
        assert caught.value.reason is SecurityFault.NO_KEY


@pytest.mark.parametrize(("curve", "length"), CURVES)
def test_general_signing(curve: ec.EllipticCurve, length: int) -> None:
    key = ec.generate_private_key(curve)
    content = b"\xc4\x01\xc1\x00" + bytes(200)
    unsigned = SignedApdu(b"\x00" * 7 + b"\x01", b"METER001", b"CLIENT01", b"", b"", content)
    signed = unsigned.signed_with(ring(key, None))
    apdu = signed.encode()
    assert apdu[0] == 0xDF
    assert len(signed.signature) == length
    assert open_signed(apdu) == signed
    assert open_signed(apdu).is_signed_by(ring(None, key))
    for position in (2, 12, 20, 40, len(apdu) - 1):
        altered = bytearray(apdu)
        altered[position] ^= 1
        assert not open_signed(bytes(altered)).is_signed_by(ring(None, key))


def test_signatures_that_cover_lengths_or_the_tag_are_accepted() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    content = b"\xc4\x01\xc1\x00\x11\x05"
    body = SignedApdu(b"\x01", b"METER001", b"CLIENT01", b"", b"", content).encode()[1:-1]
    for text in (body, b"\xdf" + body):
        signed = SignedApdu(b"\x01", b"METER001", b"CLIENT01", b"", b"", content, sign(key, text))
        assert signed.is_signed_by(ring(None, key))


def test_keys_are_loaded_from_pem_and_errors_name_the_file(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    private, public, other = tmp_path / "key.pem", tmp_path / "public.pem", tmp_path / "other.pem"
    pem = serialization.Encoding.PEM
    pkcs8, clear = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(pem, pkcs8, clear))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    assert is_signed(load_verification_key(public), b"text", sign(load_signing_key(private), b"text"))

    other.write_bytes(ed25519.Ed25519PrivateKey.generate().private_bytes(pem, pkcs8, clear))
    with pytest.raises(SecurityError, match=r"other\.pem does not hold"):
        load_signing_key(other)
    other.write_bytes(ec.generate_private_key(ec.SECP521R1()).private_bytes(pem, pkcs8, clear))
    with pytest.raises(SecurityError, match="no security suite"):
        load_signing_key(other)
    other.write_text("not a key")
    with pytest.raises(SecurityError, match=r"other\.pem is not"):
        load_signing_key(other)
    with pytest.raises(SecurityError, match=r"other\.pem is not"):
        load_verification_key(other)
