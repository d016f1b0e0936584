"""What the pages say of a seeded fleet, and of one without a meter."""

import csv
import io
import json
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from tests.interfaces.console import seed
from tests.interfaces.console.conftest import Console, forget_kept

from meterops.fleet.headend import api as headend
from meterops.fleet.headend.models import FleetOperation
from meterops.fleet.inventory import api as inventory
from meterops.interfaces.console import map_points
from meterops.kernel import audit, beats

FRAGMENT = {"HX-Request": "true"}


def text(answer: object) -> str:
    return answer.content.decode()  # type: ignore[attr-defined,no-any-return]


# --- empty ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/", "No schedule yet"),
        ("/", "No meter is known yet"),
        ("/meters", "No meter is known yet"),
        ("/grid", "0 transformers, 0 meters"),
        ("/grid/transformers", "No transformer"),
        ("/reading", "Nothing was read yet"),
        ("/reading/sessions", "No session"),
        ("/inventory/import", "No import yet"),
        ("/inventory/disagreements", "Sources agree"),
        ("/profile", "No token"),
        ("/search?q=zz", "Nothing begins with that"),
    ],
)
@pytest.mark.usefixtures("empty_lake")
def test_an_empty_console_says_what_to_do(admin_client: object, address: str, words: str) -> None:
    answer = admin_client.get(address)  # type: ignore[attr-defined]
    assert answer.status_code == 200
    assert words in text(answer)


def test_a_filter_that_nothing_fits_says_so(console: Console) -> None:
    page = text(console.client().get("/meters?text=nothing-begins-so"))
    assert "No meter matches" in page
    assert "No meter is known yet" not in page


# --- overview -------------------------------------------------------------------------------------------------------


def test_the_overview_counts_the_fleet(console: Console) -> None:
    figures = {one.name: one for one in console.client().get("/").context["figures"]}
    numbers = range(len(console.fleet.ids))
    silent = [n for n in numbers if not seed.is_never(n) and n // 12 == seed.SILENT_TRANSFORMER]
    failing = [n for n in numbers if seed.is_failing(n) and not seed.is_never(n) and n not in silent]
    assert figures["Silent"].value == str(len(silent))
    assert figures["Silent"].level == "2"
    assert figures["Failing"].value == str(len(failing))
    never = sum(seed.is_never(n) for n in numbers)
    assert figures["Read in 24 h"].value == str(48 - len(silent) - never)
    assert f"{never} never read" in figures["Silent"].note


def test_no_worker_is_the_loudest_figure(console: Console) -> None:
    beats.farewell(process="worker-1")
    figure = next(one for one in console.client().get("/").context["figures"] if one.name == "Head-end workers")
    assert (figure.value, figure.level) == ("0", "1")


def test_a_silent_area_needs_a_look(console: Console) -> None:
    look = console.client().get("/").context["look"]
    area = next(one for one in look if one.what == "Transformer area silent")
    assert area.place == console.fleet.transformers[seed.SILENT_TRANSFORMER]
    assert area.total == 12
    assert "/one-line" in area.href


def test_a_part_is_the_same_template_as_in_the_page(console: Console) -> None:
    client = console.client()
    part = text(client.get("/?part=rounds", headers=FRAGMENT))
    assert "<html" not in part
    assert "Quarter-hourly" in part
    assert part.strip()[:40] in text(client.get("/"))


@pytest.mark.parametrize(
    "address", ["/", "/meters", "/grid/states", "/grid/transformers", "/reading", "/reading/sessions", "/?part=look"]
)
def test_the_number_of_queries_does_not_grow_with_the_fleet(console: Console, address: str, tmp_path: Path) -> None:
    client = console.client()
    client.get(address)  # content types and the like are asked once per process

    def queries() -> int:
        forget_kept()
        with CaptureQueriesContext(
            connection,
        ) as found:
            assert client.get(address).status_code == 200
        return len(found)

    few = queries()
    seed.make_inventory(tmp_path / "more", transformers=12, per_transformer=20, now=console.now)
    assert inventory.count_end_devices() == 12 * 20
    assert queries() <= few


# --- meters ---------------------------------------------------------------------------------------------------------


def serials(answer: object) -> list[str]:
    return [row["serial"] for row in answer.context["rows"]]  # type: ignore[attr-defined]


def test_meters_are_found_by_serial_and_by_address(console: Console) -> None:
    client = console.client()
    assert serials(client.get("/meters?text=M00000007")) == ["M00000007"]
    assert serials(client.get("/meters?text=harbour road 3,")) == ["M00000014"]


def test_filters_hold_together_and_can_be_removed_one_by_one(console: Console) -> None:
    answer = console.client().get("/meters?model=E450&firmware_version=3.1.7&under=TR-0001")
    assert serials(answer) == ["M00000013", "M00000017", "M00000021"]
    chips = {one["label"]: one["without"] for one in answer.context["asked_values"]}
    assert set(chips) == {"Model", "Firmware", "Under"}
    assert "firmware_version" not in chips["Firmware"]
    assert "model=E450" in chips["Firmware"]


def test_meters_are_listed_by_how_their_reading_stands(console: Console) -> None:
    silent = serials(console.client().get("/meters?read=silent"))
    assert silent
    assert all(24 <= int(serial[1:]) < 36 for serial in silent)
    assert serials(console.client().get("/meters?error=authentication")) == ["M00000003", "M00000037"]
    assert serials(console.client().get("/meters?clock=off")) == ["M00000009", "M00000040"]


def test_sorting_turns_round_and_keeps_the_filter(console: Console) -> None:
    answer = console.client().get("/meters?under=TR-0000&sort=-serial")
    assert serials(answer)[0] == "M00000011"
    heading = next(one for one in answer.context["headings"] if one["label"] == "Serial")
    assert heading["order"] == "descending"
    assert "under=TR-0000" in heading["sort_href"]


def test_an_address_that_makes_no_sense_lists_from_the_beginning(console: Console) -> None:
    answer = console.client().get("/meters?after=nonsense&sort=colour&read=sideways&column=none")
    assert answer.status_code == 200
    assert serials(answer)[0] == "M00000000"


def test_pages_follow_each_other_without_a_gap(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meterops.interfaces.console.views.meters.PAGE", 20)
    client, after, found = console.client(), "", []
    for _ in range(3):
        answer = client.get("/meters", {"after": after})
        found += serials(answer)
        after = answer.context["next_after"]
    assert after == ""
    assert found == sorted(console.fleet.serials)


def test_the_export_holds_all_that_fits_and_says_which_filter_it_was(console: Console) -> None:
    answer = console.client().get("/meters/export.csv?under=TR-0001&column=address")
    content = b"".join(answer.streaming_content).decode()
    first, rest = content.split("\r\n", 1)
    assert "under=TR-0001" in first
    rows = list(csv.reader(io.StringIO(rest)))
    assert rows[0] == ["Serial", "Address"]
    assert len(rows) == 13
    assert rows[1] == ["M00000012", "Harbour Road 1, Northmoor"]


def test_an_export_runs_nothing_in_a_spreadsheet(console: Console) -> None:
    point = inventory.get_end_device(console.fleet.ids[0]).usage_point
    assert point is not None
    inventory.set_attributes(
        item_id=point.id,
        values={"address": "=HYPERLINK(1)"},
        source=inventory.Source.IMPORT,
        actor=seed.SEEDER,
        at=console.now,
    )
    answer = console.client().get("/meters/export.csv?text=M00000000&column=address")
    assert "'=HYPERLINK(1)" in b"".join(answer.streaming_content).decode()


def test_a_view_is_an_address_under_a_name(console: Console) -> None:
    client = console.client()
    client.post("/meters/views", {"name": "Silent ones", "query": "read=silent&after=x"})
    page = client.get("/meters")
    assert [(one.name, one.query) for one in page.context["views"]] == [("Silent ones", "read=silent")]
    client.post("/meters/views", {"name": "Silent ones", "query": "read=never"})
    assert [one.query for one in client.get("/meters").context["views"]] == ["read=never"]


def test_picked_meters_are_read_as_one_operation(console: Console) -> None:
    picked = console.fleet.ids[:3]
    answer = console.client().post("/meters/read", {"meter": picked})
    assert "3 meters are in line" in text(answer)
    newest = headend.list_operations(limit=1)[0]
    assert (newest.lane, newest.total, newest.requested_by) == (headend.Lane.ON_DEMAND, 3, "operator")
    assert audit.list_entries(action="read on demand")[0].after["count"] == 3


def test_more_meters_than_allowed_are_not_read(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meterops.interfaces.console.views.meters.BULK_LIMIT", 2)
    before = len(headend.list_operations())
    answer = console.client().post("/meters/read", {"meter": console.fleet.ids[:3]})
    assert "At most 2 meters" in text(answer)
    assert len(headend.list_operations()) == before


# --- one meter ------------------------------------------------------------------------------------------------------


def test_a_meters_page_says_where_it_hangs_and_how_it_does(console: Console) -> None:
    page = text(console.client().get(f"/meters/{console.fleet.ids[0]}"))
    for words in ("M00000000", "Northmoor 10 kV east", "TR-0000", "Route 0000", "read in 24 h", "Power failed"):
        assert words in page
    assert "kWh" in page


def test_an_unknown_meter_is_not_found(console: Console) -> None:
    assert console.client().get("/meters/999999").status_code == 404
    assert console.client().get("/meters/999999/profile").status_code == 404


def chart(console: Console, n: int, query: str = "") -> dict[str, object]:
    answer = console.client().get(f"/meters/{console.fleet.ids[n]}/profile{query}")
    found: dict[str, object] = json.loads(answer.content)
    return found


def test_the_chart_has_energy_gaps_and_flags(console: Console) -> None:
    found = chart(console, 0, "?span=week")
    [series] = found["series"]  # type: ignore[misc]
    values = [one for one in series["values"] if one is not None]
    assert series["unit"] == "Wh"
    assert len(values) > 150
    assert all(40 < one < 300 for one in values)
    assert series["flagged"]
    assert found["gaps"]
    for start, end in found["gaps"]:  # type: ignore[attr-defined]
        assert (end - start) % 900 == 0
    assert len(found["x"]) == len(series["values"])  # type: ignore[arg-type]


def test_the_voltage_chart_has_its_band(console: Console) -> None:
    found = chart(console, 0, "?kind=voltage&span=week")
    assert found["band"] == [pytest.approx(207.0), pytest.approx(253.0)]
    assert [one["label"] for one in found["series"]] == ["Voltage L1"]  # type: ignore[attr-defined]


def test_a_meter_never_read_has_a_chart_that_is_one_gap(console: Console) -> None:
    found = chart(console, 28, "?span=week")
    [series] = found["series"]  # type: ignore[misc]
    assert set(series["values"]) == {None}
    assert len(found["gaps"]) == 1  # type: ignore[arg-type]


def test_the_profile_is_a_table_too(console: Console) -> None:
    answer = console.client().get(f"/meters/{console.fleet.ids[0]}?part=profile_table&span=week", headers=FRAGMENT)
    assert "Active energy import" in text(answer)
    assert "missing" in text(answer)
    assert "clock adjusted" in text(answer)


def test_reading_now_is_queued_then_answered(console: Console) -> None:
    client, meter = console.client(), console.fleet.ids[0]
    queued = client.post(reverse("console:meter-read", args=[meter]), headers=FRAGMENT)
    assert "Reading…" in text(queued)
    operation = headend.list_operations(limit=1)[0]
    assert f"/meters/{meter}/read/{operation.id}" in text(queued)
    keep_result(operation.id, meter, {"ok": True, "duration_ms": 512, "round_trips": 9, "clock_drift_ms": 1500,
        "registers": [{"name": "Active energy import", "value": 4025001.0, "unit": "Wh"}]})  # fmt: skip
    answered = text(client.get(reverse("console:meter-read-result", args=[meter, operation.id]), headers=FRAGMENT))
    assert "hx-trigger" not in answered
    for words in ("in 512 ms, 9 round trips", "4\u202f025.001 kWh", "Clock 2 s fast"):
        assert words in answered


def test_reading_now_says_why_it_failed(console: Console) -> None:
    client, meter = console.client(), console.fleet.ids[0]
    client.post(reverse("console:meter-read", args=[meter]))
    operation = headend.list_operations(limit=1)[0]
    keep_result(
        operation.id,
        meter,
        {"ok": False, "error": "unreachable", "detail": "refused", "duration_ms": 20, "round_trips": 0},
    )
    page = text(client.get(reverse("console:meter-read-result", args=[meter, operation.id])))
    assert "The meter was not read: unreachable." in page


def test_reading_now_without_a_worker_says_that_it_waits(console: Console) -> None:
    beats.farewell(process="worker-1")
    answer = console.client().post(reverse("console:meter-read", args=[console.fleet.ids[0]]))
    assert "No head-end worker is running" in text(answer)


def keep_result(operation_id: UUID, meter: int, result: dict[str, object]) -> None:
    FleetOperation.objects.filter(id=operation_id).update(result={str(meter): result})


# --- grid -----------------------------------------------------------------------------------------------------------


def test_the_maps_points_are_transformers_then_their_meters(console: Console) -> None:
    body = console.client().get("/grid/points").content
    magic, count = np.frombuffer(body, "<u4", 2)
    assert (magic, count) == (map_points.MAGIC, 52)
    assert len(body) == 8 + 52 * (4 + 4 + 4 + 4 + 1)
    parents = np.frombuffer(body, "<i4", 52, 8 + 52 * 12)
    kinds = np.frombuffer(body, "u1", 52, 8 + 52 * 16)
    assert (kinds[:4] == map_points.TRANSFORMER).all()
    assert (kinds[4:] == map_points.METER).all()
    assert np.bincount(parents[4:]).tolist() == [12, 12, 12, 12]


@pytest.mark.parametrize("by", ["read", "supply", "voltage", "firmware", "model", "phase", "nonsense"])
def test_every_coloring_has_an_octet_per_point_and_a_legend_that_adds_up(console: Console, by: str) -> None:
    answer = console.client().get(f"/grid/states?by={by}")
    assert len(answer.content) == 52
    legend = json.loads(answer.headers["X-Legend"])
    assert sum(one["count"] for one in legend) == 48
    again = console.client().get(f"/grid/states?by={by}", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_the_one_line_diagram_has_a_box_for_every_meter_and_says_the_same_as_a_table(console: Console) -> None:
    transformer = inventory.get_item("TR-0000")
    answer = console.client().get(f"/grid/items/{transformer.id}/one-line")
    assert len(answer.context["diagram"].boxes) == 12
    assert [one.serial for one in answer.context["meters"]][:2] == ["M00000000", "M00000004"]
    assert text(answer).count("<rect class=") == 12
    assert console.client().get(f"/grid/items/{console.fleet.ids[0]}/one-line").status_code == 404


def test_what_was_clicked_is_told(console: Console) -> None:
    client = console.client()
    transformer = inventory.get_item("TR-0002")
    assert "silent" in text(client.get(f"/grid/items/{transformer.id}?part=panel", headers=FRAGMENT))
    assert "Open the meter" in text(client.get(f"/grid/items/{console.fleet.ids[0]}?part=panel", headers=FRAGMENT))
    assert client.get("/grid/items/999999").status_code == 404


# --- reading --------------------------------------------------------------------------------------------------------


def test_a_schedule_is_paused_and_resumed_with_a_reason(console: Console) -> None:
    client = console.client()
    schedule = next(one for one in headend.list_schedules(now=console.now) if one.name == "Nightly")
    address = reverse("console:schedule-set", args=[schedule.id])
    client.post(address, {"enabled": "0"})
    assert headend.get_schedule("Nightly", now=console.now).enabled
    client.post(address, {"enabled": "0", "reason": "meter exchange"})
    assert not headend.get_schedule("Nightly", now=console.now).enabled
    assert audit.list_entries(action="pause schedule")[0].reason == "meter exchange"
    client.post(address, {"enabled": "1", "reason": "done"})
    assert headend.get_schedule("Nightly", now=console.now).enabled
    assert client.post(reverse("console:schedule-set", args=[999])).status_code == 404


def test_running_operations_come_first(console: Console) -> None:
    operations = console.client().get("/reading").context["operations"]
    assert [one.state for one in operations] == ["RUNNING", "COMPLETED"]


def test_an_operation_shows_its_routes_and_can_be_cancelled(console: Console) -> None:
    client = console.client()
    running = headend.list_operations(state=headend.OperationState.RUNNING)[0]
    address = reverse("console:operation", args=[running.id])
    page = client.get(address)
    assert page.context["routes"][0].failed == 1
    assert "unreachable 1" in text(page)
    client.post(reverse("console:operation-cancel", args=[running.id]), {"reason": "wrong day"})
    assert headend.get_operation(running.id).state is headend.OperationState.CANCELLED
    again = client.post(reverse("console:operation-cancel", args=[running.id]), {"reason": "once more"}, follow=True)
    assert "ended as CANCELLED already" in text(again)


def test_an_unknown_operation_is_not_found(console: Console) -> None:
    address = reverse("console:operation", args=["0198a8a0-0000-7000-8000-000000000000"])
    assert console.client().get(address).status_code == 404
    assert console.client().post(f"{address}/cancel", {"reason": "x"}).status_code == 404


def test_sessions_are_narrowed_by_what_the_address_says(console: Console) -> None:
    client = console.client()
    failed = client.get("/reading/sessions?outcome=failed").context["sessions"]
    assert failed
    assert all(one.mark == "failed" for one in failed)
    one = client.get(f"/reading/sessions?meter={console.fleet.ids[1]}")
    assert {line.serial for line in one.context["sessions"]} == {"M00000001"}
    assert "of meter M00000001" in text(one)
    timeouts = client.get("/reading/sessions?error=timeout").context["sessions"]
    assert {line.outcome for line in timeouts} == {"timeout"}
    nonsense = client.get("/reading/sessions?error=x&route=y&day=z&operation=0&before=never&meter=-1")
    assert nonsense.status_code == 200
    assert len(nonsense.context["sessions"]) == 100


def test_older_sessions_follow_without_repetition(console: Console) -> None:
    client = console.client()
    first = client.get("/reading/sessions")
    older = client.get("/reading/sessions", {"before": first.context["older"]})
    keys = [one.key for one in first.context["sessions"]]
    assert not set(keys) & {one.key for one in older.context["sessions"]}


# --- inventory, audit, search, profile ------------------------------------------------------------------------------


def upload(name: str, content: str) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content.encode(), content_type="text/csv")


def test_an_import_is_previewed_then_applied(console: Console) -> None:
    client = console.client()
    content = "mrid,kind,name,parent_electrical\nTR-0099,POWER_TRANSFORMER,TR-0099,FD-1\n"
    preview = client.post("/inventory/import/preview", {"files": [upload("nodes.csv", content)], "source": "GIS"})
    assert "<b>1</b> item to create" in text(preview)
    assert not inventory.search("TR-0099")
    digest = preview.context["preview"].digest
    body = {"files": [upload("nodes.csv", content)], "source": "GIS", "digest": digest}
    assert "Imported: 1 created" in text(client.post("/inventory/import/apply", body))
    assert inventory.search("TR-0099")


def test_a_wrong_row_is_named_and_nothing_is_written(console: Console) -> None:
    content = "mrid,kind,name,parent_electrical\nTR-0098,POWER_TRANSFORMER,x,FD-1\nTR-0099,GENERATOR,y,FD-1\n"
    answer = console.client().post("/inventory/import/preview", {"files": [upload("nodes.csv", content)]})
    assert "Nothing can be imported" in text(answer)
    assert answer.context["preview"].errors[0].line == 3
    assert not inventory.search("TR-0098")


def test_an_import_without_a_file_is_refused_in_words(console: Console) -> None:
    assert "Choose at least one file" in text(console.client().post("/inventory/import/preview"))


def test_the_audit_log_is_filtered_and_its_chain_verified(console: Console) -> None:
    client = console.client()
    entries = client.get("/audit?action=save schedule").context["entries"]
    assert {one.subject for one in entries} == {"schedule Nightly", "schedule Quarter-hourly"}
    assert "nothing was altered" in text(client.post("/audit/verify"))


def test_the_search_finds_meters_transformers_and_addresses(console: Console) -> None:
    client = console.client()
    results = text(client.get("/search?part=results&q=tr-0001", headers=FRAGMENT))
    assert "/one-line" in results
    assert "M00000005" in text(client.get("/search?q=M00000005"))
    assert "Chapel" not in text(client.get("/search?q=c"))


def test_a_token_is_shown_once_and_opens_nothing_after_it_is_revoked(console: Console) -> None:
    client = console.client()
    created = text(client.post("/profile/tokens", {"purpose": "nightly export", "days": "30"}))
    assert created.count('class="token"') == 1
    page = client.get("/profile")
    assert 'class="token"' not in text(page)
    [token] = page.context["tokens"]
    client.post(reverse("console:token-revoke", args=[token.view.id]))
    assert client.get("/profile").context["tokens"][0].state == "revoked"
    assert "A token needs a purpose" in text(client.post("/profile/tokens", {"purpose": "", "days": "30"}, follow=True))


def test_single_keys_can_be_switched_off(console: Console) -> None:
    client = console.client()
    assert 'data-keys="on"' in text(client.get("/"))
    client.post("/profile", {})
    assert 'data-keys="off"' in text(client.get("/"))
