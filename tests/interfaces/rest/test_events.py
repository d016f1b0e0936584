"""Events, alarms, situations and planned work over REST: who may, what comes back, what is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from tests.interfaces.rest.test_incidents import Caller
from tests.practices.events.conftest import BEGAN, Plant, plant  # noqa: F401  a fixture

from meterops.fleet.headend.push import PushDesk, PushFrame
from meterops.fleet.telemetry import api as telemetry
from meterops.kernel import audit
from meterops.kernel.clock import utc_now
from meterops.practices.events import api as events
from meterops.practices.events.models import Alarm

GONE, COVER, UNKNOWN = 1, 44, 777


@pytest.fixture
def street(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> Plant:  # noqa: F811
    """A transformer that is dark, covers that are off, and a code nobody knows."""
    monkeypatch.setattr(telemetry, "lake", lambda: plant.lake)
    plant.events(plant.ids["T1"][:20], GONE)
    plant.events(plant.ids["T4"][:5], COVER, log=1)
    plant.events([0], UNKNOWN)
    plant.wait(15)
    return plant


def test_events_are_told_in_words_and_unknown_ones_are_among_them(street: Plant) -> None:
    caller, times = Caller(), "starts_at=2026-03-01T00:00:00Z&ends_at=2026-03-02T00:00:00Z"
    said = caller.call("get", f"/events?{times}&limit=1000").json()
    assert len(said) == 26
    assert {(one["event_type"], one["words"]) for one in said} == {
        ("POWER_FAILURE", "Power failed"),
        ("METER_COVER_REMOVED", "Meter cover removed"),
        ("UNKNOWN_777", "Unknown event 777"),
    }
    of_meter = caller.call("get", f"/events?{times}&meter=M4-0").json()
    assert [(one["serial"], one["code"]) for one in of_meter] == [("M4-0", COVER)]
    assert len(caller.call("get", f"/events?{times}&type=POWER_FAILURE").json()) == 20


def test_pushes_are_told_by_what_became_of_them(street: Plant) -> None:
    PushDesk(street.lake).store([PushFrame(b"junk", "udp", "192.0.2.1:9", utc_now().timestamp())])
    report = Caller().call("get", "/pushes").json()
    assert [(one["outcome"], one["frames"]) for one in report["outcomes"]] == [("undecodable", 1)]
    assert report["listeners"] == []
    (frame,) = Caller().call("get", "/pushes/frames?outcome=undecodable").json()
    assert (frame["payload"], frame["peer"]) == (b"junk".hex(), "192.0.2.1:9")
    assert Caller().call("get", "/pushes/frames?outcome=replay").json() == []


@pytest.mark.parametrize(
    "path",
    [
        "/alarms?severity=LOUD",
        "/alarms?state=GONE",
        "/alarms?type=NOPE",
        "/events?type=NOPE",
        "/pushes/frames?outcome=x",
    ],
)
def test_a_misspelled_word_is_no_empty_list(street: Plant, path: str) -> None:
    refused = Caller().call("get", path)
    assert refused.status_code == 422, refused.json()
    assert Caller().call("get", "/events?type=UNKNOWN_777").status_code == 200


def test_alarms_come_page_by_page_each_once(street: Plant) -> None:
    caller, seen, after = Caller(), [], ""
    for _ in range(3):
        page = caller.call("get", f"/alarms?limit=2&after={after}").json()
        seen += [one["id"] for one in page["alarms"]]
        after = page["after"]
    assert after == ""
    assert sorted(seen, reverse=True) == seen
    assert len(set(seen)) == 5
    assert len(caller.call("get", "/alarms?type=METER_COVER_REMOVED&meter=M4-0&security=true").json()["alarms"]) == 1
    assert caller.call("get", "/alarms?severity=INFORMATIONAL").json() == {"alarms": [], "after": ""}


def test_the_load_the_counters_and_the_noisy_are_told(street: Plant) -> None:
    caller = Caller()
    assert caller.call("get", "/alarms/health?positions=2").json()["standing"] == 5
    counted = caller.call("get", "/alarms/counters?first_day=2026-03-01").json()
    assert {one["event_type"]: one["received"] for one in counted}["POWER_FAILURE"] == 20
    noisy = caller.call("get", "/alarms/noisy?since=2026-03-01T00:00:00Z&limit=3").json()
    assert [one["alarms"] for one in noisy] == [1, 1, 1]


def test_a_situation_says_why_and_who_is_in_it(street: Plant) -> None:
    caller = Caller()
    (found,) = caller.call("get", "/situations?kind=OUTAGE").json()
    assert (found["node_mrid"], found["heard"], found["expected"]) == ("T1", 20, 25)
    one = caller.call("get", f"/situations/{found['id']}").json()
    assert "Street 1 is without supply: 20 of 25 meters" in one["sentence"]
    members = caller.call("get", f"/situations/{found['id']}/members").json()
    assert sorted(members["heard"]) == sorted(street.ids["T1"][:20])
    assert caller.call("get", "/situations?state=CLEARED").json() == []


def _acts() -> list[tuple[str, str, dict[str, Any]]]:
    now = utc_now()
    later = (now + timedelta(hours=1)).isoformat()
    return [
        ("acknowledge_alarms", "/alarms/acknowledge", {}),
        ("shelve_alarms", "/alarms/shelve", {"until": later, "reason": "being rebuilt"}),
        ("shelve_alarms", "/alarms/unshelve", {}),
        ("plan_work", "/planned-work", {"node": "T2", "starts_at": now.isoformat(), "ends_at": later, "reason": "x"}),
    ]


def test_each_act_needs_its_permission_and_leaves_its_trace(street: Plant) -> None:
    numbers = list(Alarm.objects.values_list("pk", flat=True)[:2])
    for permission, path, body in _acts():
        what = body if "node" in body else {**body, "alarms": numbers}
        refused = Caller().call("post", path, what)
        assert refused.status_code == 403, path
        assert permission in refused.json()["permission"]
        before = len(audit.list_entries())
        assert Caller(permission).call("post", path, what).status_code in {200, 201}, path
        assert len(audit.list_entries()) > before, path
        assert "(tests)" in audit.list_entries()[0].actor
    (work,) = Caller().call("get", "/planned-work").json()
    assert work["node_mrid"] == "T2"
    assert Caller().call("post", f"/planned-work/{work['id']}/cancel", {}).status_code == 403
    assert Caller("plan_work").call("post", f"/planned-work/{work['id']}/cancel", {"reason": "rain"}).status_code == 204
    assert Caller().call("get", "/planned-work").json() == []


def test_a_shelved_alarm_leaves_the_list_and_comes_back(street: Plant) -> None:
    caller = Caller("shelve_alarms")
    number = Alarm.objects.values_list("pk", flat=True)[0]
    until = (utc_now() + timedelta(hours=1)).isoformat()
    body = {"alarms": [number], "until": until, "reason": "being rebuilt"}
    assert caller.call("post", "/alarms/shelve", body).json() == {"shelved": 1}
    assert number not in {one["id"] for one in caller.call("get", "/alarms").json()["alarms"]}
    assert [one["id"] for one in caller.call("get", "/alarms?shelved=true").json()["alarms"]] == [number]
    assert caller.call("post", "/alarms/unshelve", {"alarms": [number]}).json() == {"unshelved": 1}
    assert len(caller.call("get", "/alarms").json()["alarms"]) == 5


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("get", "/alarms?after=yesterday", None, 422, "AlarmPageNotValid"),
        ("get", "/alarms?after=nan_1", None, 422, "AlarmPageNotValid"),
        ("get", "/events?starts_at=2026-03-01T00:00:00", None, 422, "PeriodNotValid"),
        ("get", "/events?starts_at=2026-03-02T00:00:00Z&ends_at=2026-03-01T00:00:00Z", None, 422, "PeriodNotValid"),
        ("get", "/alarms/noisy?since=2026-03-01T00:00:00", None, 422, "PeriodNotValid"),
        ("get", "/situations/none", None, 404, "SituationUnknown"),
        ("get", "/alarms?meter=nobody", None, 404, "ItemUnknown"),
        ("post", "/alarms/acknowledge", {"alarms": [999999]}, 404, "AlarmUnknown"),
        ("post", "/alarms/acknowledge", {"alarms": []}, 422, "NotValid"),
        ("post", "/alarms/shelve", {"alarms": [1], "until": "2099-01-01T00:00:00Z", "reason": "x"}, 422, "ShelvingNotValid"),
        ("post", "/alarms/shelve", {"alarms": [1], "until": "2099-01-01T00:00:00", "reason": "x"}, 422, "ShelvingNotValid"),
        (
            "post", "/planned-work",
            {"node": "T1", "starts_at": "2099-01-01T00:00:00", "ends_at": "2099-01-02T00:00:00", "reason": "x"},
            422, "PlannedWorkNotValid",
        ),
        ("post", "/planned-work/4711/cancel", {}, 404, "PlannedWorkUnknown"),
    ],
)  # fmt: skip
def test_refusals_have_names_and_sentences(
    db: None, method: str, path: str, body: dict[str, Any] | None, status: int, error: str
) -> None:
    answer = Caller("acknowledge_alarms", "shelve_alarms", "plan_work").call(method, path, body)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["message"]


def test_nothing_is_told_without_a_token(db: None) -> None:
    for path in ("events", "alarms", "alarms/health", "situations", "planned-work"):
        assert Client().get(f"/api/v1/{path}").status_code == 401, path


def test_pages_of_alarms_are_found_by_an_index(db: None) -> None:
    for wanted in (events.AlarmFilter(), events.AlarmFilter(severity="WARNING"), events.AlarmFilter(event_type="X")):
        with connection.cursor() as cursor, CaptureQueriesContext(connection) as asked:
            events.list_alarms(wanted)
            cursor.execute(f"EXPLAIN QUERY PLAN {asked[0]['sql']}")
            plan = " ".join(str(row) for row in cursor.fetchall())
        assert "USING INDEX alarm_active" in plan, plan
