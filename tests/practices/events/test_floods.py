"""Safety alarms of very many meters at once are one flood and one incident, which follows them until they end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from tests.practices.events.conftest import TEST, Plant

from meterops.practices.events import api as events
from meterops.practices.events import events as told
from meterops.practices.events.models import Alarm, AlarmFlood
from meterops.practices.events.rules import MAX_SAFETY
from meterops.practices.incidents import api as incidents
from meterops.practices.incidents.floods import LOOKS_EVERY, follow_floods
from meterops.practices.incidents.models import Incident

COVER_OFF, COVER_ON = 44, 45
FRAUD_LOG = 1


def everybody(plant: Plant) -> list[int]:
    return [device for devices in plant.ids.values() for device in devices]


def say(plant: Plant, devices: list[int], code: int) -> None:
    plant.events(devices, code, log=FRAUD_LOG)
    plant.wait(2)
    follow_floods(now=plant.now)


def the_incident() -> Incident:
    return Incident.objects.get()


def test_what_happens_to_everybody_at_once_is_one_incident(plant: Plant) -> None:
    say(plant, everybody(plant), COVER_OFF)
    assert events.alarm_counts() == {"METER_COVER_REMOVED": 150}, "every meter keeps its alarm"
    assert not plant.told(told.SafetyAlarmRaised)
    view = incidents.get_incident(the_incident().pk)
    assert view.row.title == "Meter cover removed, 150 meters, North"
    assert (view.row.heard, view.row.expected, view.row.meters, view.members_at_open) == (150, 150, 150, 150)
    assert view.row.node_mrid == "SS1"
    assert sorted(incidents.scope_of_incident(view.row.number).ids) == sorted(everybody(plant))


def test_a_few_are_told_one_by_one_and_what_comes_on_top_is_one_more(plant: Plant) -> None:
    street = plant.ids["T2"]
    say(plant, street[:MAX_SAFETY], COVER_OFF)
    assert len(plant.told(told.SafetyAlarmRaised)) == MAX_SAFETY
    assert not AlarmFlood.objects.exists()
    say(plant, street[MAX_SAFETY:], COVER_OFF)
    assert len(plant.told(told.SafetyAlarmRaised)) == MAX_SAFETY
    assert the_incident().title == "Meter cover removed, 5 meters, Street 2"


def test_slowly_they_are_incidents_each(plant: Plant) -> None:
    for first in range(0, 60, 20):
        say(plant, everybody(plant)[first : first + 20], COVER_OFF)
        plant.wait(700, step=350)
    assert len(plant.told(told.SafetyAlarmRaised)) == 60


@pytest.fixture
def grown(plant: Plant) -> Plant:
    """A flood of a hundred meters, whose incident somebody has resolved, and then fifty more."""
    say(plant, everybody(plant)[:100], COVER_OFF)
    incidents.resolve_incident(number=the_incident().pk, resolution="A test of covers.", actor=TEST, at=plant.now)
    plant.now += LOOKS_EVERY
    say(plant, everybody(plant)[100:], COVER_OFF)
    return plant


def test_it_grows_and_comes_back_when_it_was_thought_to_be_over(grown: Plant) -> None:
    incident = the_incident()
    assert (incident.state, incident.heard, incident.meters) == (incidents.IncidentState.REOPENED, 150, 150)
    assert incident.next_look_at is None, "no answer of a meter proves that its cover is on"
    lines = [entry.text for entry in incidents.timeline(incident.pk)]
    assert "50 more alarms, 150 by now." in lines
    assert follow_floods(now=grown.now + timedelta(hours=1)) == 0, "nothing new, nothing to do"


def test_it_is_over_when_every_meter_says_so(grown: Plant) -> None:
    grown.now += LOOKS_EVERY
    say(grown, everybody(grown)[1:], COVER_ON)
    assert the_incident().cleared_at is None
    say(grown, everybody(grown)[:1], COVER_ON)
    assert the_incident().cleared_at == grown.now
    assert not grown.told(told.AlarmCleared)
    assert not Alarm.objects.filter(state="ACTIVE").exists()


def test_what_was_split_off_does_not_come_back(plant: Plant) -> None:
    say(plant, everybody(plant)[:100], COVER_OFF)
    whole = the_incident()
    part = incidents.split_incident(number=whole.pk, node="T0", reason="A crew works there.", actor=TEST, at=plant.now)
    plant.now += LOOKS_EVERY
    say(plant, everybody(plant)[100:], COVER_OFF)
    assert len(incidents.members(part)) == 25
    assert len(incidents.members(whole.pk)) == 125


def test_more_meters_cost_no_more_questions(plant: Plant) -> None:
    def cost(devices: list[int]) -> int:
        with CaptureQueriesContext(connection) as asked:
            say(plant, devices, COVER_OFF)
        plant.now += timedelta(hours=1)
        return len(asked)

    few = cost(everybody(plant)[:30])
    assert cost(everybody(plant)[30:]) <= few + 5
