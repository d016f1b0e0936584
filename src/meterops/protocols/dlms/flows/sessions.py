"""Opening and closing associations, and the counter a meter expects."""

from __future__ import annotations

from typing import Final

from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.apdu.descriptors import Attribute
from meterops.protocols.dlms.association.client import MAX_ASIDE, AssociationState, ClientAssociation
from meterops.protocols.dlms.errors import DecodeError, DlmsError, ProtocolError
from meterops.protocols.dlms.flows.reading import read_octets
from meterops.protocols.dlms.flows.steps import Flow, settle
from meterops.protocols.dlms.obis import Obis

INVOCATION_COUNTER: Final = Attribute(1, Obis.parse("0.0.43.1.0.255"), 2)
"""The meter's last accepted counter of the unicast key, where most companion specifications keep it."""


def associate(a: ClientAssociation) -> Flow[None]:
    """Open the association, challenges included. On any error it is not open, and the connection should go."""
    answer = yield a.request_association()
    for _ in range(MAX_ASIDE + 1):
        if a.accept_association(answer):
            break
        answer = yield b""
    if a.state is AssociationState.AUTHENTICATING:
        plain = a.open((yield a.seal_challenge_answer(a.answer_challenge())))
        if plain is None or plain[0] == 0xE0:
            plain = yield from settle(a, plain)
        a.accept_challenge_answer(plain)


def release(a: ClientAssociation) -> Flow[None]:
    """Close the association; afterwards it is closed, whatever the meter says."""
    request = a.request_release()
    if not request:
        return
    answer = yield request
    for _ in range(MAX_ASIDE + 1):
        if a.accept_release(answer):
            return
        answer = yield b""
    raise ProtocolError("only notifications come")


def read_invocation_counter(a: ClientAssociation, attribute: Attribute = INVOCATION_COUNTER) -> Flow[int]:
    """Associate (as the public client), read the counter the meter accepted last, and release.

    The next value to use is one higher.
    """
    yield from associate(a)
    value, _ = axdr.decode_plain((yield from read_octets(a, attribute)))
    if not isinstance(value, int) or not 0 <= value <= 0xFFFF_FFFF:
        raise DecodeError(f"invocation counter: {type(value).__name__} where a 32-bit number was expected")
    try:
        yield from release(a)
    except DlmsError:  # the value is there; how the meter says goodbye does not matter
        return value
    return value
