from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocols.dlms.codec_strategies import DATA, damaged, value_or_decode_error

from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.axdr import BitString, Data, Tag, TypeDescription
from meterops.protocols.dlms.errors import DecodeError, EncodeError


@pytest.mark.parametrize(
    ("octets", "data", "plain"),
    [
        ("00", axdr.null(), None),
        ("ff", axdr.dont_care(), None),
        ("0301", axdr.boolean(True), True),
        ("0300", axdr.boolean(False), False),
        ("0405b0", axdr.bit_string("10110"), BitString(5, b"\xb0")),
        ("05ffffffff", axdr.int32(-1), -1),
        ("0600000552", axdr.uint32(1362), 1362),
        ("09060100010800ff", axdr.octets(bytes.fromhex("0100010800ff")), bytes.fromhex("0100010800ff")),
        ("0a03e96162", axdr.visible_string("éab"), "éab"),
        ("0c03c3a962", axdr.utf8_string("éb"), "éb"),
        ("0d42", axdr.bcd(0x42), 0x42),
        ("0ffe", axdr.int8(-2), -2),
        ("10fffe", axdr.int16(-2), -2),
        ("11fe", axdr.uint8(254), 254),
        ("12fffe", axdr.uint16(65534), 65534),
        ("14fffffffffffffffe", axdr.int64(-2), -2),
        ("15fffffffffffffffe", axdr.uint64(2**64 - 2), 2**64 - 2),
        ("161b", axdr.enum(27), 27),
        ("173fc00000", axdr.float32(1.5), 1.5),
        ("183ff8000000000000", axdr.float64(1.5), 1.5),
        ("1907e709100500000000800000", axdr.date_time(bytes.fromhex("07e709100500000000800000")), None),
        ("1a07e7091005", axdr.date(bytes.fromhex("07e7091005")), bytes.fromhex("07e7091005")),
        ("1b0c1e00ff", axdr.time(bytes.fromhex("0c1e00ff")), bytes.fromhex("0c1e00ff")),
        ("1cff", Data(Tag.DELTA_INT8, -1), -1),
        ("1dffff", Data(Tag.DELTA_INT16, -1), -1),
        ("1effffffff", Data(Tag.DELTA_INT32, -1), -1),
        ("1fff", Data(Tag.DELTA_UINT8, 255), 255),
        ("20ffff", Data(Tag.DELTA_UINT16, 65535), 65535),
        ("21ffffffff", Data(Tag.DELTA_UINT32, 2**32 - 1), 2**32 - 1),
        ("0102110112ffff", axdr.array(axdr.uint8(1), axdr.uint16(65535)), [1, 65535]),
        ("02020f00161b", axdr.structure(axdr.int8(0), axdr.enum(27)), [0, 27]),
    ],
)
def test_every_type_reads_and_writes(octets: str, data: Data, plain: object) -> None:
    raw = bytes.fromhex(octets)
    assert axdr.decode_all(raw) == data
    assert axdr.encode(data) == raw
    assert axdr.decode_plain(raw) == (data.value if data.tag is Tag.DATE_TIME else plain, len(raw))


def test_a_compact_array_of_structures_with_an_array_inside() -> None:
    description = TypeDescription(
        Tag.STRUCTURE,
        (
            TypeDescription(Tag.UINT16),
            TypeDescription(Tag.ARRAY, (TypeDescription(Tag.INT8),), 2),
            TypeDescription(Tag.OCTET_STRING),
        ),
    )
    elements = [
        axdr.structure(axdr.uint16(1), axdr.array(axdr.int8(-1), axdr.int8(2)), axdr.octets(b"ab")),
        axdr.structure(axdr.uint16(2), axdr.array(axdr.int8(3), axdr.int8(4)), axdr.octets(b"")),
    ]
    data = axdr.compact_array(description, elements)
    raw = bytes.fromhex("13 0203 12 010002 0f 09 0c 0001 ff02 026162 0002 0304 00")
    assert axdr.encode(data) == raw
    assert axdr.decode_all(raw) == data
    assert axdr.decode_plain(raw)[0] == [[1, [-1, 2], b"ab"], [2, [3, 4], b""]]


def test_a_compact_array_of_plain_numbers() -> None:
    raw = bytes.fromhex("13 06 08 00000001 00000002")
    assert axdr.decode_plain(raw) == ([1, 2], len(raw))


@pytest.mark.parametrize("length", ["810c", "82000c", "8300000c", "840000000c"])
def test_long_form_lengths_are_read_where_short_ones_would_do(length: str) -> None:
    raw = bytes.fromhex("09" + length) + bytes(12)
    assert axdr.decode_plain(raw) == (bytes(12), len(raw))
    assert axdr.decode_all(raw) == axdr.octets(bytes(12))
    assert axdr.decode_plain(bytes.fromhex("01" + length) + bytes(12))[0] == [None] * 12


@pytest.mark.parametrize("size", [0, 127, 128, 255, 256, 65535, 65536])
def test_lengths_are_written_in_their_shortest_form(size: int) -> None:
    encoded = axdr.encode_length(size)
    assert axdr.decode_length(encoded, 0) == (size, len(encoded))
    assert len(encoded) == (1 if size < 128 else 2 if size < 256 else 3 if size < 65536 else 4)


@pytest.mark.parametrize(
    ("octets", "what", "offset"),
    [
        ("", "tag missing", 0),
        ("06000000", "UINT32: cut short", 0),
        ("020212ff", "UINT16: cut short", 2),
        ("02 05 00", "5 elements announced", 0),
        ("0905aabb", "5 octets announced, 2 left", 1),
        ("0980", "length of 0 octets", 1),
        ("098201", "length cut short", 1),
        ("0985000000000000", "length of 5 octets", 1),
        ("040caa", "12 bits announced", 1),
        ("07", "unknown tag 7", 0),
        ("0101 fe", "unknown tag 254", 2),
        ("13 13 00", "type description: tag 19", 1),
        ("13 01 00", "number of elements cut short", 1),
        ("13 00 01 00", "elements of no octets", 3),
        ("13 06 05 0000000100", "UINT32: cut short", 7),
        ("13 06 7f 00", "127 octets announced", 2),
    ],
)
def test_an_error_says_what_and_where(octets: str, what: str, offset: int) -> None:
    raw = bytes.fromhex(octets)
    for decode in (axdr.decode, axdr.decode_plain):
        with pytest.raises(DecodeError) as caught:
            decode(raw)
        assert what in str(caught.value) or decode is axdr.decode_plain
        assert caught.value.offset == offset
        assert f"at octet {offset}" in str(caught.value)


def test_octets_after_the_value_are_refused_unless_allowed() -> None:
    with pytest.raises(DecodeError, match="1 octets too many at octet 2"):
        axdr.decode_all(b"\x11\x01\x00")
    assert axdr.decode_all(b"\x11\x01\x00", allow_trailing=True) == axdr.uint8(1)


@pytest.mark.parametrize("opening", [b"\x01\x01", b"\x02\x01"])
def test_nesting_has_a_limit_that_neither_decoder_passes(opening: bytes) -> None:
    fits = opening * axdr.MAX_DEPTH + b"\x00"
    assert axdr.encode(axdr.decode_all(fits)) == fits
    for decode in (axdr.decode, axdr.decode_plain):
        with pytest.raises(DecodeError, match="nested deeper"):
            decode(opening * 100_000 + b"\x00")
    with pytest.raises(DecodeError, match="nested deeper"):
        axdr.decode(b"\x13" + b"\x01\x00\x01" * 100_000)


def test_a_compact_array_cannot_unfold_without_bound() -> None:
    # 65,535 times 65,535 nulls, described in a dozen octets.
    bomb = bytes.fromhex("13 0202 11 01ffff 01ffff 00 01 00")
    with pytest.raises(DecodeError, match="unfolds to too many"):
        axdr.decode_plain(bomb)
    wide = bytes.fromhex("13 0202 11 01ffff 00 01 00")
    with pytest.raises(DecodeError, match="unfolds to too many"):
        axdr.decode_plain(b"\x01\x7f" + wide * 127)


@pytest.mark.parametrize(
    "data",
    [
        axdr.uint8(256),
        axdr.uint8(-1),
        axdr.int8(128),
        axdr.uint32(2**32),
        axdr.float32(1e300),
        axdr.date_time(bytes(11)),
        Data(Tag.UINT8, "1"),
        Data(Tag.OCTET_STRING, "text"),
        Data(Tag.BIT_STRING, BitString(9, b"\x00")),
        Data(Tag.BIT_STRING, b"\x00"),
        Data(Tag.COMPACT_ARRAY, ()),
        axdr.compact_array(TypeDescription(Tag.UINT8), [axdr.uint16(1)]),
        axdr.compact_array(TypeDescription(Tag.STRUCTURE, (TypeDescription(Tag.UINT8),)), [axdr.structure()]),
        axdr.compact_array(TypeDescription(Tag.COMPACT_ARRAY), []),
    ],
)
def test_a_value_its_type_cannot_carry_is_refused(data: Data) -> None:
    with pytest.raises(EncodeError):
        axdr.encode(data)


def test_visible_strings_take_latin_1_only() -> None:
    with pytest.raises(EncodeError):
        axdr.visible_string("кВт")


def test_raw_descriptors_are_recognized_only_on_request() -> None:
    raw = bytes.fromhex("0202 0003 0100010700ff 02 0600000003")
    data, end = axdr.decode(raw, raw_descriptors=True)
    assert end == len(raw)
    assert data == axdr.structure(Data(Tag.RAW_DESCRIPTOR, raw[2:11]), axdr.uint32(3))
    assert axdr.encode(data) == raw
    assert axdr.decode(raw)[0].elements[0] == axdr.null()


def test_bit_strings_read_as_text_number_and_bits() -> None:
    bits = BitString.of("101100001")
    assert (str(bits), int(bits), bits[0], bits[1], bits[8]) == ("101100001", 0b101100001, True, False, True)
    with pytest.raises(IndexError):
        bits[9]


def test_only_sequences_have_elements() -> None:
    with pytest.raises(DecodeError, match="UINT8 where an array or structure was expected"):
        _ = axdr.uint8(1).elements


@given(DATA)
def test_what_was_written_is_read_again(data: Data) -> None:
    raw = axdr.encode(data)
    assert axdr.decode_all(raw) == data
    assert axdr.decode_plain(raw) == (data.plain(), len(raw))
    assert axdr.end_of(raw) == len(raw)


@given(st.binary(max_size=80) | damaged(DATA.map(axdr.encode)))
def test_any_octets_give_a_value_or_a_decode_error_from_both_decoders_alike(raw: bytes) -> None:
    typed = value_or_decode_error(axdr.decode, raw)
    plain = value_or_decode_error(axdr.decode_plain, raw)
    assert (typed is None) == (plain is None)
    if typed is None:
        return
    data, end = typed
    assert plain[1] == end
    assert repr(plain[0]) == repr(data.plain())  # NaN is not equal to itself
    again = axdr.encode(data)
    assert axdr.encode(axdr.decode_all(again)) == again


@given(st.binary(max_size=80) | damaged(DATA.map(axdr.encode)))
def test_raw_descriptors_are_as_safe(raw: bytes) -> None:
    value_or_decode_error(lambda octets: axdr.decode(octets, raw_descriptors=True), raw)


def test_decoding_takes_any_buffer() -> None:
    raw = struct.pack(">BI", 6, 7)
    for buffer in (raw, bytearray(raw), memoryview(raw)):
        assert axdr.decode_plain(buffer)[0] == 7
        assert axdr.decode(buffer)[0] == axdr.uint32(7)
