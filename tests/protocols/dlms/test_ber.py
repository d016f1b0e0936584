from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocols.dlms.codec_strategies import damaged, value_or_decode_error

from meterops.protocols.dlms import ber
from meterops.protocols.dlms.errors import DecodeError


@pytest.mark.parametrize(
    ("value", "octets"),
    [
        (0, "020100"),
        (1, "020101"),
        (127, "02017f"),
        (128, "02020080"),
        (-1, "0201ff"),
        (-128, "020180"),
        (-129, "0202ff7f"),
    ],
)
def test_integers_are_written_in_the_fewest_octets(value: int, octets: str) -> None:
    assert ber.encode_integer(value).hex() == octets
    element, end = ber.decode_element(bytes.fromhex(octets), 0, "number")
    assert end == len(octets) // 2
    assert ber.decode_integer(element.contents, "number") == value


@pytest.mark.parametrize(
    ("octets", "what", "offset"),
    [
        ("", "field: missing", 0),
        ("04", "field: missing", 1),
        ("0405aa", "5 octets announced, 1 left", 0),
        ("048205", "length cut short", 1),
        ("0480", "length of 0 octets", 1),
        ("1f8100", "tag of several octets", 0),
    ],
)
def test_an_error_says_what_and_where(octets: str, what: str, offset: int) -> None:
    with pytest.raises(DecodeError, match=what) as caught:
        ber.decode_element(bytes.fromhex(octets), 0, "field")
    assert caught.value.offset == offset


def test_an_inner_element_of_another_tag_is_refused() -> None:
    element, _ = ber.decode_element(bytes.fromhex("a203040101"), 0, "result")
    with pytest.raises(DecodeError, match="tag 0x04 where 0x02 was expected at octet 2"):
        ber.unwrap(element, 0x02, "result")


@pytest.mark.parametrize("size", [0, 9])
def test_integers_have_one_to_eight_octets(size: int) -> None:
    with pytest.raises(DecodeError, match=f"INTEGER of {size} octets"):
        ber.decode_integer(bytes(size), "number")


@given(st.integers(0, 0x1E), st.binary(max_size=300))
def test_what_was_written_is_read_again(tag: int, contents: bytes) -> None:
    raw = ber.encode_element(tag, contents)
    element, end = ber.decode_element(raw, 0, "field")
    assert (element.tag, element.contents, end) == (tag, contents, len(raw))
    assert raw[element.contents_offset :] == contents


@given(st.binary(max_size=60) | damaged(st.binary(max_size=200).map(lambda octets: ber.encode_element(4, octets))))
def test_any_octets_give_elements_or_a_decode_error(raw: bytes) -> None:
    value_or_decode_error(lambda octets: ber.decode_elements(octets, 0, "field"), raw)
