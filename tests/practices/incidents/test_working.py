"""What people do with incidents, and what they are told when they may not."""

from datetime import timedelta

import pytest
from tests.interfaces.console import seed
from tests.practices.incidents.conftest import NOW, WHO, below, situation
from tests.practices.incidents.test_opening import identity, tell

from meterops.kernel import audit
from meterops.kernel.models import Hint, OutboxFact
from meterops.practices.events.events import SituationCleared
from meterops.practices.incidents import api as incidents
from meterops.practices.incidents.models import Incident
from meterops.practices.incidents.subscribers import on_situation_opened

pytestmark = pytest.mark.django_db
State = incidents.IncidentState


@pytest.fixture
def number(fleet: seed.Fleet) -> int:
    tell(situation(1, "TR-0001"))
    return int(Incident.objects.get().pk)


def test_an_acknowledgement_has_a_name_a_time_and_a_note(number: int) -> None:
    at = NOW + timedelta(minutes=2)
    incidents.acknowledge_incident(number=number, actor=WHO, at=at, note_text="Crew called.")
    view = incidents.get_incident(number)
    assert (view.row.acknowledged_by, view.row.acknowledged_at, view.acknowledged_note) == (
        "J. Ortiz",
        at,
        "Crew called.",
    )
    assert Hint.objects.filter(topic="incidents", reference=str(number)).exists()
    with pytest.raises(incidents.IncidentIsAcknowledged, match=r"J\. Ortiz already"):
        incidents.acknowledge_incident(number=number, actor=WHO, at=at)
    assert audit.find_break() is None
    assert audit.list_entries(subject=f"incident {number}")[0].action == "acknowledge incident"


def test_the_whole_way_and_back(number: int) -> None:
    minutes = iter(range(1, 100))

    def at() -> object:
        return NOW + timedelta(minutes=next(minutes))

    def state() -> State:
        return incidents.get_incident(number).row.state

    assert state() is State.NEW
    incidents.assign_incident(number=number, owner="", team="Field east", actor=WHO, at=at())  # type: ignore[arg-type]
    assert state() is State.ASSIGNED
    incidents.start_work(number=number, actor=WHO, at=at())  # type: ignore[arg-type]
    assert incidents.get_incident(number).row.owner == "J. Ortiz"
    incidents.set_pending(number=number, reason="Waiting for a fuse.", actor=WHO, at=at())  # type: ignore[arg-type]
    assert state() is State.PENDING
    incidents.start_work(number=number, actor=WHO, at=at())  # type: ignore[arg-type]
    incidents.resolve_incident(
        number=number,
        resolution="Fuse replaced.",
        actor=WHO,
        at=at(),
        in_spite_of="crew measured",  # type: ignore[arg-type]
    )
    assert state() is State.RESOLVED
    with pytest.raises(incidents.StateNotReachable, match="is resolved, so it cannot become in progress"):
        incidents.start_work(number=number, actor=WHO, at=at())  # type: ignore[arg-type]
    incidents.close_incident(number=number, reason="Done.", actor=WHO, at=at())  # type: ignore[arg-type]
    view = incidents.get_incident(number)
    assert view.row.state is State.CLOSED
    assert view.members_at_close == 12
    assert incidents.members(number, at_close=True).tolist() == below("TR-0001")
    assert incidents.incident_queue().total == 0
    incidents.reopen_incident(number=number, reason="Dark again.", actor=WHO, at=at())  # type: ignore[arg-type]
    view = incidents.get_incident(number)
    assert view.row.state is State.REOPENED
    assert not view.row.is_acknowledged
    kinds = [entry.kind for entry in incidents.timeline(number)]
    assert kinds.count("STATE") == 6
    assert not OutboxFact.objects.exists(), "nobody subscribes, so nothing is kept"


def test_an_outage_is_not_resolved_by_saying_so(number: int) -> None:
    with pytest.raises(incidents.RestorationNotProved, match="12 have to") as refused:
        incidents.resolve_incident(number=number, resolution="Fixed.", actor=WHO, at=NOW)
    assert refused.value.details == {"answered": 0, "needed": 12}


@pytest.mark.parametrize("act", ["resolve", "close", "reopen", "major", "merge", "split", "pending"])
def test_what_needs_a_reason_asks_for_it(number: int, act: str) -> None:
    acts = {
        "resolve": lambda: incidents.resolve_incident(number=number, resolution=" ", actor=WHO, at=NOW),
        "close": lambda: incidents.close_incident(number=number, reason="", actor=WHO, at=NOW),
        "reopen": lambda: incidents.reopen_incident(number=number, reason="", actor=WHO, at=NOW),
        "major": lambda: incidents.declare_major(number=number, reason="", actor=WHO, at=NOW),
        "merge": lambda: incidents.merge_incidents(into=number, numbers=[number], reason="", actor=WHO, at=NOW),
        "split": lambda: incidents.split_incident(number=number, node="TR-0001/F1", reason="", actor=WHO, at=NOW),
        "pending": lambda: incidents.set_pending(number=number, reason="", actor=WHO, at=NOW),
    }
    with pytest.raises(incidents.ReasonIsMissing):
        acts[act]()


def test_an_unknown_number_is_said(fleet: seed.Fleet) -> None:
    with pytest.raises(incidents.IncidentUnknown, match="no incident 77"):
        incidents.add_note(number=77, text="x", actor=WHO, at=NOW)
    with pytest.raises(incidents.IncidentUnknown):
        incidents.get_incident(77)


def test_a_part_is_split_off_with_its_meters(number: int) -> None:
    fresh = incidents.split_incident(number=number, node="TR-0001/F2", reason="Another cable.", actor=WHO, at=NOW)
    part = incidents.get_incident(fresh)
    assert part.split_from == number
    assert part.row.node_mrid == "TR-0001/F2"
    assert incidents.members(fresh).tolist() == below("TR-0001/F2")
    assert set(incidents.members(number).tolist()) == set(below("TR-0001")) - set(below("TR-0001/F2"))
    with pytest.raises(incidents.SplitNotValid, match="no member"):
        incidents.split_incident(number=number, node="TR-0002", reason="Wrong.", actor=WHO, at=NOW)


def test_merged_incidents_follow_their_parent(number: int) -> None:
    tell(situation(2, "TR-0002"))
    other = Incident.objects.order_by("-pk")[0].pk
    incidents.merge_incidents(into=number, numbers=[other], reason="Same cable.", actor=WHO, at=NOW)
    parent = incidents.get_incident(number)
    assert parent.row.premises == 24
    assert parent.members_at_open == 24
    with pytest.raises(incidents.MergeNotValid):
        incidents.merge_incidents(into=other, numbers=[number], reason="Back.", actor=WHO, at=NOW)
    incidents.close_incident(number=number, reason="False alarm.", actor=WHO, at=NOW)
    assert incidents.get_incident(other).row.state is State.CLOSED


def test_a_merge_can_be_undone(number: int) -> None:
    tell(situation(2, "TR-0002"))
    other = Incident.objects.order_by("-pk")[0].pk
    incidents.merge_incidents(into=number, numbers=[other], reason="Same cable.", actor=WHO, at=NOW)
    incidents.unmerge_incident(number=other, reason="Not the same.", actor=WHO, at=NOW)
    assert incidents.get_incident(other).parent is None
    assert incidents.get_incident(number).row.premises == 12
    with pytest.raises(incidents.MergeNotValid, match="merged into none"):
        incidents.unmerge_incident(number=other, reason="Again.", actor=WHO, at=NOW)


def test_a_major_incident_is_p1_whatever_its_figures(fleet: seed.Fleet) -> None:
    tell(situation(1, "RT-0001", kind="COMMUNICATION"))
    number = Incident.objects.get().pk
    assert incidents.get_incident(number).row.priority > 1
    incidents.declare_major(number=number, reason="Press is calling.", actor=WHO, at=NOW)
    view = incidents.get_incident(number)
    assert (view.row.priority, view.row.is_major) == (1, True)
    assert [one.priority for one in view.priorities][-1] == 1
    assert incidents.incident_counts().major == 1


def test_bulk_acts_are_done_for_all_or_for_none(number: int) -> None:
    tell(situation(2, "TR-0002"))

    def acknowledge(one: int) -> None:
        incidents.acknowledge_incident(number=one, actor=WHO, at=NOW)

    with pytest.raises(incidents.IncidentUnknown):
        incidents.bulk([number, 9999], acknowledge)
    assert incidents.incident_counts().unacknowledged == 2
    incidents.bulk([number, number + 1, number], acknowledge)
    assert incidents.incident_counts().unacknowledged == 0


def test_the_queue_shows_the_worst_first_then_what_nobody_has_seen_then_the_oldest(fleet: seed.Fleet) -> None:
    tell(
        situation(1, "TR-0001"),
        situation(2, "TR-0002", at=NOW + timedelta(seconds=1)),
        situation(3, "TR-0003", at=NOW + timedelta(seconds=2)),
        situation(4, "RT-0000", kind="COMMUNICATION"),
    )
    first, second, third, fourth = Incident.objects.order_by("pk").values_list("pk", flat=True)
    incidents.acknowledge_incident(number=first, actor=WHO, at=NOW)
    page = incidents.incident_queue()
    assert [row.number for row in page.rows] == [second, third, first, fourth]
    only = incidents.incident_queue(incidents.QueueFilter(acknowledged=True))
    assert [row.number for row in only.rows] == [first]
    assert incidents.incident_queue(incidents.QueueFilter(text="tr-0003")).total == 1
    assert incidents.incident_queue(incidents.QueueFilter(text=f"#{third}")).rows[0].number == third
    assert incidents.incident_queue(incidents.QueueFilter(kinds=(incidents.IncidentKind.COMMUNICATION,))).total == 1
    assert [row.number for row in incidents.incident_queue(size=3, page=2).rows] == [fourth]
    assert incidents.incident_queue(sort="premises").total == 4


def test_a_page_hears_what_is_new_and_what_changed_since_it_looked(number: int) -> None:
    cursor = incidents.incident_queue().cursor
    assert incidents.queue_changes_since(cursor).new == ()
    tell(situation(2, "TR-0002"))
    incidents.add_note(number=number, text="Looking.", actor=WHO, at=NOW)
    changes = incidents.queue_changes_since(cursor)
    assert changes.new == (number + 1,)
    assert changes.changed == (number,)
    assert incidents.queue_changes_since(changes.cursor).new == ()


def test_what_was_done_last_time_is_found(number: int) -> None:
    incidents.resolve_incident(
        number=number, resolution="Cut-out fuse, Mill Lane 4.", actor=WHO, at=NOW, in_spite_of="crew measured"
    )
    on_situation_opened(situation(2, "TR-0001", at=NOW + timedelta(days=3)))
    again = Incident.objects.order_by("-pk")[0].pk
    found = incidents.similar_incidents(again, now=NOW + timedelta(days=3))
    assert [one.number for one in found] == [number]
    assert found[0].resolution.startswith("Cut-out fuse")
    assert found[0].likeness > 0.9
    assert found[0].shared_meters == 12


def test_the_figures_of_a_node_are_known_before_anything_happens(fleet: seed.Fleet) -> None:
    found = incidents.impact_of_node("SS-1", now=NOW)
    assert (found.meters, found.premises, found.critical) == (48, 48, 4)
    assert found.unserved_kva > 10


def test_figures_are_computed_again_with_history(number: int) -> None:
    from meterops.practices.incidents.jobs import reassess_open

    later = NOW + timedelta(hours=6)
    assert reassess_open(now=later) == 1
    assert reassess_open(now=later) == 0
    view = incidents.get_incident(number)
    assert view.row.unserved_kwh > 30
    assert len(view.priorities) == 2


def test_a_cleared_incident_that_is_reopened_wants_new_proof(number: int) -> None:
    tell(SituationCleared(identity(1), NOW, "power returned"))
    incidents.resolve_incident(number=number, resolution="Back.", actor=WHO, at=NOW, in_spite_of="crew measured")
    later = NOW + timedelta(hours=1)
    incidents.reopen_incident(number=number, reason="Dark again.", actor=WHO, at=later)
    row = Incident.objects.get(pk=number)
    assert row.cleared_at == later
    assert row.next_look_at is not None


def test_settings_are_checked_and_audited(db: None) -> None:
    saved = incidents.save_configuration(values={"restoration_share": 0.9, "checks_power": False}, actor=WHO, at=NOW)
    assert (saved.restoration_share, saved.checks_power) == (0.9, False)
    assert incidents.configuration().restoration.share == 0.9
    for wrong in ({"restoration_share": 1.5}, {"nothing": 1}, {"checks_power": "yes"}, {"close_after_s": -1}):
        with pytest.raises(incidents.SettingsNotValid):
            incidents.save_configuration(values=wrong, actor=WHO, at=NOW)


def test_what_waits_until_a_time_is_worked_on_again_then(number: int) -> None:
    due = NOW + timedelta(hours=2)
    incidents.set_pending(number=number, reason="A part is coming.", actor=WHO, at=NOW, until=due)
    assert incidents.end_waiting(now=due - timedelta(seconds=1)) == 0
    assert incidents.get_incident(number).row.state is State.PENDING
    assert incidents.end_waiting(now=due) == 1
    view = incidents.get_incident(number)
    assert (view.row.state, view.pending_until) == (State.IN_PROGRESS, None)
    assert incidents.end_waiting(now=due + timedelta(days=1)) == 0
    assert audit.list_entries(subject=f"incident {number}")[0].action == "end waiting"
