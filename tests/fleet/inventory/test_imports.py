"""Imports: shown before they are done, all rows or none, every wrong cell named, and what was exported comes back."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fleet.inventory.conftest import ACTOR, DEVICES, NODES, NOW, POINTS, files

from meterops.fleet.inventory import api as inventory
from meterops.fleet.inventory.import_files import ErrorList, read_table
from meterops.fleet.inventory.models import AttributeChange, ConfigurationItem, ImportRun, Link

ImportFile = inventory.ImportFile


def test_a_preview_writes_nothing_and_the_import_does_what_it_showed(db: None) -> None:
    preview = inventory.preview_import(files=files())
    assert preview.is_applicable
    assert preview.created == {
        "HEAD_END": 1, "ROUTE": 1, "SUBSTATION": 1, "FEEDER": 1, "POWER_TRANSFORMER": 2, "USAGE_POINT": 8, "END_DEVICE": 8,
    }  # fmt: skip
    assert not ConfigurationItem.objects.exists()
    done = inventory.apply_import(files=files(), actor=ACTOR, at=NOW, digest=preview.digest)
    assert done.preview == preview
    assert inventory.count_end_devices() == 8


def test_the_same_files_once_more_change_nothing(street: dict[str, int]) -> None:
    before = list(Link.objects.order_by("pk").values_list())
    again = inventory.apply_import(files=files(), actor=ACTOR, at=NOW + timedelta(days=1))
    assert (again.preview.created_count, again.preview.updated_count, again.preview.unchanged) == (0, 0, 22)
    assert list(Link.objects.order_by("pk").values_list()) == before


WRONG = [
    ("serial,port\nX1,99999\n", 2, "port", "out of range"),
    ("serial,system_title\nX1,xyz\n", 2, "system_title", "not a system title"),
    ("serial,usage_point\nX1,NOWHERE\n", 2, "usage_point", "NOWHERE"),
    ("serial,usage_point\nX1,HE\n", 2, "usage_point", "HE"),
    ("serial,state\nX1,BROKEN\n", 2, "state", "not known"),
    ("serial,installed_at\nX1,yesterday\n", 2, "installed_at", "not a date"),
    ("serial,model\nX1,a\nX1,b\n", 3, "serial", "X1"),
    ("serial,model\n,a\n", 2, "serial", ""),
]


@pytest.mark.parametrize(("text", "line", "column", "said"), WRONG, ids=[one[2] + str(one[1]) for one in WRONG])
def test_one_wrong_row_keeps_everything_out_and_is_named(
    street: dict[str, int], text: str, line: int, column: str, said: str
) -> None:
    wrong = [ImportFile("devices.csv", (text + "GOOD1,\n" if text.count(",") == 2 else text).encode())]
    with pytest.raises(inventory.ImportHasErrors) as refused:
        inventory.apply_import(files=wrong, actor=ACTOR, at=NOW)
    errors = refused.value.details["preview"].errors
    assert (errors[0].file, errors[0].line, errors[0].column) == ("devices.csv", line, column), errors
    assert said in errors[0].what
    assert inventory.count_end_devices() == 8
    assert ImportRun.objects.count() == 1


def test_every_wrong_row_is_reported_at_once(db: None) -> None:
    rows = "".join(f"X{n},{'0' if n % 2 else 'zero'}\n" for n in range(20))
    preview = inventory.preview_import(files=[ImportFile("devices.csv", f"serial,port\n{rows}".encode())])
    assert preview.error_count == 20
    assert [error.line for error in preview.errors] == list(range(2, 22))


def test_unknown_columns_and_wrong_files_are_refused_by_name(db: None) -> None:
    for data, said in (
        (b"serial,colour\nX1,red\n", "colour"),
        (b"\xff\xfes\x00e\x00", "UTF-16"),
        (b"PK\x03\x04....", "ZIP"),
        (b"", "wrong.csv"),
        (b"colour,taste\n", "wrong.csv"),
    ):
        preview = inventory.preview_import(files=[ImportFile("wrong.csv", data)])
        assert not preview.is_applicable
        assert said in str(preview.errors[0])


def test_an_import_that_would_do_something_else_than_shown_is_refused(street: dict[str, int]) -> None:
    changed = files(nodes="", devices="serial,model\nM1,S2\n")
    preview = inventory.preview_import(files=changed)
    inventory.set_attributes(
        item_id=street["M1"], values={"model": "S3"}, source=inventory.Source.IMPORT, actor=ACTOR, at=NOW
    )
    with pytest.raises(inventory.ImportChangedSincePreview):
        inventory.apply_import(files=changed, actor=ACTOR, at=NOW, digest=preview.digest)


def test_what_is_exported_is_what_was_imported(street: dict[str, int], tmp_path: Path) -> None:
    inventory.export_to(tmp_path)
    preview = inventory.preview_import(files=[ImportFile.from_path(path) for path in sorted(tmp_path.glob("*.csv"))])
    assert preview.is_applicable
    assert (preview.created_count, preview.updated_count, preview.disagreement_count) == (0, 0, 0)
    assert preview.unchanged == 22


def test_a_moved_meter_keeps_its_past(street: dict[str, int]) -> None:
    later = NOW + timedelta(days=10)
    moved = files(nodes="", devices="serial,usage_point\nM0,P1\n")
    inventory.apply_import(files=moved, actor=ACTOR, at=later)
    electrical = inventory.Tree.ELECTRICAL
    before = inventory.parent_of(street["M0"], electrical, later - timedelta(seconds=1))
    after = inventory.parent_of(street["M0"], electrical, later)
    assert before is not None
    assert after is not None
    assert (before.mrid, after.mrid) == ("P0", "P1")
    assert [one.mrid for one in inventory.ancestors(street["M0"], electrical, later)] == ["P1", "T2", "F1", "SS1"]
    change = AttributeChange.objects.get(item_id=street["M0"], attribute="electrical_parent")
    assert (change.old, change.new, change.actor) == ("P0", "P1", str(ACTOR))


def test_importing_more_meters_asks_no_more_questions(db: None, django_assert_max_num_queries: object) -> None:
    counts = []
    for size, name in ((20, "A"), (200, "B")):
        points = "".join(f"{name}P{n},USAGE_POINT,,T1,,,\n" for n in range(size))
        rows = "".join(f"{name}{n},{name}P{n},R1\n" for n in range(size))
        with django_assert_max_num_queries(400) as queries:  # type: ignore[operator]
            inventory.apply_import(
                files=files(NODES + points, "serial,usage_point,route\n" + rows), actor=ACTOR, at=NOW
            )
        counts.append(len(queries))
    assert counts[1] <= counts[0] + 5


@settings(max_examples=60)
@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_file_is_read_or_refused_by_name(data: bytes) -> None:
    errors = ErrorList()
    table = read_table(ImportFile("any.csv", data), errors)
    assert errors.count or table is not None
    assert all(error.file == "any.csv" and error.what for error in errors.kept)


@settings(max_examples=60)
@given(st.integers(0, 1200), st.binary(min_size=1, max_size=3))
def test_a_damaged_file_is_read_or_refused_by_name(place: int, octets: bytes) -> None:
    data = bytearray((DEVICES + POINTS).encode())
    data[place % len(data) : place % len(data) + len(octets)] = octets
    errors = ErrorList()
    read_table(ImportFile("damaged.csv", bytes(data)), errors)
    assert all(str(error).startswith("damaged.csv") for error in errors.kept)
