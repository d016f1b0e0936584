"""Protection that must hold: tags, titles, strength, and texts too short to be anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterops.protocols.dlms.errors import DecodeError, DlmsError, SecurityError, SecurityFault
from meterops.protocols.dlms.security import (
    BROADCAST,
    COMPRESSED,
    KeyRing,
    SecurityControl,
    check_gmac_answer,
    gmac_answer,
    protect,
    unprotect,
)

RING = KeyRing(encryption=bytes(range(16)), authentication=bytes(range(0xD0, 0xE0)))
RING_256 = KeyRing(encryption=bytes(range(32)), authentication=bytes(range(0xC0, 0xE0)))
TITLE = b"MTR\x00\x00\x00\x00\x01"
OTHER = b"MTR\x00\x00\x00\x00\x02"


@given(
    plain=st.binary(max_size=300),
    control=st.sampled_from([0x10, 0x20, 0x30, 0x31, 0x32]),
    counter=st.integers(0, 2**32 - 1),
)
def test_what_is_protected_comes_back(plain: bytes, control: int, counter: int) -> None:
    for ring in (RING, RING_256):
        assert unprotect(protect(plain, ring, TITLE, counter, control), ring, TITLE) == (plain, control, counter)


@given(st.data())
def test_one_flipped_bit_anywhere_is_noticed(data: st.DataObject) -> None:
    control = data.draw(st.sampled_from([0x10, 0x30, 0x31]))
    protected = bytearray(protect(b"GET something", RING, TITLE, 7, control))
    position = data.draw(st.integers(1, len(protected) - 1))
    protected[position] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(SecurityError) as caught:
        unprotect(bytes(protected), RING, TITLE)
    assert caught.value.reason is SecurityFault.BAD_TAG


@given(st.binary(max_size=60))
def test_any_octets_give_a_dlms_error_or_a_text(octets: bytes) -> None:
    try:
        unprotect(octets, RING, TITLE)
    except DlmsError:
        return
    assert octets[0] & 0x30 == 0x20, "only unauthenticated text can pass by chance"


def test_another_sender_or_key_does_not_pass() -> None:
    protected = protect(b"text", RING, TITLE, 1, 0x30)
    for ring, title in ((RING, OTHER), (RING_256, TITLE)):
        with pytest.raises(SecurityError, match="tag is wrong"):
            unprotect(protected, ring, title)


def test_a_sender_without_title_is_refused() -> None:
    protected = protect(b"text", RING, TITLE, 1, 0x30)
    for title in (b"", TITLE + b"x"):
        with pytest.raises(SecurityError) as caught:
            unprotect(protected, RING, title)
        assert caught.value.reason is SecurityFault.TITLE_MISMATCH
        with pytest.raises(SecurityError):
            protect(b"text", RING, title, 1, 0x30)


@pytest.mark.parametrize("control", [0x30, 0x10])
def test_a_text_shorter_than_its_tag_is_not_decoded(control: int) -> None:
    protected = protect(b"", RING, TITLE, 1, control)
    assert unprotect(protected, RING, TITLE)[0] == b""
    for length in range(len(protected)):
        with pytest.raises(DecodeError):
            unprotect(protected[:length], RING, TITLE)


def test_no_protection_and_compression_are_named() -> None:
    with pytest.raises(SecurityError) as caught:
        protect(b"text", RING, TITLE, 1, 0x00)
    assert caught.value.reason is SecurityFault.WEAKER_PROTECTION
    with pytest.raises(SecurityError) as caught:
        unprotect(bytes((0x00, 0, 0, 0, 1)) + b"plain text", RING, TITLE)
    assert caught.value.reason is SecurityFault.WEAKER_PROTECTION
    compressed = protect(b"text", RING, TITLE, 1, 0x30 | COMPRESSED)
    with pytest.raises(SecurityError, match="compressed") as caught:
        unprotect(compressed, RING, TITLE)
    assert caught.value.reason is SecurityFault.UNSUPPORTED


def test_broadcast_uses_the_broadcast_key() -> None:
    control = 0x30 | BROADCAST
    with pytest.raises(SecurityError, match="broadcast key") as caught:
        protect(b"text", RING, TITLE, 1, control)
    assert caught.value.reason is SecurityFault.NO_KEY
    ring = KeyRing(encryption=bytes(16), authentication=RING.authentication, broadcast=RING.encryption)
    protected = protect(b"text", ring, TITLE, 1, control)
    assert unprotect(protected, ring, TITLE)[0] == b"text"
    assert protected[5:9] == protect(b"text", RING, TITLE, 1, 0x30)[5:9]


def test_dedicated_key_is_another_key() -> None:
    ring = RING.with_dedicated(bytes(16))
    protected = protect(b"text", ring, TITLE, 1, 0x30, dedicated=True)
    assert unprotect(protected, ring, TITLE, dedicated=True)[0] == b"text"
    with pytest.raises(SecurityError):
        unprotect(protected, ring, TITLE)
    with pytest.raises(SecurityError, match="no dedicated key"):
        unprotect(protected, RING, TITLE, dedicated=True)


def test_hls5_answers_with_either_security_control() -> None:
    for control in (0x10, 0x11):
        answer = gmac_answer(RING, TITLE, 5, b"challenge", control)
        assert check_gmac_answer(RING, answer, TITLE, b"challenge", suite=1) == 5
    with pytest.raises(SecurityError):
        check_gmac_answer(RING, gmac_answer(RING, TITLE, 5, b"challenge", 0x12), TITLE, b"challenge", suite=1)


def test_a_wrong_hls5_answer_is_refused() -> None:
    answer = gmac_answer(RING, TITLE, 5, b"challenge")
    for wrong, title, challenge in (
        (answer, OTHER, b"challenge"),
        (answer, TITLE, b"other one"),
        (answer[:-1], TITLE, b"challenge"),
        (answer + b"\x00", TITLE, b"challenge"),
        (b"", TITLE, b"challenge"),
    ):
        with pytest.raises(SecurityError) as caught:
            check_gmac_answer(RING, wrong, title, challenge)
        assert caught.value.reason is SecurityFault.BAD_CHALLENGE_ANSWER


def test_a_ring_never_shows_its_keys() -> None:
    ring = KeyRing(bytes(range(16)), bytes(range(16)), dedicated=b"\x07" * 16, master=b"\x08" * 16)
    assert ring.unicast_cipher is ring.unicast_cipher
    shown = f"{ring!r} {ring} {ring.unicast_cipher!r} {[ring]}"
    assert "KeyRing(encryption, authentication, dedicated, master)" in shown
    for octet in ("00010203", "\\x07", "\\x08", "\\x00"):
        assert octet not in shown
    with pytest.raises(SecurityError) as caught:
        _ = KeyRing(b"secret", b"secret").unicast_cipher
    assert "secret" not in str(caught.value)


def test_security_control_octets() -> None:
    for octet in range(256):
        if octet & 0x0F < 3:
            assert SecurityControl.of(octet).octet == octet
    assert SecurityControl(suite=2).octet == 0x32
