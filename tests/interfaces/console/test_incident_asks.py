"""Wide acts on an incident: the question says how many meters they change, and that many it is."""

import re
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.test import Client
from pytest_django import Settings
from tests.interfaces.console.conftest import Console
from tests.interfaces.console.outages import TEST, open_incident, text_of
from tests.practices.incidents.conftest import answer

from meterops.fleet.inventory import api as inventory
from meterops.fleet.telemetry import api as telemetry
from meterops.kernel.clock import utc_now
from meterops.practices.events import api as events
from meterops.practices.events.alarms import Word, take_words
from meterops.practices.incidents import api as incidents
from meterops.practices.incidents.models import IncidentCheck

PART = {"HX-Request": "true"}


@pytest.fixture
def lane(street: int) -> int:
    """The incident of the whole street: three meters."""
    return open_incident(street)


def asked(client: Client, number: int, what: str, **given: object) -> str:
    answer = client.get(f"/incidents/{number}/ask/{what}", given, headers=PART)
    assert answer.status_code == 200, answer.content[:300]
    return answer.content.decode()


def raise_alarms() -> None:
    """Two of the three meters say that their cover is off."""
    event = events.catalogue().by_type("METER_COVER_REMOVED")
    assert event is not None
    now = utc_now()
    devices = inventory.ids_by_serial(["M0", "M1"]).values()
    take_words([Word(device, "", event, now.timestamp() - 60) for device in devices], transformers={}, now=now)


def test_merging_says_how_many_meters_follow_and_they_do(operator: Client, street: int, lane: int) -> None:
    other = open_incident(inventory.get_item("T1F2").id, 2)
    members = len(incidents.members(other))
    assert members == 1
    first = asked(operator, other, "merge")
    assert "Choose what has the same cause" in first
    assert "disabled>Merge" in first
    question = asked(operator, other, "merge", **{"with": [lane, 9999]})
    assert "1 incident with 3 meters" in question
    assert "It has 1 meters now and 3 then." in question
    operator.post(f"/incidents/{other}/merge", {"with": [lane], "reason": "one cause"})
    assert incidents.get_incident(lane).parent == other
    assert len(incidents.members(other)) == 3
    assert f'Merged into <a class="link" href="/incidents/{other}"' in text_of(operator, f"/incidents/{lane}")
    assert "3 meters" in asked(operator, lane, "unmerge")
    operator.post(f"/incidents/{lane}/unmerge", {"reason": "it was not"})
    assert incidents.get_incident(lane).parent is None


def test_splitting_offers_parts_that_are_parts(operator: Client, lane: int) -> None:
    question = asked(operator, lane, "split")
    assert 'Mill Lane 1</span><span class="sub push">2 of 3 meters' in question
    assert 'Mill Lane 2</span><span class="sub push">1 of 3 meters' in question
    assert "2 meters</b> leave incident" in asked(operator, lane, "split", node="T1F1")
    operator.post(f"/incidents/{lane}/split", {"node": "T1F1", "reason": "the other side is back"})
    (part,) = incidents.get_incident(lane).split_into
    assert len(incidents.members(part)) == 2
    assert "there is no part to split off" in asked(operator, lane, "split")


def test_a_major_incident_is_declared_with_its_meters_named(operator: Client, lane: int) -> None:
    assert "Declare major, 3 meters" in asked(operator, lane, "major")
    refused = operator.post(f"/incidents/{lane}/major", {"reason": " "}, follow=True)
    assert "asks for a reason" in refused.content.decode()
    assert 'role="alert"' in refused.content.decode()
    operator.post(f"/incidents/{lane}/major", {"reason": "hospital"})
    assert incidents.get_incident(lane).row.is_major
    assert "Declare major" not in text_of(operator, f"/incidents/{lane}?part=acts")


def test_the_alarms_of_its_meters_are_shelved_with_an_end(operator: Client, lane: int) -> None:
    assert "None of its meters" in operator.post(
        f"/incidents/{lane}/shelve", {"hours": "2", "reason": "x"}, follow=True
    ).content.decode()  # fmt: skip
    raise_alarms()
    assert "2 alarms</b> of its 3 meters leave the line" in asked(operator, lane, "shelve")
    operator.post(f"/incidents/{lane}/shelve", {"hours": "900", "reason": "installers"})
    assert not events.list_shelved(), "not for longer than a week"
    operator.post(f"/incidents/{lane}/shelve", {"hours": "2", "reason": "installers"})
    assert len(events.list_shelved()) == 2
    page = text_of(operator, f"/incidents/{lane}")
    assert "<b>0</b> in line, <b>2</b> shelved, the next comes back" in page
    assert "2 alarms of its meters shelved until" in page


def test_a_work_order_is_made_and_followed(operator: Client, lane: int) -> None:
    assert "3 meters" in asked(operator, lane, "order")
    body = {"title": "Replace the fuse", "crew": "Crew 3", "due": "2030-05-01T14:00", "instructions": "Bring 63 A"}
    operator.post(f"/incidents/{lane}/order", body)
    (order,) = incidents.get_incident(lane).work_orders
    assert (order.state, order.crew, order.meter_count) == ("DRAFT", "Crew 3", 3)
    assert order.due_at is not None
    address = f"/incidents/{lane}/orders/{order.id}"
    operator.post(address, {"state": "SENT"})
    operator.post(address, {"state": "ON_SITE"})
    assert incidents.get_work_order(order.id).state == "ON_SITE"
    assert "Choose how" in operator.post(address, {"state": "LOST"}, follow=True).content.decode()
    assert "cannot become" in operator.post(address, {"state": "SENT"}, follow=True).content.decode()
    assert operator.post(f"/incidents/{lane}/orders/{uuid4()}", {"state": "SENT"}).status_code == 404
    other = open_incident(inventory.get_item("T1F2").id, 2)
    assert operator.post(f"/incidents/{other}/orders/{order.id}", {"state": "DONE"}).status_code == 404
    assert "Replace the fuse" in text_of(operator, f"/incidents/{lane}?part=orders")


def test_a_power_check_fills_live_and_counts_its_five_answers(
    console: Console, settings: Settings, tmp_path: Path
) -> None:
    settings.METEROPS_LAKE = str(tmp_path / "lake")
    number = open_incident(inventory.get_item("TR-0000").id)
    client, address = console.client(), f"/incidents/{number}?part=checks"
    assert "Nobody was asked yet" in text_of(client, address)
    now = utc_now()
    operation = incidents.check_power(number=number, actor=TEST, at=now - timedelta(minutes=1))
    part = text_of(client, address)
    assert "<b>0 of 12</b> answered" in part
    assert f'data-live="operations:{operation}"' in part
    assert 'hx-trigger="live, every 2s"' in part
    answer(telemetry.lake(), console.fleet.ids[:7], now - timedelta(seconds=30))
    part = text_of(client, address)
    assert "<b>7 of 12</b> answered" in part
    assert '<progress max="12" value="7"' in part
    assert [int(one) for one in re.findall(r"<dd>(\d+)</dd>", part)] == [7, 0, 0, 0, 0]
    IncidentCheck.objects.update(finished_at=now, counts={"ON": 7, "NO_CONTACT": 5})
    part = text_of(client, address)
    assert "<b>12 of 12</b> answered; over" in part
    assert "every 2s" not in part, "nobody asks for what cannot come"
    assert [int(one) for one in re.findall(r"<dd>(\d+)</dd>", part)] == [7, 0, 0, 5, 0]


def test_an_incident_is_worked_on_escalated_waits_and_has_its_repair_planned(operator: Client, lane: int) -> None:
    for what in ("escalate", "wait", "plan"):
        assert f"/incidents/{lane}/{what}" in asked(operator, lane, what)
    operator.post(f"/incidents/{lane}/start")
    assert incidents.get_incident(lane).row.state == "IN_PROGRESS"
    operator.post(f"/incidents/{lane}/escalate", {"team": "Field west", "reason": "no key"})
    assert incidents.get_incident(lane).row.team == "Field west"
    operator.post(f"/incidents/{lane}/wait", {"hours": "3", "reason": "a part"})
    assert incidents.get_incident(lane).pending_until is not None
    starts, ends = (f"{utc_now() + timedelta(days=days):%Y-%m-%dT%H:%M}" for days in (1, 2))
    refused = operator.post(f"/incidents/{lane}/plan", {"starts": "soon", "ends": ends, "reason": "cable"}, follow=True)
    assert "Say when the work begins and ends." in refused.content.decode()
    operator.post(f"/incidents/{lane}/plan", {"starts": starts, "ends": ends, "reason": "cable"})
    assert incidents.get_incident(lane).row.is_planned
    assert [one.node_mrid for one in events.list_planned_work(now=utc_now())] == ["T1"]


def test_who_may_look_is_not_asked(guest: Client, operator: Client, lane: int) -> None:
    for what in ("merge", "split", "unmerge", "major", "shelve", "order", "wait", "escalate", "plan"):
        assert guest.get(f"/incidents/{lane}/ask/{what}", headers=PART).status_code == 403, what
        assert guest.post(f"/incidents/{lane}/{what}", {"reason": "x"}).status_code == 403, what
        assert operator.get(f"/incidents/77/ask/{what}", headers=PART).status_code == 404, what
    assert operator.get(f"/incidents/{lane}/ask/explode").status_code == 404
    shown = text_of(guest, f"/incidents/{lane}")
    assert "You may look, not act" in shown
    assert "<button" not in shown.partition('id="incident-acts"')[2].partition("</section>")[0]
