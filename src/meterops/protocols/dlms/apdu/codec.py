"""One door for every APDU: the first octet says which it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from meterops.protocols.dlms.apdu import (
    access,
    acse,
    action,
    block_transfer,
    ciphered,
    faults,
    get,
    initiate,
    notification,
    set,  # noqa: A004  # named after the service
)
from meterops.protocols.dlms.apdu.base import Apdu
from meterops.protocols.dlms.axdr import Octets
from meterops.protocols.dlms.errors import DecodeError

_BY_TAG: Final[dict[int, Callable[[bytes], Apdu]]] = {
    initiate.INITIATE_REQUEST: initiate.decode_initiate_request,
    initiate.INITIATE_RESPONSE: initiate.decode_initiate_response,
    faults.CONFIRMED_SERVICE_ERROR: faults.decode_confirmed_service_error,
    notification.DATA_NOTIFICATION: notification.decode_data_notification,
    acse.AARQ_TAG: acse.decode_aarq,
    acse.AARE_TAG: acse.decode_aare,
    acse.RLRQ_TAG: acse.decode_rlrq,
    acse.RLRE_TAG: acse.decode_rlre,
    get.GET_REQUEST: get.decode_get_request,
    get.GET_RESPONSE: get.decode_get_response,
    set.SET_REQUEST: set.decode_set_request,
    set.SET_RESPONSE: set.decode_set_response,
    action.ACTION_REQUEST: action.decode_action_request,
    action.ACTION_RESPONSE: action.decode_action_response,
    notification.EVENT_NOTIFICATION: notification.decode_event_notification,
    faults.EXCEPTION_RESPONSE: faults.decode_exception_response,
    access.ACCESS_REQUEST: access.decode_access_request,
    access.ACCESS_RESPONSE: access.decode_access_response,
    ciphered.GENERAL_GLO_CIPHERING: ciphered.decode_general_glo,
    ciphered.GENERAL_DED_CIPHERING: ciphered.decode_general_ded,
    ciphered.GENERAL_CIPHERING: ciphered.decode_general_ciphering,
    ciphered.GENERAL_SIGNING: ciphered.decode_general_signing,
    block_transfer.GENERAL_BLOCK_TRANSFER: block_transfer.decode_general_block_transfer,
    **dict.fromkeys((*ciphered.PLAIN_OF_GLO, *ciphered.PLAIN_OF_DED), ciphered.decode_service_ciphered),
}
_DECODERS: Final = [_BY_TAG.get(tag) for tag in range(256)]


def decode_apdu(buf: Octets) -> Apdu:
    """Read an APDU of any kind; octets after its end are passed over, as some meters pad.

    Any octets give an APDU or a `DecodeError`. COSEM values inside are checked only where their end has to be found
    (lists, selective access): `axdr.decode_plain` and `axdr.decode_all` read them.
    """
    octets = bytes(buf)
    if not octets:
        raise DecodeError("APDU: empty", 0)
    decode = _DECODERS[octets[0]]
    if decode is None:
        raise DecodeError(f"APDU: unknown tag 0x{octets[0]:02x}", 0)
    return decode(octets)
