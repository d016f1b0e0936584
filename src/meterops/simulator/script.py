"""Fits a scenario to a region: which meters each act befalls, when in the world's time, and what that does to supply.

Everything is drawn from the region's seed and the act's number, so a second start finds the same story.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from meterops.simulator.region import Region, cell_mrid, concentrator_mrid, point_mrid, transformer_mrid
from meterops.simulator.scenario import SUPPLY_KINDS, Act, Place, PlaceKind, Scenario, ScenarioRefused
from meterops.simulator.supply import SupplyGap, SupplyPlan

_ACT_OF: Final = 0xAC7
REPEATED_FOR_S: Final = 365 * 86_400.0
"""For how long of a run acts with `every` or a rate go on."""
MAX_REPEATS: Final = 2000
SPREAD: Final = 1.2
"""Sigma of the lognormal durations of acts that happen at a rate: one in ten lasts 4.7 times the median."""

Meters = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Happening:
    """An act at its time in the world (UTC epoch seconds; `ends_at` None is for good) and whom it befalls."""

    act: Act
    turn: int
    starts_at: float
    ends_at: float | None
    meters: Meters
    where: str

    @property
    def key(self) -> str:
        """Names it within the run."""
        return f"{self.act.number}.{self.turn}"


@dataclass(frozen=True, slots=True)
class Script:
    """A scenario fitted to a region."""

    scenario: Scenario
    happenings: tuple[Happening, ...]
    outages: SupplyPlan


def make_script(scenario: Scenario, region: Region, *, began_at: float) -> Script:
    """Fit a scenario that begins at a moment of the world.

    Raises `ScenarioRefused` for places that the region does not have.
    """
    found = [one for act in scenario.acts for one in _happenings(act, scenario, region, began_at)]
    found.sort(key=lambda one: one.starts_at)
    gaps = [
        SupplyGap(one.meters, int(one.starts_at), int(one.ends_at), one.act.phase)
        for one in found
        if one.act.kind in SUPPLY_KINDS and one.ends_at is not None
    ]
    return Script(scenario, tuple(found), SupplyPlan(gaps))


def _happenings(act: Act, scenario: Scenario, region: Region, began_at: float) -> Iterator[Happening]:
    said = f"{scenario.name}, act {act.number}"
    for turn, (at_s, for_s) in enumerate(_times(act, region, said)):
        dice = np.random.default_rng((region.seed, _ACT_OF, act.number, turn))
        starts_at = began_at + at_s / scenario.pace
        ends_at = None if for_s is None else starts_at + for_s / scenario.pace
        meters, where = _befallen(act.place, region, dice, said)
        yield Happening(
            act, turn, float(int(starts_at)), None if ends_at is None else float(int(ends_at)), meters, where
        )


def _times(act: Act, region: Region, said: str) -> list[tuple[float, float | None]]:
    """When an act begins and how long it lasts, in seconds of the script, in order."""
    if act.rate_per_year is None:
        turns = 1 if act.every_s is None else 1 + int(max(0.0, REPEATED_FOR_S - act.at_s) // act.every_s)
        return [(act.at_s + turn * (act.every_s or 0.0), act.for_s) for turn in range(min(turns, MAX_REPEATS))]
    dice = np.random.default_rng((region.seed, _ACT_OF, act.number, MAX_REPEATS))
    count = int(dice.poisson(act.rate_per_year * _count_of(act.place.kind, region)))
    at = np.sort(act.at_s + dice.uniform(0, REPEATED_FOR_S, count))[:MAX_REPEATS]
    if act.for_s is None:
        return [(one, None) for one in at.tolist()]
    factor = np.exp(np.clip(dice.normal(0, SPREAD, len(at)), -3, 3))
    return list(zip(at.tolist(), (factor * act.for_s).tolist(), strict=True))


def _befallen(place: Place, region: Region, dice: np.random.Generator, said: str) -> tuple[Meters, str]:
    """The meters at a place, and its name in the operator's records."""
    every = np.arange(region.meters, dtype=np.int32)
    if place.kind is PlaceKind.FLEET:
        return every, "the fleet"
    if place.kind is PlaceKind.METERS:
        count = place.count or max(1, round(place.share * region.meters))
        if count > region.meters:
            raise ScenarioRefused(f"{said}: {count} meters are wanted, the region has {region.meters}")
        return np.sort(dice.choice(every, count, replace=False)), f"{count} meters"
    number = _number_of(place, region, dice, said)
    return _at(place.kind, number, region, every)


def _number_of(place: Place, region: Region, dice: np.random.Generator, said: str) -> int:
    known = _count_of(place.kind, region)
    if place.number is None:
        return int(dice.integers(known))
    if place.number > known:
        raise ScenarioRefused(f"{said}: there is no {place.kind} {place.number}, the region has {known}")
    return place.number - 1


def _count_of(kind: PlaceKind, region: Region) -> int:
    grid = region.grid
    return {
        PlaceKind.SUBSTATION: len(grid.substation_x),
        PlaceKind.FEEDER: len(grid.feeder_substation),
        PlaceKind.TRANSFORMER: grid.transformers,
        PlaceKind.LV_FEEDER: len(grid.lv_transformer),
        PlaceKind.CONCENTRATOR: grid.transformers,
        PlaceKind.CELL: region.cells,
        PlaceKind.METER: grid.customers,
    }[kind]


def _at(kind: PlaceKind, number: int, region: Region, every: Meters) -> tuple[Meters, str]:
    grid = region.grid
    transformer = region.transformer_of
    feeder = grid.transformer_feeder[transformer]
    if kind is PlaceKind.METER:
        return every[number : number + 1], point_mrid(region, number)
    if kind is PlaceKind.LV_FEEDER:
        name = f"LV-{int(grid.lv_transformer[number]) + 1:05}-{int(grid.lv_number[number]) + 1}"
        return np.flatnonzero(grid.customer_lv == number).astype(np.int32), name
    if kind is PlaceKind.TRANSFORMER:
        return every[transformer == number], transformer_mrid(number)
    if kind is PlaceKind.FEEDER:
        return every[feeder == number], f"MV-{number + 1:04}"
    if kind is PlaceKind.SUBSTATION:
        return every[grid.feeder_substation[feeder] == number], f"SS-{number + 1:02}"
    if kind is PlaceKind.CONCENTRATOR:
        return every[region.meter_route == number], concentrator_mrid(number)
    return every[region.meter_route == -1 - number], cell_mrid(number)
