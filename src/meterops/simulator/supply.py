"""Who is without supply when: outages known beforehand, so that physics, meters and events tell the same story."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from meterops.simulator.loads import DAY_S, STEP_S, STEPS
from meterops.simulator.region import Region

Alive = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SupplyGap:
    """Meters without supply from `starts_at` to `ends_at` (UTC epoch seconds, half-open); `phase` 0 is all three."""

    meters: NDArray[np.int32]
    starts_at: int
    ends_at: int
    phase: int = 0


class SupplyPlan:
    """All gaps of a run."""

    def __init__(self, gaps: Sequence[SupplyGap] = ()) -> None:
        """Hold gaps, whole or of one phase."""
        self.gaps = tuple(sorted(gaps, key=lambda gap: gap.starts_at))
        self._whole_of: dict[int, list[tuple[int, int]]] = {}

    def on(self, day: int) -> list[SupplyGap]:
        """The gaps that touch a day."""
        starts_at, ends_at = day * DAY_S, (day + 1) * DAY_S
        return [gap for gap in self.gaps if gap.starts_at < ends_at and gap.ends_at > starts_at]

    def alive(self, region: Region, day: int) -> Alive | None:
        """The share of each quarter-hour with supply, (customers, 3 phases, 96); None when nothing happens that day."""
        gaps = self.on(day)
        if not gaps:
            return None
        customers = region.grid.customers
        alive = np.ones((customers, 3, STEPS), np.float32)
        for gap in gaps:
            members = gap.meters[gap.meters < customers]
            phases = slice(None) if gap.phase == 0 else slice(gap.phase - 1, gap.phase)
            alive[members, phases] *= _lit(gap, day)
        return alive

    def of_sum_meters(self, region: Region, day: int) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
        """For each gap and sum meter in it: its number, the phase, and in which quarter-hours it has supply at all."""
        for gap in self.on(day):
            lit = _lit(gap, day) > 0
            for meter in gap.meters[gap.meters >= region.grid.customers].tolist():
                yield meter, gap.phase, lit

    def gaps_of(self, region: Region, meter: int) -> list[tuple[int, int]]:
        """The (start, end) of the gaps in which a meter has no supply at all."""
        if not self._whole_of and self.gaps:
            self._learn(region)
        return self._whole_of.get(meter, [])

    def _learn(self, region: Region) -> None:
        phase_of = region.customers.phase
        for gap in self.gaps:
            for meter in gap.meters.tolist():
                alone = meter < len(phase_of) and phase_of[meter] == gap.phase
                if gap.phase == 0 or alone:
                    self._whole_of.setdefault(meter, []).append((gap.starts_at, gap.ends_at))

    def is_dark(self, region: Region, meter: int, at: float) -> bool:
        """Whether a meter has no supply at a moment."""
        return any(starts_at <= at < ends_at for starts_at, ends_at in self.gaps_of(region, meter))


NO_OUTAGES: Final = SupplyPlan()


def _lit(gap: SupplyGap, day: int) -> NDArray[np.float32]:
    """The share of each quarter-hour of a day outside a gap."""
    starts = day * DAY_S + np.arange(STEPS) * STEP_S
    dark = np.minimum(starts + STEP_S, gap.ends_at) - np.maximum(starts, gap.starts_at)
    lit: Alive = (1.0 - np.clip(dark, 0, STEP_S) / STEP_S).astype(np.float32)
    return lit
