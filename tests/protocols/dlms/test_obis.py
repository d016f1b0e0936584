from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocols.dlms.codec_strategies import value_or_decode_error

from meterops.protocols.dlms.errors import DecodeError
from meterops.protocols.dlms.obis import Obis


@pytest.mark.parametrize(
    ("text", "dotted"),
    [
        ("1.0.1.8.0.255", "1.0.1.8.0.255"),
        ("1-0:1.8.0*255", "1.0.1.8.0.255"),
        ("1-0:1.8.0", "1.0.1.8.0.255"),
        ("0-0:96.13.1.255", "0.0.96.13.1.255"),
        (" 0.0.1.0.0.255 ", "0.0.1.0.0.255"),
        ("1-0:1.8.0&5", "1.0.1.8.0.5"),
    ],
)
def test_the_usual_ways_to_write_a_code(text: str, dotted: str) -> None:
    assert str(Obis.parse(text)) == dotted


@pytest.mark.parametrize("text", ["", "1.8.0", "1.0.1.8.0.256", "1.0.1.8.0.255.1", "a.0.1.8.0.255", "1-0:1.8.0*999"])
def test_what_is_not_a_code_is_refused(text: str) -> None:
    with pytest.raises(DecodeError):
        Obis.parse(text)


@pytest.mark.parametrize("size", [0, 5, 7])
def test_a_code_has_six_octets(size: int) -> None:
    with pytest.raises(DecodeError, match=f"not {size}"):
        Obis(bytes(size))


def test_codes_compare_hash_sort_and_travel_by_their_octets() -> None:
    energy, clock = Obis.parse("1-0:1.8.0*255"), Obis(bytes((0, 0, 1, 0, 0, 255)))
    assert energy == Obis(energy.octets)
    assert hash(energy) == hash(Obis(bytes(energy)))
    assert energy != clock
    assert energy != "1.0.1.8.0.255"
    assert sorted([energy, clock]) == [clock, energy]
    assert pickle.loads(pickle.dumps(energy)) == energy
    assert Obis.of(energy.octets) is Obis.of(bytes(energy.octets))
    assert repr(energy) == "Obis('1.0.1.8.0.255')"


@given(st.binary(min_size=6, max_size=6))
def test_every_code_reads_back_from_its_text(octets: bytes) -> None:
    assert Obis.parse(str(Obis(octets))).octets == octets


@given(st.text(max_size=30))
def test_any_text_gives_a_code_or_a_decode_error(text: str) -> None:
    value_or_decode_error(lambda _: Obis.parse(text), b"")
