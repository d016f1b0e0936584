"""Incidents out of facts: once each, in any order, told twice, killed in between."""

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from tests.interfaces.console import seed
from tests.practices.incidents.conftest import NOW, WHO, situation

from meterops.fleet.inventory import api as inventory
from meterops.kernel import facts
from meterops.kernel.models import OutboxFact
from meterops.practices.events.events import (
    AlarmCleared,
    SafetyAlarmRaised,
    SituationCleared,
    SituationMerged,
)
from meterops.practices.incidents import api as incidents
from meterops.practices.incidents import subscribers
from meterops.practices.incidents.jobs import reassess_open
from meterops.practices.incidents.models import Incident, IncidentEntry, PriorityChange
from meterops.site import wiring

pytestmark = pytest.mark.django_db


def tell(*happened: Any) -> None:
    """Call the handlers as delivery does."""
    for fact in happened:
        for kind, handler in subscribers.SUBSCRIPTIONS:
            if isinstance(fact, kind):
                handler(fact)  # type: ignore[operator]


def identity(number: int) -> str:
    return f"00000000-0000-7000-8000-{number:012d}"


def test_a_situation_opens_one_incident_that_says_what_and_how_bad(fleet: seed.Fleet) -> None:
    tell(situation(1, "TR-0001"))
    view = incidents.get_incident(Incident.objects.get().pk)
    assert view.row.title == "Transformer without supply, TR-0001"
    assert (view.row.meters, view.row.premises, view.row.critical) == (12, 12, 1)
    assert view.row.priority is incidents.Priority.P1, "somebody below depends on supply"
    assert view.row.area_name == "Northmoor"
    assert view.members_at_open == 12
    assert view.row.unserved_kva > 0
    assert view.row.reads_at_risk == 12
    assert [entry.kind for entry in incidents.timeline(view.row.number)] == ["OPENED"]
    assert [one.priority for one in view.priorities] == [1]


def test_a_moved_root_keeps_the_incident(fleet: seed.Fleet) -> None:
    tell(situation(1, "TR-0001"))
    tell(situation(1, "FD-1", changed=True, at=NOW + timedelta(seconds=20), expected=48, heard=40))
    view = incidents.get_incident(Incident.objects.get().pk)
    assert view.row.title == "Feeder without supply, Northmoor 10 kV east"
    assert view.row.premises == 48
    assert view.members_at_open == 12, "what was frozen at the opening stays"
    assert "no longer TR-0001" in incidents.timeline(view.row.number)[1].text


def test_energy_not_served_before_a_move_stays_counted(fleet: seed.Fleet) -> None:
    tell(situation(1, "FD-1", expected=48))
    hour = NOW + timedelta(hours=1)
    tell(situation(1, "TR-0001", changed=True, at=hour))
    feeder = incidents.incident_queue().rows[0].unserved_kwh
    assert feeder == pytest.approx(48 * 0.65, rel=0.1)
    tell(SituationCleared(identity(1), hour, "power returned"))
    reassess_open(now=hour + timedelta(hours=1))
    both = incidents.incident_queue().rows[0].unserved_kwh
    assert both - feeder == pytest.approx(12 * 0.65, rel=0.2)


def test_late_news_of_the_past_changes_nothing(fleet: seed.Fleet) -> None:
    tell(situation(1, "TR-0001"), situation(1, "FD-1", changed=True, at=NOW + timedelta(seconds=20), heard=40))
    tell(situation(1, "TR-0001", changed=True, at=NOW + timedelta(seconds=10), heard=5))
    assert Incident.objects.get().heard == 40


def test_a_merged_situation_folds_its_incident_into_the_parents(fleet: seed.Fleet) -> None:
    tell(situation(1, "FD-1", expected=48), situation(2, "TR-0001"))
    tell(SituationMerged(identity(2), identity(1), NOW + timedelta(seconds=5)))
    parent, child = Incident.objects.order_by("pk")
    assert child.parent_id == parent.pk
    page = incidents.incident_queue()
    assert [row.number for row in page.rows] == [parent.pk]
    assert page.rows[0].children == 1


def test_a_safety_alarm_is_an_incident_and_its_clearing_leaves_it_to_a_person(fleet: seed.Fleet) -> None:
    raised = SafetyAlarmRaised(5, "TERMINAL_COVER_REMOVED", "MAJOR", fleet.ids[3], NOW - timedelta(minutes=1), NOW)
    tell(raised, raised, AlarmCleared(5, "TERMINAL_COVER_REMOVED", fleet.ids[3], NOW + timedelta(minutes=3)))
    row = incidents.incident_queue().rows[0]
    assert row.title == f"Terminal cover removed, meter {fleet.serials[3]}"
    assert row.kind is incidents.IncidentKind.SAFETY
    assert row.state is incidents.IncidentState.NEW
    assert row.restored_at == NOW + timedelta(minutes=3)
    incidents.resolve_incident(number=row.number, resolution="Seal checked, installer forgot.", actor=WHO, at=NOW)
    assert incidents.get_incident(row.number).row.state is incidents.IncidentState.RESOLVED


def story() -> list[Any]:
    """An hour of a control room: two outages of which one moves and one merges, a concentrator, a cover."""
    return [
        situation(1, "TR-0001"),
        situation(2, "TR-0002", at=NOW + timedelta(seconds=1)),
        situation(3, "RT-0003", kind="COMMUNICATION", at=NOW + timedelta(seconds=2)),
        situation(1, "FD-1", changed=True, at=NOW + timedelta(seconds=8), expected=48, heard=44),
        SituationMerged(identity(2), identity(1), NOW + timedelta(seconds=9)),
        SafetyAlarmRaised(5, "STRONG_DC_FIELD", "MAJOR", 0, NOW, NOW + timedelta(seconds=10)),
        SituationCleared(identity(3), NOW + timedelta(seconds=30), "contact is back"),
        SituationCleared(identity(1), NOW + timedelta(seconds=40), "power returned"),
        AlarmCleared(5, "STRONG_DC_FIELD", 0, NOW + timedelta(seconds=50)),
    ]


def placed(story: Sequence[Any], meter: int) -> list[Any]:
    import dataclasses

    return [
        dataclasses.replace(fact, end_device_id=meter) if hasattr(fact, "end_device_id") else fact for fact in story
    ]


def state() -> list[Any]:
    """Everything that may not depend on repetitions: incidents, their lines, their history."""
    fields = (
        "situation_id",
        "alarm_id",
        "title",
        "state",
        "priority",
        "node_id",
        "heard",
        "cleared_at",
        "parent__situation_id",
    )
    lines = IncidentEntry.objects.exclude(kind="PRIORITY").values_list("incident__title", "kind", "at", "text")
    return [
        sorted(Incident.objects.values_list(*fields), key=str),
        sorted(((a, b, c) for a, b, c, _ in lines), key=str),
        sorted(PriorityChange.objects.values_list("incident__title", "at", "priority", "premises"), key=str),
    ]


def test_every_fact_told_twice_leaves_what_told_once_does(fleet: seed.Fleet) -> None:
    facts_ = placed(story(), fleet.ids[0])
    with transaction.atomic():
        tell(*facts_)
        once = state()
        transaction.set_rollback(True)
    for fact in facts_:
        tell(fact, fact)
    assert state() == once
    tell(*facts_)
    assert state() == once


class Killed(Exception):
    """Stands for kill -9 at a statement: the transaction is gone."""


@pytest.mark.parametrize("seed_number", range(6))
def test_a_kill_at_any_point_of_delivery_leaves_the_state_of_an_undisturbed_run(
    fleet: seed.Fleet, seed_number: int
) -> None:
    told = placed(story(), fleet.ids[0])
    with transaction.atomic():
        tell(*told)
        undisturbed = state()
        transaction.set_rollback(True)
    dice = random.Random(seed_number)
    kills: list[str] = []
    wiring.wire()
    try:
        facts.publish(*told)
        for _ in range(600):
            with connection.execute_wrapper(_deadly(dice, kills)):
                facts.deliver(now=NOW)
            if not OutboxFact.objects.filter(delivered_at__isnull=True, name__in=wiring.HEARD).exists():
                break
        assert not OutboxFact.objects.filter(delivered_at__isnull=True, name__in=wiring.HEARD).exists()
    finally:
        for name in wiring.HEARD:
            facts._subscribers[name].clear()
    assert len(kills) > 3, "some were killed indeed"
    assert state() == undisturbed


def _deadly(dice: random.Random, kills: list[str]) -> Callable[..., Any]:
    """Dies at some write, before or after the store has taken it; what the transaction did until then is gone."""

    def run(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        is_write = sql.startswith(("INSERT", "UPDATE", "DELETE")) and "kernel_outboxfact" not in sql
        if is_write and dice.random() < 0.1:
            kills.append(sql)
            raise Killed(sql[:60])
        answer = execute(sql, params, many, context)
        if is_write and dice.random() < 0.1:
            kills.append(sql)
            raise Killed(sql[:60])
        return answer

    return run


def test_a_group_can_say_who_is_critical(fleet: seed.Fleet) -> None:
    wanted = inventory.EndDeviceFilter(ids=tuple(fleet.ids[12:15]))
    inventory.save_group(name="Home dialysis", wanted=wanted, actor=WHO, at=NOW)
    incidents.save_configuration(values={"critical_group": "Home dialysis"}, actor=WHO, at=NOW)
    tell(situation(1, "TR-0001"))
    assert incidents.incident_queue().rows[0].critical == 4
