"""Half-open periods, and identifiers that sort by time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterops.kernel.ids import new_id
from meterops.kernel.interval import Interval

START = datetime(2026, 3, 1, tzinfo=UTC)
moments = st.integers(0, 50).map(lambda minutes: START + timedelta(minutes=minutes))
intervals = st.tuples(moments, moments).map(lambda both: Interval(min(both), max(both)))


@given(intervals, intervals, moments)
def test_the_part_in_both_holds_the_moments_in_both(one: Interval, other: Interval, moment: datetime) -> None:
    shared = one.intersection(other)
    assert (shared is not None and moment in shared) == (moment in one and moment in other)
    assert shared == other.intersection(one)
    assert one.overlaps(other) == other.overlaps(one)


@given(intervals)
def test_the_start_belongs_to_it_and_the_end_does_not(one: Interval) -> None:
    assert (one.starts_at in one) == (one.duration > timedelta())
    assert one.ends_at not in one


def test_bounds_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="carry their time zone"):
        Interval(START.replace(tzinfo=None), START)
    with pytest.raises(ValueError, match="ends at or after its start"):
        Interval(START, START - timedelta(seconds=1))


def test_identifiers_are_of_version_7_and_sort_by_their_millisecond() -> None:
    made = [new_id() for _ in range(2000)]
    assert len(set(made)) == len(made)
    assert {(one.version, one.variant) for one in made} == {(7, RFC_4122)}
    assert [one.int >> 80 for one in made] == sorted(one.int >> 80 for one in made)
