"""Under planned work an incident waits, and after it it does not."""

from datetime import timedelta

import pytest
from tests.interfaces.console import seed
from tests.practices.incidents.conftest import NOW, WHO, situation
from tests.practices.incidents.test_opening import tell

from meterops.practices.events import api as events
from meterops.practices.events.events import SafetyAlarmRaised
from meterops.practices.incidents import api as incidents
from meterops.practices.incidents.models import Incident
from meterops.practices.incidents.planned import end_planned

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def test_planning_the_repair_lets_the_incident_wait_until_its_end(fleet: seed.Fleet) -> None:
    tell(situation(1, "TR-0001"))
    number = Incident.objects.get().pk
    assert incidents.get_incident(number).row.priority == 1
    incidents.plan_work_on_incident(
        number=number, starts_at=NOW, ends_at=NOW + HOUR, reason="New fuse.", actor=WHO, at=NOW
    )
    row = incidents.get_incident(number).row
    assert row.is_planned
    assert row.priority > 1
    assert [work.node_mrid for work in events.list_planned_work(now=NOW)] == ["TR-0001"]
    assert end_planned(now=NOW + HOUR / 2) == 0
    assert end_planned(now=NOW + HOUR) == 1
    row = incidents.get_incident(number).row
    assert (row.is_planned, row.priority) == (False, 1)
    assert incidents.timeline(number)[-2].text == "The planned work is over."


def test_a_cover_opened_where_a_crew_works_waits(fleet: seed.Fleet) -> None:
    events.plan_work(
        node_mrid="FD-1", starts_at=NOW - HOUR, ends_at=NOW + HOUR, reason="Meter exchange.", actor=WHO, at=NOW - HOUR
    )
    tell(SafetyAlarmRaised(5, "TERMINAL_COVER_REMOVED", "MAJOR", fleet.ids[0], NOW, NOW))
    row = incidents.incident_queue().rows[0]
    assert row.is_planned
    assert row.priority == 4
    assert "under planned work" in incidents.timeline(row.number)[0].text


def test_an_alarm_of_a_meter_that_is_gone_is_an_incident_all_the_same(fleet: seed.Fleet) -> None:
    tell(SafetyAlarmRaised(6, "STRONG_DC_FIELD", "MAJOR", 999_999, NOW, NOW))
    row = incidents.incident_queue().rows[0]
    assert row.title == "Strong dc field, meter 999999 (unknown)"
    assert row.meters == 0


def test_a_resolved_incident_takes_in_no_open_one(fleet: seed.Fleet) -> None:
    tell(situation(1, "TR-0001"), situation(2, "TR-0002"))
    first, second = Incident.objects.order_by("pk").values_list("pk", flat=True)
    incidents.resolve_incident(number=first, resolution="Fuse.", actor=WHO, at=NOW, in_spite_of="crew")
    with pytest.raises(incidents.MergeNotValid, match="reopen it first"):
        incidents.merge_incidents(into=first, numbers=[second], reason="Same.", actor=WHO, at=NOW)
