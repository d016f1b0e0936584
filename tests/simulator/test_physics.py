"""The power flow: energy balances, voltages in the band, days that come out the same, work that grows with the meters."""

import numpy as np
import pytest
from power_grid_model import CalculationMethod, ComponentType

from meterops.simulator.loads import DAY_S, STEPS, draw_day
from meterops.simulator.physics import Physics
from meterops.simulator.region import generate_region
from meterops.simulator.supply import SupplyGap, SupplyPlan

SUMMER, WINTER = 20_640, 20_470
REGION = generate_region(seed=7, meters=500)
PHYSICS = Physics(REGION)


def net(columns, rows):
    return (columns.import_wh[rows].astype(np.int64) - columns.export_wh[rows]).astype(float)


@pytest.mark.parametrize("day", [SUMMER, WINTER])
def test_what_a_transformer_gives_is_what_its_customers_take_and_its_cables_lose(day):
    """The losses are taken from the cables of the same network, solved for themselves."""
    columns = PHYSICS.day(day)
    power, reactive = draw_day(REGION.seed, day, REGION.customers)
    busbar = PHYSICS._busbars(day, power, reactive)
    for number, network in enumerate(PHYSICS.networks):
        split = REGION.customers.split[network.customers].T[:, :, None]
        p, q = (column[network.customers][None] * split for column in (power, reactive))
        joint_p, joint_q = (
            np.add.reduceat(one, network.first_customer, axis=1, dtype=float).transpose(2, 1, 0) for one in (p, q)
        )
        out = network.model.calculate_power_flow(
            symmetric=False,
            calculation_method=CalculationMethod.iterative_current,
            update_data=network.update(joint_p, joint_q, busbar[number]),
            output_component_types={ComponentType.line: ["p_from", "p_to"]},
        )[ComponentType.line]
        lost_wh = np.cumsum((out["p_from"] + out["p_to"]).sum(axis=(1, 2))) / 4
        customers = network.customers
        taken = net(columns, customers).sum(axis=0)
        given = net(columns, REGION.grid.customers + number)
        count = customers.stop - customers.start
        assert lost_wh[-1] > 10
        np.testing.assert_allclose(given, taken + lost_wh, atol=0.5 * count + 2)


@pytest.mark.parametrize("day", range(WINTER, WINTER + 360, 45))
def test_voltages_stay_within_a_tenth_of_nominal(day):
    volts = PHYSICS.day(day).voltage / 10
    assert volts.min() > 0.9 * 230
    assert volts.max() < 1.1 * 230
    assert np.ptp(volts) > 4


def test_energies_rise_and_currents_belong_to_them():
    columns = PHYSICS.day(WINTER)
    for energy in (columns.import_wh, columns.export_wh, columns.import_varh):
        assert np.all(np.diff(energy, axis=1) >= 0)
    customers = slice(0, REGION.grid.customers)
    watts = np.abs(np.diff(net(columns, customers), axis=1)) * 4
    apparent = (columns.voltage[:, customers, 1:] / 10 * columns.current[:, customers, 1:] / 100).sum(axis=0)
    assert np.all(apparent > watts * 0.98 - 20)
    alone = REGION.customers.phase == 2
    assert np.all(columns.current[0][customers][alone] == 0)
    assert np.any(columns.current[1][customers][alone] > 0)


def test_no_transformer_is_overloaded():
    columns = PHYSICS.day(WINTER)
    sums = slice(REGION.grid.customers, None)
    kva = (columns.voltage[:, sums] / 10.0 * columns.current[:, sums] / 100).sum(axis=0) / 1000
    assert np.all(kva.max(axis=1) < REGION.grid.transformer_kva)
    assert kva.max(axis=1).mean() > 15


def test_the_sun_shines_by_day_and_more_in_summer():
    summer, winter = (draw_day(7, day, REGION.customers)[0].astype(float) for day in (SUMMER, WINTER))
    roofs = REGION.customers.solar_w > 0
    assert summer[roofs, 40:56].mean() < summer[roofs, :12].mean()
    assert summer[roofs, 44:52].sum() < winter[roofs, 44:52].sum()


def test_a_day_is_the_same_whenever_it_is_asked_for():
    again = Physics(generate_region(seed=7, meters=500))
    again.day(SUMMER)
    one, two = PHYSICS.day(WINTER), again.day(WINTER)
    for name in one.__slots__:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert not np.array_equal(one.import_wh, PHYSICS.day(WINTER + 1).import_wh)


def test_work_grows_with_the_meters_and_with_nothing_else():
    solved, joints = [], []
    for meters in (300, 600, 1200):
        physics = Physics(generate_region(seed=2, meters=meters))
        physics.day(WINTER)
        solved.append(physics.solved_load_steps / physics.region.grid.customers)
        joints.append(len(physics.region.grid.joint_m) / physics.region.grid.customers)
    assert solved == [STEPS] * 3
    assert max(joints) < 0.4


def test_without_supply_nothing_is_drawn_and_nobody_else_notices():
    grid = REGION.grid
    starts_at = WINTER * DAY_S + 10 * 3600
    dark = np.flatnonzero(REGION.transformer_of == 2).astype(np.int32)
    plan = SupplyPlan([SupplyGap(dark, starts_at, starts_at + 4 * 3600)])
    whole, cut = PHYSICS.day(WINTER), Physics(REGION, plan).day(WINTER)
    during = slice(40, 56)
    assert np.all(cut.voltage[:, dark, during] == 0)
    assert np.all(np.diff(cut.import_wh[dark, 39:56], axis=1) <= 1)
    assert np.all(cut.voltage[:, dark, 56:] > 2000)
    others = np.setdiff1d(np.arange(grid.customers), dark)
    np.testing.assert_array_equal(cut.import_wh[others], whole.import_wh[others])
    lost = whole.import_wh[dark, -1].astype(int) - cut.import_wh[dark, -1]
    assert np.all(lost >= 0)
    assert lost.sum() > 10_000


def test_a_blown_fuse_takes_one_phase():
    feeder = np.flatnonzero(REGION.grid.customer_lv == 5).astype(np.int32)
    starts_at = WINTER * DAY_S + 10 * 3600 + 450
    plan = SupplyPlan([SupplyGap(feeder, starts_at, starts_at + 7200, phase=2)])
    columns = Physics(REGION, plan).day(WINTER)
    assert np.all(columns.voltage[1, feeder, 41:48] == 0)
    assert np.all(columns.voltage[0, feeder, 41:48] > 2000)
    assert np.all(columns.voltage[1, feeder, 40] > 2000)
    phase = REGION.customers.phase[feeder]
    for meter, of in zip(feeder.tolist(), phase.tolist(), strict=True):
        assert bool(plan.gaps_of(REGION, meter)) == (of == 2)
