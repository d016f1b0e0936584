"""Envelopes: what is sealed opens, tolerant of long-form lengths and trailing octets, and never more than a DecodeError."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterops.protocols.dlms.errors import DecodeError, DlmsError, EncodeError, SecurityError, SecurityFault
from meterops.protocols.dlms.security import (
    EnvelopeTag,
    GcmKey,
    KeyRing,
    is_protected,
    open_envelope,
    open_signed,
    protect,
    seal_ded,
    seal_general,
    seal_glo,
    wrap_key,
)

RING = KeyRing(bytes(range(16)), bytes(range(16, 32)), dedicated=bytes(range(32, 48)), master=bytes(16))
TITLE = b"METER001"


@given(st.binary(max_size=400))
def test_sealed_texts_open(text: bytes) -> None:
    glo = seal_glo(0xC0, protect(text, RING, TITLE, 9, 0x30))
    ded = seal_ded(0xC4, protect(text, RING, TITLE, 9, 0x30, dedicated=True))
    general = seal_general(EnvelopeTag.GENERAL_GLO_CIPHERING, TITLE, protect(text, RING, TITLE, 9, 0x30))
    assert (glo[0], ded[0], general[0]) == (0xC8, 0xD4, 0xDB)
    for apdu in (glo, ded, general, general + b"\x00trailing"):
        assert is_protected(apdu)
        envelope = open_envelope(apdu)
        assert envelope.counter == 9
        assert envelope.open(RING, TITLE) == text
    assert open_envelope(general).title == TITLE
    assert open_envelope(glo).title is None


def test_long_form_lengths_are_read_everywhere() -> None:
    protected = protect(b"text", RING, TITLE, 9, 0x30)
    for length in (b"\x81\x15", b"\x82\x00\x15", b"\x84\x00\x00\x00\x15"):
        assert open_envelope(b"\xc8" + length + protected).content == protected
        general = b"\xdb\x82\x00\x08" + TITLE + length + protected
        assert open_envelope(general).open(RING, TITLE) == b"text"


def test_empty_title_in_general_glo() -> None:
    apdu = seal_general(EnvelopeTag.GENERAL_GLO_CIPHERING, b"", protect(b"text", RING, TITLE, 9, 0x30))
    assert open_envelope(apdu).title == b""
    assert open_envelope(apdu).open(RING, TITLE) == b"text"


def general_ciphering(key_info: bytes, cipher: GcmKey, header: bytes) -> bytes:
    content = cipher.protect(b"text", TITLE, 3, 0x31, header)
    return b"\xdd" + header + key_info + bytes((len(content),)) + content


def test_general_ciphering_with_identified_and_wrapped_keys() -> None:
    header = b"\x08\x00\x00\x00\x00\x00\x00\x00\x01" + b"\x08" + TITLE + b"\x08CLIENT01" + b"\x00\x00"
    session = bytes(range(100, 116))
    wrapped = wrap_key(bytes(16), session)
    unicast, session_cipher = RING.unicast_cipher, GcmKey(session, RING.authentication)
    for key_info, cipher in (
        (b"\x00", unicast),
        (b"\x01\x00\x00", unicast),
        (b"\x01\x01\x00\x18" + wrapped, session_cipher),
    ):
        apdu = general_ciphering(key_info, cipher, header)
        envelope = open_envelope(apdu)
        assert (envelope.title, envelope.recipient) == (TITLE, b"CLIENT01")
        assert envelope.open(RING, TITLE) == b"text"
        altered = bytearray(apdu)
        altered[9] ^= 1  # the transaction-id is authenticated along
        with pytest.raises(SecurityError):
            open_envelope(bytes(altered)).open(RING, TITLE)
    with pytest.raises(SecurityError, match="key agreement") as caught:
        open_envelope(general_ciphering(b"\x01\x02\x01\x01\x00", unicast, header))
    assert caught.value.reason is SecurityFault.UNSUPPORTED


@given(st.binary(max_size=80))
def test_any_octets_give_an_envelope_or_a_dlms_error(octets: bytes) -> None:
    for tag in (b"", b"\xc8", b"\xd0", b"\xdb", b"\xdd", b"\xdf"):
        for opened in (open_envelope, open_signed):
            with suppress(DlmsError):
                assert opened(tag + octets).content is not None


def test_what_is_cut_short_is_named() -> None:
    apdu = seal_general(EnvelopeTag.GENERAL_GLO_CIPHERING, TITLE, protect(b"text", RING, TITLE, 9, 0x30))
    for length in range(len(apdu)):
        with pytest.raises(DecodeError):
            open_envelope(apdu[:length])


def test_services_without_ciphered_variant() -> None:
    with pytest.raises(EncodeError):
        seal_glo(0x0F, b"")
