"""Supply is back when meters say so; what stays dark or silent is carried on."""

from datetime import timedelta
from uuid import UUID

import pytest
from tests.interfaces.console import seed
from tests.practices.incidents.conftest import NOW, WHO, answer, below, situation
from tests.practices.incidents.test_opening import identity, tell

from meterops.fleet.headend import api as headend
from meterops.fleet.headend.events import FleetOperationEnded
from meterops.fleet.telemetry import api as telemetry
from meterops.practices.events.events import SituationCleared
from meterops.practices.incidents import api as incidents
from meterops.practices.incidents import restoration
from meterops.practices.incidents.models import Incident, IncidentCheck, Ladder, WorkOrder

pytestmark = pytest.mark.django_db
CLEARED = NOW + timedelta(minutes=30)
State = incidents.IncidentState


@pytest.fixture
def number(fleet: seed.Fleet) -> int:
    tell(situation(1, "FD-1", expected=48))
    tell(SituationCleared(identity(1), CLEARED, "power returned"))
    return int(Incident.objects.get().pk)


def end_checks() -> None:
    """Let every power check be over, as the engine does at its deadline."""
    headend.end_operations(now=CLEARED + timedelta(hours=1))
    for pk in IncidentCheck.objects.filter(finished_at__isnull=True).values_list("pk", flat=True):
        tell(FleetOperationEnded(str(pk), "EXPIRED", "", 0, 0, 0, CLEARED + timedelta(minutes=10)))


def test_sessions_after_the_clear_prove_it(number: int, lake: telemetry.Lake) -> None:
    answer(lake, below("FD-1"), CLEARED - timedelta(minutes=5))
    assert restoration.look_at_restorations(now=CLEARED + timedelta(minutes=3), lake=lake) == 0
    assert IncidentCheck.objects.count() == 1, "nobody has answered since the clear, so they are asked"
    answer(lake, below("FD-1")[:46], CLEARED + timedelta(minutes=4))
    at = CLEARED + timedelta(minutes=9)
    assert restoration.look_at_restorations(now=at, lake=lake) == 1
    view = incidents.get_incident(number)
    assert view.row.state is State.RESOLVED
    assert view.row.restored_at == CLEARED + timedelta(minutes=4)
    assert (view.restored_meters, view.restored_of, view.restored_needed) == (46, 48, 46)
    assert "46 of 48 meters have answered since the clear" in view.resolution
    assert view.ladder is not None
    assert view.ladder.silent == 2
    assert view.row.urgency is incidents.Urgency.LOW


def test_a_meter_that_measures_no_voltage_proves_nothing(number: int, lake: telemetry.Lake) -> None:
    answer(lake, below("FD-1"), CLEARED + timedelta(minutes=1), volts=2.0)
    assert restoration.look_at_restorations(now=CLEARED + timedelta(minutes=3), lake=lake) == 0
    assert incidents.get_incident(number).row.state is State.NEW


def test_before_the_clear_nothing_is_looked_at(fleet: seed.Fleet, lake: telemetry.Lake) -> None:
    tell(situation(1, "FD-1", expected=48))
    answer(lake, below("FD-1"), NOW + timedelta(minutes=1))
    assert restoration.look_at_restorations(now=NOW + timedelta(hours=1), lake=lake) == 0
    assert incidents.get_incident(Incident.objects.get().pk).row.state is State.NEW


def test_a_transformer_left_out_becomes_an_incident_of_its_own(number: int, lake: telemetry.Lake) -> None:
    dark = below("TR-0002")
    lit = [meter for meter in below("FD-1") if meter not in dark]
    restoration.look_at_restorations(now=CLEARED + timedelta(minutes=3), lake=lake)
    answer(lake, lit, CLEARED + timedelta(minutes=4))
    answer(lake, dark, CLEARED + timedelta(minutes=4), error="timeout")
    end_checks()
    assert restoration.collect_checks(now=CLEARED + timedelta(minutes=11), lake=lake) == 1
    assert restoration.look_at_restorations(now=CLEARED + timedelta(minutes=11), lake=lake) == 1
    view = incidents.get_incident(number)
    assert view.row.state is State.RESOLVED
    assert view.checks[0].counts == {"ON": 36, "OFF": 0, "UNKNOWN": 0, "NO_CONTACT": 12, "UNKNOWN_ID": 0}
    (nested,) = view.nested
    assert (nested.mrid, nested.meters) == ("TR-0002", 12)
    part = incidents.get_incident(nested.incident or 0)
    assert part.row.state is State.NEW
    assert part.split_from == number
    assert incidents.members(part.row.number).tolist() == dark
    incidents.close_incident(number=number, reason="Feeder is back.", actor=WHO, at=CLEARED + timedelta(hours=1))
    assert "Still dark below it: TR-0002 (12 meters)" in incidents.timeline(number)[-1].text
    answer(lake, dark, CLEARED + timedelta(minutes=40))
    assert restoration.look_at_restorations(now=CLEARED + timedelta(hours=1), lake=lake) == 1
    assert incidents.get_incident(part.row.number).row.state is State.RESOLVED


def test_a_power_check_is_asked_for_and_told_to_the_timeline_once(number: int, lake: telemetry.Lake) -> None:
    operation = incidents.check_power(number=number, actor=WHO, at=CLEARED)
    assert isinstance(operation, UUID)
    answer(lake, below("FD-1"), CLEARED + timedelta(seconds=20))
    end_checks()
    end_checks()
    restoration.collect_checks(now=CLEARED + timedelta(minutes=5), lake=lake)
    restoration.collect_checks(now=CLEARED + timedelta(minutes=5), lake=lake)
    texts = [e.text for e in incidents.timeline(number, kinds=[incidents.EntryKind.POWER_CHECK])]
    assert texts == ["Power check of 48 meters started.", "Power check of 48 meters: 48 on."]


def test_silent_meters_climb_the_ladder_up_to_a_work_order(number: int, lake: telemetry.Lake) -> None:
    silent = below("TR-0001")[:2]
    answer(lake, [m for m in below("FD-1") if m not in silent], CLEARED + timedelta(minutes=1))
    restoration.look_at_restorations(now=CLEARED + timedelta(minutes=3), lake=lake)
    assert incidents.get_incident(number).row.state is State.RESOLVED
    now, rungs = CLEARED + timedelta(minutes=3), []
    for _ in range(20):
        if restoration.climb_ladders(now=now, lake=lake):
            rungs.append(Ladder.objects.get().rung)
        now += timedelta(hours=1)
    assert rungs == ["RETRY", "PING", "NEIGHBORS", "CLEAN_UP", "WORK_ORDER"]
    (order,) = WorkOrder.objects.all()
    assert order.meter_count == 2
    assert order.title == "Visit 2 silent meters at TR-0001"
    assert incidents.clean_up_list()[0].meters == tuple(silent)
    assert IncidentCheck.objects.count() == 2


def test_a_meter_that_answers_leaves_the_ladder(number: int, lake: telemetry.Lake) -> None:
    silent = below("TR-0001")[:2]
    answer(lake, [m for m in below("FD-1") if m not in silent], CLEARED + timedelta(minutes=1))
    restoration.look_at_restorations(now=CLEARED + timedelta(minutes=3), lake=lake)
    restoration.climb_ladders(now=CLEARED + timedelta(minutes=3), lake=lake)
    answer(lake, silent, CLEARED + timedelta(minutes=5))
    restoration.climb_ladders(now=CLEARED + timedelta(minutes=9), lake=lake)
    ladder = Ladder.objects.get()
    assert (ladder.rung, ladder.next_at) == ("DONE", None)
    assert not WorkOrder.objects.exists()


def test_a_communication_fault_is_over_when_its_meters_are_heard_again(fleet: seed.Fleet, lake: telemetry.Lake) -> None:
    tell(situation(1, "RT-0001", kind="COMMUNICATION"), SituationCleared(identity(1), CLEARED, "contact is back"))
    answer(lake, below("RT-0001"), CLEARED + timedelta(minutes=1), volts=None)
    assert restoration.look_at_restorations(now=CLEARED + timedelta(minutes=3), lake=lake) == 1
    view = incidents.get_incident(Incident.objects.get().pk)
    assert view.resolution.startswith("Contact is back: 12 of 12")
    assert view.row.unserved_kwh == 0


def test_a_resolved_incident_closes_after_a_day(number: int, lake: telemetry.Lake) -> None:
    answer(lake, below("FD-1"), CLEARED + timedelta(minutes=1))
    restoration.look_at_restorations(now=CLEARED + timedelta(minutes=3), lake=lake)
    assert restoration.close_what_is_done(now=CLEARED + timedelta(hours=23)) == 0
    assert restoration.close_what_is_done(now=CLEARED + timedelta(hours=25)) == 1
    assert incidents.get_incident(number).row.state is State.CLOSED


def test_one_damaged_incident_does_not_keep_the_others_waiting(number: int, lake: telemetry.Lake) -> None:
    tell(situation(2, "TR-0002"), SituationCleared(identity(2), CLEARED + timedelta(seconds=1), "power returned"))
    Incident.objects.filter(pk=number).update(members_at_open=b"damaged")
    answer(lake, below("TR-0002"), CLEARED + timedelta(minutes=1))
    assert restoration.look_at_restorations(now=CLEARED + timedelta(minutes=5), lake=lake) == 1
    assert restoration.look_at_restorations(now=CLEARED + timedelta(minutes=5), lake=lake) == 0
    assert Incident.objects.get(pk=number).next_look_at == CLEARED + timedelta(minutes=10)


def test_a_situation_at_a_node_found_dark_before_is_no_second_incident(number: int, lake: telemetry.Lake) -> None:
    part = incidents.split_incident(number=number, node="TR-0002", reason="Another cable.", actor=WHO, at=CLEARED)
    again = situation(7, "TR-0002", at=CLEARED + timedelta(minutes=1))
    tell(again, again)
    assert Incident.objects.filter(node_mrid="TR-0002").count() == 1
    assert incidents.find_incident_of_situation(identity(7)) == part
    tell(SituationCleared(identity(7), CLEARED + timedelta(minutes=9), "power returned"))
    answer(lake, below("TR-0002"), CLEARED + timedelta(minutes=10))
    restoration.look_at_restorations(now=CLEARED + timedelta(minutes=12), lake=lake)
    assert incidents.get_incident(part).row.state is State.RESOLVED


def test_after_the_root_moved_those_below_the_new_one_have_to_answer(fleet: seed.Fleet, lake: telemetry.Lake) -> None:
    tell(situation(1, "FD-1", expected=48), situation(1, "TR-0001", changed=True, at=NOW + timedelta(minutes=1)))
    tell(SituationCleared(identity(1), CLEARED, "power returned"))
    number = Incident.objects.get().pk
    assert incidents.get_incident(number).restored_needed == 12
    answer(lake, below("TR-0001"), CLEARED + timedelta(minutes=1))
    assert restoration.look_at_restorations(now=CLEARED + timedelta(minutes=3), lake=lake) == 1
    view = incidents.get_incident(number)
    assert (view.members_at_open, view.restored_of) == (48, 12)
