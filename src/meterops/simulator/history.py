"""The past of a region, day by day, in arrays that all meters share, and the handle through which a meter reads its own.

Days stand in a ring: as a new one is computed ahead of time, the oldest falls out. Totals at the start of each day are
kept in the state folder, so that a later start continues them instead of beginning anew.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from meterops.simulator.loads import DAY_S, STEP_S, STEPS
from meterops.simulator.meter_readings import Channel
from meterops.simulator.physics import Physics

POWER_FAILED: Final = 0x80
"""Bit of the row status: supply failed in the interval."""

_TOTALS: Final = {Channel.IMPORT_WH: 0, Channel.EXPORT_WH: 1, Channel.IMPORT_VARH: 2}
_VOLTAGES: Final = {Channel.VOLTAGE_L1: 0, Channel.VOLTAGE_L2: 1, Channel.VOLTAGE_L3: 2}
_CURRENTS: Final = {Channel.CURRENT_L1: 0, Channel.CURRENT_L2: 1, Channel.CURRENT_L3: 2}
_METERED_OF: Final = 0x70F

Totals = NDArray[np.int64]
"""Running totals at the start of a day, (3, meters): Wh imported, Wh exported, varh imported."""


class History:
    """A ring of days. `first_day` to `end_day` (excluded) can be read; `extend` may run in another thread than readers."""

    def __init__(
        self, physics: Physics, *, first_day: int, days: int, totals: Totals, folder: Path | None = None
    ) -> None:
        """Make room for `days` days (one more is kept free for the one being computed), none of them computed yet."""
        region = physics.region
        slots = days + 1
        self.physics = physics
        self.first_day = first_day
        self.end_day = first_day
        self._slots = slots
        self._folder = folder
        self._next_totals = totals
        self._start_totals = np.zeros((slots, 3, region.meters), np.int64)
        self._energy = np.zeros((slots, 3, region.meters, STEPS), np.int32)
        self._voltage = np.zeros((slots, 3, region.meters, STEPS), np.int16)
        self._current = np.zeros((slots, 3, region.meters, STEPS), np.int32)

    def extend(self) -> None:
        """Compute the next day; the oldest is given up when the ring is full."""
        day = self.end_day
        columns = self.physics.day(day)
        if day - self.first_day >= self._slots - 1:
            self.first_day += 1
        slot = day % self._slots
        self._start_totals[slot] = self._next_totals
        for number, energy in enumerate((columns.import_wh, columns.export_wh, columns.import_varh)):
            self._energy[slot, number] = energy
        self._voltage[slot] = columns.voltage
        self._current[slot] = columns.current
        self._next_totals = self._next_totals + self._energy[slot, :, :, -1]
        if self._folder is not None:
            keep_totals(self._folder, day + 1, self._next_totals)
        self.end_day = day + 1

    @property
    def starts_at(self) -> int:
        """The first moment covered, UTC epoch seconds."""
        return self.first_day * DAY_S

    @property
    def ends_at(self) -> int:
        """The end of what is computed so far."""
        return self.end_day * DAY_S

    def total(self, number: int, meter: int, at: int) -> int:
        """A running total at a moment; within a quarter-hour it rises evenly."""
        at = min(max(at, self.starts_at), self.ends_at - 1)
        day, second = divmod(at, DAY_S)
        step, into = divmod(second, STEP_S)
        slot = day % self._slots
        energy = self._energy[slot, number, meter]
        before = int(energy[step - 1]) if step else 0
        return int(self._start_totals[slot, number, meter]) + before + (int(energy[step]) - before) * into // STEP_S

    def step_energy(self, number: int, meter: int, at: int) -> int:
        """What a total rises by in the quarter-hour around a moment."""
        start = min(max(at, self.starts_at), self.ends_at - 1) // STEP_S * STEP_S
        day, step = divmod(start // STEP_S, STEPS)
        energy = self._energy[day % self._slots, number, meter]
        return int(energy[step]) - (int(energy[step - 1]) if step else 0)

    def present(self, values: NDArray[Any], phase: int, meter: int, at: int) -> int:
        """The value of a quarter-hourly column around a moment."""
        day, step = divmod(min(max(at, self.starts_at), self.ends_at - 1) // STEP_S, STEPS)
        return int(values[day % self._slots, phase, meter, step])

    def voltage(self, phase: int, meter: int, at: int) -> int:
        """Tenths of a volt."""
        return self.present(self._voltage, phase, meter, at)

    def current(self, phase: int, meter: int, at: int) -> int:
        """Hundredths of an ampere."""
        return self.present(self._current, phase, meter, at)

    def totals_at(self, number: int, meter: int, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Running totals at the ends of quarter-hours, which are numbered since 1970."""
        out = np.empty(len(steps), np.int64)
        for part, slot, within in self._parts(steps):
            out[part] = self._start_totals[slot, number, meter] + self._energy[slot, number, meter, within]
        return out

    def means_of(self, channel: int, meter: int, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """The voltages or currents of quarter-hours, which are numbered since 1970."""
        values, phase = (
            (self._voltage, _VOLTAGES[Channel(channel)])
            if channel in _VOLTAGES
            else (self._current, _CURRENTS[Channel(channel)])
        )
        out = np.empty(len(steps), np.int64)
        for part, slot, within in self._parts(steps):
            out[part] = values[slot, phase, meter, within]
        return out

    def _parts(self, steps: NDArray[np.int64]) -> list[tuple[slice, int, NDArray[np.int64]]]:
        """Cut rising numbers of quarter-hours at midnights: (where, slot, quarter-hours of that day)."""
        low, high = self.first_day * STEPS, self.end_day * STEPS - 1
        days, within = np.divmod(np.clip(steps, low, high), STEPS)
        bounds = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(steps)]
        return [
            (slice(start, end), int(days[start]) % self._slots, within[start:end])
            for start, end in pairwise(bounds)
            if end > start
        ]


class HistoryReadings:
    """The readings of one meter: a handle into the history (see `MeterReadings`)."""

    __slots__ = ("_dark", "_history", "_meter")

    def __init__(self, history: History, meter: int) -> None:
        """Read meter number `meter`."""
        self._history = history
        self._meter = meter
        self._dark = history.physics.outages.gaps_of(history.physics.region, meter)

    def value(self, channel: int, at: int) -> int:
        """Give a total or a present value at a moment."""
        history, meter = self._history, self._meter
        if channel in _TOTALS:
            return history.total(_TOTALS[Channel(channel)], meter, at)
        if channel in _VOLTAGES:
            return history.voltage(_VOLTAGES[Channel(channel)], meter, at)
        if channel in _CURRENTS:
            return history.current(_CURRENTS[Channel(channel)], meter, at)
        if channel == Channel.IMPORT_W:
            return 4 * history.step_energy(0, meter, at)
        if channel == Channel.EXPORT_W:
            return 4 * history.step_energy(1, meter, at)
        return 0

    def window(self, period: int, at: int) -> tuple[int, int]:
        """Give the first stamp and the number of rows; the first quarter-hour is stamped with its end."""
        starts_at = self._history.starts_at
        first = -(-(starts_at + (period if period < DAY_S else 0)) // period) * period
        last = min(at, self._history.ends_at) // period * period
        return first, max(0, (last - first) // period + 1)

    def column(self, channel: int, period: int, first_at: int, count: int, width: int) -> bytes:
        """Give a column of rows as big-endian numbers."""
        steps = (first_at + np.arange(count, dtype=np.int64) * period) // STEP_S - 1
        if channel in _TOTALS:
            values = self._totals(_TOTALS[Channel(channel)], steps)
        elif channel in _VOLTAGES or channel in _CURRENTS:
            values = self._history.means_of(channel, self._meter, steps)
        elif channel == Channel.STATUS:
            values = self._status(period, first_at, count)
        else:
            values = np.zeros(count, np.int64)
        if width < 8:
            values &= (1 << 8 * width) - 1
        return values.astype(f">u{width}").tobytes()

    def _totals(self, number: int, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        values = self._history.totals_at(number, self._meter, steps)
        if steps.size and steps[0] < self._history.first_day * STEPS:
            values[0] = self._history.total(number, self._meter, self._history.starts_at)
        return values

    def _status(self, period: int, first_at: int, count: int) -> NDArray[np.int64]:
        status = np.zeros(count, np.int64)
        stamps = first_at + np.arange(count, dtype=np.int64) * period
        for starts_at, ends_at in self._dark:
            status[(stamps > starts_at) & (stamps - period < ends_at)] = POWER_FAILED
        return status

    def missing(self, period: int, first_at: int, count: int) -> bytes | None:
        """A meter captures nothing at a stamp at which it has no supply."""
        if not self._dark:
            return None
        stamps = first_at + np.arange(count, dtype=np.int64) * period
        gone = np.zeros(count, np.uint8)
        for starts_at, ends_at in self._dark:
            gone[(stamps >= starts_at) & (stamps < ends_at)] = 1
        return gone.tobytes() if gone.any() else None


def first_totals(physics: Physics) -> Totals:
    """What the meters showed when the region's story begins: years of their customers' use."""
    region = physics.region
    dice = np.random.default_rng((region.seed, _METERED_OF))
    years = dice.uniform(0.6, 9.0, region.meters)
    customers = region.customers
    totals = np.zeros((3, region.meters), np.float64)
    own = slice(0, region.grid.customers)
    totals[0, own] = customers.annual_kwh * 1000 * years[own]
    totals[1, own] = customers.solar_w * 0.55 * years[own]
    totals[2] = totals[0] * 0.2
    starts = region.grid.customers_from[:-1][: region.sum_meters]
    if region.sum_meters:
        totals[0, region.grid.customers :] = (
            np.add.reduceat(customers.annual_kwh, starts) * 400 * years[region.grid.customers :]
        )
    return totals.astype(np.int64)


def keep_totals(folder: Path, day: int, totals: Totals, *, kept: int = 12) -> None:
    """Write the totals at the start of a day and forget those of long ago."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{day}.tmp"
    with unfinished.open("wb") as file:
        np.save(file, totals)
    unfinished.replace(folder / f"{day}.npy")
    for old in _days_kept(folder)[:-kept]:
        (folder / f"{old}.npy").unlink(missing_ok=True)


def find_totals(folder: Path, day: int) -> tuple[int, Totals] | None:
    """The totals kept for a day, or for the last one before it: (day, totals)."""
    known = [one for one in _days_kept(folder) if one <= day]
    return (known[-1], np.load(folder / f"{known[-1]}.npy")) if known else None


def _days_kept(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.glob("*.npy") if path.stem.isdecimal())


def open_history(physics: Physics, *, now: float, days_back: int, folder: Path | None, began_day: int) -> History:
    """Compute the last `days_back` days, today and tomorrow.

    `began_day` is the day on which the region's story begins (see `first_totals`); where the folder has totals of a
    later day, the days before are not computed again.
    """
    wanted = max(int(now // DAY_S) - days_back, began_day)
    known = find_totals(folder, wanted) if folder is not None else None
    first, totals = known if known is not None else (began_day, first_totals(physics))
    history = History(physics, first_day=first, days=days_back + 2, totals=totals, folder=folder)
    if folder is not None and known is None:
        keep_totals(folder, first, totals)
    while history.ends_at < (int(now // DAY_S) + 1) * DAY_S:
        history.extend()
    return history
