"""The worked examples of the standards: Green Book tables 39 to 43, RFC 3394 section 4."""

from __future__ import annotations

import pytest

from meterops.protocols.dlms.errors import SecurityError, SecurityFault
from meterops.protocols.dlms.security import (
    KeyRing,
    SecurityControl,
    check_gmac_answer,
    gmac_answer,
    open_envelope,
    protect,
    seal_glo,
    unprotect,
    unwrap_key,
    wrap_key,
)

RING = KeyRing(
    encryption=bytes.fromhex("000102030405060708090A0B0C0D0E0F"),
    authentication=bytes.fromhex("D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF"),
)
SERVER = bytes.fromhex("4D4D4D0000BC614E")
CLIENT = bytes.fromhex("4D4D4D0000000001")
COUNTER = 0x01234567

INITIATE_REQUEST = bytes.fromhex("01011000112233445566778899AABBCCDDEEFF0000065F1F0400007E1F04B0")
GLO_INITIATE_REQUEST = bytes.fromhex(
    "21303001234567801302FF8A7874133D414CED25B42534D28DB0047720606B175BD52211BE6841DB204D39EE6FDB8E356855"
)
GET_REQUEST = bytes.fromhex("C0010000080000010000FF0200")

PROTECTED_GET = {
    "authenticated": "1001234567C0010000080000010000FF020006725D910F9221D263877516",
    "encrypted": "2001234567411312FF935A47566827C467BC",
    "both": "3001234567411312FF935A47566827C467BC7D825C3BE4A77C3FCC056B6B",
}
CONTROL = {
    "authenticated": SecurityControl(encrypted=False).octet,
    "encrypted": SecurityControl(authenticated=False).octet,
    "both": SecurityControl().octet,
}


def test_glo_initiate_request_is_the_green_book_one() -> None:
    assert seal_glo(0x01, protect(INITIATE_REQUEST, RING, SERVER, COUNTER, 0x30)) == GLO_INITIATE_REQUEST
    assert open_envelope(GLO_INITIATE_REQUEST).open(RING, SERVER) == INITIATE_REQUEST


@pytest.mark.parametrize("kind", PROTECTED_GET)
def test_get_request_is_protected_as_in_the_green_book(kind: str) -> None:
    expected = bytes.fromhex(PROTECTED_GET[kind])
    assert protect(GET_REQUEST, RING, SERVER, COUNTER, CONTROL[kind]) == expected
    assert unprotect(expected, RING, SERVER) == (GET_REQUEST, CONTROL[kind], COUNTER)


def test_hls5_pass_3_and_4() -> None:
    client_answer = gmac_answer(RING, CLIENT, 1, b"P6wRJ21F")
    server_answer = gmac_answer(RING, SERVER, COUNTER, b"K56iVagY")
    assert client_answer == bytes.fromhex("10000000011A52FE7DD3E72748973C1E28")
    assert server_answer == bytes.fromhex("1001234567FE1466AFB3DBCD4F9389E2B7")
    assert check_gmac_answer(RING, client_answer, CLIENT, b"P6wRJ21F") == 1
    assert check_gmac_answer(RING, server_answer, SERVER, b"K56iVagY") == COUNTER


@pytest.mark.parametrize(
    ("kek", "key", "wrapped"),
    [
        (
            "000102030405060708090A0B0C0D0E0F",
            "00112233445566778899AABBCCDDEEFF",
            "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5",
        ),
        (
            "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
            "00112233445566778899AABBCCDDEEFF",
            "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7",
        ),
        (
            "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
            "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
            "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21",
        ),
    ],
)
def test_key_wrap_of_rfc_3394(kek: str, key: str, wrapped: str) -> None:
    assert wrap_key(bytes.fromhex(kek), bytes.fromhex(key)) == bytes.fromhex(wrapped)
    assert unwrap_key(bytes.fromhex(kek), bytes.fromhex(wrapped)) == bytes.fromhex(key)


def test_a_wrapped_key_opens_only_with_its_master_key() -> None:
    wrapped = wrap_key(bytes(16), bytes(range(16)))
    with pytest.raises(SecurityError) as caught:
        unwrap_key(bytes(15) + b"\x01", wrapped)
    assert caught.value.reason is SecurityFault.BAD_TAG
    with pytest.raises(SecurityError):
        unwrap_key(bytes(16), wrapped[:-1])
