"""What can be asked of the credentials. Plain keys leave only as key rings, which never show themselves."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.db.models import Count

from meterops.fleet.credentials.lifecycle import KeyState
from meterops.fleet.credentials.master_key import MasterKey, has_master_key, master_key
from meterops.fleet.credentials.models import DeviceKey, PushCounter, SendCounter
from meterops.fleet.credentials.refusals import MasterKeyIsAnother, WrappedKeyDamaged
from meterops.fleet.inventory import api as inventory
from meterops.kernel.among import among
from meterops.kernel.refusal import Refusal
from meterops.protocols.dlms.security import MAX_COUNTER, KeyKind, KeyRing

CHUNK: Final = 10_000
_SAMPLE: Final = 500
_NEARLY_USED_UP: Final = MAX_COUNTER - 10_000_000


@dataclass(frozen=True, slots=True)
class KeyCount:
    """How many keys of a kind are in a state, and under which master key."""

    kind: str
    state: str
    master_key_id: str
    count: int


def context_of(end_device_id: int, kind: int, version: int) -> bytes:
    """What a wrapped key is bound to: moved to another row, it does not open."""
    return b"meterops key %d %d %d" % (end_device_id, kind, version)


def keys_of(end_device_ids: Iterable[int], *, with_master: bool = True) -> dict[int, KeyRing]:
    """The active keys of meters, a query for all; meters without an encryption and authentication key are left out.

    `with_master` False leaves the master keys closed, which only wrapped keys need.

    Raises:
        MasterKeyMissing, MasterKeyIsAnother: when stored keys cannot be opened.
        WrappedKeyDamaged: when one was altered.
    """
    plain: dict[int, dict[int, bytes]] = {}
    master: MasterKey | None = None
    rows = DeviceKey.objects.filter(among("end_device_id", set(end_device_ids)), state=KeyState.ACTIVE)
    if not with_master:
        rows = rows.exclude(kind=KeyKind.MASTER)
    columns = rows.values_list("end_device_id", "kind", "version", "wrapped", "master_key_id")
    for device, kind, version, wrapped, master_id in columns.iterator(chunk_size=CHUNK):
        master = master or master_key()
        if master_id != master.id:
            raise MasterKeyIsAnother(f"The keys are stored under master key {master_id}, not {master.id}.")
        key = master.unwrap(bytes(wrapped), context_of(device, kind, version))
        plain.setdefault(device, {})[kind] = key
    return {
        device: KeyRing(
            encryption=keys[KeyKind.UNICAST_ENCRYPTION],
            authentication=keys[KeyKind.AUTHENTICATION],
            master=keys.get(KeyKind.MASTER),
            broadcast=keys.get(KeyKind.BROADCAST_ENCRYPTION),
        )
        for device, keys in plain.items()
        if KeyKind.UNICAST_ENCRYPTION in keys and KeyKind.AUTHENTICATION in keys
    }


def ids_with_any_key(end_device_ids: Iterable[int]) -> set[int]:
    """Those of the meters that have or had keys, in whatever state. Opens nothing."""
    rows = DeviceKey.objects.filter(among("end_device_id", set(end_device_ids)))
    return set(rows.values_list("end_device_id", flat=True).distinct().iterator(chunk_size=CHUNK))


def has_keys(end_device_id: int) -> bool:
    """Whether a meter has an active encryption key. Opens nothing."""
    return DeviceKey.objects.filter(
        end_device_id=end_device_id, kind=KeyKind.UNICAST_ENCRYPTION, state=KeyState.ACTIVE
    ).exists()


def push_counters(end_device_ids: Iterable[int]) -> dict[int, int]:
    """The last counter taken from each meter's pushes; meters that never pushed are left out."""
    kept = PushCounter.objects.filter(among("pk", set(end_device_ids)))
    return dict(kept.values_list("pk", "last_value").iterator(chunk_size=CHUNK))


def count_keys() -> list[KeyCount]:
    """How many keys there are, by kind, state and master key."""
    rows = DeviceKey.objects.values_list("kind", "state", "master_key_id").annotate(n=Count("pk"))
    return [KeyCount(KeyKind(kind).name.lower(), state, master, n) for kind, state, master, n in sorted(rows)]


def check() -> list[tuple[bool, str]]:
    """Whether stored keys can be opened, and whether meters lack some: (all right, what was seen) each."""
    stored = DeviceKey.objects.filter(state=KeyState.ACTIVE).count()
    if not stored and not has_master_key():
        return [(True, "no keys are stored, and there is no master key yet")]
    try:
        sample = list(
            DeviceKey.objects.filter(state=KeyState.ACTIVE)
            .order_by("?")
            .values_list("end_device_id", flat=True)[:_SAMPLE]
        )
        opened = keys_of(sample)
        findings = [(True, f"{stored:,} active keys; the keys of {len(opened)} meters drawn by lot open")]
    except (Refusal, WrappedKeyDamaged) as error:
        return [(False, str(error))]
    keyed = set(
        DeviceKey.objects.filter(state=KeyState.ACTIVE, kind=KeyKind.UNICAST_ENCRYPTION).values_list(
            "end_device_id", flat=True
        )
    )
    meters = set(inventory.ids_of_end_devices().tolist())
    if orphans := len(keyed - meters):
        findings.append((False, f"{orphans:,} keys belong to no end device of the inventory"))
    if lacking := len(meters - keyed):
        findings.append((True, f"{lacking:,} end devices have no keys"))
    if worn := SendCounter.objects.filter(next_value__gt=_NEARLY_USED_UP).count():
        findings.append((False, f"the invocation counters of {worn:,} meters are nearly used up: rotate their keys"))
    return findings
