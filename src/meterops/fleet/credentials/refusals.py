"""The credentials' named answers "no". None of them ever contains key material."""

from meterops.kernel.refusal import Refusal


class MasterKeyMissing(Refusal):
    """There is no master key: set METEROPS_MASTER_KEY or METEROPS_MASTER_KEY_FILE, or make one with `meterops keys init`."""


class MasterKeyNotValid(Refusal):
    """The master key is not 32 octets in hexadecimal or base64."""


class MasterKeyExposed(Refusal):
    """Others than its owner may read the file of the master key."""


class MasterKeyExists(Refusal):
    """There is a master key already; another one would make the stored keys unreadable."""


class MasterKeyIsAnother(Refusal):
    """Keys are stored under another master key than the one given."""


class WrappedKeyDamaged(Refusal):
    """A stored key does not open: it was altered, or belongs to another meter."""


class ShipmentNotReadable(Refusal):
    """The key shipment cannot be read."""


class ShipmentHasErrors(Refusal):
    """The key shipment has errors; nothing was stored."""


class KeysChangedMeanwhile(Refusal):
    """Somebody else stored keys of the same meters meanwhile; nothing was stored. Look at the shipment again."""
