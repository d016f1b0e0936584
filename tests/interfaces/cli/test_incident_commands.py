"""`meterops incidents`, `work-orders`, `channels`, `power-check`: output, exit codes, what is asked before it is done."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.interfaces.console import seed
from tests.practices.incidents.conftest import fleet, situation  # noqa: F401  a fixture
from tests.practices.incidents.sinks import mailbox
from tests.practices.incidents.test_opening import tell
from typer.testing import CliRunner, Result

from meterops.fleet.telemetry import api as telemetry
from meterops.interfaces.cli import channel_commands, incident_commands, power_check_commands, work_order_commands
from meterops.practices.incidents.models import Incident

pytestmark = pytest.mark.django_db
program = typer.Typer()
for group in (incident_commands, work_order_commands, channel_commands, power_check_commands):
    group.register(program)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(program, [str(one) for one in arguments])


def answer(*arguments: object, code: int = 0) -> Any:
    done = run(*arguments, "--json")
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


@pytest.fixture
def number(fleet: seed.Fleet) -> int:  # noqa: F811
    tell(situation(1, "TR-0001"), situation(2, "TR-0002"), situation(3, "TR-0003"))
    return int(Incident.objects.order_by("pk")[0].pk)


def test_the_queue_is_a_table_for_people_and_json_for_programs(number: int) -> None:
    done = run("incidents", "list")
    assert done.exit_code == 0
    assert "Transformer without supply, TR-0001" in done.stdout
    page = answer("incidents", "list", "--text", "TR-0002", "--state", "new")
    assert page["total"] == 1
    assert run("incidents", "list", "--sort", "colour").exit_code == 2
    assert run("incidents", "list", "--kind", "flood").exit_code == 2
    assert answer("incidents", "counts")["open"] == 3
    assert "3 open" in run("incidents", "counts").stdout


def test_one_incident_says_everything(number: int) -> None:
    shown = run("incidents", "show", number)
    assert "12 meters, 12 premises, 1 critical" in shown.stdout
    assert "Opened at P1" in shown.stdout
    assert answer("incidents", "show", number)["incident"]["number"] == number
    unknown = run("incidents", "show", 4711)
    assert (unknown.exit_code, "There is no incident 4711." in unknown.output) == (3, True)


def test_the_whole_way_from_the_command_line(number: int) -> None:
    assert answer("incidents", "ack", number, "--note", "Seen.")["incidents"][0]["acknowledged_note"] == "Seen."
    assert run("incidents", "ack", number).exit_code == 3, "once is enough"
    assert answer("incidents", "assign", number, "--team", "Field")["incidents"][0]["team"] == "Field"
    for command in (("note", number, "Called."), ("start", number), ("pending", number, "--reason", "Fuse.")):
        assert run("incidents", *command).exit_code == 0
    unproved = run("incidents", "resolve", number, "--resolution", "Fuse.")
    assert (unproved.exit_code, "not proved to be over" in unproved.output) == (3, True)
    resolved = answer("incidents", "resolve", number, "--resolution", "Fuse.", "--in-spite-of", "crew measured")
    assert resolved["incident"]["state"] == "RESOLVED"
    assert run("incidents", "close", number, "--reason", "Done.").exit_code == 0
    assert run("incidents", "reopen", number, "--reason", "Dark.").exit_code == 0
    assert run("incidents", "split", number, "--node", "TR-0001/F2", "--reason", "Cable.").exit_code == 0
    assert run("incidents", "merge", number + 1, "--into", number, "--reason", "Same.").exit_code == 0
    assert run("incidents", "unmerge", number + 1, "--reason", "No.").exit_code == 0
    assert run("incidents", "clean-up").exit_code == 0


def test_a_dry_run_does_nothing_and_many_are_asked_for(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dry = answer("incidents", "close", number, "--reason", "x", "--dry-run")
    assert dry["dry_run"]
    assert Incident.objects.filter(state="NEW").count() == 3
    monkeypatch.setattr(incident_commands, "ASKS_FROM", 2)
    asked = run("incidents", "close", number, number + 1, "--reason", "x")
    assert (asked.exit_code, "--yes" in asked.output) == (2, True)
    assert run("incidents", "close", number, number + 1, "--reason", "x", "--yes").exit_code == 0
    assert run("incidents", "major", number + 2, "--reason", "Press.").exit_code == 2
    assert run("incidents", "major", number + 2, "--reason", "Press.", "--yes").exit_code == 0


def test_work_orders_go_out_and_come_back(number: int, tmp_path: Path) -> None:
    order = answer("work-orders", "create", number, "--title", "Fuse", "--crew", "Crew 3")["id"]
    assert answer("work-orders", "update", order, "--state", "done", "--note", "Replaced.")["state"] == "DONE"
    assert run("work-orders", "update", order, "--state", "sent").exit_code == 3
    assert run("work-orders", "update", order, "--state", "gone").exit_code == 2
    assert "Fuse" in run("work-orders", "list").stdout
    assert answer("work-orders", "show", order)["meters"][0].startswith("M0")
    for name in ("orders.csv", "orders.json"):
        assert run("work-orders", "export", tmp_path / name).exit_code == 0
        assert order in (tmp_path / name).read_text()
    assert order in run("work-orders", "export", "-").stdout
    assert run("work-orders", "show", "nonsense").exit_code == 2


def test_a_channel_is_made_and_tried(db: None, tmp_path: Path) -> None:
    with mailbox() as box:
        (tmp_path / "address").write_text(box.address)
        made = answer(
            "channels",
            "set",
            "Duty",
            "--sort",
            "email",
            "--address-file",
            tmp_path / "address",
            "--quiet",
            "22:00-07:00",
        )
        assert made["quiet_from"] == "22:00"
        assert answer("channels", "test", "Duty")["sent"]
        box.refuses = True
        assert not answer("channels", "test", "Duty", code=1)["sent"]
    assert "Duty" in run("channels", "list").stdout
    policy = answer("escalation", "set", "Night", "--priority", 1, "--step", "0=Duty", "--step", "5=Duty")
    assert [step["after_s"] for step in policy["steps"]] == [0, 300]
    assert "Night" in run("escalation", "list").stdout
    assert run("escalation", "set", "Night", "--priority", 1, "--step", "soon").exit_code == 2
    assert run("escalation", "set", "Night", "--priority", 1, "--step", "0=Nobody").exit_code == 3
    assert run("channels", "set", "X", "--sort", "email", "--quiet", "always").exit_code == 2
    assert run("channels", "delete", "Duty", "--yes").exit_code == 0


def test_settings_are_shown_and_changed(db: None) -> None:
    assert answer("incidents", "settings")["restoration_share"] == 0.95
    changed = answer("incidents", "settings", "restoration_share=0.9", "critical_group=Hospitals")
    assert (changed["restoration_share"], changed["critical_group"]) == (0.9, "Hospitals")
    assert run("incidents", "settings", "restoration_share=7").exit_code == 3
    assert run("incidents", "settings", "share").exit_code == 2


def test_a_power_check_of_an_incident_a_node_or_meters(
    number: int,
    fleet: seed.Fleet,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lake = telemetry.Lake(telemetry.LakeConfig(str(tmp_path / "lake")))
    monkeypatch.setattr(telemetry, "lake", lambda: lake)
    assert "operation" in answer("power-check", "--incident", number, "--wait", 0)
    waited = answer("power-check", "--node", "TR-0002", "--wait", 0.1, code=1)
    assert (waited["asked"], waited["pending"]) == (12, 12)
    said = run("power-check", fleet.serials[0], "NOBODY", "--wait", 0.1)
    assert said.exit_code == 1
    assert "2 meters: 1 unknown id, 1 not asked yet." in said.stdout
    assert run("power-check", "NOBODY").exit_code == 3
    assert run("power-check").exit_code == 2
    assert run("power-check", "--node", "NOWHERE").exit_code == 3
    lake.close()
