"""Incidents, work orders and power checks over REST: who may, what comes back, what is refused."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from tests.interfaces.console import seed
from tests.practices.incidents.conftest import NOW, fleet, lake, situation  # noqa: F401  fixtures
from tests.practices.incidents.test_opening import tell

from meterops.kernel import access, audit
from meterops.kernel.actor import Actor
from meterops.kernel.clock import utc_now
from meterops.practices.incidents import api as incidents
from meterops.practices.incidents.models import Incident

pytestmark = pytest.mark.django_db


class Caller:
    """A program with a token."""

    def __init__(self, *permissions: str) -> None:
        user = User.objects.create_user(f"user{User.objects.count()}")
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        now = utc_now()
        token = access.create_token(
            user=user, purpose="tests", actor=Actor("t"), at=now, expires_at=now + timedelta(days=1)
        )
        self._client, self._headers = Client(), {"Authorization": f"Bearer {token}"}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        call = getattr(self._client, method)
        more = {} if body is None else {"data": body, "content_type": "application/json"}
        return call(f"/api/v1{path}", headers=self._headers, **more)


@pytest.fixture
def number(fleet: seed.Fleet) -> int:  # noqa: F811
    tell(situation(1, "TR-0001"), situation(2, "TR-0002"))
    return int(Incident.objects.order_by("pk")[0].pk)


def test_the_queue_and_one_incident_can_be_read(number: int) -> None:
    caller = Caller()
    page = caller.call("get", "/incidents?priority=1&sort=oldest").json()
    assert page["total"] == 2
    assert page["rows"][0]["number"] == number
    one = caller.call("get", f"/incidents/{number}").json()
    assert one["row"]["title"] == "Transformer without supply, TR-0001"
    assert one["members_at_open"] == 12
    assert len(caller.call("get", f"/incidents/{number}/members").json()) == 12
    assert caller.call("get", f"/incidents/{number}/timeline").json()[0]["kind"] == "OPENED"
    assert caller.call("get", "/incidents/counts").json()["open"] == 2
    assert caller.call("get", f"/incidents/changes?since={page['cursor']}").json()["new"] == []
    assert caller.call("get", "/incidents/impact/SS-1").json()["premises"] == 48
    assert caller.call("get", f"/incidents/{number}/similar").json() == []
    assert caller.call("get", "/incidents/4711").status_code == 404
    assert caller.call("get", "/incidents?kind=FLOOD").status_code == 422


ACTS = {
    "acknowledge_incidents": [
        ("/incidents/acknowledge", {"numbers": [0], "note": "Seen."}),
        ("/incidents/{n}/notes", {"text": "Looking."}),
    ],
    "work_incidents": [
        ("/incidents/assign", {"numbers": [0], "owner": "J. Ortiz"}),
        ("/incidents/{n}/start", {}),
        ("/incidents/{n}/pending", {"reason": "Fuse."}),
        ("/incidents/{n}/resolve", {"resolution": "Fuse.", "in_spite_of": "crew measured"}),
        ("/incidents/close", {"numbers": [0], "reason": "Done."}),
        ("/incidents/{n}/reopen", {"reason": "Dark."}),
    ],
    "declare_major": [("/incidents/{n}/major", {"reason": "Press."})],
    "merge_incidents": [("/incidents/{n}/merge", {"numbers": [1], "reason": "Same."})],
    "check_power": [("/incidents/{n}/power-check", {}), ("/power-checks", {"nodes": ["TR-0001"]})],
    "manage_work_orders": [("/work-orders", {"incident": 0, "title": "Fuse"})],
}


def _body(body: dict[str, Any], number: int) -> dict[str, Any]:
    made = {**body}
    if "numbers" in body:
        made["numbers"] = [number + offset for offset in body["numbers"]]
    if "incident" in body:
        made["incident"] = number
    return made


@pytest.mark.parametrize("permission", ACTS)
def test_each_act_needs_its_permission_and_leaves_its_trace(number: int, permission: str) -> None:
    stranger, caller = Caller(), Caller(permission)
    for path, body in ACTS[permission]:
        where, what = path.format(n=number), _body(body, number)
        refused = stranger.call("post", where, what)
        assert refused.status_code == 403, path
        assert permission in refused.json()["permission"]
        before = len(audit.list_entries())
        assert caller.call("post", where, what).status_code in {201, 202, 204}, path
        assert len(audit.list_entries()) > before, path
        assert "(tests)" in audit.list_entries()[0].actor


def test_refusals_are_sentences_with_their_numbers(number: int) -> None:
    caller = Caller("work_incidents")
    answer = caller.call("post", f"/incidents/{number}/resolve", {"resolution": "Fixed."})
    assert answer.status_code == 409
    assert answer.json()["error"] == "RestorationNotProved"
    assert answer.json()["needed"] == 12
    assert caller.call("post", "/incidents/close", {"numbers": [number, 999], "reason": "x"}).status_code == 404
    assert incidents.get_incident(number).row.state is incidents.IncidentState.NEW


def test_a_crews_system_says_how_its_work_goes(number: int) -> None:
    caller = Caller("manage_work_orders")
    order = caller.call("post", "/work-orders", {"incident": number, "title": "Fuse"}).json()["id"]
    news = {"state": "ACCEPTED", "external_id": "WO-1", "external_url": "https://crews.example.org/WO-1"}
    assert caller.call("patch", f"/work-orders/{order}", news).json()["external_id"] == "WO-1"
    assert caller.call("patch", f"/work-orders/{order}", {"state": "DRAFT"}).status_code == 422
    assert Caller().call("patch", f"/work-orders/{order}", news).status_code == 403
    assert caller.call("get", f"/work-orders?incident={number}").json()[0]["state"] == "ACCEPTED"
    text = caller.call("get", "/work-orders.csv").content.decode()
    assert text.splitlines()[0].startswith("id,incident,title")
    assert caller.call("post", "/work-orders", {"incident": number, "title": "x", "meters": ["?"]}).status_code == 422


def test_channels_policies_words_and_settings_are_managed(number: int) -> None:
    caller = Caller("manage_notifications")
    channel = {
        "sort": "EMAIL",
        "address": "mailto://u:p@mail.example.org?to=a@example.org",
        "quiet_from": "22:00",
        "quiet_until": "07:00",
    }
    assert Caller().call("put", "/channels/Duty", channel).status_code == 403
    assert caller.call("put", "/channels/Duty", channel).status_code == 204
    assert "mail.example.org" not in caller.call("get", "/channels").content.decode()
    assert caller.call("put", "/channels/X", {**channel, "quiet_until": None}).status_code == 422
    policy = {"priorities": [1], "steps": [{"after_s": 0, "channels": ["Duty"]}]}
    assert caller.call("put", "/escalation-policies/P1", policy).status_code == 204
    assert caller.call("get", "/escalation-policies").json()[0]["steps"][0]["channels"] == ["Duty"]
    assert caller.call("put", "/message-templates/OPENED", {"subject": "s", "body": "{% load x %}"}).status_code == 422
    assert caller.call("patch", "/incident-settings", {"restoration_share": 0.9}).json()["restoration_share"] == 0.9
    assert caller.call("patch", "/incident-settings", {"restoration_share": 2}).status_code == 422
    assert caller.call("delete", "/channels/Duty").status_code == 204
    assert caller.call("delete", "/channels/Duty").status_code == 404


def test_a_power_check_is_followed(fleet: seed.Fleet, lake: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    from meterops.fleet.telemetry import api as telemetry

    monkeypatch.setattr(telemetry, "lake", lambda: lake)
    caller = Caller("check_power")
    started = caller.call("post", "/power-checks", {"meters": [fleet.serials[0], "NOBODY"]}).json()
    view = caller.call("get", f"/power-checks/{started['operation']}").json()
    assert (view["asked"], view["pending"], view["counts"]["UNKNOWN_ID"]) == (2, 1, 1)
    answers = caller.call("get", f"/power-checks/{started['operation']}/answers").json()
    assert answers == [
        {"end_device_id": fleet.ids[0], "meter": fleet.serials[0], "answer": None, "voltage_v": None, "error": ""}
    ]
    assert caller.call("post", "/power-checks", {}).status_code == 422
    assert caller.call("post", "/power-checks", {"nodes": ["NOWHERE"]}).status_code == 404
