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

from meterops.practices.events.correlation.columns import Floats, each_of, each_once, latest, sum_by
from meterops.practices.events.correlation.paths import PathGroups
from meterops.practices.events.correlation.settings import CorrelationSettings
from meterops.practices.events.correlation.topology import Places, TreeIndex

_NOISE_STEP = 2.0
_NEAR = 0.25
_MUTE_STEP = 4.0
_MUTE_PRIOR = 10.0
"""How many groups of meters the first opinion on mute paths is worth."""
_TINY = 1e-300
"""Stands for nothing in a logarithm, which is multiplied by nothing then."""
_PRIOR = 1000.0
"""How many quiet meters the first opinion on noise is worth: a small fleet has no few strays, it has too few meters to tell."""


class RootScan:
    """Evidence and explanation of one kind in one tree."""

    def __init__(
        self,
        tree: TreeIndex,
        settings: CorrelationSettings,
        expected: Floats | None = None,
        path: Places | None = None,
    ) -> None:
        """`expected` (n) is each leaf's weight among those that could be heard; None: only leaves told by `expect` count.

        `path` (n) is the path over which each leaf would be heard, -1 for none of which others are: it may be lost as a whole.
        """
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
        self._roots = np.zeros(0, np.intp)
        self._inner = np.flatnonzero(~tree.is_leaf & (tree.leaf_count > 0))
        self._tops = self._inner[tree.parent[self._inner] < 0]
        self._leaves = float(tree.is_leaf.sum())
        self._groups = None if expected is None or path is None else PathGroups(tree, path, expected)
        self.mute = settings.least_mute
        self._mutes = np.zeros((n if self._groups else 0, 2))
        self._all_mutes = np.zeros(2)
        self._is_lowest = np.zeros(n, bool)
        self._is_lowest[tree.parent[np.flatnonzero(tree.is_leaf & (tree.parent >= 0))]] = True
        if expected is not None:
            leaves = np.flatnonzero(tree.is_leaf).astype(np.int32)
            self._expect(leaves, expected[leaves])

    def hear(self, leaves: Places, times: Floats, sign: float = 1.0) -> None:
        """Count leaves (each at most once) as heard at some times, or no longer with `sign` -1."""
        if len(leaves):
            said = np.stack((np.full(len(leaves), sign), sign * times), axis=1)
            nodes, said = sum_by(self.tree.parent[leaves], said)
            self._own[nodes] += said[:, 0]
            self._touched.append(nodes)
            while len(nodes):
                self.heard[nodes] += said[:, 0]
                self._time[nodes] += said[:, 1]
                nodes, said = sum_by(self.tree.parent[nodes], said)
            if self._groups is not None:
                self._groups.hear(leaves, sign)

    def expect(self, leaves: Places, sign: float = 1.0) -> None:
        """Count leaves among those that could be heard."""
        if len(leaves):
            self._expect(leaves, np.full(len(leaves), sign))
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
                nodes, times = latest(nodes, times)
        self._touch(leaves)

    def roots(self) -> NDArray[np.intp]:
        """Bring the explanation up to date and return the topmost failed nodes."""
        if not self._touched:
            return self._roots
        self._explain()
        self._roots = self._topmost()
        noise, mute = self._learned_noise(self._roots), self._learned_mute()
        if (noise, mute) != (self.noise, self.mute):
            self.noise, self.mute = noise, mute
            self._touched.append(np.flatnonzero(self._own > 0).astype(np.int32))
            self._explain()
            self._roots = self._topmost()
        return self._roots

    def answered_at(self, node: int) -> float:
        """When a meter below a node last answered."""
        return float(self._answered_at[node])

    def _expect(self, leaves: Places, amounts: Floats) -> None:
        nodes, amounts = sum_by(self.tree.parent[leaves], amounts)
        while len(nodes):
            self._expected[nodes] += amounts
            nodes, amounts = sum_by(self.tree.parent[nodes], amounts)

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
        cost, working = _entropy(heard, expected), expected.copy()
        if self._groups is not None:
            # Where so few are heard that no mute paths could make a root of it, they need not be looked at.
            near = heard >= _NEAR * self.settings.least_rate * expected
            cost[near], working[near] = self._with_mute_paths(self._groups, nodes[near], heard[near], expected[near])
        failed = self.settings.root_cost + cost
        below = self._below[nodes] + self._own[nodes] * -np.log(self.noise)
        may = (heard >= self.settings.least_heard) & (heard >= self.settings.least_rate * working)
        may &= failed < below
        onset = self._time[nodes] / np.maximum(heard, 1.0)
        may &= self._answered_at[nodes] <= onset + self.settings.contradiction_margin_s
        may[may] = ~self._contradicted_by_child(nodes[may])
        best = np.where(may, failed, below)
        self.chosen[nodes] = may
        self.margin[nodes] = np.where(may, below - failed, 0.0)
        gives = np.stack((heard, working), axis=1) * may[:, None]
        self._tell_parents(nodes, best - self._best[nodes], gives - self._gave[nodes])
        self._best[nodes] = best
        self._gave[nodes] = gives

    def _with_mute_paths(
        self, groups: PathGroups, nodes: Places, heard: Floats, expected: Floats
    ) -> tuple[Floats, Floats]:
        """What hearing so many costs where a path may be mute, and how many could be heard over those that are not.

        A path over which nobody below a node was heard has lost their gasps one by one, or all at once.
        """
        each, owner = groups.of(nodes)
        is_quiet = (groups.heard[each] <= 0) & groups.is_shared[each]
        size = groups.expected[each]
        lost = np.bincount(owner, weights=size * is_quiet, minlength=len(nodes))
        working = np.maximum(expected - lost, heard)
        per_meter = _loss_cost(heard, working)[owner]
        mute_cost = -np.log(self.mute)
        quiet_cost = np.minimum(size * per_meter, mute_cost) * is_quiet
        apart = _entropy(heard, working) + np.bincount(owner, weights=quiet_cost, minlength=len(nodes))
        self._count_mutes(nodes, owner, is_quiet, (size * per_meter > mute_cost) & groups.is_shared[each])
        pooled = _entropy(heard, expected)
        return np.minimum(apart, pooled), np.where(apart < pooled, working, expected)

    def _count_mutes(
        self, nodes: Places, owner: NDArray[np.int64], is_quiet: NDArray[np.bool_], tells: NDArray[np.bool_]
    ) -> None:
        """Count groups of lowest nodes that are certainly dark: those that are mute, and all that would show it."""
        lowest = self._is_lowest[nodes]
        if not lowest.any():
            return
        sure = (self.heard[nodes] >= self.settings.least_heard) & lowest
        counts = np.stack(
            (
                np.bincount(owner, weights=is_quiet & tells, minlength=len(nodes)) * sure,
                np.bincount(owner, weights=tells, minlength=len(nodes)) * sure,
            ),
            axis=1,
        )
        self._all_mutes += (counts - self._mutes[nodes]).sum(axis=0)
        self._mutes[nodes] = counts

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
        each, owner = each_of(self.tree.first, nodes)
        if not len(owner):
            return np.zeros(len(nodes), bool)
        children = self.tree.child[each]
        dark = self._dark_expected[nodes]
        rate = np.where(
            dark > 0,
            self._dark_heard[nodes] / np.maximum(dark, 1.0),
            self.heard[nodes] / np.maximum(self._expected[nodes], self.heard[nodes]),
        ).clip(0.02, 0.98)[owner]
        heard = self.heard[children]
        if self._groups is not None:
            if_dark = self._cost_if_dark(self._groups, children, owner, rate)
        else:
            unheard = np.maximum(self._expected[children] - heard, 0.0)
            if_dark = -heard * np.log(rate) - unheard * np.log1p(-rate)
        if_lit = -heard * np.log(self.noise)
        contradicted = np.zeros(len(nodes), bool)
        np.logical_or.at(contradicted, owner, if_dark - if_lit > self.settings.child_contradiction)
        return contradicted

    def _cost_if_dark(self, groups: PathGroups, children: Places, owner: NDArray[np.int64], rate: Floats) -> Floats:
        """What it costs to take children for dark at a rate: by path, for a mute path says nothing of any of them."""
        each, child = groups.of(children)
        heard, size, rate = groups.heard[each], groups.expected[each], rate[child]
        unheard = np.maximum(size - heard, 0.0)
        cost = -heard * np.log(rate) - unheard * np.log1p(-rate)
        is_quiet = (heard <= 0) & groups.is_shared[each] & (groups.heard[groups.up[each]] <= 0)
        # A path is known to be mute by the meters of other children that are dark and unheard over it.
        is_dark = self.heard[children] >= np.maximum(self.settings.least_heard, 0.25 * self._expected[children])
        mute_cost = -np.log(self.mute)
        shows = is_quiet & is_dark[child]
        above, lost = sum_by(groups.up[each][shows], cost[shows])
        is_known = np.isin(groups.up[each], above[lost > mute_cost])
        cost = np.where(is_quiet, np.where(is_known, 0.0, np.minimum(cost, mute_cost)), cost)
        return np.asarray(np.bincount(child, weights=cost, minlength=len(children)), np.float64)

    def _topmost(self) -> NDArray[np.intp]:
        found = self._inner[self.chosen[self._inner]]
        at = self.tree.parent[found]
        while (at >= 0).any():
            free = (at < 0) | ~self.chosen[at]
            found, at = found[free], at[free]
            at = np.where(at >= 0, self.tree.parent[at], -1)
        return found

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

    def _learned_mute(self) -> float:
        """The share of paths that are mute where it is dark, in steps: each change computes everything anew."""
        mute, counted = self._all_mutes
        low, high = self.settings.least_mute, self.settings.most_mute
        share = (mute + _MUTE_PRIOR * low) / (counted + _MUTE_PRIOR)
        if self.mute / _MUTE_STEP < share <= self.mute:
            return self.mute
        steps = np.ceil(np.log(max(share, low) / low) / np.log(_MUTE_STEP))
        return float(min(high, low * _MUTE_STEP**steps))


def _loss_cost(heard: Floats, expected: Floats) -> Floats:
    """What it costs that one meter is not heard, at the rate at which the others are."""
    rate = (heard / np.maximum(expected, 1e-9)).clip(0.02, 0.98)
    return np.asarray(-np.log1p(-rate))


def _entropy(heard: Floats, expected: Floats) -> Floats:
    """-log of the probability of h out of n at the rate that fits best, in nats."""
    rest = np.maximum(expected - heard, 0.0)
    n = np.maximum(expected, 1e-9)
    cost = heard * np.log(np.maximum(heard, _TINY) / n) + rest * np.log(np.maximum(rest, _TINY) / n)
    return np.asarray(-cost)
