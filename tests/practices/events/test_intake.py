"""Intake over a real lake and a real state store: what is said becomes alarms and situations, once, whoever is killed when."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, transaction
from tests.practices.events.conftest import BEGAN, TEST, Plant

from meterops.fleet.inventory import api as inventory
from meterops.practices.events import api as events
from meterops.practices.events import events as told
from meterops.practices.events.models import Alarm, IntakeState, Situation

GONE, BACK, COVER, CLOSED, MAGNET = 1, 2, 44, 45, 42


def counts(day_type: str) -> tuple[int, int]:
    found = [c for c in events.daily_counters(first_day=BEGAN.date()) if c.event_type == day_type]
    return (found[0].received, found[0].repeated) if found else (0, 0)


def test_an_outage_becomes_one_situation_and_ends(plant: Plant) -> None:
    dark = [*plant.ids["T0"], *plant.ids["T1"], *plant.ids["T2"]]
    plant.wait(3)
    plant.events(dark[::2] + dark[1::4], GONE)
    plant.wait(12)
    (found,) = events.list_situations()
    assert (found.kind, found.node_mrid, found.expected) == ("OUTAGE", "F1", 75)
    assert found.power_score > 0.9
    assert "North east is without supply" in found.sentence
    assert (found.opened_at - found.started_at).total_seconds() <= 10
    plant.events(dark, BACK)
    plant.wait(60)
    assert events.list_situations() == []
    assert events.get_situation(found.id).reason == "RESTORED"
    assert [fact["node_mrid"] for fact in plant.told(told.SituationOpened)] == ["F1"]
    assert [fact["situation_id"] for fact in plant.told(told.SituationCleared)] == [found.id]
    assert not Alarm.objects.exists()


def test_members_of_an_open_situation_are_told(plant: Plant) -> None:
    plant.events(plant.ids["T1"][:20], GONE)
    plant.wait(12)
    (found,) = events.list_situations()
    members = events.situation_members(found.id)
    assert sorted(members.heard.tolist()) == sorted(plant.ids["T1"][:20])
    assert sorted(members.rest.tolist()) == sorted(plant.ids["T1"][20:])
    with pytest.raises(events.SituationUnknown):
        events.situation_members("11111111-1111-1111-1111-111111111111")


def test_repetitions_are_counted_and_raise_nothing_again(plant: Plant) -> None:
    meter = plant.ids["T0"][0]
    plant.events([meter], COVER, log=1)
    plant.wait(1)
    for _ in range(3):
        plant.events([meter], COVER, log=1, at=BEGAN + timedelta(seconds=0))
        plant.wait(1)
    (alarm,) = events.list_alarms().alarms
    assert (alarm.occurrences, alarm.event_type) == (1, "METER_COVER_REMOVED")
    assert counts("METER_COVER_REMOVED") == (4, 3)


def test_a_restoration_ends_the_alarm_of_its_pair_and_no_other(plant: Plant) -> None:
    meter, other = plant.ids["T0"][:2]
    plant.events([meter, other], COVER, log=1)
    plant.events([meter], MAGNET, log=1)
    plant.wait(1)
    plant.events([meter], CLOSED, log=1)
    plant.wait(1)
    assert {(a.end_device_id, a.event_type) for a in events.list_alarms().alarms} == {
        (other, "METER_COVER_REMOVED"),
        (meter, "STRONG_DC_FIELD_DETECTED"),
    }
    assert len(plant.told(told.SafetyAlarmRaised)) == 3
    assert len(plant.told(told.AlarmCleared)) == 1


def test_unknown_codes_and_unknown_meters_are_kept_and_seen(plant: Plant) -> None:
    plant.events([plant.ids["T0"][0]], 777)
    plant.events([0], COVER, log=1)
    plant.wait(1)
    assert counts("UNKNOWN_777") == (1, 0)
    (alarm,) = events.list_alarms(events.AlarmFilter(unknown_only=True)).alarms
    assert alarm.identity == "4D455249"


def test_a_chattering_alarm_is_shelved_with_an_end(plant: Plant) -> None:
    meter = plant.ids["T0"][0]
    for _ in range(3):
        plant.events([meter], COVER, log=1)
        plant.wait(4)
        plant.events([meter], CLOSED, log=1)
        plant.wait(4)
    plant.events([meter], COVER, log=1)
    plant.events([meter], COVER, log=1, at=plant.now + timedelta(seconds=1))
    plant.events([meter], COVER, log=1, at=plant.now + timedelta(seconds=2))
    plant.wait(3)
    (shelved,) = events.list_shelved()
    assert shelved.shelve_reason == "It chatters."
    assert shelved.shelved_until is not None
    assert events.list_alarms().alarms == ()
    assert events.end_shelving(now=shelved.shelved_until + timedelta(seconds=1)) == 1
    assert len(events.list_alarms().alarms) == 1


def test_a_meter_dark_by_itself_is_an_alarm_and_one_below_a_root_is_not(plant: Plant) -> None:
    alone = plant.ids["T5"][0]
    plant.events([*plant.ids["T0"], alone], GONE)
    plant.wait(130)
    assert {a.end_device_id for a in events.list_alarms(events.AlarmFilter(event_type="POWER_FAILURE")).alarms} == {
        alone
    }
    plant.events([alone], BACK)
    plant.wait(40)
    assert events.list_alarms().alarms == ()


def test_failed_sessions_are_evidence_and_wrong_keys_an_alarm(plant: Plant) -> None:
    meter = plant.ids["T3"][0]
    plant.sessions([meter], error="authentication")
    plant.sessions([m for t in ("T1", "T2", "T3") for m in plant.ids[t]])
    plant.wait(5)
    plant.sessions(plant.ids["T0"], error="unreachable")
    plant.sessions([m for t in ("T1", "T2", "T3", "T4", "T5") for m in plant.ids[t]])
    plant.wait(15)
    assert [a.event_type for a in events.list_alarms().alarms] == ["AUTHENTICATION_FAILED"]
    (found,) = events.list_situations()
    assert (found.silent, found.heard) == (25, 0)


def test_planned_work_keeps_situations_away_until_it_ends(plant: Plant) -> None:
    number = events.plan_work(
        node_mrid="T0", starts_at=BEGAN - timedelta(hours=1), ends_at=BEGAN + timedelta(minutes=5),
        reason="a switchboard is replaced", actor=TEST, at=BEGAN,
    )  # fmt: skip
    plant.events(plant.ids["T0"], GONE)
    plant.wait(60)
    assert events.list_situations() == []
    assert [w.id for w in events.list_planned_work(now=plant.now)] == [number]
    plant.wait(300, step=5)
    assert [s.node_mrid for s in events.list_situations()] == ["T0"]


def test_planned_work_raises_no_alarms_of_its_meters_and_is_looked_at_again_however_long_it_lasts(plant: Plant) -> None:
    events.plan_work(
        node_mrid="T0", starts_at=BEGAN, ends_at=BEGAN + timedelta(hours=2), reason="a switchboard is replaced",
        actor=TEST, at=BEGAN,
    )  # fmt: skip
    plant.events(plant.ids["T0"], GONE)
    plant.wait(7100, step=60)
    assert events.list_alarms().alarms == ()
    assert events.list_situations() == []
    plant.wait(160, step=10)
    assert [s.node_mrid for s in events.list_situations()] == ["T0"]


def test_only_a_sign_of_supply_ends_the_alarm_of_a_meter_dark_by_itself(plant: Plant) -> None:
    alone = plant.ids["T5"][0]
    plant.events([alone], GONE)
    plant.wait(7200, step=60)
    (alarm,) = events.list_alarms().alarms
    assert alarm.event_type == "POWER_FAILURE"
    plant.sessions([alone])
    plant.wait(40)
    assert events.list_alarms().alarms == ()


def test_a_meter_silent_by_itself_is_an_alarm_until_it_answers_or_something_explains_it(plant: Plant) -> None:
    alone, other = plant.ids["T5"][0], plant.ids["T0"][0]
    plant.sessions([m for group in plant.ids.values() for m in group if m not in (alone, other)])
    plant.sessions([alone, other], error="timeout")
    plant.wait(100)
    assert {(a.event_type, a.end_device_id) for a in events.list_alarms().alarms} == {
        ("SILENT_METER", alone),
        ("SILENT_METER", other),
    }
    plant.sessions([alone])
    plant.events(plant.ids["T0"][1:], GONE)
    plant.wait(40)
    assert [s.node_mrid for s in events.list_situations()] == ["T0"]
    assert events.list_alarms().alarms == ()


def test_a_moved_transformer_is_seen_where_it_hangs_now(plant: Plant) -> None:
    plant.wait(1)
    for name in ("T3", "T4", "T5"):
        inventory.move(
            item_id=inventory.get_item(name).id, tree=inventory.Tree.ELECTRICAL,
            parent_id=inventory.get_item("F1").id, actor=TEST, at=plant.now,
        )  # fmt: skip
    plant.now += timedelta(seconds=20)
    plant.wait(1)
    plant.events([m for t in plant.ids.values() for m in t][::2], GONE)
    plant.wait(12)
    assert [s.node_mrid for s in events.list_situations()] == ["F1"]


def test_a_transaction_that_fails_stores_nothing_and_the_next_step_everything(plant: Plant) -> None:
    plant.wait(2)
    plant.events([plant.ids["T0"][0]], COVER, log=1)
    before = IntakeState.objects.get().events_place
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE events_dailycounter RENAME TO hidden")
    assert plant.intake is not None
    with pytest.raises(Exception, match="dailycounter"), transaction.atomic():
        plant.intake.step(now=plant.now)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE hidden RENAME TO events_dailycounter")
    assert IntakeState.objects.get().events_place == before
    assert not Alarm.objects.exists()
    plant.wait(1)
    assert len(events.list_alarms().alarms) == 1


def _story(plant: Plant, kills: set[int]) -> list[tuple[object, ...]]:
    """The same minutes, with the process killed after some steps; what is stored in the end."""
    ids = plant.ids
    for second in range(60):
        if second == 3:
            plant.events([m for t in ("T0", "T1", "T2") for m in ids[t]][::2], GONE)
        if second == 5:
            plant.events(ids["T4"][:20], GONE)
        if second in (7, 8):
            plant.events([ids["T5"][1]], COVER, log=1, at=BEGAN)
        if second == 20:
            plant.events([m for t in ("T0", "T1") for m in ids[t]], BACK)
        if second == 22:
            plant.sessions(ids["T0"])
        plant.wait(1)
        if second in kills:
            plant.kill()
    situations = Situation.objects.order_by("id").values_list("id", "state", "node_mrid", "heard", "opened_at")
    alarms = Alarm.objects.order_by("id").values_list("event_type", "end_device_id", "occurrences", "state")
    return [*situations, *alarms, (counts("POWER_FAILURE"), counts("METER_COVER_REMOVED"))]


@pytest.mark.parametrize("kills", [{4, 5, 6, 31}, set(range(0, 60, 7))])
def test_killed_anywhere_in_a_storm_the_end_is_the_same(plant: Plant, kills: set[int]) -> None:
    ends = []
    for killed in (set[int](), kills):
        with transaction.atomic():
            plant.lake.query("DELETE FROM lake.events").fetchall()
            plant.lake.query("DELETE FROM lake.sessions").fetchall()
            plant.now, plant.intake = BEGAN, None
            ends.append(_story(plant, killed))
            transaction.set_rollback(True)
    assert ends[0] == ends[1]
