"""What meters send unasked: data and event notifications, plain, ciphered, signed, in blocks."""

from __future__ import annotations

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
from meterops.protocols.dlms.errors import DecodeError, ProtocolError, SecurityError, SecurityFault
from meterops.protocols.dlms.flows.steps import BlockAssembly
from meterops.protocols.dlms.security import (
    Envelope,
    EnvelopeTag,
    KeyRing,
    SignedApdu,
    is_protected,
    open_envelope,
    open_signed,
)


@dataclass(frozen=True, slots=True)
class Push:
    """One notification, decoded.

    `title` is the sender's system title, empty when nothing names it. `control` is the security control octet and
    `counter` the invocation counter of a protected push (None of a plain one): that it rises, the receiver checks.
    `occurred_at_epoch` is the time the meter put on it (seconds since 1970, UTC), if any. `attribute` is what an event
    notification is about; `body` are the A-XDR octets of the values.
    """

    title: bytes
    control: int | None
    counter: int | None
    is_signed: bool
    long_invoke: int | None
    occurred_at_epoch: int | None
    attribute: Attribute | None
    body: bytes

    @property
    def values(self) -> Any:
        """The body as natives, decoded anew at every call; `DecodeError` where it is none."""
        return axdr.decode_plain(self.body)[0] if self.body else None


@dataclass(frozen=True, slots=True)
class SealedPush:
    """A notification as it arrived, its protection not yet checked: `title` is who it claims to come from, empty for nobody."""

    title: bytes
    apdu: bytes
    signed: SignedApdu | None
    envelope: Envelope | None

    @property
    def brings_key(self) -> bool:
        """Whether it is ciphered with a key that it brings, wrapped by the sender's master key."""
        return self.envelope is not None and self.envelope.wrapped_key is not None

    def open(self, ring: KeyRing | None) -> Push:
        """Check its protection with the keys of `title` (None: nobody knows it) and decode it, its values excepted.

        Raises `DecodeError`, and `SecurityError` (no-key, bad-tag, bad-signature). Whether a plain push is good enough, and
        whether the counter rises, is for the caller to decide.
        """
        if self.signed is not None and not self.signed.is_signed_by(self._known(ring)):
            raise SecurityError("the signature of the push is wrong", SecurityFault.BAD_SIGNATURE)
        is_signed = self.signed is not None
        if self.envelope is None:
            return _decode_plain(self.apdu, self.title, None, None, is_signed)
        envelope = self.envelope
        plain = envelope.open(self._known(ring), self.title)
        return _decode_plain(plain, self.title, envelope.content[0], envelope.counter, is_signed)

    def _known(self, ring: KeyRing | None) -> KeyRing:
        if ring is None:
            name = self.title.hex() or "(unnamed)"
            raise SecurityError(f"no keys are known of the sender {name}", SecurityFault.NO_KEY)
        return ring


class PushReassembly:
    """Puts pushes together that one connection brings in general-block-transfer APDUs, which nobody confirms."""

    __slots__ = ("_assembly",)

    def __init__(self) -> None:
        self._assembly: BlockAssembly | None = None

    @property
    def pending(self) -> int:
        """Octets of a push of which blocks are missing."""
        return 0 if self._assembly is None else self._assembly.size

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


def receive_push(apdu: bytes, title: bytes = b"") -> SealedPush:
    """Take a notification out of its envelopes, so that its sender's keys can be looked up.

    `title` is the sender's system title where the transport knows it: some meters leave it out. Raises `DecodeError`, and
    `SecurityError` where it is signed by one meter and ciphered by another.
    """
    if not apdu:
        raise DecodeError("APDU: empty", 0)
    signed = None
    if apdu[0] == EnvelopeTag.GENERAL_SIGNING:
        signed = open_signed(apdu)
        apdu, title = signed.content, signed.originator or title
    if not is_protected(apdu):
        return SealedPush(title, apdu, signed, None)
    envelope = open_envelope(apdu)
    if signed is not None and envelope.title and title and envelope.title != title:
        raise SecurityError("the push is signed by one meter and ciphered by another", SecurityFault.TITLE_MISMATCH)
    return SealedPush(envelope.title or title, apdu, signed, envelope)


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
    return Push(title, control, counter, is_signed, long_invoke, _epoch_of(when), attribute, body)


def _epoch_of(date_time: bytes | None) -> int | None:
    """The epoch of a date-time; None where there is none or it names no instant."""
    if date_time is None or len(date_time) != 12:
        return None
    try:
        return cosem_time.decode_epoch(date_time)
    except DecodeError:  # a meter that lost its clock still has something to say
        return None
