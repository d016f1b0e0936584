"""What many entries at once become, in columns: those of nodes, each once, the sums and the latest by key."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Key = TypeVar("Key", bound=np.generic)


def each_once(keys: NDArray[Key]) -> NDArray[Key]:
    """Sorted, without repetitions; for arrays of this kind several times as fast as `np.unique`."""
    keys = np.sort(keys)
    return keys[_begins(keys)]


def _begins(ordered: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a key stands that is another than the one before."""
    begins = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=begins[1:])
    return begins


def each_of(first: NDArray[np.int64], nodes: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where a node's entries are `first[v]:first[v + 1]`: the entries of nodes, and whose each is, as a place in `nodes`."""
    counts = first[nodes + 1] - first[nodes]
    owner = np.repeat(np.arange(len(nodes)), counts)
    offset = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return first[nodes][owner] + offset, owner


def sum_by(keys: NDArray[Any], amounts: Floats) -> tuple[NDArray[Any], Floats]:
    """Keys that are none (below 0) left out, each of the others once, ascending, with the sums of its rows of amounts."""
    known = keys >= 0
    if not known.all():
        keys, amounts = keys[known], amounts[known]
    if not len(keys):
        return keys, amounts
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(_begins(keys))
    return keys[starts], np.add.reduceat(amounts[order], starts)


def latest(keys: NDArray[Key], times: Floats) -> tuple[NDArray[Key], Floats]:
    """Each key once, ascending, with its latest time."""
    order = np.lexsort((times, keys))
    keys, times = keys[order], times[order]
    last = np.r_[keys[1:] != keys[:-1], True]
    return keys[last], times[last]
