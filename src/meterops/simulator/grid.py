"""The electrical side of a region, in columns: substations, feeders, transformers, cables, and who is fed where.

Everything is numbered from 0. Customers, joints and LV feeders of one transformer stand together, so that a
transformer's part of any column is a slice (`joints_from`, `customers_from`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from meterops.simulator.towns import (
    MAX_STREETS,
    STREET_M,
    Floats,
    Ints,
    Neighborhoods,
    lay_out_neighborhoods,
    place_houses,
    street_offset,
)

SMALLEST: Final = 13
LARGEST: Final = 118
"""Customers of a transformer, as in SimBench's low-voltage grids."""
MEAN_CUSTOMERS: Final = 58
FEEDER_TRANSFORMERS: Final = 10
SUBSTATION_FEEDERS: Final = 12
CUSTOMERS_PER_STREET: Final = 26
CUSTOMERS_PER_JOINT: Final = 4

RATINGS_KVA: Final = (160, 250, 400, 630)
_RATING_CUSTOMERS: Final = (28, 58, 92)


@dataclass(frozen=True, slots=True)
class Grid:
    """Who hangs where. Lengths in meters, places in meters from the middle of the region."""

    substation_x: Floats
    substation_y: Floats
    substation_town: Ints

    feeder_substation: Ints

    transformer_feeder: Ints
    transformer_position: Ints
    """Place in the row of its feeder, from 0 at the substation."""
    transformer_mv_m: Floats
    """Length of the MV cable from the transformer (or substation) before."""
    transformer_kva: Ints
    transformer_town: Ints
    transformer_x: Floats
    transformer_y: Floats

    lv_transformer: Ints
    lv_number: Ints
    """Number of an LV feeder at its transformer, from 0."""
    lv_street: Ints
    """Number of the street it runs along, within the town."""

    joint_transformer: Ints
    joint_lv: Ints
    joint_above: Ints
    """The joint before (its number in the region), -1 at the transformer."""
    joint_m: Floats

    customer_transformer: Ints
    customer_lv: Ints
    customer_joint: Ints
    customer_number: Ints
    customer_x: Floats
    customer_y: Floats

    joints_from: NDArray[np.int64]
    customers_from: NDArray[np.int64]

    @property
    def transformers(self) -> int:
        """How many transformers."""
        return len(self.transformer_kva)

    @property
    def customers(self) -> int:
        """How many customers."""
        return len(self.customer_joint)


def generate_grid(dice: np.random.Generator, customers_of: list[int]) -> Grid:
    """Lay out a grid for transformers with these numbers of customers."""
    squares = lay_out_neighborhoods(dice, len(customers_of))
    feeder, position, mv_m, town_of_feeder = _medium_voltage(squares)
    feeder_substation, substation_town = _substations(town_of_feeder)
    low = _LowVoltage()
    for number, count in enumerate(customers_of):
        low.add(dice, number, count, squares)
    middles = [_middle_of(squares, town) for town in substation_town]
    kva = np.array(RATINGS_KVA, np.int32)[np.searchsorted(_RATING_CUSTOMERS, customers_of)]
    return Grid(
        substation_x=np.array([x for x, _ in middles]) + 140.0,
        substation_y=np.array([y for _, y in middles]) + 140.0,
        substation_town=np.array(substation_town, np.int32),
        feeder_substation=np.array(feeder_substation, np.int32),
        transformer_feeder=feeder,
        transformer_position=position,
        transformer_mv_m=mv_m,
        transformer_kva=kva,
        transformer_town=squares.town,
        transformer_x=squares.x,
        transformer_y=squares.y,
        **low.columns(),
        joints_from=np.concatenate(([0], np.cumsum(low.joint_counts))).astype(np.int64),
        customers_from=np.concatenate(([0], np.cumsum(customers_of))).astype(np.int64),
    )


def draw_customers(dice: np.random.Generator, meters: int) -> list[int]:
    """Share out `meters`, of which each transformer keeps one, into customers per transformer."""
    count = max(1, round(meters / (MEAN_CUSTOMERS + 1)))
    customers = max(meters - count, 1)
    if count == 1:
        return [customers]
    sizes = np.clip(np.rint(dice.gamma(5.0, MEAN_CUSTOMERS / 5.0, count)), SMALLEST, LARGEST).astype(int)
    while (excess := int(sizes.sum()) - customers) != 0:
        movable = np.flatnonzero(sizes > SMALLEST if excess > 0 else sizes < LARGEST)
        chosen = dice.choice(movable, min(abs(excess), len(movable)), replace=False)
        sizes[chosen] -= 1 if excess > 0 else -1
    return [int(size) for size in sizes]


class _LowVoltage:
    """Gathers the columns of LV feeders, joints and customers, transformer by transformer."""

    def __init__(self) -> None:
        self._columns: dict[str, list[NDArray[Any]]] = {}
        self._lv = 0
        self._joints = 0
        self._streets: dict[int, int] = {}
        self.joint_counts: list[int] = []

    def add(self, dice: np.random.Generator, number: int, count: int, squares: Neighborhoods) -> None:
        streets = min(MAX_STREETS, max(1, -(-count // CUSTOMERS_PER_STREET)))
        sizes = [count // streets + (street < count % streets) for street in range(streets)]
        houses = place_houses(sizes, float(squares.x[number]), float(squares.y[number]), float(squares.turn[number]))
        joints_of = [-(-size // CUSTOMERS_PER_JOINT) for size in sizes]
        starts = np.concatenate(([0], np.cumsum(joints_of)))
        town = int(squares.town[number])
        first_street = self._streets.get(town, 0)
        self._streets[town] = first_street + streets
        self._put(
            lv_transformer=np.full(streets, number, np.int32),
            lv_number=np.arange(streets, dtype=np.int32),
            lv_street=np.arange(first_street, first_street + streets, dtype=np.int32),
        )
        self._add_joints(dice, number, joints_of, starts)
        self._put(
            customer_transformer=np.full(count, number, np.int32),
            customer_lv=self._lv + houses.street,
            customer_joint=(self._joints + starts[houses.street] + (houses.number - 1) // CUSTOMERS_PER_JOINT).astype(
                np.int32
            ),
            customer_number=houses.number,
            customer_x=houses.x,
            customer_y=houses.y,
        )
        self._lv += streets
        self._joints += int(starts[-1])
        self.joint_counts.append(int(starts[-1]))

    def _add_joints(
        self, dice: np.random.Generator, number: int, joints_of: list[int], starts: NDArray[np.int64]
    ) -> None:
        """A cable from the transformer to the street's end and then from joint to joint."""
        total = int(starts[-1])
        street = np.repeat(np.arange(len(joints_of), dtype=np.int32), joints_of)
        above = self._joints + np.arange(total, dtype=np.int32) - 1
        above[starts[:-1]] = -1
        length = (STREET_M / np.array(joints_of, float))[street] * dice.uniform(0.9, 1.15, total)
        length[starts[:-1]] = 25.0 + np.abs(street_offset(len(joints_of), np.arange(len(joints_of), dtype=np.int32)))
        self._put(
            joint_transformer=np.full(total, number, np.int32),
            joint_lv=self._lv + street,
            joint_above=above.astype(np.int32),
            joint_m=length,
        )

    def _put(self, **columns: NDArray[Any]) -> None:
        for name, column in columns.items():
            self._columns.setdefault(name, []).append(column)

    def columns(self) -> dict[str, NDArray[Any]]:
        return {name: np.concatenate(parts) for name, parts in self._columns.items()}


def _middle_of(squares: Neighborhoods, town: int) -> tuple[float, float]:
    chosen = squares.town == town
    return float(squares.x[chosen].mean()), float(squares.y[chosen].mean())


def _medium_voltage(squares: Neighborhoods) -> tuple[Ints, Ints, Floats, list[int]]:
    """Feeders are sectors of a town; each goes from the middle outward from transformer to transformer."""
    feeder, position = np.empty((2, len(squares.town)), np.int32)
    length = np.empty(len(squares.town))
    town_of: list[int] = []
    for town in range(int(squares.town[-1]) + 1):
        members = np.flatnonzero(squares.town == town)
        x, y = _middle_of(squares, town)
        away = np.hypot(squares.x[members] - x, squares.y[members] - y)
        angle = np.arctan2(squares.y[members] - y, squares.x[members] - x)
        around = members[np.argsort(angle, kind="stable")]
        for sector in np.array_split(around, -(-len(around) // FEEDER_TRANSFORMERS)):
            outward = sector[np.argsort(away[np.searchsorted(members, sector)], kind="stable")]
            feeder[outward] = len(town_of)
            position[outward] = np.arange(len(outward))
            east = np.diff(squares.x[outward], prepend=x)
            north = np.diff(squares.y[outward], prepend=y)
            length[outward] = 80 + 1.25 * np.hypot(east, north)
            town_of.append(town)
    return feeder, position, length, town_of


def _substations(town_of_feeder: list[int]) -> tuple[list[int], list[int]]:
    """The substation of each feeder, and the town in which each substation stands."""
    feeder_substation: list[int] = []
    towns: list[int] = []
    fed = SUBSTATION_FEEDERS
    for town in town_of_feeder:
        if fed >= SUBSTATION_FEEDERS:
            towns.append(town)
            fed = 0
        feeder_substation.append(len(towns) - 1)
        fed += 1
    return feeder_substation, towns
