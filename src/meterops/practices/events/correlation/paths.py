"""Whose last gasps travel together: the meters below every node, by the path over which they would be heard.

A concentrator or a radio cell that fails loses all gasps that it would have carried, so meters of one path are not lost one by one.
For every node and every path below it one group counts who could be heard and who was.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meterops.practices.events.correlation.columns import Floats, each_of, each_once, sum_by
from meterops.practices.events.correlation.topology import Places, TreeIndex


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
        level = each_once(keys)
        levels = [level]
        while len(level):
            up = tree.parent[level // span]
            level = each_once(up[up >= 0].astype(np.int64) * span + (level % span)[up >= 0])
            levels.append(level)
        known = each_once(np.concatenate(levels))
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
