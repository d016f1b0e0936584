"""Schedules and lists of meters over REST: who may, what comes back, what is refused."""

from __future__ import annotations

import pytest
from tests.fleet.inventory.conftest import street  # noqa: F401  a fixture
from tests.interfaces.rest.test_incidents import Caller

from meterops.fleet.headend import api as headend
from meterops.kernel import audit
from meterops.kernel.actor import process_actor
from meterops.kernel.clock import utc_now

OPERATOR = process_actor("test")
pytestmark = pytest.mark.django_db


@pytest.fixture
def quarter_hourly(street: dict[str, int]) -> Caller:  # noqa: F811
    """Somebody who may manage schedules and has made one."""
    caller = Caller("manage_schedules")
    assert caller.call("put", "/schedules/hourly", {"contents": ["clock"], "period_s": 900}).status_code == 200
    return caller


def test_a_schedule_is_deleted_by_those_who_may_once_nothing_of_it_runs(quarter_hourly: Caller) -> None:
    caller, path = quarter_hourly, "/schedules/hourly"
    assert Caller().call("delete", path).status_code == 403
    operation = headend.run_schedule_now(name="hourly", actor=OPERATOR, at=utc_now())
    refused = caller.call("delete", f"{path}?dry_run=true")
    assert (refused.status_code, refused.json()["error"]) == (409, "ScheduleIsRunning")
    tried = caller.call("delete", f"{path}?dry_run=true&while_running=true").json()
    assert tried == {"schedule": "hourly", "deleted": False, "operations_running": 1}
    headend.cancel_operation(operation_id=operation, actor=OPERATOR, at=utc_now())
    assert caller.call("delete", f"{path}?reason=replaced").json() == {
        "schedule": "hourly",
        "deleted": True,
        "operations_running": 0,
    }
    assert caller.call("get", "/schedules").json() == []
    assert caller.call("get", f"/operations/{operation}").json()["title"] == "hourly (now)"
    assert caller.call("delete", path).status_code == 404
    (entry,) = audit.list_entries(action="delete schedule")
    assert (entry.reason, entry.before["period_s"]) == ("replaced", 900)


def test_meters_below_a_node_that_nobody_knows_are_no_empty_list(street: dict[str, int]) -> None:  # noqa: F811
    assert Caller().call("get", "/meters?under=T1").json()["total"] == 4
    refused = Caller().call("get", "/meters?under=T1&under=NOPE&under=NADA")
    assert (refused.status_code, refused.json()["message"]) == (404, "There is no item NOPE, NADA.")
