"""What one connection brings: either framing, cut anywhere, with damage behind what was whole."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocols.dlms.test_capture import LLC, hdlc

from meterops.protocols.dlms.errors import DecodeError
from meterops.protocols.dlms.framing import PushReceiver, WrapperLink

APDUS = st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=5)
FRAMINGS = {"wrapper": lambda apdu: WrapperLink(1, 1).send(apdu), "hdlc": lambda apdu: hdlc(LLC + apdu)}
DAMAGE = {"wrapper": b"\x00\x07" + bytes(20), "hdlc": b"\x7e\x11\x11\x11" + bytes(20)}


def received(octets: bytes, cuts: list[int]) -> tuple[list[bytes], bool]:
    """The APDUs that come of octets in pieces, and whether it ended with damage."""
    receiver, found = PushReceiver(), []
    places = sorted({min(cut, len(octets)) for cut in cuts} | {0, len(octets)})
    try:
        for first, last in pairwise(places):
            piece = octets[first:last]
            while apdus := receiver.feed(piece):
                found += apdus
                piece = b""
    except DecodeError:
        return found, True
    return found, False


@pytest.mark.parametrize("framing", FRAMINGS)
@given(apdus=APDUS, cuts=st.lists(st.integers(0, 400), max_size=6), is_damaged=st.booleans())
def test_whatever_was_whole_comes_however_it_is_cut_and_damage_is_said(
    framing: str, apdus: list[bytes], cuts: list[int], is_damaged: bool
) -> None:
    octets = b"".join(map(FRAMINGS[framing], apdus)) + (DAMAGE[framing] if is_damaged else b"")
    assert received(octets, cuts) == (apdus, is_damaged)


@given(octets=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=6))
def test_anything_else_is_an_error_or_waits(octets: bytes, cuts: list[int]) -> None:
    received(octets, cuts)
