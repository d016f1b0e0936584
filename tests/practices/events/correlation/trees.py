"""Small trees to correlate on, and a stage that lets time pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from meterops.practices.events.correlation import (
    CorrelationSettings,
    Correlator,
    Evidence,
    SituationChange,
    Topology,
    TreeName,
)

FIRST_ID = 1000


@dataclass
class Town:
    """Substations, feeders, transformers and meters; beside them routes with concentrators, one a transformer."""

    topology: Topology
    feeders: list[int]
    transformers: list[int]
    concentrators: list[int]
    substations: list[int] = field(default_factory=list)

    def meters(self, node: int, tree: str = "ELECTRICAL") -> list[int]:
        """Ids of the meters below a node."""
        place = self.topology.place_of(node)
        assert place is not None
        return self.topology.node_id[self.topology.tree(tree).leaves(place)].tolist()


def make_town(
    *, substations: int = 1, feeders: int = 3, transformers: int = 4, meters: int = 25, modems: int = 5
) -> Town:
    """Of each transformer's meters all but `modems` hang on its concentrator; those have a path of their own."""
    electrical: list[int] = []
    communication: list[int] = []
    kinds: list[str] = []

    def add(kind: str, above: int = -1, path: int = -1) -> int:
        kinds.append(kind)
        electrical.append(above)
        communication.append(path)
        return len(kinds) - 1

    head_end, cell = add("head"), 0
    cell = add("cell", path=head_end)
    found: dict[str, list[int]] = {"s": [], "f": [], "t": [], "c": []}
    for _ in range(substations):
        s = add("s")
        for _ in range(feeders):
            f = add("f", s)
            for _ in range(transformers):
                t, c = add("t", f), add("c", path=head_end)
                for m in range(meters):
                    add("m", t, cell if m < modems else c)
    ids = np.arange(len(kinds), dtype=np.int64) + FIRST_ID
    for place, kind in enumerate(kinds):
        if kind in found:
            found[kind].append(int(ids[place]))
    is_meter = np.array([kind == "m" for kind in kinds])
    made = Topology(ids, np.array(electrical, np.int32), np.array(communication, np.int32), is_meter)
    return Town(made, found["f"], found["t"], found["c"], found["s"])


class Stage:
    """A correlator and a clock; keeps everything that was told."""

    def __init__(self, town: Town, settings: CorrelationSettings | None = None) -> None:
        self.town = town
        self.correlator = Correlator(town.topology, settings)
        self.now = 1_000_000.0
        self.told: list[SituationChange] = []

    def say(self, meters: Iterable[int], evidence: Evidence, *, at: float | Iterable[float] | None = None) -> None:
        """Feed evidence, now unless another time is given."""
        ids = np.array(list(meters), np.int64)
        times = np.full(len(ids), self.now) if at is None else np.broadcast_to(np.array(at, float), (len(ids),))
        self.correlator.feed(ids, np.full(len(ids), evidence, np.int8), times)

    def wait(self, seconds: float, step: float = 1.0) -> list[SituationChange]:
        """Let time pass; what was told meanwhile."""
        told: list[SituationChange] = []
        until = self.now + seconds
        while self.now < until:
            self.now += step
            told += self.correlator.advance(self.now)
        self.told += told
        return told

    def roots(self) -> dict[int, TreeName]:
        """Open situations' roots with their trees."""
        return {node: tree for tree, node in self.correlator.open_roots().values()}
