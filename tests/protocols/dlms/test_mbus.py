"""Wired M-Bus long frames with the segments of DLMS APDUs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterops.protocols.dlms.errors import DecodeError, EncodeError
from meterops.protocols.dlms.framing.mbus import MbusAssembly, MbusFrame, decode_frame


def frames_of(apdu: bytes, size: int) -> list[MbusFrame]:
    parts = [apdu[start : start + size] for start in range(0, len(apdu), size)] or [b""]
    return [MbusFrame(0x53, 0xFF, n % 16, n == len(parts) - 1, 1, 0x67, part) for n, part in enumerate(parts)]


@given(st.binary(min_size=1, max_size=3000), st.integers(1, 250))
def test_an_apdu_in_segments_comes_together_again(apdu, size):
    assembly = MbusAssembly()
    done = [assembly.take(decode_frame(frame.encode())[0]) for frame in frames_of(apdu, size)]
    assert done[-1] == apdu
    assert done[:-1] == [None] * (len(done) - 1)
    assert assembly.pending == 0


def test_a_missing_segment_is_said_and_the_next_apdu_is_read():
    first, _, third = frames_of(bytes(30), 10)
    assembly = MbusAssembly()
    assembly.take(first)
    with pytest.raises(DecodeError, match="segment 2 where segment 1 was expected"):
        assembly.take(third)
    assert assembly.take(frames_of(b"next", 10)[0]) == b"next"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda octets: octets[:-3], "cut short, 3 octets are missing"),
        (lambda octets: octets[:-1] + b"\x17", "no stop octet"),
        (lambda octets: octets[:-2] + bytes((octets[-2] ^ 1, 0x16)), "wrong checksum"),
        (lambda octets: b"\x68\x05\x06\x68" + octets[4:], "no long frame begins here"),
        (lambda octets: b"\x68\x02\x02\x68\x53\xff\x52\x16", "2 octets are too few"),
        (lambda octets: octets[:6] + b"\x78" + octets[7:-2] + bytes(((octets[-2] + 0x68) & 0xFF, 0x16)), "no DLMS"),
    ],
)
def test_what_is_wrong_with_a_frame_is_said(spoil, words):
    octets = frames_of(b"\x0f\x00\x00\x00\x01\x00\x00", 20)[0].encode()
    with pytest.raises(DecodeError, match=words):
        decode_frame(spoil(octets))


def test_damage_that_leaves_the_content_readable_can_be_told_instead():
    octets = bytearray(frames_of(b"hello", 20)[0].encode())
    octets[-2] ^= 0xFF
    damage: list[str] = []
    frame, end = decode_frame(bytes(octets), 0, damage)
    assert (frame.segment, end) == (b"hello", len(octets))
    assert damage == [f"M-Bus frame: wrong checksum at octet {len(octets) - 2}"]


def test_a_segment_that_does_not_fit_is_refused():
    with pytest.raises(EncodeError, match="at most 255"):
        MbusFrame(0x53, 0xFF, 0, True, 1, 0x67, bytes(251)).encode()


@given(st.binary(max_size=300))
def test_any_octets_give_a_frame_or_a_decode_error(octets):
    try:
        decode_frame(octets)
    except DecodeError as error:
        assert error.offset is not None
