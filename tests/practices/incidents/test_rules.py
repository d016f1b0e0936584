"""Decisions about incidents."""

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterops.practices.incidents import rules
from meterops.practices.incidents.lifecycle import (
    OPEN_STATES,
    TRANSITIONS,
    WORK_ORDER_TRANSITIONS,
    Impact,
    IncidentKind,
    IncidentState,
    Priority,
    Urgency,
    WorkOrderState,
)
from meterops.practices.incidents.rules import Figures, Restoration, RestorationRule, Rung, Scope

ZONE = ZoneInfo("Europe/Amsterdam")
NOON = datetime(2026, 11, 20, 11, tzinfo=UTC)


def figures(**values: float) -> Figures:
    return Figures(
        **({"premises": 0, "critical": 0, "unserved_kva": 0.0, "unserved_kwh": 0.0, "reads_at_risk": 0} | values)
    )  # type: ignore[arg-type]


def test_every_state_has_transitions_and_every_one_can_be_left_again() -> None:
    assert set(TRANSITIONS) == set(IncidentState)
    assert set(WORK_ORDER_TRANSITIONS) == set(WorkOrderState)
    for state in OPEN_STATES:
        assert IncidentState.RESOLVED in TRANSITIONS[state]
    assert TRANSITIONS[IncidentState.CLOSED] == {IncidentState.REOPENED}


@pytest.mark.parametrize("impact", Impact)
@pytest.mark.parametrize("urgency", Urgency)
def test_worse_is_never_worked_on_later(impact: Impact, urgency: Urgency) -> None:
    mine = rules.Assessment(impact, urgency).priority
    if impact > Impact.EXTENSIVE:
        assert rules.Assessment(Impact(impact - 1), urgency).priority <= mine
    if urgency > Urgency.CRITICAL:
        assert rules.Assessment(impact, Urgency(urgency - 1)).priority <= mine


@given(st.integers(0, 5000), st.integers(0, 5), st.floats(0, 5000), st.integers(0, 10_000))
def test_more_of_anything_never_lowers_the_impact(premises: int, critical: int, kwh: float, reads: int) -> None:
    now = figures(premises=premises, critical=critical, unserved_kwh=kwh, reads_at_risk=reads)
    more = figures(premises=premises + 1, critical=critical, unserved_kwh=kwh + 1, reads_at_risk=reads + 1)
    for kind in IncidentKind:
        assert rules.impact_of(more, kind) <= rules.impact_of(now, kind)


def test_a_hospital_without_supply_is_looked_at_first() -> None:
    hospital = figures(premises=1, critical=1)
    impact = rules.impact_of(hospital, IncidentKind.OUTAGE)
    urgency = rules.urgency_of(
        IncidentKind.OUTAGE, hospital, confidence=0.9, to_deadline=timedelta(hours=9), is_planned=False, is_over=False
    )
    assert rules.Assessment(impact, urgency).priority is Priority.P1


def test_a_concentrator_presses_as_the_deadline_comes_near() -> None:
    silent = figures(premises=300, reads_at_risk=300)

    def urgency(hours: float) -> Urgency:
        return rules.urgency_of(
            IncidentKind.COMMUNICATION,
            silent,
            confidence=1,
            to_deadline=timedelta(hours=hours),
            is_planned=False,
            is_over=False,
        )

    assert urgency(12) is Urgency.MEDIUM
    assert urgency(2) is Urgency.HIGH


def test_planned_work_waits() -> None:
    urgency = rules.urgency_of(
        IncidentKind.OUTAGE, figures(critical=3), confidence=1, to_deadline=timedelta(), is_planned=True, is_over=False
    )
    assert urgency is Urgency.LOW


@given(st.integers(0, 72 * 60), st.integers(0, 72 * 60))
def test_energy_not_served_adds_up_over_time(first_min: int, more_min: int) -> None:
    start = datetime(2026, 10, 24, 20, tzinfo=UTC)  # over the night with 25 hours
    mid, end = start + timedelta(minutes=first_min), start + timedelta(minutes=first_min + more_min)
    parts = rules.energy_kwh(100, start, mid, ZONE) + rules.energy_kwh(100, mid, end, ZONE)
    assert rules.energy_kwh(100, start, end, ZONE) == pytest.approx(parts)


def test_energy_of_an_hour_is_the_typical_load_of_that_hour() -> None:
    assert rules.energy_kwh(100, NOON, NOON + timedelta(hours=1), ZONE) == pytest.approx(
        100 * rules.TYPICAL_LOAD_KVA[12] * 0.95
    )
    assert rules.energy_kwh(100, NOON, NOON - timedelta(hours=1), ZONE) == 0


def test_a_communication_fault_leaves_supply_alone() -> None:
    found = rules.figures_of(
        Scope(10, 10, 1, 4),
        IncidentKind.COMMUNICATION,
        started_at=NOON - timedelta(hours=2),
        now=NOON,
        ended_at=None,
        zone=ZONE,
    )
    assert (found.unserved_kva, found.unserved_kwh, found.reads_at_risk) == (0, 0, 4)


def test_reads_of_yesterday_are_due_at_ten_on_the_wall() -> None:
    before, after = datetime(2026, 11, 20, 8, 59, tzinfo=UTC), datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    assert rules.next_read_deadline(before, ZONE) - before == timedelta(minutes=1)
    assert rules.day_to_be_read(before, ZONE).isoformat() == "2026-11-19"
    assert rules.day_to_be_read(after, ZONE).isoformat() == "2026-11-20"
    ends = int(datetime(2026, 11, 20, tzinfo=ZONE).timestamp())
    read_until = np.array([0, ends - 900, ends, ends + 900])
    assert rules.reads_at_risk(read_until, rules.day_to_be_read(before, ZONE), ZONE) == 2


@pytest.mark.parametrize(
    ("members", "answered", "nested", "verdict"),
    [
        (100, 95, 0, Restoration.PROVED),
        (100, 94, 0, Restoration.WAITING),
        (1, 1, 0, Restoration.PROVED),
        (0, 0, 0, Restoration.WAITING),
        (100, 99, 1, Restoration.NESTED_OUTAGE),
    ],
)
def test_restoration_needs_its_share(members: int, answered: int, nested: int, verdict: Restoration) -> None:
    assert rules.judge_restoration(members, answered, nested, RestorationRule()) is verdict


def test_a_dark_node_among_lit_ones_is_a_nested_outage() -> None:
    nodes = np.array([1, 1, 1, 2, 2, 2, 2, 3, 3, 0])
    answered = np.array([1, 1, 0, 0, 0, 0, 0, 0, 0, 0], dtype=np.bool_)
    assert rules.nested_nodes(nodes, answered) == [(2, 4)]
    assert rules.nested_nodes(nodes, np.zeros(10, dtype=np.bool_)) == []


def test_the_ladder_goes_up_rung_by_rung_and_ends() -> None:
    rung, seen = None, []
    while rung is not Rung.DONE:
        step = rules.next_step(rung, 4, 1, rules.LadderRule())
        rung = step.rung
        seen.append(rung)
        assert (step.look_again_after is None) == (rung in {Rung.WORK_ORDER, Rung.DONE})
    assert seen == [Rung.RETRY, Rung.PING, Rung.NEIGHBORS, Rung.CLEAN_UP, Rung.WORK_ORDER, Rung.DONE]
    assert rules.next_step(Rung.PING, 0, 0, rules.LadderRule()).rung is Rung.DONE
    assert rules.next_step(Rung.NEIGHBORS, 40, 20, rules.LadderRule()).rung is Rung.WORK_ORDER


@pytest.mark.parametrize(
    ("hour", "minute", "priority", "sent_hour"),
    [(23, 0, Priority.P2, 7), (3, 0, Priority.P3, 7), (3, 0, Priority.P1, 3), (12, 0, Priority.P4, 12)],
)
def test_quiet_hours_hold_back_all_but_the_worst(hour: int, minute: int, priority: Priority, sent_hour: int) -> None:
    now = datetime(2026, 11, 20, hour, minute, tzinfo=ZONE)
    quiet = rules.QuietHours(time(22), time(7))
    sent = rules.send_at(now, priority, quiet, ZONE)
    assert sent.astimezone(ZONE).hour == sent_hour
    assert timedelta(0) <= sent - now < timedelta(hours=24)


def test_pauses_double_up_to_half_an_hour() -> None:
    pauses = [rules.notify_pause(n) for n in range(rules.NOTIFY_ATTEMPTS)]
    assert all(a <= b for a, b in pairwise(pauses))
    assert pauses[-1] == rules.LONGEST_NOTIFY_PAUSE


def test_a_chain_is_stuck_five_minutes_after_its_step_was_due() -> None:
    assert not rules.is_stuck(NOON - timedelta(minutes=5), True, NOON)
    assert rules.is_stuck(NOON - timedelta(minutes=5, seconds=1), True, NOON)
    assert rules.is_stuck(None, True, NOON)
    assert not rules.is_stuck(None, False, NOON)


def test_the_same_place_tells_most_about_last_time() -> None:
    day = timedelta(days=1)
    here = rules.likeness(same_node=True, same_kind=True, shared=10, members=10, age=day)
    near = rules.likeness(same_node=False, same_kind=True, shared=5, members=10, age=day)
    old = rules.likeness(same_node=True, same_kind=True, shared=10, members=10, age=timedelta(days=900))
    assert 1 >= here > near > 0
    assert here > old > 0
