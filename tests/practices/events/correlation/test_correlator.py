"""From evidence to roots: the right node, once, in both trees, whatever the order, and back to nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.practices.events.correlation.trees import Stage, Town, make_town

from meterops.practices.events.correlation import (
    Change,
    CorrelationSettings,
    Correlator,
    Evidence,
    SituationKind,
    Topology,
    TreeName,
)
from meterops.practices.events.correlation.paths import PathGroups

DOWN, UP, ANSWERED, SILENT = Evidence.DOWN, Evidence.UP, Evidence.ANSWERED, Evidence.SILENT
ELECTRICAL, COMMUNICATION = TreeName.ELECTRICAL, TreeName.COMMUNICATION
DICE = np.random.default_rng(5)


@pytest.fixture(scope="module")
def town() -> Town:
    return make_town()


def some(meters: list[int], share: float, seed: int = 1) -> list[int]:
    dice = np.random.default_rng(seed)
    return [meter for meter in meters if dice.random() < share]


def important(stage: Stage) -> list[tuple[str, int]]:
    return [(str(c.change), c.node_id) for c in stage.told if c.change is not Change.CHANGED]


@pytest.mark.parametrize("level", ["substations", "feeders", "transformers"])
@pytest.mark.parametrize("share", [0.6, 0.88, 1.0])
def test_the_root_is_the_node_whose_meters_cried(town: Town, level: str, share: float) -> None:
    root = getattr(town, level)[0]
    stage = Stage(town)
    stage.say(some(town.meters(root), share), DOWN)
    stage.wait(10)
    assert stage.roots() == {root: ELECTRICAL}
    (opened,) = [c for c in stage.told if c.change is Change.OPENED]
    assert (opened.kind, opened.expected) == (SituationKind.OUTAGE, len(town.meters(root)))
    assert opened.at - opened.started_at <= 10
    assert opened.power_score > 0.95
    assert opened.power_score + opened.communication_score == pytest.approx(1)


def test_some_noise_everywhere_is_no_situation(town: Town) -> None:
    stage = Stage(town)
    everybody = town.meters(town.substations[0])
    stage.say(some(everybody, 0.03), DOWN)
    stage.wait(60)
    assert stage.told == []


def test_all_transformers_but_one_are_roots_of_their_own(town: Town) -> None:
    stage = Stage(town)
    dark = town.transformers[:3]
    for number, transformer in enumerate(dark):
        stage.say(some(town.meters(transformer), 0.88, number), DOWN)
    stage.wait(10)
    assert stage.roots() == dict.fromkeys(dark, ELECTRICAL)


def test_one_answer_beats_any_count(town: Town) -> None:
    feeder = town.feeders[0]
    lit = town.meters(town.transformers[0])[0]
    stage = Stage(town)
    stage.say(town.meters(feeder), DOWN)
    stage.now += 10
    stage.say([lit], ANSWERED)
    stage.wait(10)
    assert feeder not in stage.roots()
    assert town.transformers[0] not in stage.roots()
    assert set(stage.roots()) == set(town.transformers[1:4])


def test_an_answer_over_an_unsure_link_contradicts_nothing(town: Town) -> None:
    feeder = town.feeders[0]
    lit = town.meters(town.transformers[0])[0]
    confidence = np.ones(len(town.topology), np.float32)
    confidence[town.topology.places(np.array([lit]))] = 0.5
    made = town.topology
    unsure = replace(
        town, topology=Topology(made.node_id, made.electrical, made.communication, made.is_meter, confidence)
    )
    stage = Stage(unsure)
    stage.say(town.meters(feeder), DOWN)
    stage.now += 10
    stage.say([lit], ANSWERED)
    stage.wait(10)
    assert set(stage.roots()) == {feeder}


def test_a_momentary_interruption_opens_nothing(town: Town) -> None:
    stage = Stage(town)
    meters = town.meters(town.feeders[0])
    stage.say(meters, DOWN)
    stage.wait(2)
    stage.say(meters, UP)
    stage.wait(120)
    assert stage.told == []


def test_a_restored_feeder_leaves_the_transformer_that_was_left_out(town: Town) -> None:
    stage = Stage(town)
    feeder, left_out = town.feeders[0], town.transformers[2]
    stage.say(some(town.meters(feeder), 0.9), DOWN)
    stage.wait(300)
    first = next(iter(stage.correlator.open_roots()))
    for number, transformer in enumerate(town.transformers[:4]):
        if transformer != left_out:
            stage.say(some(town.meters(transformer), 0.9, number), UP)
            stage.wait(5)
    stage.wait(120)
    assert stage.correlator.open_roots() == {first: (ELECTRICAL, left_out)}
    assert important(stage) == [("OPENED", feeder), ("MOVED", left_out)]
    stage.say(town.meters(left_out), ANSWERED)
    stage.wait(120)
    assert important(stage)[-1] == ("CLEARED", left_out)
    assert stage.told[-1].reason == "RESTORED"


def test_a_dead_concentrator_is_no_outage(town: Town) -> None:
    stage = Stage(town)
    cut = town.concentrators[1]
    everybody = town.meters(town.substations[0])
    behind = set(town.meters(cut, "COMMUNICATION"))
    stage.say(everybody, ANSWERED)
    stage.wait(60)
    stage.say(behind, SILENT)
    stage.say([meter for meter in everybody if meter not in behind], ANSWERED, at=stage.now + 5)
    stage.wait(30)
    assert stage.roots() == {cut: COMMUNICATION}
    opened = next(c for c in stage.told if c.change is Change.OPENED)
    assert opened.kind is SituationKind.COMMUNICATION
    assert opened.communication_score > 0.5 > opened.power_score


def test_silence_of_a_whole_transformer_over_several_paths_is_an_outage(town: Town) -> None:
    stage = Stage(town)
    dark = town.transformers[1]
    everybody = town.meters(town.substations[0])
    stage.say(everybody, ANSWERED)
    stage.wait(60)
    stage.say(some(town.meters(dark), 0.25), DOWN)
    stage.wait(5)
    stage.say(town.meters(dark), SILENT)
    stage.say([meter for meter in everybody if meter not in set(town.meters(dark))], ANSWERED)
    stage.wait(30)
    assert stage.roots() == {dark: ELECTRICAL}


def test_an_outage_and_a_dead_concentrator_at_once_are_told_apart(town: Town) -> None:
    stage = Stage(town)
    dark, cut = town.transformers[0], town.concentrators[5]
    behind = town.meters(cut, "COMMUNICATION")
    everybody = town.meters(town.substations[0])
    stage.say(everybody, ANSWERED)
    stage.wait(60)
    stage.say(some(town.meters(dark), 0.8), DOWN)
    stage.say(behind, SILENT)
    stage.say([m for m in everybody if m not in set(behind) | set(town.meters(dark))], ANSWERED, at=stage.now + 5)
    stage.wait(30)
    assert stage.roots() == {dark: ELECTRICAL, cut: COMMUNICATION}


def test_planned_work_opens_nothing_and_what_is_left_is_looked_at(town: Town) -> None:
    stage = Stage(town)
    transformer = town.transformers[0]
    stage.correlator.set_planned([town.feeders[0]], stage.now - 10, stage.now + 600)
    stage.say(some(town.meters(transformer), 0.9), DOWN)
    stage.say(some(town.meters(town.transformers[9]), 0.9), DOWN)
    stage.wait(500)
    assert stage.roots() == {town.transformers[9]: ELECTRICAL}
    stage.wait(200)
    assert set(stage.roots()) == {transformer, town.transformers[9]}


def test_a_storm_is_known_by_its_rate_and_ends_later_than_it_begins(town: Town) -> None:
    stage = Stage(town, CorrelationSettings(storm_enter_per_s=5, storm_leave_per_s=1))
    stage.say(town.meters(town.substations[0]), DOWN)
    stage.wait(3)
    assert stage.correlator.is_storm
    stage.wait(120)
    assert not stage.correlator.is_storm


def test_other_trees_move_the_root_and_keep_the_situation(town: Town) -> None:
    stage = Stage(town)
    moved, old, new = town.transformers[0], town.feeders[0], town.feeders[1]
    stage.say(some(town.meters(moved), 0.9), DOWN)
    stage.wait(10)
    name = next(iter(stage.correlator.open_roots()))
    electrical = town.topology.electrical.copy()
    place, above = town.topology.place_of(moved), town.topology.place_of(new)
    assert place is not None
    assert above is not None
    assert town.topology.node_id[electrical[place]] == old
    electrical[place] = above
    made = town.topology
    stage.correlator.replace_topology(Topology(made.node_id, electrical, made.communication, made.is_meter))
    stage.say([m for t in town.transformers[4:8] for m in some(town.meters(t), 0.9)], DOWN)
    stage.wait(10)
    assert stage.correlator.open_roots() == {name: (ELECTRICAL, new)}


def test_unknown_meters_and_impossible_times_are_passed_over(town: Town) -> None:
    stage = Stage(town)
    stage.say([1, 2, 3, town.feeders[0]], DOWN)
    stage.say(town.meters(town.feeders[0]), DOWN, at=float("nan"))
    stage.say([], DOWN)
    assert stage.wait(20) == []


# In any order, with any delay.

_delays = st.lists(st.floats(0, 4.5), min_size=100, max_size=100)


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False), _delays, st.sampled_from(["feeders", "substations"]))
def test_no_child_is_told_of_while_its_parent_is_down(shuffle: object, delays: list[float], level: str) -> None:
    """Whatever order last gasps arrive in within the hold-down, the first thing told is the parent."""
    town = make_town(feeders=2)
    root = getattr(town, level)[0]
    meters = some(town.meters(root), 0.88)
    shuffle.shuffle(meters)  # type: ignore[attr-defined]
    stage = Stage(town)
    arrivals = sorted((delays[place % len(delays)], meter) for place, meter in enumerate(meters))
    for second in range(6):
        stage.say([meter for at, meter in arrivals if second - 1 < at <= second or (second == 0 and at == 0)], DOWN)
        stage.wait(1)
    stage.wait(20)
    assert important(stage) == [("OPENED", root)]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_a_correlator_from_a_checkpoint_goes_on_as_the_other_would(seed: int, killed_after: int) -> None:
    town = make_town(feeders=2)
    dice = np.random.default_rng(seed)
    roots = [town.feeders[0], town.transformers[5]]
    plan = [(meter, DOWN, dice.uniform(0, 30)) for root in roots for meter in some(town.meters(root), 0.88, seed)]
    plan += [(meter, UP, dice.uniform(40, 60)) for meter in town.meters(town.transformers[0])]
    plan.sort(key=lambda one: one[2])

    def play(*, killed: bool) -> tuple[list[tuple[str, str, int]], dict[str, tuple[TreeName, int]]]:
        stage = Stage(town)
        began = stage.now
        for second in range(1, 200):
            now = [one for one in plan if second - 1 <= one[2] < second]
            for evidence in (DOWN, UP):
                chosen = [one for one in now if one[1] is evidence]
                stage.say([one[0] for one in chosen], evidence, at=[began + one[2] for one in chosen])
            stage.wait(1)
            if killed and second == killed_after:
                stage.correlator = Correlator(town.topology, state=stage.correlator.checkpoint())
        told = [(str(c.change), c.situation_id, c.node_id) for c in stage.told if c.change is not Change.CHANGED]
        return told, stage.correlator.open_roots()

    assert play(killed=True) == play(killed=False)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 340), st.sampled_from(list(Evidence)), st.floats(-50, 50), st.integers(0, 12)),
        max_size=80,
    )
)
def test_any_evidence_in_any_order_keeps_the_books_right(said: list[tuple[int, Evidence, float, int]]) -> None:
    """At most one situation a root, members of a situation are the meters below it, and counts are never more than those."""
    town = make_town()
    stage = Stage(town)
    for meter, evidence, at, pause in said:
        stage.say([1000 + meter], evidence, at=stage.now + at)
        stage.wait(pause)
    stage.wait(30)
    roots = list(stage.correlator.open_roots().values())
    assert len(set(roots)) == len(roots)
    for change in stage.told:
        assert change.heard + change.silent + change.answered <= change.expected
        assert 0 <= change.power_score <= 1
    for name, (tree, node) in stage.correlator.open_roots().items():
        members = stage.correlator.members(name)
        assert members is not None
        parts = [members.heard, members.silent, members.answered, members.rest]
        assert sorted(np.concatenate(parts).tolist()) == sorted(town.meters(node, tree))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 340), st.sampled_from(list(Evidence)), st.floats(-5, 5), st.integers(0, 12)),
        max_size=40,
    )
)
def test_the_figures_told_last_are_those_of_the_members(said: list[tuple[int, Evidence, float, int]]) -> None:
    """Whatever is said while an outage stands: figures are counted anew only of what was stirred, and none is missed."""
    town = make_town()
    stage = Stage(town)
    stage.say(some(town.meters(town.feeders[0]), 0.88), DOWN)
    stage.wait(12)
    for meter, evidence, at, pause in said:
        stage.say([1000 + meter], evidence, at=stage.now + at)
        stage.wait(pause)
    stage.wait(30)
    told = {change.situation_id: change for change in stage.told}
    for name in stage.correlator.open_roots():
        members = stage.correlator.members(name)
        assert members is not None
        counted = len(members.heard), len(members.silent), len(members.answered)
        assert (told[name].heard, told[name].silent, told[name].answered) == counted


def test_a_cycle_in_the_links_hangs_nothing() -> None:
    parent = np.array([1, 0, 0, 2], np.int32)
    made = Topology(np.arange(4), parent, np.full(4, -1, np.int32), np.array([False, False, False, True]))
    correlator = Correlator(made)
    correlator.feed(np.array([3]), np.array([DOWN], np.int8), np.array([10.0]))
    assert correlator.advance(20.0) == []


@pytest.fixture(scope="module")
def wide_town() -> Town:
    """Every transformer has a concentrator for half of its meters; the other half shares one radio cell."""
    return make_town(feeders=3, transformers=12, meters=30, modems=15)


def heard_over(town: Town, meters: list[int], mute: set[int]) -> list[int]:
    """Those of the meters whose path is not mute, less an eighth."""
    parents = town.topology.communication
    paths = {meter: int(town.topology.node_id[parents[town.topology.place_of(meter) or 0]]) for meter in meters}
    return some([meter for meter in meters if paths[meter] not in mute], 0.88)


def test_what_a_mute_path_hides_does_not_break_an_outage_up(wide_town: Town) -> None:
    town, feeder = wide_town, wide_town.feeders[0]
    cell = int(town.topology.node_id[town.topology.communication[town.topology.place_of(town.meters(feeder)[0]) or 0]])
    stage = Stage(town)
    stage.say(heard_over(town, town.meters(feeder), {cell, *town.concentrators[:2]}), DOWN)
    stage.wait(20)
    assert stage.roots() == {feeder: ELECTRICAL}


def test_a_transformer_of_which_no_path_brings_a_word_is_not_dark(wide_town: Town) -> None:
    town, feeder = wide_town, wide_town.feeders[0]
    lit = set(town.meters(town.transformers[0]))
    stage = Stage(town)
    stage.say(heard_over(town, [meter for meter in town.meters(feeder) if meter not in lit], set()), DOWN)
    stage.wait(20)
    assert stage.roots() == dict.fromkeys(town.transformers[1:12], ELECTRICAL)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 99), st.booleans()), max_size=80))
def test_groups_by_path_count_what_the_trees_say(words: list[tuple[int, bool]]) -> None:
    town = make_town(feeders=2, transformers=2)
    tree, path = town.topology.tree("ELECTRICAL"), town.topology.communication
    leaves = np.flatnonzero(town.topology.is_meter).astype(np.int32)
    groups = PathGroups(tree, path, np.ones(len(tree)))
    heard: set[int] = set()
    for number, comes in words:
        if comes != (number in heard):
            groups.hear(leaves[[number]], 1.0 if comes else -1.0)
            heard ^= {number}
    for node in np.flatnonzero(tree.leaf_count > 1).astype(np.int32):
        each, _ = groups.of(np.array([node]))
        below = tree.leaves(int(node))
        mine = below[np.isin(below, leaves[sorted(heard)])]
        assert sorted(groups.expected[each]) == sorted(np.unique(path[below], return_counts=True)[1])
        assert sorted(groups.heard[each][groups.heard[each] > 0]) == sorted(
            np.unique(path[mine], return_counts=True)[1]
        )


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.booleans()), min_size=1, max_size=60, unique_by=lambda one: one[0]),
    st.lists(st.integers(-50, 6000), max_size=30),
    st.sampled_from([1, 2**33]),
)
def test_meters_are_found_by_their_ids_however_those_lie(
    nodes: list[tuple[int, bool]], asked: list[int], stride: int
) -> None:
    ids = np.array(sorted(number for number, _ in nodes), np.int64) * stride
    is_meter = np.array([meter for _, meter in sorted(nodes)])
    none = np.full(len(ids), -1, np.int32)
    found = Topology(ids, none, none, is_meter).places(np.array(asked, np.int64) * stride)
    known = {int(one): place for place, one in enumerate(ids) if is_meter[place]}
    assert found.tolist() == [known.get(number * stride, -1) for number in asked]
