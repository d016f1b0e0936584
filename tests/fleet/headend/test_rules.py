"""When a schedule is due, and what follows a failure."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterops.fleet.headend.errors import ErrorClass
from meterops.fleet.headend.lanes import Lane
from meterops.fleet.headend.rules import (
    LONGEST_PAUSE_S,
    RETRY_RULES,
    Cadence,
    due_slots,
    may_retry,
    next_slot,
    pause_before_next_pass,
)

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
MOMENTS = st.integers(1_577_836_800, 2_208_988_800).map(lambda epoch: datetime.fromtimestamp(epoch, UTC))


def test_quarter_hourly_slots_follow_the_period_and_its_offset() -> None:
    cadence = Cadence(900, 60)
    assert next_slot(cadence, datetime(2026, 3, 1, 10, 0, tzinfo=UTC)) == datetime(2026, 3, 1, 10, 1, tzinfo=UTC)
    assert next_slot(cadence, datetime(2026, 3, 1, 10, 1, tzinfo=UTC)) == datetime(2026, 3, 1, 10, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "wall"),
    [
        (datetime(2026, 3, 29, 12, tzinfo=UTC), "2026-03-30T00:15:00+02:00"),
        (datetime(2026, 10, 25, 12, tzinfo=UTC), "2026-10-26T00:15:00+01:00"),
    ],
)
def test_a_nightly_slot_stays_on_the_clock_on_the_wall_when_the_clocks_change(day: datetime, wall: str) -> None:
    cadence = Cadence(86_400, 900, AMSTERDAM)
    assert next_slot(cadence, day) == datetime.fromisoformat(wall)


@given(MOMENTS, st.integers(0, 86_399))
def test_a_local_day_has_exactly_one_nightly_slot(start: datetime, offset: int) -> None:
    cadence = Cadence(86_400, offset, AMSTERDAM)
    slots = due_slots(cadence, start, start + timedelta(days=10))
    assert len(slots) in (9, 10, 11)
    assert all(timedelta(hours=22) < b - a < timedelta(hours=26) for a, b in pairwise(slots))


@given(MOMENTS, st.sampled_from([10, 60, 300, 900, 3600, 21_600, 86_400]), st.integers(0, 200))
def test_every_missed_slot_is_due_once_and_in_order(last: datetime, period: int, missed: int) -> None:
    cadence = Cadence(period, period // 3)
    now = last + timedelta(seconds=period * missed)
    slots = due_slots(cadence, last, now)
    assert len(slots) == missed
    assert slots == sorted(set(slots))
    assert all(last < slot <= now and slot.timestamp() % period == period // 3 for slot in slots)


@pytest.mark.parametrize("wrong", [(5, 0, None), (900, 900, None), (900, -1, None), (3600, 0, AMSTERDAM)])
def test_a_cadence_that_makes_no_sense_is_refused(wrong: tuple[int, int, ZoneInfo | None]) -> None:
    with pytest.raises(ValueError, match="schedule"):
        Cadence(*wrong)


def test_a_refusal_is_final_and_silence_is_not() -> None:
    assert not may_retry(ErrorClass.REFUSED, 1)
    assert may_retry(ErrorClass.UNREACHABLE, 7)
    assert not may_retry(ErrorClass.UNREACHABLE, 8)


@given(st.sets(st.sampled_from(list(ErrorClass))), st.integers(0, 60))
def test_pauses_grow_and_end(errors: set[ErrorClass], passes: int) -> None:
    pause, later = pause_before_next_pass(errors, passes), pause_before_next_pass(errors, passes + 1)
    assert 0 <= pause <= later <= LONGEST_PAUSE_S
    assert set(RETRY_RULES) == set(ErrorClass)


def test_a_power_check_asks_a_silent_meter_twice_and_no_more() -> None:
    assert may_retry(ErrorClass.TIMEOUT, 1, Lane.OUTAGE_CHECK)
    assert not may_retry(ErrorClass.TIMEOUT, 2, Lane.OUTAGE_CHECK)
    assert may_retry(ErrorClass.TIMEOUT, 2, Lane.SCHEDULED_READ)
