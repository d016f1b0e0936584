"""Counters are given out once and never lowered; received ones must rise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterops.protocols.dlms.errors import SecurityError, SecurityFault
from meterops.protocols.dlms.security import CounterRange, InvocationCounter, ReplayGuard


@given(st.integers(0, 2**32 - 20), st.lists(st.one_of(st.none(), st.integers(0, 2**32 + 5)), max_size=40))
def test_no_value_is_given_out_twice_whatever_is_asked(first: int, steps: list[int | None]) -> None:
    counters = CounterRange(first, first + 20)
    given_out: list[int] = []
    refused: list[tuple[SecurityFault, int]] = []
    for step in steps:
        if step is not None:
            counters.raise_to(step)
            continue
        try:
            given_out.append(counters.take())
        except SecurityError as error:
            refused.append((error.reason, counters.remaining))
    assert set(refused) <= {(SecurityFault.COUNTER_EXHAUSTED, 0)}
    assert given_out == sorted(set(given_out))
    assert all(first <= value < first + 20 for value in given_out)


def test_the_last_value_of_all_is_used_once() -> None:
    counters = InvocationCounter(2**32 - 1)
    assert counters.take() == 2**32 - 1
    with pytest.raises(SecurityError):
        counters.take()
    counters.raise_to(0)
    assert counters.remaining == 0


@pytest.mark.parametrize(("first", "ends"), [(-1, 5), (5, 4), (0, 2**32 + 1)])
def test_a_range_lies_within_32_bits(first: int, ends: int) -> None:
    with pytest.raises(ValueError, match="counter range"):
        CounterRange(first, ends)


def test_received_counters_rise_and_may_start_at_zero() -> None:
    guard = ReplayGuard()
    for counter in (0, 1, 7):
        guard.accept(counter)
    for counter in (7, 3, 0):
        with pytest.raises(SecurityError) as caught:
            guard.accept(counter)
        assert caught.value.reason is SecurityFault.REPLAY
    assert guard.last == 7
