"""New keys for a meter (class 64): they travel wrapped under the master key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.apdu.descriptors import Method
from meterops.protocols.dlms.association.client import ClientAssociation
from meterops.protocols.dlms.errors import SecurityError, SecurityFault
from meterops.protocols.dlms.flows.actions import invoke
from meterops.protocols.dlms.flows.steps import Flow
from meterops.protocols.dlms.obis import Obis
from meterops.protocols.dlms.security import KeyKind, wrap_key

SECURITY_SETUP: Final = Obis.parse("0.0.43.0.0.255")
_KEY_TRANSFER: Final = 2


def rotate_keys(a: ClientAssociation, new_keys: Mapping[KeyKind, bytes], obis: Obis = SECURITY_SETUP) -> Flow[None]:
    """Give the meter new keys, all in one request, wrapped under the master key it has now.

    When this returns the meter has accepted them; whether the association at hand goes on under the old keys differs from
    meter to meter, so release it and prove the new keys with a new association before the old ones are forgotten.
    """
    ring = a.parameters.keys
    if ring is None or ring.master is None:
        raise SecurityError("new keys travel under the master key, and none is known", SecurityFault.NO_KEY)
    length = a.parameters.suite.key_length
    entries = []
    for kind, key in new_keys.items():
        if len(key) != length:
            raise SecurityError(f"keys of this suite have {length} octets, not {len(key)}", SecurityFault.NO_KEY)
        entries.append(axdr.structure(axdr.enum(kind), axdr.octets(wrap_key(ring.master, key))))
    yield from invoke(a, Method(64, obis, _KEY_TRANSFER), axdr.array(entries))
