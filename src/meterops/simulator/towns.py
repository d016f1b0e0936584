"""Where things stand: towns and villages of square neighborhoods, their streets and houses, names and coordinates.

Distances are meters east (x) and north (y) of the region's middle. A neighborhood is what one transformer feeds; its
streets keep within its square, so nothing overlaps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

MIDDLE_LATITUDE: Final = 52.4863
MIDDLE_LONGITUDE: Final = 5.7214
_METERS_PER_DEGREE: Final = 111_320.0

CELL_M: Final = 300.0
"""Side of a neighborhood's square."""
STREET_M: Final = 210.0
HOUSE_FROM_STREET_M: Final = 11.0
MAX_STREETS: Final = 6

_FIRST: Final = (
    "Molen", "Kerk", "Linden", "Beuken", "Eiken", "Wilgen", "Kastanje", "Berken", "Populieren", "Meidoorn",
    "Oranje", "Wilhelmina", "Juliana", "Emma", "Maurits", "Tulpen", "Rozen", "Narcissen", "Anjer", "Lelie",
    "Merel", "Lijster", "Nachtegaal", "Vinken", "Reiger", "Kievit", "Grutto", "Zwaluw", "Haven", "Sluis",
    "Brug", "Dijk", "Polder", "Wei", "Akker", "Boomgaard", "School", "Station", "Markt", "Nieuw",
    "Vermeer", "Rembrandt", "Spinoza", "Huygens", "Leeuwenhoek", "Stevin", "Buitenhof", "Zonne", "Ster", "Maan",
)  # fmt: skip
_LAST: Final = ("straat", "laan", "weg", "hof", "kade", "pad", "singel", "plantsoen", "dreef", "steeg")
_TOWN_FIRST: Final = ("Linder", "Wester", "Oude", "Nieuwe", "Zuider", "Noorder", "Brede", "Lange", "Haver", "Rietse")
_TOWN_LAST: Final = ("meer", "dorp", "veld", "horst", "broek", "waard", "loo", "mond", "wijk", "zand")


@dataclass(frozen=True, slots=True)
class Neighborhoods:
    """The square of each transformer: its town, its middle, and how far its town is turned from north."""

    town: Ints
    x: Floats
    y: Floats
    turn: Floats


@dataclass(frozen=True, slots=True)
class Houses:
    """The houses of one neighborhood: street (numbered from 0), place along it, house number and place."""

    street: Ints
    number: Ints
    x: Floats
    y: Floats


def latitude(y: Floats) -> Floats:
    """Degrees north of places `y` meters north of the middle."""
    degrees: Floats = np.round(MIDDLE_LATITUDE + y / _METERS_PER_DEGREE, 6)
    return degrees


def longitude(x: Floats) -> Floats:
    """Degrees east of places `x` meters east of the middle; good for a region of some tens of kilometers."""
    per_degree = _METERS_PER_DEGREE * math.cos(math.radians(MIDDLE_LATITUDE))
    degrees: Floats = np.round(MIDDLE_LONGITUDE + x / per_degree, 6)
    return degrees


def lay_out_neighborhoods(dice: np.random.Generator, count: int) -> Neighborhoods:
    """Group `count` neighborhoods into a town and villages that keep clear of each other."""
    sizes = _town_sizes(dice, count)
    town = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    x, y, turn = (np.empty(count) for _ in range(3))
    middles = _town_middles(dice, sizes)
    for number, size in enumerate(sizes):
        chosen = town == number
        angle = dice.uniform(-0.6, 0.6)
        cell_x, cell_y = _cells(dice, size)
        x[chosen] = middles[number, 0] + cell_x * np.cos(angle) - cell_y * np.sin(angle)
        y[chosen] = middles[number, 1] + cell_x * np.sin(angle) + cell_y * np.cos(angle)
        turn[chosen] = angle
    return Neighborhoods(town, x, y, turn)


def _town_sizes(dice: np.random.Generator, count: int) -> list[int]:
    sizes: list[int] = []
    left = count
    while left:
        wanted = int(dice.integers(40, 90) if len(sizes) % 5 == 0 else dice.integers(5, 22))
        size = left if left < wanted + 4 else wanted
        sizes.append(size)
        left -= size
    return sizes


def _town_middles(dice: np.random.Generator, sizes: list[int]) -> Floats:
    """Places on a spiral, each as far out as its town and those before it need."""
    middles = np.zeros((len(sizes), 2))
    reach = [_reach(size) for size in sizes]
    for number in range(1, len(sizes)):
        angle = number * 2.399963 + dice.uniform(-0.2, 0.2)
        away = reach[number]
        while True:
            middle = away * np.array((np.cos(angle), np.sin(angle)))
            gaps = np.hypot(*(middles[:number] - middle).T)
            if np.all(gaps > np.array(reach[:number]) + reach[number] + 600):
                break
            away += 150
        middles[number] = middle
    return middles


def _reach(size: int) -> float:
    """The largest distance of a neighborhood's corner from the middle of its town."""
    return CELL_M * (1.05 * math.sqrt(size) + 1.0)


def _cells(dice: np.random.Generator, size: int) -> tuple[Floats, Floats]:
    """Squares around the middle, the outline frayed."""
    half = int(np.ceil(np.sqrt(size) * 0.75))
    column, row = (axis.ravel().astype(float) for axis in np.mgrid[-half : half + 1, -half : half + 1])
    away = np.hypot(column, row) + dice.uniform(0, 0.8, column.size)
    chosen = np.sort(np.argsort(away, kind="stable")[:size])
    shift = (CELL_M - STREET_M) / 2 - HOUSE_FROM_STREET_M
    return (
        column[chosen] * CELL_M + dice.uniform(-shift, shift, size) / 2,
        row[chosen] * CELL_M + dice.uniform(-shift, shift, size) / 2,
    )


def place_houses(street_sizes: list[int], x: float, y: float, turn: float) -> Houses:
    """Put houses on both sides of parallel streets, odd numbers on one side; sizes are houses per street."""
    count = sum(street_sizes)
    street = np.repeat(np.arange(len(street_sizes), dtype=np.int32), street_sizes)
    number = np.concatenate([np.arange(1, size + 1, dtype=np.int32) for size in street_sizes])
    pairs = np.array([(size + 1) // 2 for size in street_sizes])[street]
    along = ((number - 1) // 2 + 0.5) / pairs * STREET_M - STREET_M / 2
    side = np.where(number % 2, HOUSE_FROM_STREET_M, -HOUSE_FROM_STREET_M)
    across = street_offset(len(street_sizes), street) + side
    return Houses(
        street,
        number,
        np.full(count, x) + along * np.cos(turn) - across * np.sin(turn),
        np.full(count, y) + along * np.sin(turn) + across * np.cos(turn),
    )


def street_offset(streets: int, street: Ints | int) -> Floats:
    """How far north of its neighborhood's middle (before turning) a street runs, in meters."""
    return np.asarray((np.asarray(street) + 0.5) / streets * STREET_M - STREET_M / 2, dtype=np.float64)


def town_name(number: int) -> str:
    """The name of a town; every number has its own."""
    first, last = _TOWN_FIRST[number % 10], _TOWN_LAST[(number * 3 + number // 10) % 10]
    return first + last + (f" {number // 100 + 1}" if number >= 100 else "")


def street_name(town: int, number: int) -> str:
    """The name of a town's street; every number has its own within the town."""
    mixed = (number * 7 + town * 13) % len(_FIRST)
    last = _LAST[(number // len(_FIRST) + mixed) % len(_LAST)]
    again = number // (len(_FIRST) * len(_LAST))
    return ("" if not again else f"{again + 1}e ") + _FIRST[mixed] + last


def postal_code(town: int, number: int) -> str:
    """The postal code of a town's street, in the Dutch form."""
    letters = "ABCDEGHJKLMNPRSTVWXZ"
    return f"{8200 + town % 99:04} {letters[number // 20 % 20]}{letters[number % 20]}"
