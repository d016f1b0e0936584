"""Packed sets of meters and of moments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterops.fleet.headend import meter_sets

IDS = st.integers(1, 2**31 - 1)


@given(st.sets(IDS, max_size=300))
def test_what_is_packed_comes_back_in_order(ids: set[int]) -> None:
    assert meter_sets.unpack(meter_sets.pack(ids)).tolist() == sorted(ids)


def test_neighbours_cost_little() -> None:
    assert len(meter_sets.pack(np.arange(10_000, 10_500, dtype=np.int32))) < 250


@given(st.dictionaries(IDS, st.integers(0, 2**40), max_size=200))
def test_moments_come_back(moments: dict[int, int]) -> None:
    assert meter_sets.unpack_moments(meter_sets.pack_moments(moments)) == moments


@given(st.binary(max_size=60))
def test_damaged_octets_are_named(octets: bytes) -> None:
    try:
        meter_sets.unpack(octets)
    except ValueError as error:
        assert "damaged" in str(error)


def test_no_moments_are_no_bytes() -> None:
    assert meter_sets.unpack_moments(b"") == {}
    with pytest.raises(ValueError, match="damaged"):
        meter_sets.unpack(b"")
