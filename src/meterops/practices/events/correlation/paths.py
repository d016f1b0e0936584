"""Whose last gasps travel together: the meters below every node, by the path over which they would be heard.

A concentrator or a radio cell that fails loses all gasps that it would have carried, so meters of one path are not lost one by one.
For every node and every path below it one group counts who could be heard and who was.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from meterops.practices.events.correlation.topology import Places, TreeIndex, each_of

Floats = NDArray[np.float64]


class PathGroups:
    """Groups of (node, path) in columns, a node's one after the other; `up` is the group of the node's parent, -1 for none.

    `expected` is the weight of a group's meters, `heard` how many of them were; `is_shared` tells a path from none: meters without
    one have nothing in common and stand in one group that is never lost as a whole.
    """

    def __init__(self, tree: TreeIndex, path: Places, weight: Floats) -> None:
        leaves = np.flatnonzero(tree.is_leaf & (tree.parent >= 0))
        paths, path_of = np.unique(path[leaves], return_inverse=True)
        span = max(len(paths), 1)
        keys = tree.parent[leaves].astype(np.int64) * span + path_of
        known = each = np.unique(keys)
        while len(each):
            up = tree.parent[each // span]
            each = np.unique(up[up >= 0].astype(np.int64) * span + (each % span)[up >= 0])
            known = np.union1d(known, each)
        node = known // span
        above = tree.parent[node]
        self.up = np.where(above >= 0, np.searchsorted(known, above.astype(np.int64) * span + known % span), -1)
        self.first = np.searchsorted(node, np.arange(len(tree) + 1))
        self.is_shared = np.r_[paths, -1][known % span] >= 0
        self._of_leaf = np.full(len(tree), -1, np.int64)
        self._of_leaf[leaves] = np.searchsorted(known, keys)
        self.heard = np.zeros(len(known))
        self.expected = np.zeros(len(known))
        self._add(self.expected, leaves.astype(np.int32), weight[leaves])

    def hear(self, leaves: Places, sign: float) -> None:
        """Count leaves as heard, or no longer with `sign` -1."""
        self._add(self.heard, leaves, np.full(len(leaves), sign))

    def of(self, nodes: Places) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The groups of nodes, and for each the place of its node among those asked for."""
        return each_of(self.first, nodes)

    def _add(self, column: Floats, leaves: Places, amounts: Floats) -> None:
        groups = self._of_leaf[leaves]
        while len(groups):
            groups, amounts = sum_by(groups, amounts)
            column[groups] += amounts
            groups = self.up[groups]


def sum_by(keys: NDArray[Any], amounts: Floats) -> tuple[NDArray[Any], Floats]:
    """Keys that are none (below 0) left out, each of the others once, ascending, with the sums of its rows of amounts."""
    known = keys >= 0
    if not known.all():
        keys, amounts = keys[known], amounts[known]
    if not len(keys):
        return keys, amounts
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    return keys[starts], np.add.reduceat(amounts[order], starts)
