"""Both trees in columns, indexed so that the meters below any node are one slice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Places = NDArray[np.int32]
_DENSE: Final = 4
"""Ids that lie this close are looked up in a table; searching them costs many times as much."""


class TreeIndex:
    """One tree. `parent` are places in the same columns, -1 for none; a node in a cycle hangs nowhere.

    Attributes, all of length n unless said otherwise: `depth` (0 for tops), `leaf_count`, `lo` and `hi` (the leaves below a
    node are `leaf_at[lo:hi]`, places of leaves in depth-first order), and a node's inner children `child[first[v]:first[v + 1]]`.
    """

    def __init__(self, parent: Places, is_leaf: NDArray[np.bool_]) -> None:
        self.parent = _without_cycles(parent)
        self.is_leaf = is_leaf
        self.depth = _depths(self.parent)
        self.levels = int(self.depth.max(initial=0)) + 1
        self._order_leaves()
        self._list_inner_children()

    def __len__(self) -> int:
        return len(self.parent)

    def leaves(self, node: int) -> Places:
        """The places of the leaves at or below a node."""
        return self.leaf_at[self.lo[node] : self.hi[node]]

    def ancestors(self, node: int) -> list[int]:
        """From its parent to the top."""
        found = []
        while (node := int(self.parent[node])) >= 0:
            found.append(node)
        return found

    def is_below(self, node: int, other: int) -> bool:
        """Whether a node is another one or hangs somewhere below it."""
        return node == other or other in self.ancestors(node)

    def overlaps(self, node: int, other: int) -> bool:
        """Whether leaves hang below both of two nodes."""
        return bool(self.lo[node] < self.hi[other] and self.lo[other] < self.hi[node])

    def _order_leaves(self) -> None:
        n = len(self.parent)
        count = self.is_leaf.astype(np.int64)
        by_depth = np.argsort(self.depth, kind="stable")[::-1]
        for level in _runs(self.depth[by_depth], by_depth):
            up = self.parent[level]
            hung = up >= 0
            count += np.bincount(up[hung], weights=count[level[hung]], minlength=n).astype(np.int64)
        self.leaf_count = count
        lo = np.zeros(n, np.int64)
        for level in _runs(self.depth[by_depth], by_depth)[::-1]:
            # Siblings stand one after the other in their parent's slice, the parent's own leaf first.
            order = level[np.lexsort((level, self.parent[level]))]
            up = self.parent[order]
            before = np.cumsum(count[order]) - count[order]
            first = np.r_[True, up[1:] != up[:-1]] if len(up) else np.zeros(0, bool)
            base = np.maximum.accumulate(np.where(first, np.arange(len(up)), 0))
            tops = up < 0
            start = np.where(tops, before, lo[up] + self.is_leaf[up] + before - before[base])
            lo[order] = np.where(tops, before, start)
        self.lo, self.hi = lo, lo + count
        leaves = np.flatnonzero(self.is_leaf)
        self.leaf_at = np.zeros(int(self.is_leaf.sum()), np.int32)
        self.leaf_at[lo[leaves]] = leaves

    def _list_inner_children(self) -> None:
        inner = np.flatnonzero(~self.is_leaf & (self.parent >= 0))
        self.child = inner[np.argsort(self.parent[inner], kind="stable")].astype(np.int32)
        counts = np.bincount(self.parent[self.child], minlength=len(self.parent))
        self.first = np.r_[0, np.cumsum(counts)]


def _without_cycles(parent: Places) -> Places:
    """Nodes that no top is above get none: what a wrong file holds must not hang a process."""
    up = parent.astype(np.int32).copy()
    reached = up < 0
    pending = np.flatnonzero(~reached)
    while len(pending):
        done = reached[up[pending]]
        if not done.any():
            up[pending] = -1
            break
        reached[pending[done]] = True
        pending = pending[~done]
    return up


def _depths(parent: Places) -> Places:
    depth = np.zeros(len(parent), np.int32)
    at = parent.copy()
    while (hung := at >= 0).any():
        depth += hung
        at = np.where(hung, parent[at], -1)
    return depth


def _runs(values: NDArray[Any], places: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """`places` cut where `values` change."""
    return [run for run in np.split(places, np.flatnonzero(np.diff(values)) + 1) if len(run)]


@dataclass(slots=True)
class Topology:
    """Nodes and meters in columns of one length, ascending by `node_id`.

    `electrical` and `communication` are the parents' places, -1 for none; `is_meter` says what is a leaf. `confidence` (0 to 1)
    is how sure a meter's electrical link is. `delivery` is the share of a meter's last gasps that can be expected relative to
    the best: far below 1 where the path needs the supply that is lost, as with power line carrier.
    """

    node_id: Ids
    electrical: Places
    communication: Places
    is_meter: NDArray[np.bool_]
    confidence: NDArray[np.float32] | None = None
    delivery: NDArray[np.float32] | None = None
    _trees: dict[str, TreeIndex] = field(default_factory=dict)
    _sums: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    _place_by_id: Places | None = None

    def __post_init__(self) -> None:
        if len(self.node_id) > 1 and not (np.diff(self.node_id) > 0).all():
            raise ValueError("the nodes of a topology ascend by id")
        if not len(self.node_id) == len(self.electrical) == len(self.communication) == len(self.is_meter):
            raise ValueError("the columns of a topology have one length")

    def __len__(self) -> int:
        return len(self.node_id)

    def tree(self, name: str) -> TreeIndex:
        """ELECTRICAL or COMMUNICATION, indexed on first use."""
        if name not in self._trees:
            parent = self.electrical if name == "ELECTRICAL" else self.communication
            self._trees[name] = TreeIndex(parent, self.is_meter)
        return self._trees[name]

    def mean_confidence(self, name: str, nodes: int | list[int]) -> NDArray[np.float64]:
        """How sure the links of the meters below each node are on average; 1 where nothing is known of that."""
        if self.confidence is None:
            return np.ones(np.shape(nodes))
        tree = self.tree(name)
        if name not in self._sums:
            self._sums[name] = np.r_[0.0, np.cumsum(self.confidence[tree.leaf_at], dtype=np.float64)]
        lo, hi = tree.lo[nodes], tree.hi[nodes]
        return np.asarray((self._sums[name][hi] - self._sums[name][lo]) / np.maximum(hi - lo, 1))

    def places(self, ids: Ids) -> Places:
        """Where ids stand, -1 for those that are no meter of this topology."""
        if not len(self.node_id):
            return np.full(len(ids), -1, np.int32)
        if self._place_by_id is None and self.node_id[-1] - self.node_id[0] < _DENSE * len(self.node_id):
            self._place_by_id = np.full(int(self.node_id[-1] - self.node_id[0]) + 1, -1, np.int32)
            self._place_by_id[self.node_id[self.is_meter] - self.node_id[0]] = np.flatnonzero(self.is_meter)
        if self._place_by_id is not None:
            offset = ids - self.node_id[0]
            inside = (offset >= 0) & (offset < len(self._place_by_id))
            return np.where(inside, self._place_by_id[np.where(inside, offset, 0)], -1).astype(np.int32)
        at = np.searchsorted(self.node_id, ids).clip(0, len(self.node_id) - 1)
        known = (self.node_id[at] == ids) & self.is_meter[at]
        return np.where(known, at, -1).astype(np.int32)

    def place_of(self, node_id: int) -> int | None:
        """Where a node stands, whatever it is; None where it is not here."""
        at = int(np.searchsorted(self.node_id, node_id))
        return at if at < len(self.node_id) and self.node_id[at] == node_id else None
