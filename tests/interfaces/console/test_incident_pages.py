"""The pages of fault management: what they show, what they refuse, and what they ask the stores."""

from __future__ import annotations

import json
from datetime import timedelta

from django.test import Client
from tests.interfaces.console.outages import TEST, open_incident, text_of

from meterops.fleet.inventory import api as inventory
from meterops.kernel.clock import utc_now
from meterops.practices.events import api as events
from meterops.practices.events.alarms import Word, take_words
from meterops.practices.events.catalogue import catalogue
from meterops.practices.events.models import Situation
from meterops.practices.incidents import api as incidents


def test_an_empty_queue_says_that_all_is_well(operator: Client) -> None:
    assert "All is well" in text_of(operator, "/incidents")
    assert "No incident fits" in text_of(operator, "/incidents?kind=SAFETY")
    assert "No alarm stands" in text_of(operator, "/alarms")
    assert "No events" in text_of(operator, "/events")
    assert "Nothing was pushed" in text_of(operator, "/events")


def test_an_incident_is_seen_acknowledged_and_carried_to_its_end(operator: Client, street: int) -> None:
    number = open_incident(street)
    page = text_of(operator, "/incidents")
    assert "Mill Lane" in page
    assert "unacknowledged" in page
    operator.post("/incidents/acknowledge", {"id": [number, 999], "note": "on it"})
    row = incidents.get_incident(number).row
    assert row.acknowledged_by == "maria"
    assert "Mill Lane" not in text_of(operator, "/incidents?unseen=1")
    operator.post(f"/incidents/{number}/take")
    operator.post(f"/incidents/{number}/note", {"text": "crew is <b>there</b>"})
    page = text_of(operator, f"/incidents/{number}")
    assert "crew is &lt;b&gt;there&lt;/b&gt;" in page
    assert "power 99" in page
    refused = operator.post(f"/incidents/{number}/resolve", {"text": "fuse replaced"}, follow=True)
    assert incidents.get_incident(number).row.resolved_at is None
    assert "notice" in refused.content.decode()
    operator.post(f"/incidents/{number}/resolve", {"text": "fuse replaced", "in_spite_of": "crew measured it"})
    assert incidents.get_incident(number).row.resolved_at is not None
    operator.post(f"/incidents/{number}/close", {"text": "done"})
    assert "Mill Lane" in text_of(operator, "/incidents?state=CLOSED")


def test_parts_of_pages_are_those_parts(operator: Client, street: int) -> None:
    number = open_incident(street)
    for path in (
        "/incidents?part=rows", "/incidents?part=load", f"/incidents/{number}?part=summary",
        f"/incidents/{number}?part=timeline", "/alarms?part=figures", "/alarms?part=alarms", "/events?part=rows",
    ):  # fmt: skip
        answer = operator.get(path, headers={"HX-Request": "true"})
        assert answer.status_code == 200
        assert b"<html" not in answer.content


def test_who_may_look_only_looks(guest: Client, street: int) -> None:
    number = open_incident(street)
    assert "You may look, not act" in text_of(guest, "/incidents")
    assert guest.post("/incidents/acknowledge", {"id": number}).status_code == 403
    assert guest.post(f"/incidents/{number}/close", {"text": "x"}).status_code == 403
    assert guest.post("/alarms/1/shelve", {"hours": "1", "reason": "x"}).status_code == 403
    assert incidents.get_incident(number).row.acknowledged_at is None
    assert Client().get("/incidents").status_code == 302


def test_what_is_not_there(operator: Client) -> None:
    assert operator.get("/incidents/77").status_code == 404
    assert operator.post("/incidents/77/close", {"text": "x"}).status_code == 404
    assert operator.post("/incidents/77/explode").status_code == 404
    assert "No alarm stands" in text_of(operator, "/alarms?after=nowhere")
    assert "There is no meter NOPE" in text_of(operator, "/events?meter=NOPE")


def test_the_queue_as_a_file_says_its_filter(operator: Client, street: int) -> None:
    number = open_incident(street)
    lines = operator.get("/incidents/export.csv?kind=OUTAGE").content.decode().splitlines()
    assert lines[0].startswith('"# incidents, kind=OUTAGE')
    assert lines[2].startswith(f"{number},")


def test_an_alarm_is_shelved_and_comes_back(operator: Client, street: int) -> None:
    event = catalogue().by_type("METER_COVER_REMOVED")
    assert event is not None
    now = utc_now()
    device = inventory.ids_by_serial(["M1"])["M1"]
    take_words([Word(device, "", event, (now - timedelta(minutes=1)).timestamp())], transformers={}, now=now)
    page = text_of(operator, "/alarms")
    assert "Meter cover removed" in page
    number = page.partition('id="alarm-')[2].partition('"')[0]
    assert "Shelve: Meter cover removed, M1" in text_of(operator, f"/alarms/{number}/ask")
    assert operator.get("/alarms/999999/ask").status_code == 404
    operator.post(f"/alarms/{number}/shelve", {"hours": "4", "reason": "an installer is there"})
    assert "an installer is there" in text_of(operator, "/alarms?part=shelved")
    operator.post(f"/alarms/{number}/shelve", {})
    assert "Nothing is shelved" in text_of(operator, "/alarms?part=shelved")


def test_what_is_suppressed_and_what_should_have_come_back_is_counted(operator: Client, street: int) -> None:
    event = catalogue().by_type("METER_COVER_REMOVED")
    assert event is not None
    now = utc_now()
    devices = inventory.ids_by_serial(["M0", "M1"]).values()
    take_words([Word(one, "", event, now.timestamp() - 60) for one in devices], transformers={}, now=now)
    first, second = (one.id for one in events.list_alarms().alarms)
    earlier, reason = now - timedelta(hours=3), "an installer is there"
    until = now + timedelta(hours=1)
    events.shelve_alarms(alarm_ids=[second], until=until, reason=reason, actor=TEST, at=now)
    events.shelve_alarms(alarm_ids=[first], until=now - timedelta(hours=1), reason=reason, actor=TEST, at=earlier)
    ends_at = now + timedelta(hours=2)
    events.plan_work(node_mrid="T1F1", starts_at=earlier, ends_at=ends_at, reason="cable", actor=TEST, at=earlier)
    events.plan_work(node_mrid="T1F2", starts_at=until, ends_at=ends_at, reason="later", actor=TEST, at=now)
    page = " ".join(text_of(operator, "/alarms").split())
    assert '<td>Shelved</td><td class="num">2</td>' in page
    assert '<td>Shelved past their end</td><td class="num">1</td>' in page
    assert 'planned work, meters</td><td class="num">2</td><td>1 work going on' in page
    assert page.count("past its end</span>") == 1
    events.end_shelving(now=now)
    assert '<td>Shelved past their end</td><td class="num">0</td><td>0</td>' in text_of(operator, "/alarms")


def test_questions_do_not_grow_with_the_queue(
    operator: Client, street: int, django_assert_max_num_queries: object
) -> None:
    open_incident(street)
    with django_assert_max_num_queries(40) as few:  # type: ignore[operator]
        text_of(operator, "/incidents?part=rows")
    for number in range(5):
        node = inventory.get_item(f"P{number % 3}").id
        open_incident(node, 20 + number)
    with django_assert_max_num_queries(len(few) + 1):  # type: ignore[operator]
        text_of(operator, "/incidents?part=rows")


def test_the_map_shows_who_is_without_supply(operator: Client, street: int) -> None:
    at = utc_now()
    Situation.objects.create(
        id="11111111-1111-5111-8111-111111111111",
        kind="OUTAGE",
        tree="ELECTRICAL",
        node_id=street,
        node_mrid="T1",
        started_at=at,
        opened_at=at,
        changed_at=at,
    )
    legend = json.loads(operator.get("/grid/states?by=supply").headers["X-Legend"])
    assert [(one["label"], one["count"]) for one in legend] == [("without supply", 3)]


def test_a_flood_that_has_no_one_place_is_shown_without_one(operator: Client) -> None:
    event = catalogue().by_type("METER_COVER_REMOVED")
    assert event is not None
    now = utc_now()
    take_words([Word(900_000 + n, "", event, now.timestamp()) for n in range(30)], transformers={}, now=now)
    incidents.work(owner="test", now=now)
    (row,) = incidents.incident_queue(incidents.QueueFilter()).rows
    assert "Meter cover removed, 30 meters, several places" in text_of(operator, "/incidents")
    page = text_of(operator, f"/incidents/{row.number}")
    assert "so many meters say so that they are one incident" in page
    assert "Its meters" not in page
