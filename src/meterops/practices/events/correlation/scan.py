"""The fewest likeliest roots of a tree: a maximum a posteriori explanation by dynamic programming, kept up to date.

For every node two explanations compete. Either it has failed: that costs `root_cost`, and its meters are then heard with one
unknown rate p, which costs the entropy of h heard out of n. Or it has not: then its children explain themselves, and a meter heard
by itself costs what noise costs. The cheaper one stands; roots are the topmost nodes at which "failed" is cheaper. p is not given
beforehand: it differs by technology, falls with the size of an outage, and rises while its last gasps come in.

A node cannot have failed when a meter below it answered after that, or when a child below it is far likelier to have supply.

Only nodes above meters whose evidence changed are computed again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meterops.practices.events.correlation.settings import CorrelationSettings
from meterops.practices.events.correlation.topology import Places, TreeIndex

Floats = NDArray[np.float64]
_NOISE_STEP = 2.0
_PRIOR = 1000.0
"""How many quiet meters the first opinion on noise is worth: a small fleet has no few strays, it has too few meters to tell."""


class RootScan:
    """Evidence and explanation of one kind in one tree."""

    def __init__(self, tree: TreeIndex, settings: CorrelationSettings, expected: Floats | None = None) -> None:
        """`expected` (n) is each leaf's weight among those that could be heard; None: only leaves told by `expect` count."""
        n = len(tree)
        self.tree, self.settings = tree, settings
        self.noise = settings.least_noise
        self.heard = np.zeros(n)
        self._own = np.zeros(n)
        self._time = np.zeros(n)
        self._expected = np.zeros(n)
        self._answered_at = np.full(n, -np.inf)
        self._best = np.zeros(n)
        self._below = np.zeros(n)
        self._dark_heard = np.zeros(n)
        self._dark_expected = np.zeros(n)
        self._gave = np.zeros((n, 2))
        self.chosen = np.zeros(n, bool)
        self.margin = np.zeros(n)
        """How much cheaper "failed" is than what its children say, for chosen nodes."""
        self._touched: list[Places] = []
        self._tops = np.flatnonzero(tree.parent < 0)
        self._leaves = float(tree.is_leaf.sum())
        if expected is not None:
            leaves = np.flatnonzero(tree.is_leaf).astype(np.int32)
            self._add(self._expected, leaves, expected[leaves])

    def hear(self, leaves: Places, times: Floats, sign: float = 1.0) -> None:
        """Count leaves (each at most once) as heard at some times, or no longer with `sign` -1."""
        if len(leaves):
            self._add(self.heard, leaves, np.full(len(leaves), sign))
            self._add(self._time, leaves, sign * times)
            nodes, amounts = self._parents_of(leaves, np.full(len(leaves), sign))
            self._own[nodes] += amounts
            self._touched.append(nodes)

    def expect(self, leaves: Places, sign: float = 1.0) -> None:
        """Count leaves among those that could be heard."""
        if len(leaves):
            self._add(self._expected, leaves, np.full(len(leaves), sign))
            self._touch(leaves)

    def answer(self, leaves: Places, times: Floats) -> None:
        """Take note that leaves answered: nothing above them can have failed before."""
        nodes = leaves
        while len(nodes):
            order = np.argsort(times, kind="stable")
            self._answered_at[nodes[order]] = np.maximum(self._answered_at[nodes[order]], times[order])
            nodes = self.tree.parent[nodes]
            hung = nodes >= 0
            nodes, times = nodes[hung], times[hung]
            if len(nodes):
                nodes, times = _latest(nodes, times)
        self._touch(leaves)

    def roots(self) -> NDArray[np.intp]:
        """Bring the explanation up to date and return the topmost failed nodes."""
        self._explain()
        found = self._topmost()
        wanted = self._learned_noise(found)
        if wanted != self.noise:
            self.noise = wanted
            self._touched.append(np.flatnonzero(self._own > 0).astype(np.int32))
            self._explain()
            found = self._topmost()
        return found

    def answered_at(self, node: int) -> float:
        """When a meter below a node last answered."""
        return float(self._answered_at[node])

    def _add(self, column: Floats, leaves: Places, amounts: Floats) -> None:
        nodes, amounts = self._parents_of(leaves, amounts)
        while len(nodes):
            column[nodes] += amounts
            nodes, amounts = self._parents_of(nodes, amounts)

    def _parents_of(self, nodes: Places, amounts: Floats) -> tuple[Places, Floats]:
        """The parents of nodes, each once, ascending, with the sum of what its children bring."""
        up = self.tree.parent[nodes]
        hung = up >= 0
        if not hung.all():
            up, amounts = up[hung], amounts[hung]
        if not len(up):
            return up, amounts
        order = np.argsort(up, kind="stable")
        up = up[order]
        starts = np.flatnonzero(np.r_[True, up[1:] != up[:-1]])
        return up[starts], np.add.reduceat(amounts[order], starts)

    def _touch(self, leaves: Places) -> None:
        up = self.tree.parent[leaves]
        self._touched.append(each_once(up[up >= 0]))

    def _explain(self) -> None:
        waiting = each_once(np.concatenate([np.zeros(0, np.int32), *self._touched]))
        self._touched = []
        if not len(waiting):
            return
        depth = self.tree.depth
        for level in range(int(depth[waiting].max()), -1, -1):
            here = depth[waiting] == level
            nodes, rest = waiting[here], waiting[~here]
            if len(nodes):
                self._explain_nodes(nodes)
                up = self.tree.parent[nodes]
                waiting = each_once(np.concatenate((rest, up[up >= 0])))
            else:
                waiting = rest

    def _explain_nodes(self, nodes: Places) -> None:
        heard = self.heard[nodes]
        expected = np.maximum(self._expected[nodes], heard)
        failed = self.settings.root_cost + _entropy(heard, expected)
        below = self._below[nodes] + self._own[nodes] * -np.log(self.noise)
        may = (heard >= self.settings.least_heard) & (heard >= self.settings.least_rate * expected)
        may &= failed < below
        onset = self._time[nodes] / np.maximum(heard, 1.0)
        may &= self._answered_at[nodes] <= onset + self.settings.contradiction_margin_s
        may[may] = ~self._contradicted_by_child(nodes[may])
        best = np.where(may, failed, below)
        self.chosen[nodes] = may
        self.margin[nodes] = np.where(may, below - failed, 0.0)
        gives = np.stack((heard, expected), axis=1) * may[:, None]
        self._tell_parents(nodes, best - self._best[nodes], gives - self._gave[nodes])
        self._best[nodes] = best
        self._gave[nodes] = gives

    def _tell_parents(self, nodes: Places, cost: Floats, gives: Floats) -> None:
        up = self.tree.parent[nodes]
        hung = up >= 0
        for column, change in (
            (self._below, cost),
            (self._dark_heard, gives[:, 0]),
            (self._dark_expected, gives[:, 1]),
        ):
            np.add.at(column, up[hung], change[hung])

    def _contradicted_by_child(self, nodes: Places) -> NDArray[np.bool_]:
        """Whether a child is far likelier to have supply than to be dark at the rate at which its dark siblings are heard."""
        first, child = self.tree.first, self.tree.child
        counts = first[nodes + 1] - first[nodes]
        owner = np.repeat(np.arange(len(nodes)), counts)
        if not len(owner):
            return np.zeros(len(nodes), bool)
        offset = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        children = child[first[nodes][owner] + offset]
        dark = self._dark_expected[nodes]
        rate = np.where(
            dark > 0,
            self._dark_heard[nodes] / np.maximum(dark, 1.0),
            self.heard[nodes] / np.maximum(self._expected[nodes], self.heard[nodes]),
        ).clip(0.02, 0.98)[owner]
        heard = self.heard[children]
        unheard = np.maximum(self._expected[children] - heard, 0.0)
        if_dark = -heard * np.log(rate) - unheard * np.log1p(-rate)
        if_lit = -heard * np.log(self.noise)
        contradicted = np.zeros(len(nodes), bool)
        np.logical_or.at(contradicted, owner, if_dark - if_lit > self.settings.child_contradiction)
        return contradicted

    def _topmost(self) -> NDArray[np.intp]:
        found = np.flatnonzero(self.chosen)
        at = self.tree.parent[found]
        covered = np.zeros(len(found), bool)
        while (hung := at >= 0).any():
            covered |= hung & self.chosen[at]
            at = np.where(hung, self.tree.parent[at], -1)
        return found[~covered]

    def _learned_noise(self, roots: NDArray[np.intp]) -> float:
        """The share of meters heard that no root explains, in steps: each change computes everything anew."""
        stray = float(self.heard[self._tops].sum() - self.heard[roots].sum())
        quiet = self._leaves - float(self.tree.leaf_count[roots].sum())
        low, high = self.settings.least_noise, self.settings.most_noise
        share = (stray + _PRIOR * low) / (quiet + _PRIOR)
        if self.noise / _NOISE_STEP < share <= self.noise:
            return self.noise
        steps = np.ceil(np.log(max(share, low) / low) / np.log(_NOISE_STEP))
        return float(min(high, low * _NOISE_STEP**steps))


def _entropy(heard: Floats, expected: Floats) -> Floats:
    """-log of the probability of h out of n at the rate that fits best, in nats."""
    rest = np.maximum(expected - heard, 0.0)
    n = np.maximum(expected, 1e-9)
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = -np.where(heard > 0, heard * np.log(heard / n), 0.0) - np.where(rest > 0, rest * np.log(rest / n), 0.0)
    return np.asarray(cost)


def each_once(nodes: Places) -> Places:
    """Sorted, without repetitions; for arrays of this kind several times as fast as `np.unique`."""
    nodes = np.sort(nodes)
    return nodes[np.r_[True, nodes[1:] != nodes[:-1]]] if len(nodes) else nodes


def _latest(nodes: Places, times: Floats) -> tuple[Places, Floats]:
    """Each node once, with its latest time."""
    order = np.lexsort((times, nodes))
    nodes, times = nodes[order], times[order]
    last = np.r_[nodes[1:] != nodes[:-1], True]
    return nodes[last], times[last]
