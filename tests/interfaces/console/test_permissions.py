"""Who sees what, and what those see who may not."""

import pytest
from django.test import Client
from django.urls import reverse
from tests.interfaces.console import seed
from tests.interfaces.console.conftest import Console

from meterops.fleet.headend import api as headend
from meterops.kernel import audit

PAGES = (
    "console:overview",
    "console:meters",
    "console:grid",
    "console:grid-table",
    "console:reading",
    "console:sessions",
    "console:disagreements",
    "console:audit",
    "console:profile",
    "console:search",
)


@pytest.mark.parametrize("name", [*PAGES, "console:import"])
@pytest.mark.django_db
def test_whoever_did_not_sign_in_is_sent_to_the_sign_in(name: str) -> None:
    answer = Client().get(reverse(name))
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"/sign-in?next={reverse(name)}"


@pytest.mark.django_db
def test_a_part_asked_for_without_a_session_sends_the_whole_page_to_the_sign_in() -> None:
    answer = Client().get("/?part=strip", headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/sign-in"


@pytest.mark.django_db
def test_the_stream_of_hints_is_for_people_who_signed_in() -> None:
    assert Client().get("/live").status_code == 401


@pytest.mark.parametrize("name", PAGES)
def test_a_viewer_sees_every_page(console: Console, name: str) -> None:
    answer = console.client("viewer").get(reverse(name))
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


def test_a_viewer_is_told_which_permission_is_missing(console: Console) -> None:
    answer = console.client("viewer").get(reverse("console:import"))
    assert answer.status_code == 403
    assert "inventory.import_inventory" in answer.content.decode()


def test_a_viewer_can_change_nothing(console: Console) -> None:
    viewer, meter = console.client("viewer"), console.fleet.ids[0]
    schedule = headend.list_schedules(now=console.now)[0]
    operation = headend.list_operations()[0]
    posts = (
        (reverse("console:meter-read", args=[meter]), {}),
        (reverse("console:meters-read"), {"meter": meter}),
        (reverse("console:schedule-set", args=[schedule.id]), {"enabled": "0", "reason": "why"}),
        (reverse("console:operation-cancel", args=[operation.id]), {"reason": "why"}),
        (reverse("console:import-preview"), {}),
        (reverse("console:import-apply"), {}),
    )
    known = {one.id for one in headend.list_operations()}
    for address, body in posts:
        assert viewer.post(address, body).status_code == 403, address
    assert {one.id for one in headend.list_operations()} == known
    assert all(one.enabled for one in headend.list_schedules(now=console.now))


def test_a_viewer_sees_no_button_that_would_refuse(console: Console) -> None:
    viewer = console.client("viewer")
    assert (
        "Needs the permission headend.read_on_demand" in viewer.get(f"/meters/{console.fleet.ids[0]}").content.decode()
    )
    assert "data-when-picked" not in viewer.get("/meters").content.decode()
    assert "Pause" not in viewer.get("/reading").content.decode()


def test_one_person_cannot_delete_the_view_of_another(console: Console) -> None:
    console.client("operator").post("/meters/views", {"name": "mine", "query": "read=silent", "shared": "on"})
    shown = console.client("viewer").get("/meters")
    views = shown.context["views"]
    assert [view.name for view in views] == ["mine"]
    assert console.client("viewer").post(f"/meters/views/{views[0].pk}/delete").status_code == 404
    assert console.client("operator").post(f"/meters/views/{views[0].pk}/delete").status_code == 302


def test_signing_in_is_written_into_the_audit_log_and_so_is_failing_to(console: Console) -> None:
    client = Client()
    wrong = client.post("/sign-in", {"username": "operator", "password": "guess"})
    assert wrong.status_code == 401
    assert "Name and password do not match" in wrong.content.decode()
    right = client.post("/sign-in", {"username": "operator", "password": seed.PASSWORD, "next": "/meters"})
    assert right.headers["Location"] == "/meters"
    assert [(one.actor, one.action) for one in audit.list_entries(action="sign in")] == [
        ("operator", "sign in"),
        ("operator", "sign in refused"),
    ]


def test_a_sign_in_leads_to_no_other_site(console: Console) -> None:
    answer = Client().post(
        "/sign-in", {"username": "operator", "password": seed.PASSWORD, "next": "https://elsewhere.example/"}
    )
    assert answer.headers["Location"] == "/"
