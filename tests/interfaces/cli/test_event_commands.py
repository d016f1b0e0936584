"""The commands on events, and the correlator on files: what they answer, and what they refuse by row and column."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from click.testing import Result
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from meterops.fleet.headend.push import PushDesk, PushFrame
from meterops.fleet.telemetry import api as telemetry
from meterops.interfaces.cli import correlate, event_commands
from meterops.kernel.beats import beat
from meterops.kernel.models import AuditEntry
from meterops.practices.events.models import Alarm, AlarmMinute

app = typer.Typer()
event_commands.register(app)
correlate.register(app)
HEADER = "node,kind,electrical_parent,communication_parent\n"
TREE = (
    HEADER
    + "F,FEEDER,,\nT1,TRANSFORMER,F,\nT2,TRANSFORMER,F,\n"
    + "".join(f"M{n},METER,T{1 + n // 20},\n" for n in range(40))
)


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def write(
    folder: Path, *, tree: str = TREE, meters: list[str], evidence: list[str], at: list[object]
) -> tuple[Path, Path]:
    events, topology = folder / "events.parquet", folder / "topology.csv"
    pq.write_table(pa.table({"meter": meters, "evidence": evidence, "at": at}), events)
    topology.write_text(tree)
    return events, topology


def test_an_outage_in_files_is_found(tmp_path: Path) -> None:
    meters = [f"M{n}" for n in range(18)] + ["M33", "STRANGER"]
    files = write(tmp_path, meters=meters, evidence=["DOWN"] * 20, at=[100.0 + n / 10 for n in range(20)])
    done = run("correlate", *files, "--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert (answer["events"], answer["unknown_meters"]) == (20, 1)
    (found,) = answer["situations"]
    assert (found["node"], found["kind"], found["state"], found["heard"], found["expected"]) == (
        "T1",
        "OUTAGE",
        "OPEN",
        18,
        20,
    )
    assert found["opened_after_s"] <= 10
    assert [change["change"] for change in answer["changes"]] == ["OPENED"]
    assert "T1" in run("correlate", *files).stdout


def test_nothing_to_find_is_said(tmp_path: Path) -> None:
    assert "No situation" in run("correlate", *write(tmp_path, meters=["M1"], evidence=["DOWN"], at=[1.0])).stdout
    empty = run("correlate", *write(tmp_path, meters=[], evidence=[], at=[]), "--json")
    assert json.loads(empty.stdout) == {"events": 0, "unknown_meters": 0, "situations": [], "changes": []}


@pytest.mark.parametrize(
    ("tree", "evidence", "at", "said"),
    [
        ("node,kind\n", "DOWN", 1.0, "topology.csv: the column electrical_parent is missing"),
        (HEADER + "A,X,B,\n", "DOWN", 1.0, "topology.csv, line 2, column electrical_parent: 'B' is no other node"),
        (HEADER + "A,X,A,\n", "DOWN", 1.0, "topology.csv, line 2, column electrical_parent"),
        (HEADER + "A,X,,\nA,X,,\n", "DOWN", 1.0, "topology.csv, line 3, column node: 'A' stands there twice"),
        (HEADER + ",X,,\n", "DOWN", 1.0, "topology.csv, line 2, column node: it is empty"),
        (HEADER[:-1] + ",confidence\nA,X,,,2\n", "DOWN", 1.0, "topology.csv, line 2, column confidence: '2'"),
        (TREE, "LOUD", 1.0, "events.parquet, row 1, column evidence: 'LOUD' is none of DOWN"),
        (TREE, "DOWN", "soon", "events.parquet, column at: timestamps or epoch seconds are expected"),
        (TREE, "DOWN", float("nan"), "events.parquet, row 1, column at: it is no time"),
    ],
)
def test_files_that_cannot_be_used_are_refused_by_place(
    tmp_path: Path, tree: str, evidence: str, at: object, said: str
) -> None:
    refused = run("correlate", *write(tmp_path, tree=tree, meters=["M1"], evidence=[evidence], at=[at]))
    assert refused.exit_code == 3
    assert said in refused.stderr


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_octets_as_files_are_refused_or_read(tmp_path: Path, octets: bytes) -> None:
    events, topology = write(tmp_path, meters=["M1"], evidence=["DOWN"], at=[1.0])
    topology.write_bytes(HEADER.encode() + octets)
    assert run("correlate", events, topology, "--json").exit_code in (0, 3)
    topology.write_text(TREE)
    events.write_bytes(octets)
    assert run("correlate", events, topology, "--json").exit_code == 3


def test_commands_answer_on_an_empty_installation(db: None) -> None:
    assert "No alarm fits" in run("alarms", "list").stdout
    assert "No situation" in run("situations", "list").stdout
    assert "Nothing is planned" in run("situations", "planned").stdout
    assert json.loads(run("alarms", "health", "--json").stdout)["standing"] == 0
    assert json.loads(run("alarms", "noisy", "--json").stdout) == []
    assert json.loads(run("alarms", "list", "--json").stdout) == {"alarms": [], "after": ""}


def test_alarms_are_listed_acknowledged_and_shelved(db: None) -> None:
    now = timezone.now()
    alarm = Alarm.objects.create(
        reduction_key="METER_COVER_REMOVED:0", event_type="METER_COVER_REMOVED", severity="EXCEPTION", is_security=True,
        identity="4D4554", first_at=now, last_at=now, raised_at=now,
    )  # fmt: skip
    listed = json.loads(run("alarms", "list", "--security", "--severity", "exception", "--json").stdout)["alarms"]
    assert [(one["id"], one["words"], one["serial"]) for one in listed] == [(alarm.pk, "Meter cover removed", "4D4554")]
    assert json.loads(run("alarms", "list", "--severity", "warning", "--json").stdout)["alarms"] == []
    assert "1 acknowledged" in run("alarms", "ack", alarm.pk).stdout
    assert "1 shelved" in run("alarms", "shelve", alarm.pk, "--hours", 2, "--reason", "being rebuilt").stdout
    assert "No alarm fits" in run("alarms", "list").stdout
    assert "4D4554" in run("alarms", "list", "--shelved").stdout
    assert "1 back in line" in run("alarms", "unshelve", alarm.pk).stdout
    done = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
    assert done == ["acknowledge alarms", "shelve alarms", "unshelve alarms"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("alarms", "list", "--severity", "loud"), "LOUD is none of"),
        (("alarms", "list", "--type", "METER_COVER_REMOVD"), "perhaps METER_COVER_REMOVED"),
        (("events", "--type", "NOPE"), "No event is called NOPE"),
        (("pushes", "--outcome", "replayed"), "replayed is none of"),
    ],
)
def test_a_misspelled_word_is_no_empty_list(db: None, words: tuple[str, ...], said: str) -> None:
    refused = run(*words)
    assert refused.exit_code == 3
    assert said in refused.stderr


def test_health_says_with_its_exit_code_that_there_is_a_flood(db: None) -> None:
    assert run("alarms", "health").exit_code == 0
    AlarmMinute.objects.create(minute_at=timezone.now().replace(second=0, microsecond=0), priority=2, shown=30)
    flooded = run("alarms", "health", "--json")
    assert flooded.exit_code == 1
    assert json.loads(flooded.stdout)["flood"]["is_flooded_now"] is True
    assert run("alarms", "health", "--positions", 3).exit_code == 0


def test_what_is_refused_says_why(db: None) -> None:
    for words, said in (
        (("alarms", "ack", "7"), "There is no alarm 7."),
        (("situations", "show", "x"), "'x' is no situation's id."),
        (("situations", "cancel-plan", "3"), "There is no such planned work"),
        (("alarms", "list", "--meter", "NOPE"), "NOPE"),
    ):
        refused = run(*words)
        assert refused.exit_code == 3, refused.output
        assert said in refused.stderr
    assert not AuditEntry.objects.exists()


def test_pushes_are_told_by_what_became_of_them(db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = telemetry.Lake(telemetry.LakeConfig(folder=str(tmp_path / "lake")))
    monkeypatch.setattr(telemetry, "lake", lambda: lake)
    assert "Nothing was pushed" in run("pushes").stdout
    assert "No listener runs" in run("pushes").stdout
    frames = [PushFrame(b"junk", "udp", "192.0.2.1:9", timezone.now().timestamp()) for _ in range(3)]
    PushDesk(lake).store(frames)
    now = timezone.now()
    beat(
        process="h:1:listener", role="listener", started_at=now, now=now, status={"port": 4060, "dropped": {"idle": 2}}
    )
    told = run("pushes").stdout
    assert "undecodable" in told
    assert "2 idle" in told
    report = json.loads(run("pushes", "--json").stdout)
    assert [(one["outcome"], one["frames"]) for one in report["outcomes"]] == [("undecodable", 3)]
    listed = json.loads(run("pushes", "--outcome", "undecodable", "--limit", 2, "--json").stdout)
    assert [one["payload"] for one in listed] == [b"junk".hex()] * 2
    assert "No frame has this outcome" in run("pushes", "--outcome", "replay").stdout
    lake.close()
