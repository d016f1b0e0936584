"""What meters send unasked: data and event notifications, plain, ciphered, signed, in blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from meterops.protocols.dlms import axdr, cosem_time
from meterops.protocols.dlms.apdu.block_transfer import GENERAL_BLOCK_TRANSFER, decode_general_block_transfer
from meterops.protocols.dlms.apdu.descriptors import Attribute
from meterops.protocols.dlms.apdu.notification import (
    DATA_NOTIFICATION,
    EVENT_NOTIFICATION,
    decode_data_notification,
    decode_event_notification,
)
from meterops.protocols.dlms.errors import DecodeError, DlmsError, ProtocolError, SecurityError, SecurityFault
from meterops.protocols.dlms.flows.steps import BlockAssembly
from meterops.protocols.dlms.security import EnvelopeTag, KeyRing, SignedApdu, is_protected, open_envelope, open_signed

KeysOf = Callable[[bytes], KeyRing | None]
"""Gives the keys of the meter with a system title (8 octets), or None when it is unknown."""


@dataclass(frozen=True, slots=True)
class Push:
    """One notification, decoded.

    `title` is the sender's system title, empty when nothing names it. `control` is the security control octet and
    `counter` the invocation counter of a protected push (None of a plain one): that it rises, the receiver checks.
    `occurred_at_epoch` is the time the meter put on it (seconds since 1970, UTC), if any. `values` is the body as natives;
    `attribute` is what an event notification is about; `body` are the A-XDR octets of the values.
    """

    title: bytes
    control: int | None
    counter: int | None
    is_signed: bool
    long_invoke: int | None
    occurred_at_epoch: int | None
    attribute: Attribute | None
    body: bytes
    values: Any


class PushReassembly:
    """Puts pushes together that one connection brings in general-block-transfer APDUs, which nobody confirms."""

    __slots__ = ("_assembly",)

    def __init__(self) -> None:
        self._assembly: BlockAssembly | None = None

    def feed(self, apdu: bytes) -> bytes | None:
        """Take an APDU; return one that is complete, or None while blocks are missing."""
        if apdu[:1] != bytes((GENERAL_BLOCK_TRANSFER,)):
            return apdu
        block = decode_general_block_transfer(apdu)
        if block.block_number <= 1:
            self._assembly = BlockAssembly()
        assembly = self._assembly
        if assembly is None or (block.block_number > max(assembly.expected, 1)):
            self._assembly = None
            expected = 1 if assembly is None else assembly.expected
            raise ProtocolError(f"block {block.block_number} of a push where block {expected} was expected")
        assembly.take(block)
        if not assembly.is_complete:
            return None
        self._assembly = None
        return assembly.whole()


def title_of_push(apdu: bytes) -> bytes:
    """The system title that a notification claims to come from, empty where it names none. Nothing is checked."""
    try:
        if apdu[:1] == bytes((EnvelopeTag.GENERAL_SIGNING,)):
            return open_signed(apdu).originator
        return (open_envelope(apdu).title or b"") if is_protected(apdu) else b""
    except DlmsError:  # decoding it will say what is wrong
        return b""


def decode_push(apdu: bytes, keys_of: KeysOf, title: bytes = b"") -> Push:
    """Decode a notification, its protection checked.

    `title` is the sender's system title where the transport knows it: some meters leave it out. Raises `DecodeError`, and
    `SecurityError` (no-key for a sender nobody knows, bad-tag, bad-signature). Whether a plain push is good enough, and
    whether the counter rises, is for the caller to decide.
    """
    if not apdu:
        raise DecodeError("APDU: empty", 0)
    is_signed = apdu[0] == EnvelopeTag.GENERAL_SIGNING
    if is_signed:
        signed = _verified(apdu, keys_of, title)
        apdu, title = signed.content, signed.originator or title
    if apdu and is_protected(apdu):
        return _decode_protected(apdu, keys_of, title, is_signed)
    return _decode_plain(apdu, title, None, None, is_signed)


def _verified(apdu: bytes, keys_of: KeysOf, title: bytes) -> SignedApdu:
    signed = open_signed(apdu)
    if not signed.is_signed_by(_ring_of(signed.originator or title, keys_of)):
        raise SecurityError("the signature of the push is wrong", SecurityFault.BAD_SIGNATURE)
    return signed


def _decode_protected(apdu: bytes, keys_of: KeysOf, title: bytes, is_signed: bool) -> Push:
    envelope = open_envelope(apdu)
    if envelope.title and title and envelope.title != title and is_signed:
        raise SecurityError("the push is signed by one meter and ciphered by another", SecurityFault.TITLE_MISMATCH)
    sender = envelope.title or title
    plain = envelope.open(_ring_of(sender, keys_of), sender)
    return _decode_plain(plain, sender, envelope.content[0], envelope.counter, is_signed)


def _decode_plain(apdu: bytes, title: bytes, control: int | None, counter: int | None, is_signed: bool) -> Push:
    tag = apdu[0] if apdu else -1
    if tag == DATA_NOTIFICATION:
        data = decode_data_notification(apdu)
        long_invoke, when, attribute, body = data.long_invoke, data.date_time, None, data.body
    elif tag == EVENT_NOTIFICATION:
        event = decode_event_notification(apdu)
        long_invoke, when, attribute, body = None, event.date_time, event.attribute, event.value
    else:
        raise DecodeError(f"tag {tag:#04x} is not a notification" if apdu else "APDU: empty", 0)
    values = axdr.decode_plain(body)[0] if body else None
    return Push(title, control, counter, is_signed, long_invoke, _epoch_of(when), attribute, body, values)


def _epoch_of(date_time: bytes | None) -> int | None:
    """The epoch of a date-time; None where there is none or it names no instant."""
    if date_time is None or len(date_time) != 12:
        return None
    try:
        return cosem_time.decode_epoch(date_time)
    except DecodeError:  # a meter that lost its clock still has something to say
        return None


def _ring_of(title: bytes, keys_of: KeysOf) -> KeyRing:
    ring = keys_of(title) if title else None
    if ring is None:
        raise SecurityError(f"no keys are known of the sender {title.hex() or '(unnamed)'}", SecurityFault.NO_KEY)
    return ring
