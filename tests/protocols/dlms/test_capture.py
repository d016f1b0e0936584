"""Captures: framing told by looking, hexadecimal text of any layout, damage put up with and said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterops.protocols.dlms.apdu.block_transfer import GeneralBlockTransfer
from meterops.protocols.dlms.capture import octets_of, read_capture
from meterops.protocols.dlms.errors import DecodeError
from meterops.protocols.dlms.framing.hdlc_frames import FrameKind, HdlcAddress, HdlcFrame
from meterops.protocols.dlms.framing.mbus import MbusFrame
from meterops.protocols.dlms.framing.wrapper import WrapperLink

PUSH = bytes.fromhex("0f00000001000203 0601020304 0900 1601")
LLC = bytes.fromhex("e6e700")
METER, US = HdlcAddress(1, 17, 2), HdlcAddress(16)


def hdlc(information: bytes, *, segmented: bool = False) -> bytes:
    kind = FrameKind.UNNUMBERED_INFORMATION
    return HdlcFrame(US, METER, kind, information, segmented=segmented).encode()


def test_each_framing_is_told_by_looking():
    mbus = MbusFrame(0x53, 0xFF, 0, True, 1, 0x67, PUSH).encode()
    framed = {"hdlc": hdlc(LLC + PUSH), "mbus": mbus, "wrapper": WrapperLink(1, 102).send(PUSH), "raw": PUSH}
    for framing, octets in framed.items():
        capture = read_capture(octets)
        assert (capture.framing, capture.apdus, capture.damage) == (framing, [PUSH], [])


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "﻿{}\r\n",
        "# a comment\n{} // and one more\n",
        "0x7e, 0xa0\n",
    ],
)
def test_hexadecimal_text_of_any_layout(text):
    octets = hdlc(LLC + PUSH)
    if text.startswith("0x"):
        text = ", ".join(f"0x{octet:02X}" for octet in octets)
    for spaced in (octets.hex(), octets.hex(" ").upper(), octets.hex(":"), octets.hex("\n", 7)):
        assert read_capture(text.format(spaced).encode()).apdus == [PUSH]


def test_utf_16_text_is_read():
    assert octets_of("7E A0".encode("utf-16")) == b"\x7e\xa0"


def test_text_that_is_not_hexadecimal_is_refused_by_line_and_column():
    with pytest.raises(DecodeError, match="'x' in line 2, column 4 is no hexadecimal digit"):
        read_capture(b"7e a0\n12 x4")
    with pytest.raises(DecodeError, match="3 hexadecimal digits are not whole octets"):
        read_capture(b"7e a")


def test_several_telegrams_with_rubbish_between_and_around():
    one, two = hdlc(LLC + PUSH), hdlc(LLC + PUSH[:-1] + b"\x07")
    capture = read_capture(b"\x12\x34" + one + b"\x00\x01\x02" + two[1:] + b"\x55")
    assert capture.apdus == [PUSH]  # the second one lost its flag: it is passed over, and that is said
    capture = read_capture(b"\x12\x34" + one + b"\x00\x01\x02" + two + b"\x55")
    assert capture.apdus == [PUSH, PUSH[:-1] + b"\x07"]
    assert "2 octets from octet 0 on are no frame" in capture.damage[0]
    assert "1 octets from" in capture.damage[-1]
    assert read_capture(one[:-1] + two).apdus == capture.apdus, "one flag may end a frame and begin the next"


def test_wrong_checksums_are_said_and_the_content_is_read():
    octets = bytearray(hdlc(LLC + PUSH))
    octets[-2] ^= 1
    capture = read_capture(bytes(octets))
    assert capture.apdus == [PUSH]
    assert "wrong FCS" in capture.damage[0]


def test_segments_of_hdlc_and_general_blocks_come_together():
    middle = len(PUSH) // 2
    parts = hdlc(LLC + PUSH[:middle], segmented=True) + hdlc(PUSH[middle:])
    assert read_capture(parts).apdus == [PUSH]
    blocks = [
        GeneralBlockTransfer(False, True, 0, 1, 0, PUSH[:9]),
        GeneralBlockTransfer(True, False, 0, 2, 0, PUSH[9:]),
    ]
    framed = [WrapperLink(1, 102).send(block.encode()) for block in blocks]
    assert read_capture(b"".join(framed)).apdus == [PUSH]
    with pytest.raises(DecodeError, match="its last one"):
        read_capture(framed[0])
    with pytest.raises(DecodeError, match="block 2 of a push where block 1 was expected"):
        read_capture(framed[1])


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"", "empty"),
        (hdlc(LLC + PUSH)[:-6], "cut short, 5 octets are missing"),
        (WrapperLink(1, 102).send(PUSH)[:-4], "cut short, 4 octets are missing"),
        (MbusFrame(0x53, 0xFF, 0, True, 1, 0x67, PUSH).encode()[:-4], "cut short, 4 octets are missing"),
        (MbusFrame(0x53, 0xFF, 0, False, 1, 0x67, PUSH).encode(), "the last segment of an APDU"),
    ],
)
def test_a_capture_without_a_whole_apdu_says_what_is_there(octets, words):
    with pytest.raises(DecodeError, match=words):
        read_capture(octets)


@given(st.one_of(st.binary(max_size=400), st.binary(max_size=200).map(lambda rest: hdlc(LLC + PUSH) + rest)))
def test_any_octets_give_a_capture_or_a_decode_error(octets):
    try:
        capture = read_capture(octets)
    except DecodeError:
        return
    assert capture.apdus
