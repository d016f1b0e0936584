"""What customers draw and feed in, quarter-hour by quarter-hour: homes, shops, solar roofs, car chargers, heat pumps.

A day is drawn from the region's seed and the day's number alone, so it comes out the same whenever it is asked for.
Powers are watts averaged over a quarter-hour; a column has 96 of them, the first from midnight UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from meterops.simulator.towns import MIDDLE_LATITUDE, Floats

Watts = NDArray[np.float32]

STEPS: Final = 96
STEP_S: Final = 900
DAY_S: Final = 86_400

_DAY_OF: Final = 0x10AD
_CUSTOMERS_OF: Final = 0xC057
_HOURS: Final = (np.arange(STEPS) + 0.5) / 4

# Mean power of a Dutch home over the day, UTC, relative to its mean: low at night, a morning and an evening peak.
_HOME_HOURLY: Final = (
    0.55, 0.48, 0.45, 0.44, 0.47, 0.62, 0.95, 1.08, 1.00, 0.93, 0.92, 0.96,
    1.00, 0.95, 0.94, 1.02, 1.35, 1.80, 1.92, 1.75, 1.50, 1.22, 0.95, 0.70,
)  # fmt: skip
_SHOP_HOURLY: Final = (
    0.35, 0.35, 0.35, 0.36, 0.40, 0.55, 0.95, 1.55, 1.85, 1.95, 1.98, 1.95,
    1.88, 1.90, 1.88, 1.80, 1.60, 1.10, 0.75, 0.60, 0.50, 0.42, 0.38, 0.35,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Customers:
    """What each customer has: columns of one length, zero where there is no such thing."""

    annual_kwh: Floats
    is_business: NDArray[np.bool_]
    solar_w: Floats
    solar_turn: Floats
    """How far the roof is turned from south, in radians."""
    charger_w: Floats
    heat_pump_w: Floats
    phase: NDArray[np.int8]
    """1 to 3, or 0 for a connection of three phases."""
    split: Watts
    """Share of the load on each phase, shape (customers, 3)."""

    def __len__(self) -> int:
        return len(self.annual_kwh)


def draw_customers_columns(seed: int, count: int) -> Customers:
    """Draw what `count` customers have: one in four a solar roof, one in twelve a charger, one in eleven a heat pump."""
    dice = np.random.default_rng((seed, _CUSTOMERS_OF))
    business = dice.random(count) < 0.05
    annual = np.where(business, dice.lognormal(9.1, 0.5, count), dice.lognormal(7.85, 0.42, count))
    solar = np.where(dice.random(count) < 0.26, dice.uniform(1800, 5200, count), 0.0)
    charger = np.where(dice.random(count) < 0.085, np.where(dice.random(count) < 0.55, 11_000.0, 3_700.0), 0.0)
    heat = np.where((dice.random(count) < 0.09) & ~business, dice.uniform(1500, 2800, count), 0.0)
    three = business | (charger > 4000) | (heat > 0) | (solar > 3600) | (dice.random(count) < 0.3)
    phase = np.where(three, 0, dice.integers(1, 4, count)).astype(np.int8)
    return Customers(
        annual_kwh=np.clip(annual, 500, 60_000),
        is_business=business,
        solar_w=solar,
        solar_turn=dice.uniform(-1.4, 1.4, count),
        charger_w=charger,
        heat_pump_w=heat,
        phase=phase,
        split=_split(dice, phase),
    )


def _split(dice: np.random.Generator, phase: NDArray[np.int8]) -> Watts:
    even = dice.dirichlet((9.0, 9.0, 9.0), len(phase))
    alone = np.eye(4)[phase][:, 1:]
    return np.where(phase[:, None] == 0, even, alone).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Weather:
    """A region's day: outside temperature in degrees Celsius and the share of clear-sky sun, by quarter-hour."""

    temperature: Floats
    clearness: Floats


def draw_weather(seed: int, day: int) -> Weather:
    """Draw the weather of a day (days since 1970)."""
    dice = np.random.default_rng((seed, _DAY_OF, day, 1))
    of_year = (day + 10) % 365.25
    mean = 10.5 - 8.0 * np.cos(2 * np.pi * (of_year - 25) / 365.25) + dice.normal(0, 2.5)
    swing = 3.5 * -np.cos(2 * np.pi * (_HOURS - 2.5) / 24)
    cloud = np.clip(dice.beta(1.6, 1.3) + np.cumsum(dice.normal(0, 0.05, STEPS)), 0.1, 1.0)
    return Weather(mean + swing, cloud)


def _sun(day: int, turn: Floats) -> Watts:
    """The output of roofs under a clear sky relative to their peak power, shape (roofs, 96)."""
    declination = np.radians(-23.44) * np.cos(2 * np.pi * ((day + 10) % 365.25) / 365.25)
    hour = np.radians(15.0 * (_HOURS - 11.6))
    latitude = np.radians(MIDDLE_LATITUDE)
    up = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(hour)
    south = np.cos(hour) * np.cos(declination) * np.sin(latitude) - np.sin(declination) * np.cos(latitude)
    west = np.sin(hour) * np.cos(declination)
    tilt = np.radians(35.0)
    facing = np.cos(turn)[:, None] * south + np.sin(turn)[:, None] * west
    direct = np.clip(up * np.cos(tilt) + facing * np.sin(tilt), 0, None)
    air = np.clip(up * 3.0, 0, 1) ** 0.5
    return np.where(up > 0, 0.92 * direct * air, 0).astype(np.float32)


def draw_day(seed: int, day: int, customers: Customers) -> tuple[Watts, Watts]:
    """Draw a day: active power (feeding in is negative) in W and reactive power in var, both (customers, 96)."""
    dice = np.random.default_rng((seed, _DAY_OF, day, 2))
    weather = draw_weather(seed, day)
    load = _household(dice, day, customers)
    load += _chargers(dice, customers)
    reactive = load * _reactive_share(seed, len(customers))[:, None]
    heat = _heat_pumps(dice, customers, weather)
    load += heat
    reactive += 0.25 * heat
    load -= _solar(dice, day, customers, weather)
    return load, reactive


def _reactive_share(seed: int, count: int) -> Watts:
    dice = np.random.default_rng((seed, _CUSTOMERS_OF, 3))
    return dice.uniform(0.08, 0.35, count).astype(np.float32)


def _household(dice: np.random.Generator, day: int, customers: Customers) -> Watts:
    """The shape of the day, each home's own hours and mood, and appliances that come and go."""
    count = len(customers)
    weekend = (day + 3) % 7 >= 5
    shapes = np.array((_quarters(_HOME_HOURLY), _quarters(_SHOP_HOURLY)), np.float32)
    if weekend:
        shapes = np.array((np.roll(shapes[0], 4) * 1.06, np.full(STEPS, 0.45)), np.float32)
    season = 1.0 + 0.14 * np.cos(2 * np.pi * ((day + 10) % 365.25) / 365.25)
    mean = customers.annual_kwh * 1000 / 8766 * season * dice.lognormal(-0.02, 0.2, count)
    level = mean.astype(np.float32)[:, None] * shapes[customers.is_business.astype(np.intp)]
    noise = dice.standard_gamma(2.2, (count, STEPS), dtype=np.float32)
    noise[:, 1:] = 0.55 * noise[:, 1:] + 0.45 * noise[:, :-1]
    load: Watts = level * (0.25 + noise * (0.62 / 2.2))
    _add_appliances(dice, load, customers)
    return load


def _quarters(hourly: tuple[float, ...]) -> Floats:
    values = np.interp(_HOURS, np.arange(25) + 0.0, (*hourly, hourly[0]))
    relative: Floats = values / values.mean()
    return relative


def _add_appliances(dice: np.random.Generator, load: Watts, customers: Customers) -> None:
    """One to three machines a day in each home: washing, drying, cooking; half an hour to an hour and a half."""
    count = len(customers)
    for _ in range(3):
        using = np.flatnonzero(dice.random(count) < np.clip(customers.annual_kwh / 5500, 0.1, 0.7))
        first = dice.choice((28, 44, 68, 70, 72, 76), len(using)) + dice.integers(-6, 7, len(using))
        power = dice.uniform(700, 2200, len(using)).astype(np.float32)
        for offset in range(int(dice.integers(2, 6))):
            load[using, np.clip(first + offset, 0, STEPS - 1)] += power


def _chargers(dice: np.random.Generator, customers: Customers) -> Watts:
    """Cars that come home in the evening and charge until full, two days out of three."""
    count = len(customers)
    first = np.clip(dice.normal(72, 8, count), 48, 92)
    steps = np.where(
        dice.random(count) < 0.65, dice.uniform(4, 20, count) * 8_000 / np.maximum(customers.charger_w, 1), 0
    )
    number = np.arange(STEPS, dtype=np.float32)
    charging = (number >= first[:, None]) & (number < (first + np.minimum(steps, 24))[:, None])
    return (charging * customers.charger_w[:, None]).astype(np.float32)


def _heat_pumps(dice: np.random.Generator, customers: Customers, weather: Weather) -> Watts:
    """Heat pumps run for a share of the time that grows with the cold."""
    duty = np.clip((16.0 - weather.temperature) / 24.0, 0.04, 0.95)
    draw = dice.random((len(customers), STEPS), dtype=np.float32)
    share = np.clip(duty[None, :] + (draw - 0.5) * 0.5, 0, 1)
    return (share * customers.heat_pump_w[:, None]).astype(np.float32)


def _solar(dice: np.random.Generator, day: int, customers: Customers, weather: Weather) -> Watts:
    out = np.zeros((len(customers), STEPS), np.float32)
    roofs = np.flatnonzero(customers.solar_w)
    flicker = dice.uniform(0.88, 1.0, (len(roofs), STEPS)).astype(np.float32)
    sun = _sun(day, customers.solar_turn[roofs]) * weather.clearness.astype(np.float32)
    out[roofs] = sun * flicker * customers.solar_w[roofs].astype(np.float32)[:, None]
    return out
