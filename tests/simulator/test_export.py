"""The shipment: what the inventory and the key desk read is what the simulator wrote."""

import csv
from pathlib import Path

import pytest

from meterops.fleet.inventory.import_files import ErrorList, ImportFile, Table, read_table
from meterops.fleet.inventory.import_plan import make_plan
from meterops.fleet.inventory.kinds import ALLOWED_PARENTS, ItemKind, Source, Tree
from meterops.simulator.api import Addressing, generate_region, write_shipment

REGION = generate_region(seed=13, meters=700)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shipment")
    write_shipment(REGION, folder, addressing=Addressing.LOOPBACK)
    return folder


def table_of(path: Path) -> Table:
    errors = ErrorList()
    table = read_table(ImportFile.from_path(path), errors)
    assert errors.count == 0, [str(error) for error in errors.kept[:5]]
    assert table is not None
    return table


def test_the_inventory_reads_every_cell(folder):
    nodes, devices = table_of(folder / "nodes.csv"), table_of(folder / "devices.csv")
    assert len(devices.rows) == REGION.meters
    kinds = [row[nodes.index("kind")] for row in nodes.rows]
    assert kinds.count("USAGE_POINT") == REGION.meters
    assert kinds.count("POWER_TRANSFORMER") == kinds.count("DATA_CONCENTRATOR") == REGION.grid.transformers
    assert kinds.count("ROUTE") == REGION.grid.transformers + REGION.cells


def test_everything_hangs_where_the_inventory_allows(folder):
    nodes, devices = table_of(folder / "nodes.csv"), table_of(folder / "devices.csv")
    kind_of = {row[nodes.index("mrid")]: ItemKind(row[nodes.index("kind")]) for row in nodes.rows}
    for tree, column in ((Tree.ELECTRICAL, "electrical_parent"), (Tree.COMMUNICATION, "communication_parent")):
        for row in nodes.rows:
            kind, parent = ItemKind(row[nodes.index("kind")]), row[nodes.index(column)]
            if parent:
                assert kind_of[parent] in ALLOWED_PARENTS[tree][kind]
        for row in devices.rows:
            assert kind_of[row[devices.index(column)]] in ALLOWED_PARENTS[tree][ItemKind.END_DEVICE]


@pytest.mark.django_db
def test_an_import_would_create_everything_without_an_error(folder):
    plan = make_plan([ImportFile.from_path(folder / name) for name in ("nodes.csv", "devices.csv")], Source.IMPORT)
    assert plan.errors.count == 0, [str(error) for error in plan.errors.kept[:5]]
    created = plan.counts()["created"]
    assert created["END_DEVICE"] == created["USAGE_POINT"] == REGION.meters
    assert not plan.changed


def test_keys_are_for_their_owner_and_all_different(folder):
    path = folder / "keys.csv"
    assert path.stat().st_mode & 0o777 == 0o600
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == REGION.meters
    keys = [row[column] for row in rows for column in ("encryption_key", "authentication_key", "master_key")]
    assert len(set(keys)) == 3 * REGION.meters
    assert {len(bytes.fromhex(key)) for key in keys} == {16}
    titles = {row["serial"]: row["system_title"] for row in rows}
    with (folder / "devices.csv").open(newline="") as file:
        assert {row["serial"]: row["system_title"] for row in csv.DictReader(file)} == titles


def test_a_second_shipment_is_the_same(folder, tmp_path):
    write_shipment(generate_region(seed=13, meters=700), tmp_path, addressing=Addressing.LOOPBACK)
    for name in ("nodes.csv", "devices.csv", "keys.csv"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize(("addressing", "hosts", "ports", "saps"), [("port", 1, 700, 1), ("sap", 1, 1, 700)])
def test_other_addressing_is_shipped_too(tmp_path, addressing, hosts, ports, saps):
    _, devices, _ = write_shipment(REGION, tmp_path, port=20_000, addressing=Addressing(addressing))
    with devices.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["host"] for row in rows}) == hosts
    assert len({row["port"] for row in rows}) == ports
    assert len({row["server_sap"] for row in rows}) == saps
