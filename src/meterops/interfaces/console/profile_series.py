"""Turns a stored load profile into what a chart shows: energy per interval, gaps, flags."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from meterops.fleet.telemetry.api import LoadProfile, ProfileColumn

STEP_S = 900
"""The grid of `telemetry.load_profile`."""
NEWEST_S = 3600


@dataclass(slots=True)
class Chart:
    """What `chart.ts` reads. `x` are the beginnings of intervals in epoch seconds."""

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


def energy_chart(profile: LoadProfile, *, period: tuple[int, int], now: int) -> Chart:
    """Energy per quarter of every cumulative column with a value.

    A missing reading leaves its two quarters empty: their energy is known together only, so neither shows a peak.
    """
    chart, past = _chart(profile, period=period, now=now)
    chart.step = True
    shown = _with_values(profile, lambda column: column.intervals)
    for column in shown or profile.columns[:1]:
        values = column.intervals if column.intervals is not None else column.registers
        flagged = np.flatnonzero((column.quality[past] != 0) & ~np.isnan(values[past]))
        chart.add(
            column.reading_type.name, column.reading_type.unit, values[past], decimals=0, flagged=flagged.tolist()
        )
    known = [~np.isnan(one.intervals[past]) for one in shown if one.intervals is not None]
    _add_gaps(chart, np.logical_or.reduce(known) if known else np.zeros(len(chart.x), dtype=bool))
    return chart


def value_chart(profile: LoadProfile, *, period: tuple[int, int], now: int, band: tuple[float, float]) -> Chart:
    """Values as captured, over the band in which they belong. A phase that is not measured has no line."""
    chart, past = _chart(profile, period=period, now=now)
    chart.band = band
    shown = _with_values(profile, lambda column: column.registers)
    for column in shown:
        flagged = np.flatnonzero(column.quality[past])
        chart.add(
            column.reading_type.name,
            column.reading_type.unit,
            column.registers[past],
            decimals=1,
            flagged=flagged.tolist(),
        )
    if shown:
        _add_gaps(chart, np.logical_or.reduce([~np.isnan(one.registers[past]) for one in shown]))
    return chart


def _chart(profile: LoadProfile, *, period: tuple[int, int], now: int) -> tuple[Chart, npt.NDArray[np.bool_]]:
    """An empty chart on the quarters that are over, and which of the profile's those are."""
    past: npt.NDArray[np.bool_] = profile.at <= now
    return Chart(period=period, x=(profile.at[past] - STEP_S).tolist()), past


def _with_values(
    profile: LoadProfile, of: Callable[[ProfileColumn], npt.NDArray[np.float64] | None]
) -> list[ProfileColumn]:
    return [
        column for column in profile.columns if (values := of(column)) is not None and not bool(np.isnan(values).all())
    ]


def _add_gaps(chart: Chart, known: npt.NDArray[np.bool_]) -> None:
    """Note what is missing. The newest quarters are not, for an hour: their round is still to come."""
    runs = list(runs_of_gaps(np.array(chart.x, dtype=np.int64), ~known))
    if runs and runs[-1][1] == chart.x[-1] + STEP_S and runs[-1][1] - runs[-1][0] <= NEWEST_S:
        runs.pop()
    chart.gaps = runs


def runs_of_gaps(at: npt.NDArray[np.int64], missing: npt.NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    """Neighboring missing quarters as half-open periods in seconds."""
    runs: list[tuple[int, int]] = []
    for moment in at[missing].tolist():
        if runs and runs[-1][1] == moment:
            runs[-1] = (runs[-1][0], moment + STEP_S)
        else:
            runs.append((moment, moment + STEP_S))
    return tuple(runs)
