"""What a server sends unasked: DataNotification (0x0F) and EventNotification (0xC2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from meterops.protocols.dlms.apdu.base import Apdu
from meterops.protocols.dlms.apdu.descriptors import Attribute, read_attribute
from meterops.protocols.dlms.apdu.reader import Reader
from meterops.protocols.dlms.axdr import encode_octets
from meterops.protocols.dlms.errors import DecodeError, EncodeError

DATA_NOTIFICATION: Final = 0x0F
EVENT_NOTIFICATION: Final = 0xC2
_WITH_TIME: Final = 18
"""Octets before the body of a DataNotification that has a date-time: tag, long-invoke-id, length, 12 octets."""


@dataclass(slots=True)
class DataNotification(Apdu):
    """A push. `long_invoke` is the long-invoke-id-and-priority, `date_time` 12 octets or none, `body` A-XDR octets."""

    long_invoke: int
    date_time: bytes | None
    body: bytes

    def encode(self) -> bytes:
        if not 0 <= self.long_invoke <= 0xFFFF_FFFF:
            raise EncodeError(f"long invoke id {self.long_invoke} does not fit 32 bits")
        head = bytes((DATA_NOTIFICATION,)) + self.long_invoke.to_bytes(4, "big")
        return head + encode_octets(self.date_time or b"") + self.body


@dataclass(slots=True)
class EventNotification(Apdu):
    """An event: when (12 octets or None), on which attribute, and its value as A-XDR octets."""

    date_time: bytes | None
    attribute: Attribute
    value: bytes

    def encode(self) -> bytes:
        time = b"\x00" if self.date_time is None else b"\x01" + encode_octets(self.date_time)
        return bytes((EVENT_NOTIFICATION,)) + time + self.attribute.octets + self.value


def decode_data_notification(buf: bytes) -> DataNotification:
    """Read a DataNotification; a date-time may also come as a tagged octet string, as some meters push it."""
    if len(buf) > _WITH_TIME and buf[5] == 12:  # as nearly all are
        return DataNotification(int.from_bytes(buf[1:5], "big"), buf[6:_WITH_TIME], buf[_WITH_TIME:])
    reader = Reader(buf, 1)
    long_invoke = reader.uint32("long-invoke-id-and-priority")
    return DataNotification(long_invoke, read_date_time(reader), reader.rest("notification body"))


def read_date_time(reader: Reader) -> bytes | None:
    """Read the date-time of a general header: an octet string of 12 octets or of none."""
    offset = reader.offset
    if reader.buf[offset : offset + 2] == b"\x09\x0c":
        reader.offset = offset + 1
    octets = reader.octets("date-time")
    if len(octets) not in (0, 12):
        raise DecodeError(f"date-time: {len(octets)} octets where 12 were expected", offset)
    return octets or None


def decode_event_notification(buf: bytes) -> EventNotification:
    """Read an EventNotification; some meters write the length of the time in place of its presence flag."""
    reader = Reader(buf, 1)
    present = reader.uint8("presence of the time")
    if present == 12:
        time: bytes | None = reader.take(12, "time")
    else:
        time = read_date_time(reader) if present else None
    return EventNotification(time, read_attribute(reader), reader.rest("value"))
