"""Who is without supply, without contact or on a missing phase, as open situations say it, down to every meter and wire."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from meterops.fleet.inventory.api import TopologyArrays, Tree
from meterops.practices.events.api import SituationView

DEEPEST = 64
"""Trees are at most this deep; a ring in broken data ends here."""


class SupplyState(IntEnum):
    """What open situations say of a node or meter. The numbers go to the map; new ones come last."""

    QUIET = 0
    """Nothing is known against it."""
    DARK = 1
    """Below the root of an outage."""
    SILENT = 2
    """Below the root of a fault of communication."""
    PHASE = 3
    """Below a missing phase."""
    ANSWERS = 4
    """Below such a root, but read since it began."""


WORDS = {
    SupplyState.QUIET: "nothing known against it",
    SupplyState.DARK: "without supply",
    SupplyState.SILENT: "without contact",
    SupplyState.PHASE: "below a missing phase",
    SupplyState.ANSWERS: "read since",
}
LOOKS = {
    SupplyState.QUIET: "ok",
    SupplyState.DARK: "dark",
    SupplyState.SILENT: "silent",
    SupplyState.PHASE: "phase",
    SupplyState.ANSWERS: "answers",
}
"""The look of a box or wire in a diagram; `box-` before it names its mark."""
SHAPES = {
    SupplyState.QUIET: "dot",
    SupplyState.DARK: "triangle",
    SupplyState.SILENT: "ring",
    SupplyState.PHASE: "cross",
    SupplyState.ANSWERS: "diamond",
}
_STATES = {"OUTAGE": SupplyState.DARK, "COMMUNICATION": SupplyState.SILENT, "PHASE": SupplyState.PHASE}
_WORST_LAST = (SupplyState.SILENT, SupplyState.PHASE, SupplyState.DARK)


@dataclass(frozen=True, slots=True)
class Root:
    """The root of an open situation."""

    node_id: int
    state: SupplyState
    tree: Tree
    started_at: datetime


def roots_of(situations: Iterable[SituationView]) -> list[Root]:
    """The roots that can be drawn."""
    return [
        Root(one.node_id, _STATES[one.kind], Tree(one.tree), one.started_at)
        for one in situations
        if one.kind in _STATES and one.tree
    ]


@dataclass(frozen=True, slots=True)
class Supply:
    """A state per item of the inventory, in columns ascending by `id`; `since` in epoch seconds, 0 where nothing is known."""

    id: npt.NDArray[np.int64]
    state: npt.NDArray[np.uint8]
    since: npt.NDArray[np.float64]

    def of(self, ids: npt.NDArray[np.int64], read_at: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.uint8]:
        """The states of these items in their order; with `read_at` (epoch seconds) meters read since say so."""
        if not len(self.id):
            return np.zeros(len(ids), np.uint8)
        place = np.minimum(np.searchsorted(self.id, ids), len(self.id) - 1)
        known = self.id[place] == ids
        state = np.where(known, self.state[place], SupplyState.QUIET).astype(np.uint8)
        if read_at is not None:
            state[(state != SupplyState.QUIET) & (read_at > self.since[place])] = SupplyState.ANSWERS
        return state

    def of_one(self, item_id: int) -> SupplyState:
        """The state of one item."""
        return SupplyState(int(self.of(np.array([item_id], np.int64))[0]))


def spread(trees: dict[Tree, TopologyArrays], roots: Iterable[Root]) -> Supply:
    """What hangs below each root is in its state; where several reach, the worst counts: dark, then phase, then silent.

    The trees hold the same items; those without a root may be left out.
    """
    found = list(roots)
    ids = next((arrays.id for arrays in trees.values()), np.zeros(0, np.int64))
    state, since = np.zeros(len(ids), np.uint8), np.zeros(len(ids))
    for kind in _WORST_LAST:
        for tree, arrays in trees.items():
            these = [one for one in found if one.state is kind and one.tree is tree]
            if these:
                reached = _since_below(arrays, these)
                state[reached > 0], since[reached > 0] = kind, reached[reached > 0]
    return Supply(ids, state, since)


def _since_below(tree: TopologyArrays, roots: list[Root]) -> npt.NDArray[np.float64]:
    """For every node when the newest situation at or above it began, in epoch seconds; 0 where there is none."""
    since = np.zeros(len(tree.id))
    for one in roots:
        place = int(np.searchsorted(tree.id, one.node_id))
        if place < len(tree.id) and tree.id[place] == one.node_id:
            since[place] = max(since[place], one.started_at.timestamp())
    has_parent = tree.parent >= 0
    for _ in range(DEEPEST):
        lower = np.where(has_parent, np.maximum(since, since[tree.parent]), since)
        if np.array_equal(lower, since):
            break
        since = lower
    return since
