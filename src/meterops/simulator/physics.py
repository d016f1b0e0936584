"""Power flow of the region: from what customers draw to voltages, currents and the sums that transformers carry.

Each transformer with its cables is one network for `power-grid-model`, solved for a day's quarter-hours in one batch,
unbalanced, by iterative current injection. The medium-voltage side is a linear drop along each feeder. All customers of
a joint share its voltages; service cables are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from power_grid_model import (
    CalculationMethod,
    ComponentType,
    DatasetType,
    LoadGenType,
    PowerGridModel,
    WindingType,
    initialize_array,
)

from meterops.simulator.loads import STEPS, Watts, draw_day
from meterops.simulator.region import Region
from meterops.simulator.supply import NO_OUTAGES, SupplyPlan

MV_V: Final = 10_000.0
LV_V: Final = 400.0
_PHASE_V: Final = LV_V / 3**0.5

# Al 95 mm2 along the street, Al 240 mm2 at medium voltage; ohm per meter.
_LV_R, _LV_X = 0.320e-3, 0.082e-3
_ZERO_BY_ONE: Final = 4.0
_MV_R, _MV_X = 0.13e-3, 0.09e-3

_BUSBAR_OF: Final = 0xB05


@dataclass(slots=True)
class DayColumns:
    """A day of all meters of a region: 96 quarter-hours, customers first, then the sum meters.

    Energies are running totals since midnight in Wh and varh (int32), voltages tenths of a volt (phase, meter, step),
    currents hundredths of an ampere.
    """

    import_wh: NDArray[np.int32]
    export_wh: NDArray[np.int32]
    import_varh: NDArray[np.int32]
    voltage: NDArray[np.int16]
    current: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class FeederResult:
    """What a solved transformer has: phase voltages of its joints in V, (steps, joints, 3), and its output in W and var."""

    voltage: NDArray[np.float64]
    power: NDArray[np.float64]
    reactive: NDArray[np.float64]
    current: NDArray[np.float64]


class TransformerNetwork:
    """One transformer and its low-voltage cables. Node 0 is the MV side, 1 the LV busbar, then the joints."""

    def __init__(self, region: Region, number: int) -> None:
        """Build the network of transformer `number`."""
        grid = region.grid
        self.joints = slice(int(grid.joints_from[number]), int(grid.joints_from[number + 1]))
        self.customers = slice(int(grid.customers_from[number]), int(grid.customers_from[number + 1]))
        count = self.joints.stop - self.joints.start
        above = grid.joint_above[self.joints]
        self._count = count
        self.joint_of_customer = grid.customer_joint[self.customers] - self.joints.start
        self.first_customer = np.searchsorted(self.joint_of_customer, np.arange(count))
        self.model = PowerGridModel(
            {
                ComponentType.node: _nodes(count),
                ComponentType.line: _lines(
                    np.where(above < 0, 1, above - self.joints.start + 2), grid.joint_m[self.joints]
                ),
                ComponentType.transformer: _transformer(count, int(grid.transformer_kva[number])),
                ComponentType.source: _source(count),
                ComponentType.asym_load: _loads(count),
            }
        )

    def update(self, power: NDArray[np.float64], reactive: NDArray[np.float64], busbar: NDArray[np.float64]) -> Any:
        """Give a batch: loads of the joints (steps, joints, 3) in W and var, and the MV voltage per unit (steps)."""
        loads = initialize_array(DatasetType.update, ComponentType.asym_load, (len(power), self._count))
        loads["id"] = np.arange(self._count) + 3 * self._count + 10
        loads["p_specified"] = power
        loads["q_specified"] = reactive
        source = initialize_array(DatasetType.update, ComponentType.source, (len(power), 1))
        source["id"] = 2 * self._count + 5
        source["u_ref"] = busbar[:, None]
        return {ComponentType.asym_load: loads, ComponentType.source: source}

    def solve(self, batch: Any) -> FeederResult:
        """Solve a batch."""
        out = self.model.calculate_power_flow(
            symmetric=False,
            calculation_method=CalculationMethod.iterative_current,
            error_tolerance=1e-6,
            max_iterations=60,
            update_data=batch,
            output_component_types={
                ComponentType.node: ["u"],
                ComponentType.transformer: ["p_to", "q_to", "i_to"],
            },
        )
        transformer: Any = out[ComponentType.transformer]
        node: Any = out[ComponentType.node]
        return FeederResult(
            voltage=node["u"][:, 1:, :],
            power=-transformer["p_to"][:, 0, :],
            reactive=-transformer["q_to"][:, 0, :],
            current=transformer["i_to"][:, 0, :],
        )


def _nodes(count: int) -> Any:
    nodes = initialize_array(DatasetType.input, ComponentType.node, count + 2)
    nodes["id"] = np.arange(count + 2)
    nodes["u_rated"] = LV_V
    nodes["u_rated"][0] = MV_V
    return nodes


def _lines(above: NDArray[np.int64], length: NDArray[np.float64]) -> Any:
    count = len(length)
    lines = initialize_array(DatasetType.input, ComponentType.line, count)
    lines["id"] = np.arange(count) + count + 3
    lines["from_node"] = above
    lines["to_node"] = np.arange(count) + 2
    lines["from_status"] = lines["to_status"] = 1
    lines["r1"], lines["x1"] = _LV_R * length, _LV_X * length
    lines["r0"], lines["x0"] = _LV_R * length * _ZERO_BY_ONE, _LV_X * length * _ZERO_BY_ONE
    lines["c1"] = lines["c0"] = 1e-11
    lines["tan1"] = lines["tan0"] = 0.0
    lines["i_n"] = 270.0
    return lines


def _transformer(count: int, kva: int) -> Any:
    transformer = initialize_array(DatasetType.input, ComponentType.transformer, 1)
    rating = kva * 1000.0
    values = {
        "id": 2 * count + 4, "from_node": 0, "to_node": 1, "from_status": 1, "to_status": 1, "u1": MV_V, "u2": LV_V,
        "sn": rating, "uk": 0.04, "pk": 0.0105 * rating, "i0": 0.002, "p0": 0.0013 * rating,
        "winding_from": WindingType.delta, "winding_to": WindingType.wye_n, "clock": 11, "tap_side": 0, "tap_pos": 0,
        "tap_min": -2, "tap_max": 2, "tap_nom": 0, "tap_size": 250.0,
    }  # fmt: skip
    for name, value in values.items():
        transformer[name] = value
    return transformer


def _source(count: int) -> Any:
    source = initialize_array(DatasetType.input, ComponentType.source, 1)
    source["id"], source["node"], source["status"], source["u_ref"] = 2 * count + 5, 0, 1, 1.0
    source["sk"] = 1.5e8
    return source


def _loads(count: int) -> Any:
    loads = initialize_array(DatasetType.input, ComponentType.asym_load, count)
    loads["id"] = np.arange(count) + 3 * count + 10
    loads["node"] = np.arange(count) + 2
    loads["status"], loads["type"] = 1, LoadGenType.const_power
    loads["p_specified"] = loads["q_specified"] = 0.0
    return loads


class Physics:
    """Computes days of a region. A day depends on the seed, its number and the outages planned, on nothing else."""

    def __init__(self, region: Region, outages: SupplyPlan = NO_OUTAGES) -> None:
        """Build the networks of all transformers."""
        self.region = region
        self.outages = outages
        self.networks = [TransformerNetwork(region, number) for number in range(region.grid.transformers)]
        self.solved_load_steps = 0
        """How many loads have been solved for how many steps, together: what the work grows with."""

    def day(self, day: int) -> DayColumns:
        """Compute a day (days since 1970)."""
        region = self.region
        power, reactive = draw_day(region.seed, day, region.customers)
        alive = self.outages.alive(region, day)
        if alive is not None:
            mean = (alive * region.customers.split[:, :, None]).sum(axis=1)
            busbar = self._busbars(day, power * mean, reactive * mean)
        else:
            busbar = self._busbars(day, power, reactive)
        columns = _empty_columns(region.meters)
        for number, network in enumerate(self.networks):
            part = None if alive is None else alive[network.customers]
            self._solve(columns, number, (power, reactive), part, busbar[number])
        if alive is not None:
            self._darken_sums(columns, day)
        return columns

    def _busbars(self, day: int, power: Watts, reactive: Watts) -> NDArray[np.float64]:
        """The voltage at the MV side of each transformer per unit, (transformers, steps)."""
        grid = self.region.grid
        starts = grid.customers_from[:-1]
        p, q = np.add.reduceat(power, starts, axis=0), np.add.reduceat(reactive, starts, axis=0)
        drop = np.zeros(p.shape)
        for feeder in range(len(grid.feeder_substation)):
            row = np.flatnonzero(grid.transformer_feeder == feeder)
            row = row[np.argsort(grid.transformer_position[row])]
            through_p = np.cumsum(p[row][::-1], axis=0)[::-1]
            through_q = np.cumsum(q[row][::-1], axis=0)[::-1]
            length = grid.transformer_mv_m[row][:, None]
            drop[row] = np.cumsum(length * (_MV_R * through_p + _MV_X * through_q) / MV_V**2, axis=0)
        dice = np.random.default_rng((self.region.seed, _BUSBAR_OF, day))
        busbar = 1.015 + np.clip(np.cumsum(dice.normal(0, 0.0008, STEPS)), -0.006, 0.006)
        return busbar[None, :] - drop

    def _solve(
        self,
        columns: DayColumns,
        number: int,
        drawn: tuple[Watts, Watts],
        alive: NDArray[np.float32] | None,
        busbar: NDArray[np.float64],
    ) -> None:
        region, network = self.region, self.networks[number]
        split = region.customers.split[network.customers].T[:, :, None]
        p, q = (column[network.customers][None] * split for column in drawn)
        if alive is not None:
            p, q = p * alive.transpose(1, 0, 2), q * alive.transpose(1, 0, 2)
        joint_p, joint_q = (_joint_sums(one, network.first_customer) for one in (p, q))
        result = network.solve(network.update(joint_p, joint_q, busbar))
        self.solved_load_steps += p.shape[1] * STEPS
        volts = result.voltage[:, 1 + network.joint_of_customer, :].transpose(2, 1, 0)
        energy = p.sum(axis=0)
        _put_energies(columns, network.customers, energy, q.sum(axis=0))
        amps = np.hypot(p, q) / volts
        lit = np.ones(volts.shape, np.bool_) if alive is None else alive.transpose(1, 0, 2) > 0
        columns.voltage[:, network.customers] = np.rint(volts * lit * 10)
        columns.current[:, network.customers] = np.rint(amps * 100)
        if number < region.sum_meters:
            self._put_sum(columns, region.grid.customers + number, result)

    def _put_sum(self, columns: DayColumns, meter: int, result: FeederResult) -> None:
        place = slice(meter, meter + 1)
        _put_energies(columns, place, result.power.sum(axis=1)[None], result.reactive.sum(axis=1)[None])
        columns.voltage[:, place] = np.rint(result.voltage[:, 0, :].T[:, None] * 10)
        columns.current[:, place] = np.rint(result.current.T[:, None] * 100)

    def _darken_sums(self, columns: DayColumns, day: int) -> None:
        """A sum meter without supply shows no voltage."""
        customers = self.region.grid.customers
        for meter, phase, lit in self.outages.of_sum_meters(self.region, day):
            phases: Sequence[int] = range(3) if phase == 0 else (phase - 1,)
            for one in phases:
                columns.voltage[one, meter] *= lit
                columns.current[one, meter] *= lit
            assert meter >= customers  # noqa: S101  the plan gives sum meters only


def _joint_sums(per_customer: Watts, first_customer: NDArray[np.int64]) -> NDArray[np.float64]:
    """From (3, customers, steps) to (steps, joints, 3)."""
    sums = np.add.reduceat(per_customer, first_customer, axis=1, dtype=np.float64)
    return np.ascontiguousarray(sums.transpose(2, 1, 0))


def _empty_columns(meters: int) -> DayColumns:
    return DayColumns(
        import_wh=np.zeros((meters, STEPS), np.int32),
        export_wh=np.zeros((meters, STEPS), np.int32),
        import_varh=np.zeros((meters, STEPS), np.int32),
        voltage=np.zeros((3, meters, STEPS), np.int16),
        current=np.zeros((3, meters, STEPS), np.int32),
    )


def _put_energies(
    columns: DayColumns, place: slice, power: NDArray[np.floating[Any]], reactive: NDArray[np.floating[Any]]
) -> None:
    """Running totals of the day, rounded once: no error adds up within a day."""
    columns.import_wh[place] = _running(np.clip(power, 0, None))
    columns.export_wh[place] = _running(np.clip(-power, 0, None))
    columns.import_varh[place] = _running(np.clip(reactive, 0, None))


def _running(power: NDArray[np.floating[Any]]) -> NDArray[np.int32]:
    return np.rint(np.cumsum(power, axis=1, dtype=np.float64) / 4).astype(np.int32)
