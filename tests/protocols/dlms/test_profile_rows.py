from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.protocols.dlms.codec_strategies import ENCODED, VALUES, damaged, scalar_of, value_or_decode_error

from meterops.protocols.dlms import axdr, cosem_time, profile_rows
from meterops.protocols.dlms.axdr import Data, Tag, TypeDescription
from meterops.protocols.dlms.errors import DecodeError
from meterops.protocols.dlms.profile_rows import decode_profile

START = 1_700_000_100
PERIOD_S = 900


def clock(row: int, deviation_minutes: int = 0) -> Data:
    return axdr.octets(cosem_time.encode_epoch(START + PERIOD_S * row, deviation_minutes))


def day(rows: int = 96) -> Data:
    """Clock, status and two energies, as most load profiles have them."""
    return axdr.array(
        axdr.structure(clock(row), axdr.uint8(row % 3), axdr.uint32(1000 + row), axdr.uint32(70 * row))
        for row in range(rows)
    )


def columns_of(buffer: Data, **options: Any) -> list[list[Any]]:
    return [list(column) for column in decode_profile(axdr.encode(buffer), **options).columns]


EXPECTED_DAY = [
    [START + PERIOD_S * row for row in range(96)],
    [row % 3 for row in range(96)],
    [1000 + row for row in range(96)],
    [70 * row for row in range(96)],
]


def test_a_day_reads_as_columns() -> None:
    rows = decode_profile(axdr.encode(day()))
    assert [list(column) for column in rows.columns] == EXPECTED_DAY
    assert len(rows) == rows.row_count == 96
    assert next(rows.rows()) == (START, 0, 1000, 0)
    assert rows.raw_clocks[1] == cosem_time.encode_epoch(START + PERIOD_S)


def test_deviations_are_taken_off() -> None:
    local = axdr.array(axdr.structure(clock(row, -60), axdr.uint32(row)) for row in range(5))
    assert columns_of(local)[0] == EXPECTED_DAY[0][:5]


def test_a_default_deviation_applies_where_none_is_given() -> None:
    octets = bytearray(cosem_time.encode_epoch(START))
    octets[9:11] = b"\x80\x00"
    buffer = axdr.array(axdr.structure(axdr.octets(octets), axdr.uint32(1)))
    assert columns_of(buffer)[0] == [START]
    assert columns_of(buffer, default_deviation_minutes=-120)[0] == [START - 7200]
    assert columns_of(buffer)[0] == [START]


@pytest.mark.parametrize("kept", [0, 1, 40])
def test_null_clocks_go_on_by_the_period(kept: int) -> None:
    rows = list(day().value)
    for index, row in enumerate(rows):
        if index > kept:
            rows[index] = axdr.structure(axdr.null(), *row.value[1:])
    assert columns_of(axdr.array(rows), period_s=PERIOD_S) == EXPECTED_DAY


def test_null_values_repeat_the_one_before() -> None:
    buffer = axdr.array(
        axdr.structure(clock(0), axdr.uint8(8), axdr.uint32(5)),
        axdr.structure(axdr.null(), axdr.null(), axdr.uint32(6)),
        axdr.structure(axdr.null(), axdr.null(), axdr.null()),
        axdr.structure(clock(5), axdr.uint8(9), axdr.null()),
        axdr.structure(axdr.null(), axdr.null(), axdr.uint32(7)),
    )
    assert columns_of(buffer, period_s=PERIOD_S) == [
        [START, START + 900, START + 1800, START + 4500, START + 5400],
        [8, 8, 8, 9, 9],
        [5, 6, 6, 6, 7],
    ]


def test_nulls_with_nothing_before_them_stay_null() -> None:
    rows = [axdr.structure(axdr.null(), axdr.null(), axdr.uint32(row)) for row in range(4)]
    assert columns_of(axdr.array(rows), period_s=PERIOD_S) == [[None] * 4, [None] * 4, [0, 1, 2, 3]]


def test_delta_values_add_up() -> None:
    buffer = axdr.array(
        axdr.structure(clock(0), axdr.uint32(1000)),
        axdr.structure(clock(1), Data(Tag.DELTA_UINT8, 5)),
        axdr.structure(clock(2), Data(Tag.DELTA_INT16, -20)),
        axdr.structure(clock(3), axdr.null()),
    )
    assert columns_of(buffer)[1] == [1000, 1005, 985, 985]


def test_a_delta_with_nothing_before_it_is_refused() -> None:
    with pytest.raises(DecodeError, match="row 1: a delta without a number before it"):
        columns_of(axdr.array(axdr.structure(clock(0), Data(Tag.DELTA_UINT8, 5))))


def test_a_compact_array_reads_the_same() -> None:
    description = TypeDescription(
        Tag.STRUCTURE, tuple(map(TypeDescription, (Tag.OCTET_STRING, Tag.UINT8, Tag.UINT32, Tag.UINT32)))
    )
    assert columns_of(axdr.compact_array(description, day().value)) == EXPECTED_DAY


def test_a_clock_that_names_no_instant_costs_nothing_but_itself() -> None:
    rows = list(day(4).value)
    rows[2] = axdr.structure(axdr.octets(cosem_time.UNSPECIFIED_CLOCK), *rows[2].value[1:])
    assert columns_of(axdr.array(rows))[0] == [START, START + 900, None, START + 2700]


def test_clocks_may_be_tagged_date_times_or_stand_in_another_column() -> None:
    tagged = axdr.array(
        axdr.structure(axdr.uint32(row), axdr.date_time(cosem_time.encode_epoch(START + row))) for row in range(4)
    )
    assert columns_of(tagged, clock_columns=(1,)) == [[0, 1, 2, 3], [START, START + 1, START + 2, START + 3]]
    assert columns_of(tagged, clock_columns=())[1] == [cosem_time.encode_epoch(START + row) for row in range(4)]


def test_strings_read_as_text() -> None:
    buffer = axdr.array(
        axdr.structure(axdr.visible_string("é"), axdr.utf8_string("ü"), axdr.octets(b"x")) for _ in range(3)
    )
    assert columns_of(buffer, clock_columns=()) == [["é"] * 3, ["ü"] * 3, [b"x"] * 3]


def test_no_rows_are_no_columns() -> None:
    assert decode_profile(b"\x01\x00").columns == ()
    assert len(decode_profile(b"\x13\x02\x01\x11\x00")) == 0


def test_octets_after_the_rows_do_not_matter() -> None:
    rows = decode_profile(axdr.encode(day()) + b"\x00\x00")
    assert [list(column) for column in rows.columns] == EXPECTED_DAY


@pytest.mark.parametrize(
    ("octets", "what"),
    [
        ("", "profile: empty"),
        ("0600000000", "neither array nor compact array"),
        ("010500", "5 rows announced, 1 octets left"),
        ("01011100", "row 1: not a structure"),
        ("0102 0201 1100 1100", "row 2: not a structure"),
        ("0102 0201 1100 0202 1100 1100", "row 2: 2 columns where 1 were expected"),
        ("0101 0201", "data: tag missing at octet 4"),
        ("0101 0201 0903aabbcc", "row 1: .* where a clock was expected"),
        ("0101 0201 0a0341424c", "row 1: 'ABL' where a clock was expected"),
        ("0102 0201 06000000", "cut short"),
        ("13 06 04 00000000", "something else than structures"),
    ],
)
def test_an_error_says_what_is_wrong(octets: str, what: str) -> None:
    with pytest.raises(DecodeError, match=what):
        decode_profile(bytes.fromhex(octets))


# --- both ways of reading give the same -----------------------------------------------------------

COLUMN_TAGS = sorted(set(VALUES) - {Tag.DONT_CARE, Tag.BIT_STRING})
CLOCKS = st.builds(
    lambda epoch, deviation: axdr.octets(cosem_time.encode_epoch(epoch, deviation)),
    st.integers(0, 2**32),
    st.sampled_from([0, -60, -120]),
) | st.binary(min_size=12, max_size=12).map(axdr.octets)


@st.composite
def profiles(draw: st.DrawFn) -> Data:
    """Rows of one kind, some with nulls in them, some with a first row of another kind."""
    tags = draw(st.lists(st.sampled_from(COLUMN_TAGS), min_size=1, max_size=4))
    count = draw(st.integers(1, 6))
    nulls = draw(st.sampled_from(["none", "after the first row", "anywhere"]))
    nullable = draw(st.sets(st.integers(0, len(tags))))

    def cell(row: int, column: int) -> Data:
        if column in nullable and (
            (nulls == "after the first row" and row > 0) or (nulls == "anywhere" and draw(st.booleans()))
        ):
            return axdr.null()
        return draw(CLOCKS) if column == 0 else draw(scalar_of(tags[column - 1]))

    return axdr.array(axdr.structure(cell(row, column) for column in range(len(tags) + 1)) for row in range(count))


def generic(raw: bytes, **options: Any) -> profile_rows.ProfileRows:
    """Read with the generic decoder alone."""
    count, start = axdr.decode_length(raw, 1)
    context = profile_rows._Context((0,), options["period_s"], 0)
    return profile_rows._from_rows(profile_rows._array_rows(raw, start, count), context)


@given(profiles())
def test_the_layout_and_the_generic_decoder_give_the_same(buffer: Data) -> None:
    raw = axdr.encode(buffer)
    expected = value_or_decode_error(lambda octets: generic(octets, period_s=PERIOD_S), raw)
    read = value_or_decode_error(lambda octets: decode_profile(octets, period_s=PERIOD_S), raw)
    again = value_or_decode_error(lambda octets: decode_profile(octets, period_s=PERIOD_S), raw)
    if expected is None:
        assert read is None
        return
    for rows in (read, again):
        assert repr([list(column) for column in rows.columns]) == repr([list(column) for column in expected.columns])
        assert list(rows.raw_clocks) == list(expected.raw_clocks)


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_octet_is_never_read_past(at: int, octet: int) -> None:
    """Changing any octet gives what the generic decoder gives for it, even where a known layout nearly fits."""
    raw = bytearray(axdr.encode(day(6)))
    decode_profile(raw)
    at %= len(raw)
    assume(at > 1)
    raw[at] = octet
    expected = value_or_decode_error(lambda octets: generic(octets, period_s=0), bytes(raw))
    read = value_or_decode_error(decode_profile, bytes(raw))
    assert (read is None) == (expected is None)
    if read is not None:
        assert repr([list(column) for column in read.columns]) == repr([list(c) for c in expected.columns])


@given(damaged(profiles().map(axdr.encode)) | ENCODED | st.binary(max_size=60))
def test_any_octets_give_rows_or_a_decode_error(raw: bytes) -> None:
    rows = value_or_decode_error(decode_profile, raw)
    if rows is not None:
        assert all(len(column) == rows.row_count for column in rows.columns)
