"""Turns stored meter readings into what a chart shows: energy per interval, gaps, flags."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

DEFAULT_STEP_S = 900


@dataclass(frozen=True, slots=True)
class Intervals:
    """Energy per interval, each at the interval's start. `value` is NaN where a reading at either end is missing."""

    at: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    flagged: tuple[int, ...]
    gaps: tuple[tuple[int, int], ...]


def step_of(at: npt.NDArray[np.int64]) -> int:
    """The capture period in seconds: the commonest distance between readings, a quarter of an hour where there is none."""
    if len(at) < 2:
        return DEFAULT_STEP_S
    distances, counts = np.unique(np.diff(at), return_counts=True)
    return int(distances[np.argmax(counts)]) or DEFAULT_STEP_S


def energy_intervals(
    at: npt.NDArray[np.int64],
    total: npt.NDArray[np.int64],
    quality: npt.NDArray[np.int64],
    *,
    period: tuple[int, int],
    now: int,
) -> Intervals:
    """Differences of a captured total (milli-units, sorted by time) on the regular grid of `period`, in units.

    A missing reading leaves its two intervals empty: their energy is known together only, so neither shows a peak. Nothing after
    `now` counts as missing.
    """
    step = step_of(at)
    first = period[0]
    known = {int(moment): index for index, moment in enumerate(at)}
    grid = np.arange(first, min(period[1], now - now % step), step, dtype=np.int64)
    value = np.full(len(grid), np.nan)
    flagged = []
    for place, start in enumerate(grid):
        low, high = known.get(int(start)), known.get(int(start) + step)
        if low is None or high is None:
            continue
        value[place] = (int(total[high]) - int(total[low])) / 1000
        if quality[low] or quality[high]:
            flagged.append(place)
    return Intervals(grid, value, tuple(flagged), runs_of_gaps(grid, np.isnan(value), step))


def runs_of_gaps(at: npt.NDArray[np.int64], missing: npt.NDArray[np.bool_], step: int) -> tuple[tuple[int, int], ...]:
    """Neighboring missing places as half-open periods in seconds."""
    runs: list[tuple[int, int]] = []
    for moment in at[missing]:
        if runs and runs[-1][1] == moment:
            runs[-1] = (runs[-1][0], int(moment) + step)
        else:
            runs.append((int(moment), int(moment) + step))
    return tuple(runs)


@dataclass(slots=True)
class Chart:
    """What `chart.ts` reads."""

    period: tuple[int, int]
    x: list[int] = field(default_factory=list)
    series: list[dict[str, object]] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    marks: list[dict[str, object]] = field(default_factory=list)
    band: tuple[float, float] | None = None
    step: bool = False

    def add(
        self, label: str, unit: str, values: npt.NDArray[np.float64], *, decimals: int, flagged: Sequence[int] = ()
    ) -> None:
        """Add a series on the chart's x; NaN becomes a gap."""
        numbers = [None if np.isnan(value) else round(float(value), decimals + 2) for value in values]
        self.series.append(
            {"label": label, "unit": unit, "values": numbers, "decimals": decimals, "flagged": list(flagged)}
        )

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "period": self.period,
            "x": self.x,
            "series": self.series,
            "gaps": self.gaps,
            "marks": self.marks,
            "band": self.band,
            "step": self.step,
        }
