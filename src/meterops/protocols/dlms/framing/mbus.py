"""Wired M-Bus long frames (EN 13757-2) with the segments that carry DLMS APDUs (EN 13757-1, CI 0x00 to 0x1F).

`68 L L 68 | C A CI STSAP DTSAP segment | checksum 16`: L counts what stands between the bars, the checksum is the sum of
it modulo 256. The low four bits of CI number the segments of an APDU, 0x10 marks the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from meterops.protocols.dlms.errors import DecodeError, EncodeError
from meterops.protocols.dlms.framing.damage import expect

START: Final = 0x68
STOP: Final = 0x16
LAST_SEGMENT: Final = 0x10
MAX_LENGTH: Final = 0xFF
_HEADER_LENGTH: Final = 5
_FRAME_OVERHEAD: Final = 6
_DLMS_CONTROL_INFORMATION: Final = 0x1F


@dataclass(frozen=True, slots=True)
class MbusFrame:
    """A long frame that carries a segment of an APDU; `number` counts segments modulo 16."""

    control: int
    address: int
    number: int
    last: bool
    source: int
    destination: int
    segment: bytes

    def encode(self) -> bytes:
        """The whole frame; `EncodeError` when the segment is too long."""
        information = self.number & 0x0F | (LAST_SEGMENT if self.last else 0)
        content = bytes((self.control, self.address, information, self.source, self.destination)) + self.segment
        if len(content) > MAX_LENGTH:
            raise EncodeError(f"M-Bus: {len(content)} octets do not fit into a frame, at most {MAX_LENGTH} do")
        head = bytes((START, len(content), len(content), START))
        return head + content + bytes((sum(content) & 0xFF, STOP))


def begins_frame(octets: bytes, offset: int = 0) -> bool:
    """Whether a long frame seems to begin at `offset`."""
    head = octets[offset : offset + 4]
    return len(head) == 4 and head[0] == head[3] == START and head[1] == head[2]


def decode_frame(octets: bytes, offset: int = 0, damage: list[str] | None = None) -> tuple[MbusFrame, int]:
    """Decode the frame at `offset` and give it with the offset after it.

    Raises:
        DecodeError: it is cut short, has no stop octet, a wrong checksum, or carries no DLMS segment. With a list for
            `damage`, a wrong checksum or stop octet is told there instead.
    """
    if not begins_frame(octets, offset):
        raise DecodeError("M-Bus: no long frame begins here", offset)
    length = octets[offset + 1]
    ends = offset + length + _FRAME_OVERHEAD
    content = octets[offset + 4 : ends - 2]
    if length < _HEADER_LENGTH:
        raise DecodeError(f"M-Bus frame: {length} octets are too few for DLMS", offset + 1)
    if len(octets) < ends:
        raise DecodeError(f"M-Bus frame: cut short, {ends - len(octets)} octets are missing", len(octets))
    expect(octets[ends - 1] == STOP, "M-Bus frame: no stop octet", ends - 1, damage)
    expect(octets[ends - 2] == sum(content) & 0xFF, "M-Bus frame: wrong checksum", ends - 2, damage)
    control, address, information, source, destination = content[:_HEADER_LENGTH]
    if information > _DLMS_CONTROL_INFORMATION:
        raise DecodeError(f"M-Bus frame: control information {information:#04x} carries no DLMS", offset + 6)
    last = bool(information & LAST_SEGMENT)
    number = information & 0x0F
    return MbusFrame(control, address, number, last, source, destination, content[_HEADER_LENGTH:]), ends


class MbusAssembly:
    """Puts the segments of one APDU together, in order."""

    __slots__ = ("_expected", "_octets")

    def __init__(self) -> None:
        self._octets = b""
        self._expected = 0

    @property
    def pending(self) -> int:
        """Octets of an APDU that is not complete yet."""
        return len(self._octets)

    def take(self, frame: MbusFrame) -> bytes | None:
        """Take a segment; returns the APDU when it was the last one. `DecodeError` when one before it is missing."""
        if frame.number == 0 and self._expected % 16:
            self._octets, self._expected = b"", 0  # a new APDU begins: what came before stays incomplete
        if frame.number != self._expected % 16:
            expected, self._octets, self._expected = self._expected % 16, b"", 0
            raise DecodeError(f"M-Bus: segment {frame.number} where segment {expected} was expected")
        octets = self._octets + frame.segment
        self._octets, self._expected = (b"", 0) if frame.last else (octets, self._expected + 1)
        return octets if frame.last else None
