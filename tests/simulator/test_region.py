"""What a seed makes: whole numbers of meters, shapes of real low-voltage grids, places that do not overlap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterops.simulator.grid import LARGEST, RATINGS_KVA, SMALLEST
from meterops.simulator.region import (
    LAST_SAP,
    Addressing,
    address_of,
    generate_region,
    point_mrid,
)
from meterops.simulator.towns import CELL_M, latitude, longitude, street_name, town_name


@given(seed=st.integers(0, 2**40), meters=st.integers(2, 2500))
@settings(max_examples=60, deadline=None)
def test_a_region_has_exactly_the_meters_asked_for(seed, meters):
    region = generate_region(seed=seed, meters=meters)
    grid = region.grid
    assert region.meters == meters == grid.customers + region.sum_meters
    assert region.sum_meters == grid.transformers
    assert len(set(region.serials())) == meters
    assert len({region.system_title(meter) for meter in range(meters)}) == meters
    assert len({point_mrid(region, meter) for meter in range(meters)}) == meters
    assert all(len(region.logical_device_name(meter)) == 16 for meter in range(min(meters, 50)))
    assert grid.customers_from[-1] == grid.customers
    assert grid.joints_from[-1] == len(grid.joint_m)


@pytest.mark.parametrize(("seed", "meters"), [(0, 1), (0, 0), (-1, 100)])
def test_what_cannot_be_a_region_is_refused(seed, meters):
    with pytest.raises(ValueError, match=r"region has|seed is"):
        generate_region(seed=seed, meters=meters)


def test_transformers_have_the_sizes_of_real_ones():
    region = generate_region(seed=3, meters=6000)
    customers = np.diff(region.grid.customers_from)
    assert customers.min() >= SMALLEST
    assert customers.max() <= LARGEST
    assert set(region.grid.transformer_kva.tolist()) <= set(RATINGS_KVA)
    assert len(set(region.grid.transformer_kva.tolist())) >= 3
    bigger = region.grid.transformer_kva[customers > 95]
    assert bigger.min() == 630


def test_the_same_seed_is_the_same_region_and_another_is_another():
    one, same, other = (generate_region(seed=seed, meters=400) for seed in (1, 1, 2))
    for name in one.grid.__slots__:
        np.testing.assert_array_equal(getattr(one.grid, name), getattr(same.grid, name))
    assert list(one.serials()) == list(same.serials())
    assert one.keys(7).encryption == same.keys(7).encryption != other.keys(7).encryption
    assert not np.array_equal(one.grid.customer_x, other.grid.customer_x[: one.grid.customers])


def test_no_two_houses_stand_in_each_other():
    grid = generate_region(seed=11, meters=3000).grid
    place = grid.customer_x + 1j * grid.customer_y
    order = np.argsort(grid.customer_x)
    place = place[order]
    for ahead in range(1, 200):
        apart = np.abs(place[ahead:] - place[:-ahead])
        assert apart.min() > 5.0
    gaps = np.abs(
        (grid.transformer_x + 1j * grid.transformer_y)[:, None] - (grid.transformer_x + 1j * grid.transformer_y)
    )
    np.fill_diagonal(gaps, np.inf)
    assert gaps.min() > CELL_M * 0.85


def test_every_joint_hangs_under_one_of_its_own_feeder():
    grid = generate_region(seed=4, meters=1500).grid
    has_above = grid.joint_above >= 0
    above = grid.joint_above[has_above]
    assert np.all(above < np.flatnonzero(has_above))
    np.testing.assert_array_equal(grid.joint_lv[above], grid.joint_lv[has_above])
    np.testing.assert_array_equal(grid.joint_lv[grid.customer_joint], grid.customer_lv)
    np.testing.assert_array_equal(grid.lv_transformer[grid.customer_lv], grid.customer_transformer)


def test_the_region_lies_in_the_netherlands():
    grid = generate_region(seed=4, meters=20_000).grid
    north, east = latitude(grid.customer_y), longitude(grid.customer_x)
    assert 51.5 < north.min() < north.max() < 53.5
    assert 4.5 < east.min() < east.max() < 7.0


def test_streets_of_a_town_and_towns_have_names_of_their_own():
    assert len({street_name(3, number) for number in range(500)}) == 500
    assert len({town_name(number) for number in range(300)}) == 300


def test_meters_are_of_several_makes_and_one_version_has_defects():
    region = generate_region(seed=7, meters=2000)
    kinds = {(region.model(meter).name, region.firmware(meter)) for meter in range(2000)}
    assert len({name for name, _ in kinds}) == 5
    assert len(kinds) >= 8
    defective = [meter for meter in range(2000) if region.model(meter).defects_of(region.firmware(meter)).mute_share]
    assert 200 < len(defective) < 700
    single = region.customers.phase > 0
    phases = np.array([region.model(meter).phases for meter in range(region.grid.customers)])
    np.testing.assert_array_equal(phases == 1, single)


def test_most_meters_talk_through_a_concentrator_and_clocks_are_mostly_good():
    region = generate_region(seed=7, meters=5000)
    assert 0.75 < (region.meter_route >= 0).mean() < 0.9
    concentrated = region.meter_route >= 0
    np.testing.assert_array_equal(region.meter_route[concentrated], region.transformer_of[concentrated])
    drift = np.abs(region.meter_drift)
    assert 0.004 < (drift >= 5).mean() < 0.02
    assert drift.max() <= 60


@given(meter=st.integers(0, 5_000_000), port=st.integers(1, 65_535), addressing=st.sampled_from(Addressing))
def test_an_address_is_valid_or_refused(meter, port, addressing):
    try:
        address = address_of(meter, port, addressing)
    except ValueError:
        assert addressing is not Addressing.LOOPBACK
        return
    octets = [int(octet) for octet in address.host.split(".")]
    assert len(octets) == 4
    assert octets[0] == 127
    assert all(0 <= octet <= 255 for octet in octets)
    assert 1 <= octets[3] <= 254
    assert 1 <= address.port <= 65_535
    assert 1 <= address.server_sap <= LAST_SAP


def test_addresses_are_all_different():
    for addressing, count in ((Addressing.LOOPBACK, 70_000), (Addressing.PORT, 1000), (Addressing.SAP, 16_000)):
        assert len({address_of(meter, 4059, addressing) for meter in range(count)}) == count
