from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocols.dlms.codec_strategies import value_or_decode_error

from meterops.protocols.dlms import cosem_time
from meterops.protocols.dlms.cosem_time import CosemDate, CosemDateTime, CosemTime
from meterops.protocols.dlms.errors import DecodeError, EncodeError


def test_a_pushed_clock_reads_as_it_was_captured() -> None:
    # Landis+Gyr E450 in Central European Time, from its own push.
    clock = cosem_time.decode_date_time(bytes.fromhex("07e60215011125 1e ffffc400"))
    assert clock == CosemDateTime(2022, 2, 21, 1, 17, 37, 30, None, -60, 0)
    assert clock.to_epoch() == int(datetime(2022, 2, 21, 16, 37, 30, tzinfo=UTC).timestamp())
    assert clock.encode().hex() == "07e602150111251effffc400"


@given(
    st.integers(-62_135_000_000, 253_402_000_000),
    st.integers(-720, 720),
)
def test_epochs_are_written_and_read_as_the_calendar_has_them(epoch: int, deviation: int) -> None:
    octets = cosem_time.encode_epoch(epoch, deviation)
    local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=epoch)
    local = local.astimezone(timezone(timedelta(minutes=-deviation)))
    assert cosem_time.decode_date_time(octets) == CosemDateTime(
        local.year, local.month, local.day, local.isoweekday(), local.hour, local.minute, local.second, 0, deviation, 0
    )
    assert cosem_time.decode_epoch(octets) == epoch


def test_an_unspecified_deviation_is_the_one_the_caller_knows() -> None:
    octets = bytes.fromhex("07e7010105000000ff800000")
    midnight = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp())
    assert cosem_time.decode_epoch(octets) == midnight
    assert cosem_time.decode_epoch(octets, default_deviation_minutes=-60) == midnight - 3600


def test_unspecified_times_of_day_count_as_zero() -> None:
    assert cosem_time.decode_epoch(bytes.fromhex("07b20101ffffffffff800000")) == 0
    assert CosemDateTime(1970, 1, 2).to_epoch() == 86_400


def test_the_end_of_a_day_may_be_written_as_24_hours() -> None:
    assert cosem_time.decode_epoch(bytes.fromhex("07b20101ff18000000000000")) == 86_400


@pytest.mark.parametrize(
    ("octets", "what"),
    [
        ("ffffffffffffffffff800000", "no such date, year 65535"),
        ("07e7ff0105000000ff800000", "month 255"),
        ("07e7021d05000000ff800000", "day 29"),
        ("076c021d05000000ff800000", "day 29"),
        ("07e7010005000000ff800000", "day 0"),
        ("07e7010105190000ff800000", "hour 25"),
        ("07e70101050a3c00ff800000", "minute 60"),
        ("07e701010518003200800000", "hour 24"),
        ("07e7010105", "cut short"),
    ],
)
def test_a_clock_that_names_no_instant_is_refused(octets: str, what: str) -> None:
    with pytest.raises(DecodeError, match=what):
        cosem_time.decode_epoch(bytes.fromhex(octets))


@pytest.mark.parametrize(("epoch", "deviation"), [(2**40, 0), (-(2**40), 0), (0, 2000)])
def test_an_instant_outside_the_calendar_is_not_written(epoch: int, deviation: int) -> None:
    with pytest.raises(EncodeError):
        cosem_time.encode_epoch(epoch, deviation)


@given(st.binary(min_size=12, max_size=12))
def test_every_date_time_is_written_as_it_was_read(octets: bytes) -> None:
    assert cosem_time.decode_date_time(octets).encode() == octets
    value_or_decode_error(cosem_time.decode_epoch, octets)


@given(st.binary(min_size=5, max_size=5), st.binary(min_size=4, max_size=4))
def test_every_date_and_time_is_written_as_it_was_read(date: bytes, time: bytes) -> None:
    assert cosem_time.decode_date(date).encode() == date
    assert cosem_time.decode_time(time).encode() == time


@given(st.binary(max_size=20))
def test_another_number_of_octets_is_refused(octets: bytes) -> None:
    for size, decode in (
        (12, cosem_time.decode_date_time),
        (5, cosem_time.decode_date),
        (4, cosem_time.decode_time),
    ):
        value = value_or_decode_error(decode, octets)
        assert (value is None) == (len(octets) != size)


@pytest.mark.parametrize("value", [CosemDate(70000), CosemTime(300), CosemDateTime(status=300), CosemDate(2023, -1)])
def test_parts_that_do_not_fit_are_refused(value: CosemDate | CosemTime | CosemDateTime) -> None:
    with pytest.raises(EncodeError):
        value.encode()


def test_nothing_specified_is_a_constant() -> None:
    assert CosemDateTime().encode() == cosem_time.UNSPECIFIED_CLOCK
