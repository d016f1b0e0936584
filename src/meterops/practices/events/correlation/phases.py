"""Meters that run but miss a phase, and the node that explains it: a fuse blown in one phase of a feeder or transformer."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from meterops.practices.events.correlation.columns import Floats, each_once
from meterops.practices.events.correlation.evidence import NEVER
from meterops.practices.events.correlation.scan import RootScan
from meterops.practices.events.correlation.settings import CorrelationSettings
from meterops.practices.events.correlation.situations import PHASE_WORDS, Evidence
from meterops.practices.events.correlation.topology import Places, TreeIndex

PHASES: Final = ("L1", "L2", "L3")
_LOST: Final = (Evidence.L1_LOST, Evidence.L2_LOST, Evidence.L3_LOST)
_BACK: Final = (Evidence.L1_BACK, Evidence.L2_BACK, Evidence.L3_BACK)


class PhaseWatch:
    """Times by phase and place (3, n). It costs next to nothing until the first meter says that it misses a phase."""

    def __init__(self, tree: TreeIndex, settings: CorrelationSettings) -> None:
        self._tree = tree
        self._settings = replace(settings, root_cost=settings.phase_root_cost)
        self._lost_at = np.zeros((3, 0))
        self._back_at = np.zeros((3, 0))
        self._scan: RootScan | None = None

    @property
    def is_quiet(self) -> bool:
        """Whether no meter has said anything of phases yet."""
        return self._scan is None

    def note(self, places: Places, evidence: NDArray[np.int8], times: Floats) -> None:
        """Take words in; of others than those of phases only that supply is back counts, which ends all three."""
        if self._scan is None:
            if not np.isin(evidence, _LOST).any():
                return
            self._lost_at, self._back_at = np.full((2, 3, len(self._tree)), NEVER)
            self._scan = RootScan(self._tree, self._settings, np.ones(len(self._tree)))
        told = np.isin(evidence, PHASE_WORDS) | (evidence == Evidence.UP)
        if not told.any():
            return
        places, evidence, times = places[told], evidence[told], times[told]
        touched = each_once(places)
        missed, since = self.is_missing(touched), self.since(touched)
        for phase in range(3):
            lost = evidence == _LOST[phase]
            np.maximum.at(self._lost_at[phase], places[lost], times[lost])
            back = (evidence == _BACK[phase]) | (evidence == Evidence.UP)
            np.maximum.at(self._back_at[phase], places[back], times[back])
        self._differ(touched, missed, since)
        whole = touched[~self.is_missing(touched) & self.has_missed(touched)]
        self._scan.answer(whole, self._back_at[:, whole].max(axis=0))

    def _differ(self, touched: Places, missed: NDArray[np.bool_], since: Floats) -> None:
        """Tell the scan what is other than it was."""
        if self._scan is None:
            return
        missed_now, since_now = self.is_missing(touched), self.since(touched)
        moved = missed & missed_now & (since != since_now)
        gone, came = (missed & ~missed_now) | moved, (missed_now & ~missed) | moved
        self._scan.hear(touched[gone], since[gone], -1.0)
        self._scan.hear(touched[came], since_now[came])

    def is_missing(self, places: Places, phase: int | None = None) -> NDArray[np.bool_]:
        """Who misses a phase (0 to 2), or any."""
        if self.is_quiet:
            return np.zeros(len(places), bool)
        each = self._lost_at[:, places] > self._back_at[:, places]
        return np.asarray(each.any(axis=0) if phase is None else each[phase])

    def has_missed(self, places: Places) -> NDArray[np.bool_]:
        """Who has missed a phase, as far as is remembered."""
        if self.is_quiet:
            return np.zeros(len(places), bool)
        return np.asarray((self._lost_at[:, places] > NEVER).any(axis=0))

    def since(self, places: Places, phase: int | None = None) -> Floats:
        """When a phase, or the latest of those that are missing, went; `NEVER` for meters that miss none."""
        if self.is_quiet:
            return np.full(len(places), NEVER)
        lost_at = self._lost_at[:, places]
        missing = np.where(lost_at > self._back_at[:, places], lost_at, NEVER)
        return np.asarray(missing.max(axis=0) if phase is None else missing[phase])

    def back_at(self, places: Places, phase: int) -> Floats:
        """When a phase last came back; `NEVER` where nothing was said of that."""
        return np.full(len(places), NEVER) if self.is_quiet else np.asarray(self._back_at[phase, places])

    def names(self, places: Places) -> str:
        """Which phases at least half of those miss that miss one: "L2", or "L1 L3"."""
        missing = int(self.is_missing(places).sum())
        counts = [int(self.is_missing(places, phase).sum()) for phase in range(3)]
        return " ".join(name for name, count in zip(PHASES, counts, strict=True) if missing and 2 * count >= missing)

    def roots(self) -> list[int]:
        """The nodes that explain what is missing."""
        return [] if self._scan is None else self._scan.roots().tolist()

    def margin(self, place: int) -> float:
        """How much likelier a node is than its children by themselves, in nats."""
        return 0.0 if self._scan is None else float(self._scan.margin[place])

    def answered_at(self, node: int) -> float:
        """When a meter below a node last got all its phases back."""
        return NEVER if self._scan is None else self._scan.answered_at(node)

    def forget(self, before: float, kept: NDArray[np.bool_]) -> None:
        """Forget what was said before a time of places that are not `kept` (n)."""
        if self.is_quiet:
            return
        latest = self._lost_at.max(axis=0)
        places = np.flatnonzero((latest > NEVER) & (latest < before) & ~kept).astype(np.int32)
        missed, since = self.is_missing(places), self.since(places)
        self._lost_at[:, places] = self._back_at[:, places] = NEVER
        self._differ(places, missed, since)

    def said(self) -> tuple[Places, NDArray[np.int8], Floats]:
        """Everything that is known, as words that make another one know the same: places, evidence, times."""
        if self.is_quiet:
            return np.zeros(0, np.int32), np.zeros(0, np.int8), np.zeros(0)
        places, words, times = [], [], []
        for columns, evidence in ((self._lost_at, _LOST), (self._back_at, _BACK)):
            for at, word in zip(columns, evidence, strict=True):
                known = np.flatnonzero(at > NEVER).astype(np.int32)
                places.append(known)
                words.append(np.full(len(known), word, np.int8))
                times.append(at[known])
        return np.concatenate(places), np.concatenate(words), np.concatenate(times)
