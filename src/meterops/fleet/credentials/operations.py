"""What can be done with keys and counters. Every act is atomic; nothing plain is stored, logged or shown."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.db.models.functions import Greatest

from meterops.fleet.credentials.lifecycle import KeyState
from meterops.fleet.credentials.master_key import MasterKey, master_key
from meterops.fleet.credentials.models import DeviceKey, PushCounter, SendCounter
from meterops.fleet.credentials.queries import context_of, ids_with_any_key, keys_of
from meterops.fleet.credentials.refusals import KeysChangedMeanwhile, ShipmentHasErrors
from meterops.fleet.credentials.shipments import COLUMNS, ShipmentError, ShippedKeys, read_shipment
from meterops.fleet.inventory import api as inventory
from meterops.kernel import audit
from meterops.kernel.actor import Actor
from meterops.protocols.dlms.security import MAX_COUNTER, CounterRange, KeyKind, KeyRing

T = TypeVar("T")
BATCH: Final = 5000
FIRST_COUNTER: Final = 1
_COUNTERS_END: Final = MAX_COUNTER + 1


@dataclass(frozen=True, slots=True)
class ShipmentPreview:
    """What importing a shipment would do, in meters."""

    rows: int
    new: int
    unchanged: int
    errors: tuple[ShipmentError, ...]


def preview_shipment(path: Path, *, transport_key: bytes | None = None) -> ShipmentPreview:
    """Read a shipment and say what importing it would do.

    Raises:
        ShipmentNotReadable: when it is no shipment at all.
    """
    return _plan(path, transport_key)[0]


@transaction.atomic
def import_shipment(path: Path, *, actor: Actor, at: datetime, transport_key: bytes | None = None) -> ShipmentPreview:
    """Store the keys of a shipment, all or nothing.

    A meter that has other keys already is an error: its keys are changed by rotation, not by a file.

    Raises:
        ShipmentNotReadable: when it is no shipment at all.
        ShipmentHasErrors: with `errors`, every row, column and what is wrong there.
        KeysChangedMeanwhile: when somebody else stored keys of the same meters at this moment.
        MasterKeyMissing: when there is nothing to wrap them with.
    """
    preview, new = _plan(path, transport_key)
    if preview.errors:
        raise ShipmentHasErrors(
            f"{len(preview.errors)} errors in {path.name}; nothing was stored.", errors=list(preview.errors)
        )
    _store(new, master_key(), at)
    audit.record(
        actor=actor,
        action="import keys",
        subject=f"key shipment {path.name}",
        after={"meters": preview.rows, "new": preview.new, "unchanged": preview.unchanged},
        at=at,
    )
    return preview


def _plan(path: Path, transport_key: bytes | None) -> tuple[ShipmentPreview, list[tuple[int, ShippedKeys]]]:
    shipped, errors = read_shipment(path, transport_key)
    devices = inventory.ids_by_serial(row.serial for row in shipped)
    titles = _titles(shipped)
    known = keys_of(sorted(devices.values()))
    had_keys = ids_with_any_key(devices.values())
    new: list[tuple[int, ShippedKeys]] = []
    unchanged = 0
    for row in shipped:
        device = devices.get(row.serial)
        if row.serial and device is None:
            errors.append(ShipmentError(row.row, "serial", f"no end device {row.serial} is in the inventory"))
        elif device is None:
            continue
        elif row.system_title and titles.get(row.system_title, device) != device:
            errors.append(ShipmentError(row.row, "system_title", "belongs to another end device in the inventory"))
        elif device not in had_keys:
            new.append((device, row))
        elif device not in known:
            errors.append(
                ShipmentError(row.row, "encryption_key", "the meter had keys before; new ones come by rotation")
            )
        elif _same(known[device], row):
            unchanged += 1
        else:
            errors.append(ShipmentError(row.row, "encryption_key", "the meter has other keys; change them by rotation"))
    errors.sort(key=lambda error: error.row)
    return ShipmentPreview(len(shipped), len(new), unchanged, tuple(errors)), new


def _titles(shipped: Sequence[ShippedKeys]) -> dict[str, int]:
    octets = [bytes.fromhex(row.system_title) for row in shipped if len(row.system_title) == 16]
    return {title.hex().upper(): device for title, device in inventory.ids_by_system_title(octets).items()}


def _same(ring: KeyRing, row: ShippedKeys) -> bool:
    have = {
        KeyKind.UNICAST_ENCRYPTION: ring.encryption,
        KeyKind.AUTHENTICATION: ring.authentication,
        KeyKind.MASTER: ring.master,
        KeyKind.BROADCAST_ENCRYPTION: ring.broadcast,
    }
    return all(row.keys.get(kind) == have[kind] for kind in COLUMNS.values() if kind in row.keys)


def _store(new: Sequence[tuple[int, ShippedKeys]], master: MasterKey, at: datetime) -> None:
    rows = (
        DeviceKey(
            end_device_id=device,
            kind=kind,
            version=1,
            state=KeyState.ACTIVE,
            wrapped=master.wrap(key, context_of(device, kind, 1)),
            master_key_id=master.id,
            created_at=at,
            state_since=at,
        )
        for device, shipped in new
        for kind, key in shipped.keys.items()
    )
    for batch in _batches(rows, BATCH):
        try:
            DeviceKey.objects.bulk_create(batch)
        except IntegrityError as error:
            raise KeysChangedMeanwhile from error


@transaction.atomic
def reserve_counters(end_device_ids: Iterable[int], count: int) -> dict[int, CounterRange]:
    """Take the next `count` invocation counters of each meter, durably, before any of them is used.

    Two statements for up to `BATCH` meters. Their rows are locked in the order of their ids before anything is read from them,
    so that no two workers are given the same value and none waits in a circle. A meter whose 32-bit counters are used up gets an
    empty range.
    """
    wanted = sorted(set(end_device_ids))
    ranges: dict[int, CounterRange] = {}
    for chunk in _batches(iter(wanted), BATCH):
        starts = _lock_counters(chunk)
        if len(starts) < len(chunk):
            _begin([device for device in chunk if device not in starts])
            starts = _lock_counters(chunk)
        SendCounter.objects.filter(pk__in=chunk).update(next_value=F("next_value") + count)
        for device, start in starts.items():
            ranges[device] = CounterRange(min(start, _COUNTERS_END), min(start + count, _COUNTERS_END))
    return ranges


def _lock_counters(chunk: Sequence[int]) -> dict[int, int]:
    """The next counter of each meter that has one; nobody else changes it until the transaction ends."""
    rows = SendCounter.objects.select_for_update().filter(pk__in=chunk).order_by("pk")
    return dict(rows.values_list("pk", "next_value"))


def _begin(devices: Sequence[int]) -> None:
    """First counters for meters that have none. Another worker may do the same at this moment: the first row counts for both."""
    SendCounter.objects.bulk_create(
        [SendCounter(end_device_id=device, next_value=FIRST_COUNTER) for device in devices],
        batch_size=BATCH,
        ignore_conflicts=True,
    )


@transaction.atomic
def raise_counter(end_device_id: int, at_least: int) -> None:
    """Use nothing below `at_least` towards a meter from now on, which told us that it expects as much. Never lowers."""
    SendCounter.objects.get_or_create(end_device_id=end_device_id, defaults={"next_value": FIRST_COUNTER})
    SendCounter.objects.filter(pk=end_device_id).update(next_value=Greatest("next_value", at_least))


@transaction.atomic
def keep_push_counters(taken: Mapping[int, int]) -> None:
    """Remember the last counter taken from each meter's pushes, so that none is taken twice. Never lowers."""
    table = connection.ops.quote_name(PushCounter._meta.db_table)  # noqa: SLF001  Django's documented way to it
    upsert = (
        f"INSERT INTO {table} AS kept (end_device_id, last_value) VALUES (%s, %s) "  # noqa: S608  our own table
        "ON CONFLICT (end_device_id) DO UPDATE SET last_value = excluded.last_value "
        "WHERE excluded.last_value > kept.last_value"
    )
    if taken:
        with connection.cursor() as cursor:
            cursor.executemany(upsert, sorted(taken.items()))


def _batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while batch := list(islice(items, size)):
        yield batch
