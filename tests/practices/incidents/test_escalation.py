"""Chains go on until somebody acknowledges; who watches them trusts none of it."""

from datetime import timedelta

import pytest
from tests.interfaces.console import seed
from tests.practices.incidents.conftest import NOW, WHO, situation
from tests.practices.incidents.test_opening import tell

from meterops.practices.incidents import api as incidents
from meterops.practices.incidents import escalation
from meterops.practices.incidents.jobs import audit_when_due
from meterops.practices.incidents.models import Escalation, Incident, Message

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


@pytest.fixture
def policy(db: None) -> None:
    for name in ("Duty", "Lead", "Head"):
        incidents.save_channel(name=name, sort="CHAT", address="json://127.0.0.1:9/x", priorities=[], actor=WHO, at=NOW)
    save()


def save(first: str = "Duty") -> None:
    steps = [
        {"after_s": 0, "channels": [first]},
        {"after_s": 300, "channels": ["Lead"]},
        {"after_s": 900, "channels": ["Head", "Lead"]},
    ]
    incidents.save_policy(name="Control room", priorities=[1, 2], steps=steps, actor=WHO, at=NOW)


@pytest.fixture
def number(fleet: seed.Fleet, policy: None) -> int:
    tell(situation(1, "TR-0001"))
    return int(Incident.objects.get().pk)


def told() -> list[str]:
    return [message.channel.name for message in Message.objects.filter(occasion="ESCALATED").order_by("pk")]


def test_one_after_the_other_is_told_while_nobody_acknowledges(number: int) -> None:
    assert escalation.take_due_steps(now=NOW) == 1
    assert escalation.take_due_steps(now=NOW) == 0
    assert escalation.take_due_steps(now=NOW + 4 * MINUTE) == 0
    assert escalation.take_due_steps(now=NOW + 5 * MINUTE) == 1
    assert told() == ["Duty", "Lead"]
    incidents.acknowledge_incident(number=number, actor=WHO, at=NOW + 6 * MINUTE)
    assert escalation.take_due_steps(now=NOW + 60 * MINUTE) == 0
    view = incidents.get_incident(number).escalation
    assert view is not None
    assert (view.taken, view.ended_by, view.next_eta) == (2, "J. Ortiz", None)


def test_a_chain_keeps_the_steps_it_started_with(number: int) -> None:
    save(first="Head")
    escalation.take_due_steps(now=NOW)
    assert told() == ["Duty"]


def test_an_engine_that_was_down_tells_everybody_that_is_due(number: int) -> None:
    assert escalation.take_due_steps(now=NOW + 20 * MINUTE) == 3
    assert told() == ["Duty", "Lead", "Head", "Lead"]
    assert incidents.get_incident(number).escalation.ended_by == "last step"  # type: ignore[union-attr]
    assert incidents.find_stuck(now=NOW + 60 * MINUTE) == []


def test_the_audit_finds_a_chain_that_stands_still_and_tells_it_once(number: int) -> None:
    escalation.take_due_steps(now=NOW)
    assert incidents.find_stuck(now=NOW + 10 * MINUTE) == []
    late = NOW + 11 * MINUTE
    (stuck,) = incidents.find_stuck(now=late)
    assert stuck.number == number
    assert "step 2 of 3 was due" in stuck.text
    assert incidents.audit_escalations(now=late) == 1
    incidents.audit_escalations(now=late)
    found = [e for e in incidents.timeline(number) if e.text.startswith("The check of escalations")]
    assert len(found) == 1
    assert escalation.take_due_steps(now=late) == 1, "and it goes on"


def test_the_audit_does_not_believe_what_the_chain_says(number: int) -> None:
    Escalation.objects.update(next_eta=NOW + timedelta(days=30))
    assert len(incidents.find_stuck(now=NOW + 6 * MINUTE)) == 1
    Escalation.objects.update(next_eta=None)
    assert len(incidents.find_stuck(now=NOW)) == 1


def test_an_incident_without_a_chain_is_found_and_gets_one(number: int) -> None:
    Escalation.objects.all().delete()
    assert incidents.find_stuck(now=NOW + 4 * MINUTE) == []
    assert incidents.audit_escalations(now=NOW + 6 * MINUTE) == 1
    assert Escalation.objects.get().next_eta == NOW + 6 * MINUTE


def test_the_audit_is_made_once_a_minute_whoever_calls(number: int) -> None:
    Escalation.objects.update(next_eta=None)
    assert audit_when_due(now=NOW) == 1
    assert audit_when_due(now=NOW + timedelta(seconds=10)) == 0


def test_reopening_starts_the_chain_anew(number: int) -> None:
    escalation.take_due_steps(now=NOW)
    incidents.resolve_incident(number=number, resolution="Fuse.", actor=WHO, at=NOW, in_spite_of="crew")
    later = NOW + timedelta(hours=1)
    incidents.reopen_incident(number=number, reason="Dark.", actor=WHO, at=later)
    assert escalation.take_due_steps(now=later) == 1
    assert told() == ["Duty", "Duty"]


@pytest.mark.parametrize(
    ("priorities", "steps", "said"),
    [
        ([1], [], "at least one step"),
        ([7], [{"after_s": 0, "channels": ["Duty"]}], "1 to 4"),
        ([1], [{"after_s": 0, "channels": ["Nobody"]}], "no channel Nobody"),
        ([1], [{"after_s": 5, "channels": ["Duty"]}, {"after_s": 5, "channels": ["Duty"]}], "comes later"),
        ([1], [{"after_s": 0, "channels": []}], "tells nobody"),
    ],
)
def test_a_policy_that_does_not_fit_together_is_refused(
    policy: None, priorities: list[int], steps: list[dict[str, object]], said: str
) -> None:
    with pytest.raises(incidents.PolicyNotValid, match=said):
        incidents.save_policy(name="P", priorities=priorities, steps=steps, actor=WHO, at=NOW)


def test_what_becomes_worse_is_told_to_those_it_concerns_now(fleet: seed.Fleet, policy: None) -> None:
    incidents.save_channel(name="Duty", sort="CHAT", priorities=[1], actor=WHO, at=NOW)
    tell(situation(1, "RT-0001", kind="COMMUNICATION"))
    assert not Escalation.objects.exists()
    number = Incident.objects.get().pk
    incidents.declare_major(number=number, reason="Press.", actor=WHO, at=NOW)
    assert Escalation.objects.get().next_eta == NOW
    assert {message.occasion for message in incidents.list_messages(number)} == {"RAISED", "MAJOR"}
