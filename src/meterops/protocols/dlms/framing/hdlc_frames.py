"""HDLC frames as DLMS uses them (IEC 62056-46, 6): format type 3, addresses of 1, 2 or 4 octets, HCS and FCS."""

from __future__ import annotations

import struct
from binascii import crc_hqx
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from meterops.protocols.dlms.errors import DecodeError, EncodeError
from meterops.protocols.dlms.framing.damage import expect

FLAG: Final = 0x7E
MAX_LENGTH: Final = 0x7FF
"""Octets between the flags, at most: the length field has 11 bits."""
SEGMENTED: Final = 0x0800
_FORMAT: Final = 0xA000
_POLL: Final = 0x10
_REVERSED: Final = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))
_REVERSED_INVERTED: Final = bytes(octet ^ 0xFF for octet in _REVERSED)
_WORD: Final = struct.Struct(">H")


class FrameKind(IntEnum):
    """What a frame is for; the values are control octets without sequence numbers and poll bit."""

    INFORMATION = 0x00
    RECEIVE_READY = 0x01
    RECEIVE_NOT_READY = 0x05
    UNNUMBERED_INFORMATION = 0x03
    DISCONNECTED_MODE = 0x0F
    DISCONNECT = 0x43
    UNNUMBERED_ACKNOWLEDGE = 0x63
    SET_NORMAL_RESPONSE_MODE = 0x83
    FRAME_REJECT = 0x87


_UNNUMBERED: Final = {int(kind): kind for kind in FrameKind if kind & 0x03 == 0x03}


@dataclass(frozen=True, slots=True)
class HdlcAddress:
    """An address: `upper` is the client SAP or the logical device, `lower` the physical device where there is one.

    `size` is how many octets it takes: 1 (upper up to 127), 2 (both up to 127) or 4 (both up to 16383).
    """

    upper: int
    lower: int | None = None
    size: int = 1

    def __post_init__(self) -> None:
        """Refuse what does not fit."""
        limit = 0x3FFF if self.size == 4 else 0x7F
        if self.size not in (1, 2, 4) or (self.size == 1) is not (self.lower is None):
            raise EncodeError(f"HDLC address: {self.size} octets for {self.upper}/{self.lower}")
        if not 0 <= self.upper <= limit or not 0 <= (self.lower or 0) <= limit:
            raise EncodeError(f"HDLC address: {self.upper}/{self.lower} does not fit into {self.size} octets")

    def encode(self) -> bytes:
        """The octets: seven bits each, the last one marked."""
        if self.lower is None:
            return bytes((self.upper << 1 | 1,))
        if self.size == 2:
            return bytes((self.upper << 1, self.lower << 1 | 1))
        upper, lower = self.upper, self.lower
        return bytes((upper >> 7 << 1, (upper & 0x7F) << 1, lower >> 7 << 1, (lower & 0x7F) << 1 | 1))


@dataclass(frozen=True, slots=True)
class HdlcFrame:
    """A frame. `send` and `receive` are the sequence numbers N(S) and N(R) where the kind has them."""

    destination: HdlcAddress
    source: HdlcAddress
    kind: FrameKind
    information: bytes = b""
    send: int = 0
    receive: int = 0
    poll: bool = True
    segmented: bool = False

    @property
    def control(self) -> int:
        """The control octet."""
        octet = int(self.kind) | (_POLL if self.poll else 0)
        if self.kind is FrameKind.INFORMATION:
            return octet | self.receive << 5 | self.send << 1
        return octet | self.receive << 5 if self.kind in _SUPERVISORY else octet

    def encode(self) -> bytes:
        """The frame with both flags; `EncodeError` when it is too long."""
        addresses = self.destination.encode() + self.source.encode()
        length = 2 + len(addresses) + 1 + 2 + (len(self.information) + 2 if self.information else 0)
        if length > MAX_LENGTH:
            raise EncodeError(f"HDLC: {length} octets do not fit into a frame, at most {MAX_LENGTH} do")
        head = _WORD.pack(_FORMAT | (SEGMENTED if self.segmented else 0) | length) + addresses + bytes((self.control,))
        if self.information:
            head += checksum(head)
            head += self.information
        return b"\x7e" + head + checksum(head) + b"\x7e"


_SUPERVISORY: Final = frozenset((FrameKind.RECEIVE_READY, FrameKind.RECEIVE_NOT_READY))


def checksum(octets: bytes) -> bytes:
    """HCS or FCS (CRC-16/X.25) as sent, low octet first.

    `crc_hqx` does the same polynomial with the bits the other way round, in C.
    """
    return _WORD.pack(crc_hqx(octets.translate(_REVERSED), 0xFFFF)).translate(_REVERSED_INVERTED)


def decode_frame(octets: bytes, damage: list[str] | None = None) -> HdlcFrame:
    """Decode what stands between two flags.

    Raises:
        DecodeError: a wrong format, length, address, control octet or checksum, with the octet where it stands. With a
            list for `damage`, a wrong checksum is told there instead.
    """
    if len(octets) < 7:
        raise DecodeError("HDLC frame: cut short", len(octets))
    form: int = _WORD.unpack_from(octets)[0]
    if form & 0xF000 != _FORMAT:
        raise DecodeError(f"HDLC frame: format {form >> 12:#x} is not type 3", 0)
    if form & MAX_LENGTH != len(octets):
        raise DecodeError(f"HDLC frame: {form & MAX_LENGTH} octets announced, {len(octets)} there", 0)
    expect(checksum(octets[:-2]) == octets[-2:], "HDLC frame: wrong FCS", len(octets) - 2, damage)
    destination, offset = _address(octets, 2)
    source, offset = _address(octets, offset)
    control, offset = octets[offset], offset + 1
    information = b""
    if offset < len(octets) - 2:
        if len(octets) - 2 < offset + 2:
            raise DecodeError("HDLC frame: no room for the HCS", offset)
        expect(checksum(octets[:offset]) == octets[offset : offset + 2], "HDLC frame: wrong HCS", offset, damage)
        information = octets[offset + 2 : -2]
    return _frame(destination, source, control, information, segmented=bool(form & SEGMENTED), offset=offset - 1)


def _frame(
    destination: HdlcAddress, source: HdlcAddress, control: int, information: bytes, *, segmented: bool, offset: int
) -> HdlcFrame:
    poll = bool(control & _POLL)
    if not control & 1:
        return HdlcFrame(
            destination, source, FrameKind.INFORMATION, information, control >> 1 & 7, control >> 5, poll, segmented
        )
    if control & 0x0F in (FrameKind.RECEIVE_READY, FrameKind.RECEIVE_NOT_READY):
        kind = FrameKind(control & 0x0F)
        return HdlcFrame(destination, source, kind, information, 0, control >> 5, poll, segmented)
    found = _UNNUMBERED.get(control & ~_POLL)
    if found is None:
        raise DecodeError(f"HDLC frame: control octet {control:#04x} is not known", offset)
    return HdlcFrame(destination, source, found, information, 0, 0, poll, segmented)


def _address(octets: bytes, offset: int) -> tuple[HdlcAddress, int]:
    ends = offset
    limit = min(offset + 4, len(octets) - 3)
    while ends < limit and not octets[ends] & 1:
        ends += 1
    size = ends + 1 - offset
    if ends >= limit or size == 3:
        raise DecodeError("HDLC frame: an address has 1, 2 or 4 octets", offset)
    parts = [octet >> 1 for octet in octets[offset : ends + 1]]
    if size == 1:
        return HdlcAddress(parts[0]), ends + 1
    if size == 2:
        return HdlcAddress(parts[0], parts[1], 2), ends + 1
    return HdlcAddress(parts[0] << 7 | parts[1], parts[2] << 7 | parts[3], 4), ends + 1


class FrameReader:
    """Finds frames in a stream: garbage before a flag is passed over, one flag may end a frame and begin the next.

    Damaged frames are dropped and counted (`damaged`), as the standard has it; with `strict` they raise `DecodeError`.
    """

    __slots__ = ("_buffer", "_fault", "_strict", "damaged")

    def __init__(self, *, strict: bool = False) -> None:
        self._buffer = bytearray()
        self._strict = strict
        self._fault: DecodeError | None = None
        self.damaged = 0

    @property
    def pending(self) -> int:
        """Octets of a frame that is not complete yet."""
        return 0 if self._buffer == b"\x7e" else len(self._buffer)

    def feed(self, data: bytes) -> list[HdlcFrame]:
        """Take octets and return the frames they complete.

        Where damage is an error, what stands before it is given, and the next call raises.
        """
        if self._fault is not None:
            raise self._fault
        self._buffer += data
        frames: list[HdlcFrame] = []
        try:
            self._read(frames)
        except DecodeError as error:
            if not frames:
                raise
            self._fault = error
        return frames

    def _read(self, frames: list[HdlcFrame]) -> None:
        buffer, start = self._buffer, 0
        while (start := buffer.find(FLAG, start)) >= 0:
            while start + 1 < len(buffer) and buffer[start + 1] == FLAG:
                start += 1
            if len(buffer) - start < 3:
                break
            form = buffer[start + 1] << 8 | buffer[start + 2]
            ends = start + 1 + (form & MAX_LENGTH)
            if form & 0xF000 != _FORMAT:
                self._damage("HDLC: no frame begins after the flag", start)
                start += 1
                continue
            if len(buffer) <= ends:
                break
            start = self._take(buffer, start, ends, frames)
        del buffer[: start if start >= 0 else len(buffer)]

    def _take(self, buffer: bytearray, start: int, ends: int, frames: list[HdlcFrame]) -> int:
        """Decode one frame; returns where to look on."""
        if buffer[ends] != FLAG:
            self._damage("HDLC: no flag where the frame ends", ends)
            return start + 1
        try:
            frames.append(decode_frame(bytes(buffer[start + 1 : ends])))
        except DecodeError as error:
            self._damage(error.what, error.offset)
        return ends

    def _damage(self, what: str, offset: int | None) -> None:
        if self._strict:
            raise DecodeError(what, offset)
        self.damaged += 1
