"""Keys are stored wrapped and counters only rise."""

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from meterops.fleet.credentials import api as credentials
from meterops.fleet.credentials.lifecycle import KeyState
from meterops.fleet.credentials.master_key import LocalMasterKey
from meterops.fleet.credentials.models import DeviceKey
from meterops.fleet.credentials.refusals import ShipmentNotReadable
from meterops.fleet.credentials.shipments import read_shipment
from meterops.fleet.inventory import api as inventory
from meterops.kernel import audit
from meterops.kernel.actor import process_actor

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ACTOR = process_actor("test")
KEYS = {serial: [os.urandom(16).hex() for _ in range(3)] for serial in ("M1", "M2", "M3")}


@pytest.fixture
def meters(db: None, tmp_path: Path, settings: LazySettings) -> dict[str, int]:
    settings.METEROPS_MASTER_KEY_FILE = tmp_path / "secrets" / "master.key"
    nodes, devices = tmp_path / "nodes.csv", tmp_path / "devices.csv"
    nodes.write_text("mrid,kind,name\nHE,HEAD_END,Head-end\nR1,ROUTE,Route 1\n")
    rows = "".join(f"{serial},SIM,S1,{number:016X},127.0.0.1\n" for number, serial in enumerate(KEYS, 1))
    devices.write_text("serial,manufacturer,model,system_title,host\n" + rows)
    inventory.import_files([nodes, devices], actor=ACTOR, at=NOW)
    return inventory.ids_by_serial(KEYS)


def a_shipment(folder: Path, *, extra: str = "", keys: dict[str, list[str]] | None = None) -> Path:
    file = folder / "keys.csv"
    lines = [f"{n:016x},{serial},{','.join(k)}" for n, (serial, k) in enumerate((keys or KEYS).items(), 1)]
    header = "system_title,serial,encryption_key,authentication_key,master_key"
    file.write_text("\n".join([header, *lines, extra]) + "\n")
    return file


def test_keys_come_back_and_are_nowhere_in_plain(
    meters: dict[str, int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    credentials.create_master_key()
    done = credentials.import_shipment(a_shipment(tmp_path), actor=ACTOR, at=NOW)
    assert (done.rows, done.new, done.unchanged) == (3, 3, 0)
    rings = credentials.keys_of(meters.values())
    for serial, (encryption, authentication, master) in KEYS.items():
        ring = rings[meters[serial]]
        assert (ring.encryption.hex(), ring.authentication.hex()) == (encryption, authentication)
        assert ring.master is not None
        assert ring.master.hex() == master
    stored = b"".join(bytes(wrapped) for wrapped in DeviceKey.objects.values_list("wrapped", flat=True))
    with connection.cursor() as cursor:
        dump = [repr(cursor.execute(f"SELECT * FROM {table}").fetchall()) for table in _tables()]  # type: ignore[union-attr]
    said = "".join(dump) + caplog.text + repr(rings)
    for keys in KEYS.values():
        for key in keys:
            assert bytes.fromhex(key) not in stored
            assert key not in said.lower()
            assert repr(bytes.fromhex(key))[2:-1] not in said


def _tables() -> list[str]:
    names = connection.introspection.table_names()
    return [name for name in names if name.startswith(("credentials_", "kernel_"))]


def test_a_second_import_changes_nothing_and_other_keys_are_refused(meters: dict[str, int], tmp_path: Path) -> None:
    credentials.create_master_key()
    credentials.import_shipment(a_shipment(tmp_path), actor=ACTOR, at=NOW)
    again = credentials.import_shipment(a_shipment(tmp_path), actor=ACTOR, at=NOW)
    assert (again.new, again.unchanged) == (0, 3)
    other = KEYS | {"M2": [os.urandom(16).hex() for _ in range(3)]}
    with pytest.raises(credentials.ShipmentHasErrors) as refused:
        credentials.import_shipment(a_shipment(tmp_path, keys=other), actor=ACTOR, at=NOW)
    (error,) = refused.value.details["errors"]  # type: ignore[misc]
    assert (error.row, "rotation" in error.what) == (3, True)


def test_every_bad_row_is_named_and_nothing_is_stored(meters: dict[str, int], tmp_path: Path) -> None:
    credentials.create_master_key()
    bad = "zz,M9,00,xyz,\n,M1," + ",".join(KEYS["M1"])
    with pytest.raises(credentials.ShipmentHasErrors) as refused:
        credentials.import_shipment(a_shipment(tmp_path, extra=bad), actor=ACTOR, at=NOW)
    errors = {(e.row, e.column) for e in refused.value.details["errors"]}  # type: ignore[attr-defined]
    assert errors == {
        (5, "system_title"),
        (5, "encryption_key"),
        (5, "authentication_key"),
        (5, "serial"),
        (6, "serial"),
    }
    assert not DeviceKey.objects.exists()
    assert not any(key in str(refused.value.details) for keys in KEYS.values() for key in keys)


@pytest.mark.parametrize("damage", [lambda key: key[:-1], lambda key: key + "0", lambda key: key[:-1] + "g"])
def test_a_key_that_cannot_be_read_is_not_repeated_to_anybody(
    meters: dict[str, int], tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[str], str]
) -> None:
    caplog.set_level(logging.DEBUG)
    credentials.create_master_key()
    wrong = damage(KEYS["M2"][0])
    file = a_shipment(tmp_path, keys=KEYS | {"M2": [wrong, *KEYS["M2"][1:]]})
    with pytest.raises(credentials.ShipmentHasErrors) as refused:
        credentials.import_shipment(file, actor=ACTOR, at=NOW)
    (error,) = refused.value.details["errors"]  # type: ignore[misc]
    assert (error.row, error.column) == (3, "encryption_key")
    assert wrong[:-2] not in f"{refused.value} {refused.value.details} {caplog.text} {list(audit.list_entries())}"


def test_a_shipment_that_fails_while_it_is_stored_leaves_nothing(
    meters: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else stores a key of one of the meters between the look at the file and the storing."""
    monkeypatch.setattr("meterops.fleet.credentials.operations.BATCH", 2)

    def meanwhile() -> credentials.MasterKey:
        a_key(meters["M3"], KeyState.ACTIVE)
        return credentials.master_key()

    credentials.create_master_key()
    monkeypatch.setattr("meterops.fleet.credentials.operations.master_key", meanwhile)
    with pytest.raises(credentials.KeysChangedMeanwhile):
        credentials.import_shipment(a_shipment(tmp_path), actor=ACTOR, at=NOW)
    assert not DeviceKey.objects.exists()
    assert audit.list_entries(action="import keys") == []


@pytest.mark.parametrize("state", [KeyState.RETIRED, KeyState.PENDING])
def test_a_meter_that_had_keys_gets_others_by_rotation_only(
    meters: dict[str, int], tmp_path: Path, state: KeyState
) -> None:
    credentials.create_master_key()
    a_key(meters["M2"], state)
    with pytest.raises(credentials.ShipmentHasErrors) as refused:
        credentials.import_shipment(a_shipment(tmp_path), actor=ACTOR, at=NOW)
    (error,) = refused.value.details["errors"]  # type: ignore[misc]
    assert (error.row, "rotation" in error.what) == (3, True)
    assert DeviceKey.objects.count() == 1


def a_key(end_device_id: int, state: KeyState) -> None:
    DeviceKey.objects.create(
        end_device_id=end_device_id, kind=0, version=1, state=state, wrapped=b"", master_key_id="", created_at=NOW,
        state_since=NOW,
    )  # fmt: skip


def test_without_a_master_key_nothing_is_stored(meters: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(credentials.MasterKeyMissing):
        credentials.import_shipment(a_shipment(tmp_path), actor=ACTOR, at=NOW)
    assert credentials.check() == [(True, "no keys are stored, and there is no master key yet")]


def test_the_file_of_the_master_key_is_for_its_owner_only(meters: dict[str, int]) -> None:
    file = credentials.create_master_key()
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(credentials.MasterKeyExists):
        credentials.create_master_key()
    file.chmod(0o644)
    with pytest.raises(credentials.MasterKeyExposed):
        credentials.master_key()


def test_a_row_moved_to_another_meter_does_not_open(meters: dict[str, int], tmp_path: Path) -> None:
    credentials.create_master_key()
    credentials.import_shipment(a_shipment(tmp_path), actor=ACTOR, at=NOW)
    stolen = DeviceKey.objects.filter(end_device_id=meters["M1"], kind=0).get()
    DeviceKey.objects.filter(end_device_id=meters["M2"], kind=0).update(wrapped=stolen.wrapped)
    with pytest.raises(credentials.WrappedKeyDamaged):
        credentials.keys_of([meters["M2"]])
    ok, text = credentials.check()[0]
    assert not ok, text


def test_another_master_key_is_told_apart(
    meters: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials.create_master_key()
    credentials.import_shipment(a_shipment(tmp_path), actor=ACTOR, at=NOW)
    monkeypatch.setenv("METEROPS_MASTER_KEY", os.urandom(32).hex())
    with pytest.raises(credentials.MasterKeyIsAnother):
        credentials.keys_of(meters.values())


def test_a_sealed_shipment_opens_with_its_transport_key_only(meters: dict[str, int], tmp_path: Path) -> None:
    credentials.create_master_key()
    file, key = a_shipment(tmp_path), os.urandom(32)
    file.write_bytes(credentials.seal_shipment(file.read_bytes(), key, os.urandom(12)))
    for wrong in (None, os.urandom(32), b"short"):
        with pytest.raises(ShipmentNotReadable):
            credentials.preview_shipment(file, transport_key=wrong)
    assert credentials.import_shipment(file, actor=ACTOR, at=NOW, transport_key=key).new == 3


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_file_is_rows_errors_or_a_refusal(tmp_path_factory: pytest.TempPathFactory, octets: bytes) -> None:
    file = tmp_path_factory.mktemp("shipment") / "keys.csv"
    header = b"serial,encryption_key,authentication_key\n"
    for content in (octets, header + octets):
        file.write_bytes(content)
        try:
            rows, errors = read_shipment(file)
        except ShipmentNotReadable:
            continue
        assert all(error.row >= 2 for error in errors)
        assert all(len(key) in (16, 32) for row in rows for key in row.keys.values()) or errors


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=32), st.binary(max_size=20), st.binary(max_size=20))
def test_what_is_wrapped_opens_in_its_place_only(master: bytes, key: bytes, place: bytes, elsewhere: bytes) -> None:
    one = LocalMasterKey(master)
    wrapped = one.wrap(key, place)
    assert one.unwrap(wrapped, place) == key
    assert master.hex() not in repr(one)
    if elsewhere != place:
        with pytest.raises(credentials.WrappedKeyDamaged):
            one.unwrap(wrapped, elsewhere)


@pytest.mark.django_db
@given(st.lists(st.tuples(st.sampled_from([1, 2, 3]), st.integers(1, 300), st.integers(0, 5000)), max_size=12))
def test_counters_are_given_out_once_and_never_lowered(acts: list[tuple[int, int, int]]) -> None:
    from meterops.fleet.credentials.models import SendCounter

    SendCounter.objects.all().delete()
    used: dict[int, int] = {}
    for device, count, at_least in acts:
        credentials.raise_counter(device, at_least)
        given_out = credentials.reserve_counters([device, 4], count)[device]
        assert given_out.next >= max(at_least, used.get(device, 1))
        assert given_out.remaining == count
        used[device] = given_out.next + count


@pytest.mark.django_db
def test_counters_that_are_used_up_are_an_empty_range() -> None:
    credentials.raise_counter(9, 2**32 - 10)
    assert credentials.reserve_counters([9], 64)[9].remaining == 10
    assert credentials.reserve_counters([9], 64)[9].remaining == 0


@pytest.mark.django_db
def test_a_batch_of_meters_costs_the_same_queries_as_one(django_assert_max_num_queries: object) -> None:
    credentials.reserve_counters(range(1, 4001), 64)
    with django_assert_max_num_queries(4):  # type: ignore[operator]
        assert len(credentials.reserve_counters(range(1, 4001), 64)) == 4000


@pytest.mark.django_db
def test_push_counters_never_fall() -> None:
    credentials.keep_push_counters({1: 10, 2: 20})
    credentials.keep_push_counters({1: 5, 2: 25, 3: 1})
    assert credentials.push_counters([1, 2, 3, 4]) == {1: 10, 2: 25, 3: 1}


@pytest.mark.django_db(transaction=True)
def test_counters_are_durable_before_they_are_given_out() -> None:
    """What a worker was given counts as used even if it dies at once: another connection's next reservation begins behind it."""
    first = credentials.reserve_counters([1, 2], 64)
    connection.close()
    second = credentials.reserve_counters([1, 2], 64)
    for meter in (1, 2):
        assert second[meter].next == first[meter].next + 64
