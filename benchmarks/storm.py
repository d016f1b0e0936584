"""A storm of last gasps: how often the correlator finds exactly the nodes that failed, how soon, how fast, in how much memory.

    .venv/bin/python -m benchmarks.storm --meters 1000000 --json

Random nodes of a tree of that many meters fail within five minutes; as many gasps as there are meters arrive, 12 % are lost, 2 % of
the meters that have supply cry too. The truth is known to the benchmark only: the correlator sees meters, words and times. Other
worlds are harder: trees with skewed sizes and one-meter transformers, losses that a whole concentrator shares, wrong links in the
records, concentrators that die meanwhile; for them precision and recall of the roots are told.

Besides the correlator alone, the way of an event is measured on one core from framed octets of ciphered pushes to the stored event
and situation. The peer in the same run is the rule that tools use: the highest node of which a fixed share was heard.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import finish, progress
from benchmarks.state import own_state
from meterops.practices.events.correlation import Change, Correlator, Evidence, Topology
from meterops.practices.events.correlation.topology import TreeIndex

MINUTES: Final = 5
LOST: Final = 0.12
NOISE: Final = 0.02
TICK_S: Final = 2.0
A_SECOND: Final = 10_000
"""Pushes that the listener stores at once when they come at the rate that is aimed at: it stores once a second."""
SHARE_RULE: Final = 0.6
"""Of the peer: the highest node of which this share of the meters was heard."""

Ints = NDArray[np.int32]


@dataclass(slots=True)
class World:
    """A tree: `parent` and `kind` (0 substation, 1 feeder, 2 transformer, 3 LV feeder, 4 meter) in columns; paths beside it."""

    parent: Ints
    kind: Ints
    path: Ints
    index: TreeIndex
    path_index: TreeIndex

    @property
    def leaves(self) -> Ints:
        """Places of the meters."""
        return np.flatnonzero(self.kind == 4).astype(np.int32)


@dataclass(slots=True)
class Storm:
    """What happens in a world: words in the order of time, which meters are dark, and when each failed node failed."""

    places: Ints
    evidence: NDArray[np.int8]
    times: NDArray[np.float64]
    dark: NDArray[np.bool_]
    began: dict[int, float]


def make_world(meters: int, dice: np.random.Generator, *, skewed: bool = False) -> World:
    """Substations of 10 feeders of 20 transformers of 3 LV feeders of 20 meters, or sizes drawn widely; concentrators beside."""
    if skewed:
        sizes = np.maximum(1, dice.lognormal(2.2, 0.9, meters // 5)).astype(np.int64)
        lv_of = np.repeat(np.arange(len(sizes)), sizes)[:meters]
        per = [np.maximum(1, dice.lognormal(m, 0.8, len(sizes))).astype(np.int64) for m in (0.9, 2.4, 1.8)]
    else:
        lv_of = np.arange(meters) // 20
        per = [np.full(meters, size, np.int64) for size in (3, 20, 10)]
    levels = [lv_of]
    for counts in per:
        below = int(levels[-1].max()) + 1
        levels.append(np.repeat(np.arange(len(counts)), counts)[:below])
    sizes_of = [int(level.max()) + 1 for level in levels][::-1]
    base = np.cumsum([0, *sizes_of])
    parts = [np.full(sizes_of[0], -1)]
    parts += [base[up] + levels[3 - up] for up in range(4)]
    parent = np.concatenate(parts).astype(np.int32)
    kind = np.repeat(np.arange(5), [*sizes_of, meters]).astype(np.int32)
    path, paths = _paths(parent, kind, dice)
    parent = np.r_[parent, np.full(paths, -1, np.int32)]
    kind = np.r_[kind, np.full(paths, 5, np.int32)]
    is_leaf = kind == 4
    return World(parent, kind, path, TreeIndex(parent, is_leaf), TreeIndex(path, is_leaf))


def _paths(parent: Ints, kind: Ints, dice: np.random.Generator) -> tuple[Ints, int]:
    """Half of the meters on a concentrator a transformer, the others on radio cells of some thousand."""
    n, leaves = len(parent), np.flatnonzero(kind == 4)
    transformer = parent[parent[leaves]]
    numbers, place = np.unique(transformer, return_inverse=True)
    cells = max(1, len(leaves) // 4000)
    on_cell = dice.random(len(leaves)) < 0.5
    path = np.full(n + len(numbers) + cells, -1, np.int32)
    path[leaves] = np.where(on_cell, n + len(numbers) + (place * cells // len(numbers)), n + place)
    return path, len(numbers) + cells


def make_storm(world: World, dice: np.random.Generator, *, lost_together: float = 0.0, cut: float = 0.0) -> Storm:
    """Let nodes fail until as many gasps arrive as there are meters, counting those that meters repeat."""
    leaves = world.leaves
    dark = np.zeros(len(world.parent), bool)
    words: list[tuple[Ints, int, NDArray[np.float64]]] = []
    began: dict[int, float] = {}
    wanted = 0.75 * len(leaves)
    levels = [np.flatnonzero(world.kind == level) for level in range(4)]
    while dark.sum() < wanted:
        node = int(dice.choice(levels[int(dice.choice(4, p=(0.6, 0.25, 0.1, 0.05)))]))
        below = world.index.leaves(node)
        if dark[below].any() or (not began and len(below) == len(leaves)):
            continue
        dark[below] = True
        began[node] = at = float(dice.uniform(0, MINUTES * 60 - 60))
        heard = below[dice.random(len(below)) >= LOST]
        if lost_together:
            silent = np.flatnonzero(dice.random(len(world.path)) < lost_together)
            heard = heard[~np.isin(world.path[heard], silent)]
        words.append((heard, Evidence.DOWN, at + dice.lognormal(1.0, 0.9, len(heard))))
    said = sum(len(places) for places, _, _ in words)
    noise = leaves[(dice.random(len(leaves)) < NOISE) & ~dark[leaves]]
    words.append((noise, Evidence.DOWN, dice.uniform(0, MINUTES * 60, len(noise))))
    again = np.concatenate([places for places, _, _ in words[:-1]])
    times = np.concatenate([at for _, _, at in words[:-1]])
    chosen = dice.choice(len(again), max(0, len(leaves) - said - len(noise)))
    words.append((again[chosen], Evidence.DOWN, times[chosen] + dice.uniform(0.5, 5, len(chosen))))
    if cut:
        words += _cut(world, dark, dice, cut)
    places = np.concatenate([one for one, _, _ in words])
    evidence = np.concatenate([np.full(len(one), word, np.int8) for one, word, _ in words])
    at_all = np.concatenate([at for _, _, at in words])
    order = np.argsort(at_all, kind="stable")
    return Storm(places[order].astype(np.int32), evidence[order], at_all[order], dark, began)


def _cut(
    world: World, dark: NDArray[np.bool_], dice: np.random.Generator, share: float
) -> Iterator[tuple[Ints, int, NDArray[np.float64]]]:
    """Concentrators that die: the meters behind them are silent, a fifth of the others answers meanwhile."""
    paths = np.flatnonzero(world.kind == 5)
    for path in paths[dice.random(len(paths)) < share]:
        behind = world.path_index.leaves(int(path))
        if len(behind) <= 200 and not dark[behind].any():
            yield behind, Evidence.SILENT, dice.uniform(100, 160, len(behind))
    lit = world.leaves[~dark[world.leaves] & (dice.random(len(world.leaves)) < 0.2)]
    yield lit, Evidence.ANSWERED, np.full(len(lit), 1.0)


def true_roots(world: World, dark: NDArray[np.bool_]) -> set[int]:
    """The topmost nodes all of whose meters are dark; of a chain of only children, which nobody can tell apart, the lowest."""
    nodes = np.flatnonzero(world.kind < 4)
    order = np.argsort(world.index.lo[world.leaves])
    sums = np.r_[0, np.cumsum(dark[world.leaves[order]])]
    full = np.zeros(len(world.parent), bool)
    count = world.index.leaf_count[nodes]
    full[nodes] = (sums[world.index.hi[nodes]] - sums[world.index.lo[nodes]] == count) & (count > 0)
    up = world.parent[nodes]
    tops = nodes[full[nodes] & ((up < 0) | ~full[up])]
    lowest = dict(zip(zip(world.index.lo[nodes], world.index.hi[nodes], strict=True), nodes.tolist(), strict=True))
    return {lowest[lo, hi] for lo, hi in zip(world.index.lo[tops], world.index.hi[tops], strict=True)}


@dataclass(slots=True)
class Outcome:
    """What a run gave."""

    found: set[int]
    first_s: list[float]
    events: int
    seconds: float
    incidents_a_root: float


def run(world: World, topology: Topology, storm: Storm) -> Outcome:
    """Correlate a storm, a look every two seconds of its time, and then until nothing moves any more."""
    correlator = Correlator(topology)
    ids, end = storm.places.astype(np.int64), MINUTES * 60 + 60
    edges = np.arange(TICK_S, end + TICK_S, TICK_S)
    cuts = np.searchsorted(storm.times, edges)
    opened: list[tuple[float, int, float]] = []
    first, started = 0, time.perf_counter()
    for edge, cut in zip(edges.tolist(), cuts.tolist(), strict=True):
        correlator.feed(ids[first:cut], storm.evidence[first:cut], storm.times[first:cut])
        first = cut
        told = correlator.advance(edge)
        opened += [(one.at, one.node_id, one.started_at) for one in told if one.change is Change.OPENED]
    seconds = time.perf_counter() - started
    found = {node for tree, node in correlator.open_roots().values() if tree == "ELECTRICAL"}
    return Outcome(found, _delays(world, storm, opened), len(ids), seconds, len(opened) / max(len(storm.began), 1))


def _delays(world: World, storm: Storm, opened: list[tuple[float, int, float]]) -> list[float]:
    """For every node that failed: from its first gasp to the first situation at it, above it or below it."""
    delays = []
    for node in storm.began:
        below = world.index.leaves(node)
        mine = np.isin(storm.places, below, kind="table") & (storm.times >= storm.began[node])
        gasps = storm.times[mine]
        if not len(gasps):
            continue
        near = [
            at
            for at, other, _ in opened
            if at >= gasps[0] and (world.index.is_below(node, other) or world.index.is_below(other, node))
        ]
        delays.append(min(near, default=float("inf")) - float(gasps[0]))
    return delays


def share_rule(world: World, storm: Storm) -> set[int]:
    """The peer: the highest nodes of which a fixed share was heard."""
    heard = np.zeros(len(world.parent), bool)
    heard[storm.places[storm.evidence == Evidence.DOWN]] = True
    order = np.argsort(world.index.lo[world.leaves])
    sums = np.r_[0, np.cumsum(heard[world.leaves[order]])]
    nodes = np.flatnonzero(world.kind < 4)
    above = np.zeros(len(world.parent), bool)
    part = sums[world.index.hi[nodes]] - sums[world.index.lo[nodes]]
    above[nodes] = part >= SHARE_RULE * np.maximum(world.index.leaf_count[nodes], 1)
    up = world.parent[nodes]
    return set(nodes[above[nodes] & ((up < 0) | ~above[up])].tolist())


def topology_of(world: World, *, wrong_links: float = 0.0, dice: np.random.Generator | None = None) -> Topology:
    """What the records say; a share of the meters may hang elsewhere in them."""
    parent = world.parent.copy()
    if wrong_links and dice is not None:
        leaves = world.leaves
        moved = leaves[dice.random(len(leaves)) < wrong_links]
        parent[moved] = dice.permutation(parent[moved])
    return Topology(np.arange(len(parent), dtype=np.int64), parent, world.path, world.kind == 4)


def measure(meters: int, seeds: int, seed: int) -> dict[str, Any]:
    """The uniform tree over many seeds, and the harder worlds over a few."""
    world = make_world(meters, np.random.default_rng(seed))
    topology = topology_of(world)
    exact, peer_exact, first, events, seconds = 0, 0, [], 0, 0.0
    for number in range(seeds):
        storm = make_storm(world, np.random.default_rng((seed, number)))
        truth = true_roots(world, storm.dark)
        outcome = run(world, topology, storm)
        exact += outcome.found == truth
        peer_exact += share_rule(world, storm) == truth
        first += outcome.first_s
        events, seconds = events + outcome.events, seconds + outcome.seconds
        progress(
            f"seed {number}: {len(truth)} roots, {len(truth - outcome.found)} missed, {len(outcome.found - truth)} too many, "
            f"{outcome.events / outcome.seconds:,.0f} events/s"
        )
    result: dict[str, Any] = {
        "meters": meters,
        "seeds": seeds,
        "gasps_a_run": events // max(seeds, 1),
        "exact_root_share": exact / seeds,
        "share_rule_exact_root_share": peer_exact / seeds,
        "first_situation_s_p50": float(np.quantile(first, 0.5)),
        "first_situation_s_p95": float(np.quantile(first, 0.95)),
        "correlation_events_per_s": events / seconds,
        "correlation_events": events,
    }
    few = max(1, min(3, seeds))
    result["worlds"] = {
        "skewed_tree": _quality(meters, few, seed, skewed=True),
        "losses_together": _quality(meters, few, seed, lost_together=0.05),
        "wrong_links": _quality(meters, few, seed, wrong_links=0.01),
        "dead_concentrators": _quality(meters, few, seed, cut=0.02),
    }
    return result


def _quality(
    meters: int, seeds: int, seed: int, *, skewed: bool = False, wrong_links: float = 0.0, **storm_words: float
) -> dict[str, float]:
    hits = told = there = 0
    for number in range(seeds):
        dice = np.random.default_rng((seed, 77, number))
        world = make_world(meters, dice, skewed=skewed)
        storm = make_storm(world, dice, **storm_words)
        truth = true_roots(world, storm.dark)
        outcome = run(world, topology_of(world, wrong_links=wrong_links, dice=dice), storm)
        hits, told, there = hits + len(outcome.found & truth), told + len(outcome.found), there + len(truth)
    found = {"precision": hits / max(told, 1), "recall": hits / max(there, 1)}
    progress(f"{'skewed' if skewed else storm_words or 'wrong links'}: {found}")
    return found


def end_to_end(meters: int, seed: int) -> dict[str, Any]:
    """Framed octets of ciphered pushes of a region's meters to stored events and situations, on this process's one core."""
    with own_state("storm") as folder:
        return _end_to_end(folder, meters, seed)


def _end_to_end(folder: Path, meters: int, seed: int) -> dict[str, Any]:
    from meterops.interfaces.cli.state import open_state

    open_state()
    from meterops.fleet.headend.push import PushDesk, PushFrame
    from meterops.fleet.telemetry import api as telemetry
    from meterops.practices.events import api as events
    from meterops.protocols.dlms.framing.push_receiver import PushReceiver
    from meterops.site.demo_setup import apply_shipment, make_shipment
    from meterops.site.main import settle_memory

    progress(f"a region with {meters:,} meters")
    apply_shipment(make_shipment(folder, meters=meters, seed=seed))
    frames = _frames(meters, seed)
    lake = telemetry.lake()
    desk, intake = PushDesk(lake), events.Intake(lake)
    now = datetime.now(UTC)
    intake.step(now=now)
    settle_memory()
    began, cpu = time.perf_counter(), time.process_time()
    rates = []
    for start in range(0, len(frames), A_SECOND):
        received, batch_began = time.time(), time.perf_counter()
        batch = [
            PushFrame(apdu, "tcp", "127.0.0.1:1", received)
            for frame in frames[start : start + A_SECOND]
            for apdu in PushReceiver().feed(frame)
        ]
        dropped = desk.store(batch)
        if dropped:
            raise SystemExit(f"frames were dropped: {dict(dropped)}")
        intake.step(now=datetime.now(UTC))
        rates.append(len(batch) / (time.perf_counter() - batch_began))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    stored = telemetry.count_rows(lake)["events"]
    time.sleep(6)
    intake.step(now=datetime.now(UTC))
    return {
        "events_per_s": len(frames) / seconds,  # gasps, each of which is stored as three rows
        "stored_events_per_s": stored / seconds,
        "events_per_s_best_batch": max(rates),
        "end_to_end_events": len(frames),
        "end_to_end_cpu_us_per_event": 1e6 * cpu / len(frames),
        "end_to_end_stored": stored,
        "end_to_end_situations": len(events.list_situations()),
    }


def _frames(meters: int, seed: int) -> list[bytes]:
    """A last gasp of every meter, as it leaves it."""
    from meterops.protocols.dlms.framing.wrapper import WrapperLink
    from meterops.simulator import api as simulator
    from meterops.simulator.meter_bench import BenchMeter
    from meterops.simulator.meter_events import EventCode
    from meterops.simulator.meter_objects import make_model
    from meterops.simulator.meter_push import build_push, event_objects

    progress("sealing last gasps")
    region = simulator.generate_region(seed=seed, meters=meters)
    objects = event_objects(EventCode.POWER_FAILURE)
    model = make_model(profile_period=900, max_pdu_size=1024)
    frames = []
    for number in range(meters):
        meter = BenchMeter(region.keys(number), region.system_title(number), region.serial(number), model=model).make()
        meter.note(EventCode.POWER_FAILURE)
        frames.append(WrapperLink(1, 1).send(build_push(meter, objects)))
    return frames


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meters", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=0, help="storms; 0 takes as many as fit some minutes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pushes", type=int, default=40_000, help="meters of the measure from end to end")
    parser.add_argument("--json", action="store_true", help="only the JSON line on stdout")
    asked = parser.parse_args()
    seeds = asked.seeds or max(10, min(200, 20_000_000 // asked.meters))
    result = measure(asked.meters, seeds, asked.seed)
    result |= end_to_end(asked.pushes, asked.seed)
    result["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    finish(f"storm_{asked.meters}", result, json_only=asked.json)


if __name__ == "__main__":
    main()
