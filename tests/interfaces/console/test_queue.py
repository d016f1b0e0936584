"""The queue of incidents: its views, what stays in place while somebody reads it, the flood, and acts on many."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from tests.interfaces.console import conftest
from tests.interfaces.console.outages import open_incident, text_of

from meterops.fleet.inventory import api as inventory
from meterops.interfaces.console.models import SavedView
from meterops.kernel.actor import Actor
from meterops.kernel.clock import utc_now
from meterops.practices.events.models import AlarmMinute
from meterops.practices.incidents import api as incidents

PART = {"HX-Request": "true"}
JO = Actor("jo")


def rows_of(client: Client, query: str = "") -> tuple[list[int], str]:
    """The numbers of the rows in their order, and the whole part."""
    part = client.get(f"/incidents?part=rows&{query}", headers=PART).content.decode()
    return [int(one.partition('"')[0]) for one in part.split('data-number="')[1:]], part


@pytest.fixture
def three(street: int) -> list[int]:
    """Three open incidents, the oldest first."""
    return [open_incident(inventory.get_item(name).id, n) for n, name in enumerate(("T1F1", "T1F2", "P0"))]


def test_what_arrives_is_counted_and_moves_nothing(operator: Client, street: int, three: list[int]) -> None:
    before, part = rows_of(operator)
    assert "new-bar" not in part
    fresh = open_incident(street, 9)
    incidents.declare_major(number=fresh, reason="the whole lane", actor=JO, at=utc_now())
    held, part = rows_of(operator, "shown=" + ",".join(str(one) for one in before))
    assert held == before, "rows somebody reads stay where they are"
    assert "1 new</a>" in part
    assert "shown=" not in part, "no link leads back to a list that is held"
    assert rows_of(operator)[0] == [fresh, *before]


def test_a_row_that_no_longer_fits_stays_until_the_reader_looks_up(operator: Client, three: list[int]) -> None:
    first, second, third = three
    incidents.acknowledge_incident(number=first, actor=JO, at=utc_now())
    incidents.merge_incidents(into=third, numbers=[second], reason="one cause", actor=JO, at=utc_now())
    held, part = rows_of(operator, f"unseen=1&shown={second},{first},{third}")
    assert held == [second, first, third]
    assert part.count("left") == 2
    assert f"merged into {third}" in part
    assert rows_of(operator, "unseen=1")[0] == [third]


@pytest.mark.parametrize("shown", ["", "x", "1,x,-3", ",,,", "9" * 40, "1" * 5000])
def test_what_an_address_says_of_rows_may_be_nonsense(operator: Client, three: list[int], shown: str) -> None:
    assert operator.get("/incidents", {"part": "rows", "shown": shown}, headers=PART).status_code == 200


def test_every_built_in_view_shows_what_it_says(operator: Client, three: list[int]) -> None:
    first, second, third = three
    incidents.assign_incident(number=first, owner="maria", actor=JO, at=utc_now())
    incidents.acknowledge_incident(number=second, actor=JO, at=utc_now())
    incidents.declare_major(number=third, reason="press", actor=JO, at=utc_now())
    incidents.set_pending(number=second, reason="a part", actor=JO, at=utc_now())
    found = {query: set(rows_of(operator, query)[0]) for query in (
        "mine=1", "unseen=1", "nobody=1", "major=1", "state=PENDING", "kind=SAFETY", "kind=OUTAGE",
    )}  # fmt: skip
    assert found == {
        "mine=1": {first},
        "unseen=1": {first, third},
        "nobody=1": {second, third},
        "major=1": {third},
        "state=PENDING": {second},
        "kind=SAFETY": set(),
        "kind=OUTAGE": set(three),
    }
    shown = text_of(operator, "/incidents?major=1")
    assert 'href="/incidents?major=1" aria-current="true">Major<span class="count">1</span>' in shown


def test_a_view_is_kept_for_its_owner_and_shared_only_if_wanted(operator: Client, guest: Client) -> None:
    operator.post("/incidents/views", {"name": "Night", "query": "kind=OUTAGE&unseen=1&page=3&shown=1&part=rows"})
    kept = SavedView.objects.get(page="incidents")
    assert kept.query == "kind=OUTAGE&unseen=1"
    assert "Night" in text_of(operator, "/incidents")
    assert "Night" not in text_of(guest, "/incidents")
    assert "Night" not in text_of(operator, "/meters"), "a view belongs to its page"
    operator.post("/incidents/views", {"name": "Night", "query": "kind=OUTAGE", "shared": "on"})
    assert "shared by maria" in text_of(guest, "/incidents")
    assert guest.post(f"/incidents/views/{kept.pk}/delete").status_code == 404
    assert operator.post(f"/meters/views/{kept.pk}/delete").status_code == 404
    operator.post(f"/incidents/views/{kept.pk}/delete")
    assert not SavedView.objects.exists()
    assert "A view needs a name" in operator.post("/incidents/views", {"name": " "}, follow=True).content.decode()


def test_a_flood_is_said_with_its_beginning_and_its_end_is_not(operator: Client, three: list[int]) -> None:
    assert "Alarm flood" not in text_of(operator, "/incidents")
    now = utc_now()
    for back, shown in ((2, 40), (12, 12), (22, 3)):
        AlarmMinute.objects.create(minute_at=now - timedelta(minutes=back), priority=3, shown=shown)
    conftest.forget_kept()
    part = operator.get("/incidents?part=flood", headers=PART).content.decode()
    assert "40 alarms in 10 min, held by 3 incidents" in part
    assert f'datetime="{now - timedelta(minutes=20):%Y-%m-%dT%H:%M}' in part, "two windows of it"
    grouped = text_of(operator, "/incidents?sort=area")
    assert grouped.count('class="group"') == 1


def test_acts_on_many_say_what_was_done_and_what_was_not(operator: Client, three: list[int]) -> None:
    first, second, third = three

    def act(what: str, **more: object) -> str:
        answer = operator.post(f"/incidents/{what}", {"id": three, **more}, headers=PART)
        assert answer.headers["HX-Trigger"] == "acted"
        return answer.content.decode()

    incidents.acknowledge_incident(number=second, actor=JO, at=utc_now())
    assert "2 acknowledged; 1 had been already." in act("acknowledge", note="on it")
    assert incidents.get_incident(first).acknowledged_note == "on it"
    assert "3 taken." in act("take")
    assert "Say which person or team" in act("escalate", reason="too many")
    assert "3 escalated." in act("escalate", team="Field west", reason="too many")
    assert incidents.get_incident(third).row.team == "Field west"
    assert "Escalated: too many" in text_of(operator, f"/incidents/{third}")
    assert "1 to 168 hours" in act("wait", hours="0", reason="a part")
    assert "3 waiting." in act("wait", hours="2", reason="a part")
    found = incidents.get_incident(first)
    assert found.row.state == "PENDING"
    assert found.pending_until is not None
    assert timedelta(hours=1.9) < found.pending_until - utc_now() < timedelta(hours=2)


def test_an_act_on_nothing_says_so_and_one_without_permission_which(
    operator: Client, guest: Client, three: list[int]
) -> None:
    assert "No incident is chosen" in operator.post("/incidents/acknowledge", headers=PART).content.decode()
    for what, permission in (("acknowledge", "acknowledge_incidents"), ("wait", "work_incidents")):
        refused = guest.post(f"/incidents/{what}", {"id": three}, headers=PART)
        assert refused.status_code == 403
        assert permission in refused.content.decode()
    assert operator.post("/incidents/explode", {"id": three}).status_code == 404
    assert User.objects.count() == 2
    assert not any(one.is_acknowledged for one in incidents.incident_queue().rows)
