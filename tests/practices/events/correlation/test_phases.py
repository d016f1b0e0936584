"""A phase that is missing: some meters dark, others running and saying so, and one node that explains both."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.practices.events.correlation.trees import Stage, Town, make_town

from meterops.practices.events.correlation import Change, Correlator, Evidence, SituationKind, TreeName

ELECTRICAL = TreeName.ELECTRICAL


@pytest.fixture(scope="module")
def town() -> Town:
    return make_town()


def blow(
    stage: Stage, node: int, *, single: float = 0.6, share: float = 1.0, seed: int = 1
) -> tuple[list[int], list[int]]:
    """Blow the fuse of L2 at a node: of the single-phase meters a third is dark, the others say so. Returns both."""
    dice = np.random.default_rng(seed)
    meters = np.array(stage.town.meters(node))
    is_single = dice.random(len(meters)) < single
    dark = meters[is_single & (dice.random(len(meters)) < 1 / 3)]
    running = meters[~is_single]
    running = running[dice.random(len(running)) < share]
    stage.say(dark[dice.random(len(dark)) < 0.88], Evidence.DOWN)
    stage.say(running, Evidence.L2_LOST)
    return dark.tolist(), running.tolist()


@pytest.mark.parametrize("level", ["feeders", "transformers"])
@pytest.mark.parametrize("single", [0.0, 0.5, 0.8])
def test_a_blown_fuse_is_one_situation_of_its_phase(town: Town, level: str, single: float) -> None:
    node = getattr(town, level)[1]
    stage = Stage(town)
    dark, running = blow(stage, node, single=single)
    stage.wait(10)
    (opened,) = [c for c in stage.told if c.change is Change.OPENED]
    assert (opened.kind, opened.node_id, opened.phases) == (SituationKind.PHASE, node, "L2")
    assert len(running) <= opened.heard <= len(running) + len(dark)
    members = stage.correlator.members(opened.situation_id)
    assert members is not None
    assert set(running) <= set(members.heard.tolist())


def test_it_ends_when_the_phase_is_back_and_counts_who_returned(town: Town) -> None:
    stage = Stage(town)
    dark, running = blow(stage, town.transformers[0])
    stage.wait(600)
    stage.say(running, Evidence.L2_BACK)
    stage.say(dark, Evidence.UP)
    stage.wait(200)
    assert stage.roots() == {}
    assert [c.reason for c in stage.told if c.change is Change.CLEARED] == ["RESTORED"]
    assert len([c for c in stage.told if c.change is Change.OPENED]) == 1


def test_answers_of_meters_that_run_do_not_end_it(town: Town) -> None:
    stage = Stage(town)
    _, running = blow(stage, town.transformers[0])
    stage.wait(10)
    stage.say(running, Evidence.ANSWERED)
    stage.wait(300)
    assert stage.roots() == {town.transformers[0]: ELECTRICAL}


def test_phases_that_go_one_after_the_other_before_the_supply_are_an_outage(town: Town) -> None:
    feeder = town.feeders[0]
    stage = Stage(town)
    meters = town.meters(feeder)
    stage.say(meters, Evidence.L1_LOST)
    stage.now += 1
    stage.say(meters, Evidence.L3_LOST)
    stage.now += 1
    stage.say(meters[: int(0.88 * len(meters))], Evidence.DOWN)
    stage.wait(20)
    (opened,) = [c for c in stage.told if c.change is Change.OPENED]
    assert (opened.kind, opened.node_id, opened.phases) == (SituationKind.OUTAGE, feeder, "")


def test_a_phase_that_takes_the_supply_with_it_is_the_same_situation_as_an_outage(town: Town) -> None:
    node = town.transformers[2]
    stage = Stage(town)
    blow(stage, node)
    stage.wait(30)
    stage.say(town.meters(node), Evidence.DOWN)
    stage.wait(30)
    assert stage.roots() == {node: ELECTRICAL}
    assert {c.situation_id for c in stage.told} == {stage.told[0].situation_id}
    assert stage.told[-1].kind is SituationKind.OUTAGE


def test_a_meter_alone_without_a_phase_is_told_apart(town: Town) -> None:
    meter = town.meters(town.transformers[0])[3]
    stage = Stage(town)
    stage.say([meter], Evidence.L3_LOST)
    stage.wait(100)
    assert stage.roots() == {}
    ids, _ = stage.correlator.unexplained(stage.now, 60, Evidence.L3_LOST)
    assert ids.tolist() == [meter]
    assert stage.correlator.unexplained(stage.now, 60, Evidence.L1_LOST)[0].tolist() == []
    since = np.array([stage.now - 100])
    stage.say([meter], Evidence.L3_BACK)
    assert stage.correlator.is_over(np.array([meter]), since, stage.now, Evidence.L3_LOST).tolist() == [True]
    assert stage.correlator.unexplained(stage.now, 0, Evidence.L3_LOST)[0].tolist() == []


def test_a_stored_correlator_goes_on_with_phases(town: Town) -> None:
    stage = Stage(town)
    blow(stage, town.transformers[0])
    stage.wait(30)
    again = Correlator(town.topology, state=stage.correlator.checkpoint())
    assert again.open_roots() == stage.correlator.open_roots()
    assert again.advance(stage.now + 1) == stage.correlator.advance(stage.now + 1)
    stage.correlator.replace_topology(town.topology)
    stage.wait(30)
    assert stage.roots() == {town.transformers[0]: ELECTRICAL}


WORDS = st.lists(
    st.tuples(st.integers(0, 24), st.sampled_from(list(Evidence)), st.integers(0, 300)), min_size=1, max_size=60
)


@settings(max_examples=60, deadline=None)
@given(WORDS)
def test_the_order_of_arrival_changes_nothing(words: list[tuple[int, Evidence, int]]) -> None:
    """The same words in any order, all within the hold-down, come to the same situations."""
    town = make_town(feeders=1, transformers=1)
    meters = town.meters(town.transformers[0])
    found = []
    for order in (words, sorted(words, key=lambda one: (one[2], one[0], one[1]))):
        stage = Stage(town)
        stage.say(meters[-1:], Evidence.L1_LOST)  # the first word on phases ever: from it on they are watched
        for meter, word, at in order:
            stage.say([meters[meter]], word, at=stage.now + at)
        stage.now += 300
        stage.wait(120)
        found.append([(c.change, c.kind, c.node_id, c.heard) for c in stage.told if c.change is Change.OPENED])
    assert found[0] == found[1]
