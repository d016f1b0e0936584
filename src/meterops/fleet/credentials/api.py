"""The door to the credentials."""

from meterops.fleet.credentials.lifecycle import KeyState
from meterops.fleet.credentials.master_key import MasterKey, create_master_key, has_master_key, master_key
from meterops.fleet.credentials.operations import (
    ShipmentPreview,
    import_shipment,
    keep_push_counters,
    preview_shipment,
    raise_counter,
    reserve_counters,
)
from meterops.fleet.credentials.queries import KeyCount, check, count_keys, has_keys, keys_of, push_counters
from meterops.fleet.credentials.refusals import (
    KeysChangedMeanwhile,
    MasterKeyExists,
    MasterKeyExposed,
    MasterKeyIsAnother,
    MasterKeyMissing,
    MasterKeyNotValid,
    ShipmentHasErrors,
    ShipmentNotReadable,
    WrappedKeyDamaged,
)
from meterops.fleet.credentials.shipments import ShipmentError, seal_shipment

__all__ = [
    "KeyCount",
    "KeyState",
    "KeysChangedMeanwhile",
    "MasterKey",
    "MasterKeyExists",
    "MasterKeyExposed",
    "MasterKeyIsAnother",
    "MasterKeyMissing",
    "MasterKeyNotValid",
    "ShipmentError",
    "ShipmentHasErrors",
    "ShipmentNotReadable",
    "ShipmentPreview",
    "WrappedKeyDamaged",
    "check",
    "count_keys",
    "create_master_key",
    "has_keys",
    "has_master_key",
    "import_shipment",
    "keep_push_counters",
    "keys_of",
    "master_key",
    "preview_shipment",
    "push_counters",
    "raise_counter",
    "reserve_counters",
    "seal_shipment",
]
