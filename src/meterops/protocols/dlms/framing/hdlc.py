"""HDLC links, client and server (IEC 62056-46): normal response mode, segmentation, windows, repeated frames.

Sans-IO: octets in, APDUs and octets out. TCP loses nothing, so nothing here waits; on a line that does, `retransmit`
gives what to send again when the caller's patience ends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from meterops.protocols.dlms.errors import DecodeError
from meterops.protocols.dlms.framing.hdlc_frames import FrameKind, FrameReader, HdlcAddress, HdlcFrame
from meterops.protocols.dlms.framing.link import LinkResult

DEFAULT_INFORMATION: Final = 128
MOST_INFORMATION: Final = 2030
MAX_APDU: Final = 0x2_0000
"""A peer that sends a longer APDU in segments is cut off."""
MOST_POLLS: Final = 200
"""So often a peer that is not ready is asked again for one answer."""
_TO_SERVER: Final = b"\xe6\xe6\x00"
_TO_CLIENT: Final = b"\xe6\xe7\x00"
_FORMAT_AND_GROUP: Final = b"\x81\x80"


@dataclass(frozen=True, slots=True)
class HdlcLimits:
    """What one side takes and gives: octets of information in a frame, and frames before an acknowledgement (1 to 7)."""

    send_information: int = DEFAULT_INFORMATION
    receive_information: int = DEFAULT_INFORMATION
    send_window: int = 1
    receive_window: int = 1

    def encode(self) -> bytes:
        """The parameter field of SNRM and UA."""
        items = (
            _parameter(5, self.send_information, 1 if self.send_information < 256 else 2),
            _parameter(6, self.receive_information, 1 if self.receive_information < 256 else 2),
            _parameter(7, self.send_window, 4),
            _parameter(8, self.receive_window, 4),
        )
        body = b"".join(items)
        return _FORMAT_AND_GROUP + bytes((len(body),)) + body

    def with_peer(self, peer: HdlcLimits) -> HdlcLimits:
        """What holds between this side and a peer with those limits."""
        return HdlcLimits(
            min(self.send_information, peer.receive_information),
            min(self.receive_information, peer.send_information),
            min(self.send_window, peer.receive_window),
            min(self.receive_window, peer.send_window),
        )


def _parameter(number: int, value: int, size: int) -> bytes:
    return bytes((number, size)) + value.to_bytes(size, "big")


def decode_limits(field: bytes) -> HdlcLimits:
    """Read the parameter field of SNRM or UA; an empty one means the defaults. `DecodeError` when it is cut short."""
    if not field:
        return HdlcLimits()
    if field[:1] != b"\x81" or len(field) < 3:
        raise DecodeError("HDLC parameters: format identifier 0x81 expected", 0)
    found: dict[int, int] = {}
    offset = 3
    while offset < len(field):
        if offset + 2 > len(field) or offset + 2 + field[offset + 1] > len(field):
            raise DecodeError("HDLC parameters: cut short", offset)
        size = field[offset + 1]
        found[field[offset]] = int.from_bytes(field[offset + 2 : offset + 2 + size], "big")
        offset += 2 + size
    information = [min(max(found.get(n, DEFAULT_INFORMATION), 1), MOST_INFORMATION) for n in (5, 6)]
    windows = [min(max(found.get(n, 1), 1), 7) for n in (7, 8)]
    return HdlcLimits(*information, *windows)


class _State(Enum):
    CLOSED = auto()
    OPENING = auto()
    OPEN = auto()
    CLOSING = auto()


class _HdlcLink:
    """What both sides do: sequence numbers, segments, acknowledgements."""

    __slots__ = (
        "_arrived",
        "_limits",
        "_peer",
        "_reader",
        "_received",
        "_segments",
        "_sent",
        "_state",
        "_unacknowledged",
        "_us",
        "limits",
    )

    _outgoing_llc: bytes
    _incoming_llc: bytes

    def __init__(self, us: HdlcAddress, peer: HdlcAddress, limits: HdlcLimits) -> None:
        self._us = us
        self._peer = peer
        self._limits = limits
        self._reader = FrameReader()
        self._reset(HdlcLimits(), _State.CLOSED)

    @property
    def pending(self) -> int:
        """Octets of a frame that is not complete yet."""
        return self._reader.pending

    @property
    def is_open(self) -> bool:
        """Whether information may travel."""
        return self._state is _State.OPEN

    def _reset(self, limits: HdlcLimits, state: _State) -> None:
        self.limits = limits
        self._state = state
        self._sent = 0
        self._received = 0
        self._arrived = bytearray()
        self._segments: list[bytes] = []
        self._unacknowledged: list[HdlcFrame] = []

    def retransmit(self) -> bytes:
        """What was sent and not acknowledged, once more."""
        return b"".join(replace(frame, receive=self._received).encode() for frame in self._unacknowledged)

    def _queue(self, apdu: bytes) -> bytes:
        octets = self._outgoing_llc + apdu
        size = self.limits.send_information
        self._segments = [octets[start : start + size] for start in range(0, len(octets), size)]
        return self._send_window()

    def _send_window(self) -> bytes:
        """The next segments, as many as the window has room for; the last of them asks for an answer."""
        room = self.limits.send_window - len(self._unacknowledged)
        batch, self._segments = self._segments[:room], self._segments[room:]
        frames = []
        for number, segment in enumerate(batch):
            is_last = number == len(batch) - 1
            more = bool(self._segments) or not is_last
            frames.append(
                HdlcFrame(
                    self._peer, self._us, FrameKind.INFORMATION, segment, self._sent, self._received, is_last, more
                )
            )
            self._sent = (self._sent + 1) & 7
        self._unacknowledged += frames
        return b"".join(frame.encode() for frame in frames)

    def _acknowledge(self, receive: int) -> None:
        """The peer has taken every frame before N(R)."""
        while self._unacknowledged and self._unacknowledged[0].send != receive:
            if all(frame.send != receive for frame in self._unacknowledged) and receive != self._sent:
                return  # a number outside the window acknowledges nothing
            self._unacknowledged.pop(0)

    def _take_segment(self, frame: HdlcFrame) -> bytes | None:
        """Put a segment behind the others; the whole APDU when it was the last, b"" when more follow, None if not in turn."""
        if frame.send != self._received:
            return None
        self._received = (self._received + 1) & 7
        self._arrived += frame.information
        if len(self._arrived) > MAX_APDU:
            raise DecodeError(f"HDLC: an APDU of more than {MAX_APDU} octets in segments")
        if frame.segmented:
            return b""
        whole, self._arrived = bytes(self._arrived), bytearray()
        return without_llc(whole)

    def _supervisory(self, kind: FrameKind = FrameKind.RECEIVE_READY) -> bytes:
        return HdlcFrame(self._peer, self._us, kind, receive=self._received).encode()

    def _unnumbered(self, kind: FrameKind, information: bytes = b"") -> bytes:
        return HdlcFrame(self._peer, self._us, kind, information).encode()


def without_llc(octets: bytes) -> bytes:
    """Take the LLC header off, which says which way an APDU goes; either way round is taken, and none at all."""
    return octets[3:] if octets[:3] in (_TO_CLIENT, _TO_SERVER) else octets


class HdlcClientLink(_HdlcLink):
    """The client's side: opens with SNRM, closes with DISC, asks and is answered."""

    __slots__ = ("_polls",)

    _outgoing_llc = _TO_SERVER
    _incoming_llc = _TO_CLIENT

    def __init__(
        self,
        client_sap: int,
        server_sap: int,
        physical: int | None = None,
        *,
        address_size: int = 0,
        max_information: int = 512,
        window: int = 1,
    ) -> None:
        """Speak to logical device `server_sap` of `physical` device, with an address of so many octets (0: as few as fit)."""
        limits = HdlcLimits(max_information, max_information, window, window)
        super().__init__(HdlcAddress(client_sap), _server_address(server_sap, physical, address_size), limits)
        self._polls = 0

    def open(self) -> bytes:
        """SNRM with our limits."""
        self._reset(HdlcLimits(), _State.OPENING)
        return self._unnumbered(FrameKind.SET_NORMAL_RESPONSE_MODE, self._limits.encode())

    def send(self, apdu: bytes) -> bytes:
        """The APDU in its first frames; the others follow as the meter acknowledges."""
        self._polls = 0
        self._unacknowledged.clear()
        return self._queue(apdu)

    def close(self) -> bytes:
        """DISC, unless the link is closed already."""
        if self._state is _State.CLOSED:
            return b""
        self._state = _State.CLOSING
        return self._unnumbered(FrameKind.DISCONNECT)

    def feed(self, data: bytes) -> LinkResult:
        """Take octets from the meter."""
        result = LinkResult()
        for frame in self._reader.feed(data):
            if frame.destination.upper == self._us.upper:
                self._on_frame(frame, result)
        return result

    def _on_frame(self, frame: HdlcFrame, result: LinkResult) -> None:
        match frame.kind:
            case FrameKind.INFORMATION if self._state is _State.OPEN:
                self._on_information(frame, result)
            case FrameKind.RECEIVE_READY | FrameKind.RECEIVE_NOT_READY if self._state is _State.OPEN:
                self._on_ready(frame, result)
            case FrameKind.UNNUMBERED_INFORMATION:
                result.apdus.append(without_llc(frame.information))
            case FrameKind.UNNUMBERED_ACKNOWLEDGE:
                self._on_acknowledged(frame, result)
            case FrameKind.DISCONNECTED_MODE | FrameKind.FRAME_REJECT | FrameKind.DISCONNECT:
                if frame.kind is FrameKind.DISCONNECT:
                    result.reply += self._unnumbered(FrameKind.UNNUMBERED_ACKNOWLEDGE)
                self._state = _State.CLOSED
                result.closed = True

    def _on_acknowledged(self, frame: HdlcFrame, result: LinkResult) -> None:
        if self._state is _State.OPENING:
            self._reset(self._limits.with_peer(decode_limits(frame.information)), _State.OPEN)
            result.opened = True
        elif self._state is _State.CLOSING:
            self._state = _State.CLOSED
            result.closed = True

    def _on_information(self, frame: HdlcFrame, result: LinkResult) -> None:
        self._acknowledge(frame.receive)
        apdu = self._take_segment(frame)
        if apdu:
            self._polls = 0
            result.apdus.append(apdu)
        elif frame.poll:  # more segments follow, or this one was a repetition: say up to where all is here
            result.reply += self._supervisory()

    def _on_ready(self, frame: HdlcFrame, result: LinkResult) -> None:
        self._acknowledge(frame.receive)
        if frame.kind is FrameKind.RECEIVE_READY and self._segments:
            result.reply += self._send_window()
        elif frame.kind is FrameKind.RECEIVE_READY and self._unacknowledged:
            result.reply += self.retransmit()
        elif frame.poll and self._polls < MOST_POLLS:
            self._polls += 1
            result.reply += self._supervisory()


def _server_address(logical: int, physical: int | None, size: int) -> HdlcAddress:
    if physical is None and size in (0, 1) and logical <= 0x7F:
        return HdlcAddress(logical)
    lower = 0x7F if physical is None else physical
    if size == 0:
        size = 2 if max(logical, lower) <= 0x7F else 4
    return HdlcAddress(logical, 0x3FFF if physical is None and size == 4 else lower, size)


class HdlcServerLink(_HdlcLink):
    """The meter's side: takes the client's and its own address from the SNRM, speaks when spoken to."""

    __slots__ = ()

    _outgoing_llc = _TO_CLIENT
    _incoming_llc = _TO_SERVER

    def __init__(self, *, max_information: int = 1024, window: int = 7) -> None:
        """Agree to at most so many octets of information in a frame and so many frames in a window."""
        limits = HdlcLimits(max_information, max_information, window, window)
        super().__init__(HdlcAddress(0), HdlcAddress(0), limits)

    @property
    def client_sap(self) -> int:
        """Who connected."""
        return self._peer.upper

    @property
    def server_sap(self) -> int:
        """The logical device that was asked for."""
        return self._us.upper

    def open(self) -> bytes:
        """Nothing: the client opens."""
        return b""

    def send(self, apdu: bytes) -> bytes:
        """The answer in its first frames; the others follow as the client acknowledges."""
        if self._state is not _State.OPEN:
            return b""
        self._unacknowledged.clear()
        return self._queue(apdu)

    def notify(self, apdu: bytes) -> bytes:
        """An APDU that nobody asked for, in an unnumbered frame."""
        frame = HdlcFrame(self._peer, self._us, FrameKind.UNNUMBERED_INFORMATION, self._outgoing_llc + apdu, poll=False)
        return frame.encode()

    def close(self) -> bytes:
        """Nothing: the client closes, or the connection goes."""
        self._state = _State.CLOSED
        return b""

    def feed(self, data: bytes) -> LinkResult:
        """Take octets from the client."""
        result = LinkResult()
        for frame in self._reader.feed(data):
            self._on_frame(frame, result)
        return result

    def _on_frame(self, frame: HdlcFrame, result: LinkResult) -> None:
        if frame.kind is FrameKind.SET_NORMAL_RESPONSE_MODE:
            self._on_connect(frame, result)
        elif frame.kind is FrameKind.UNNUMBERED_INFORMATION:
            result.apdus.append(without_llc(frame.information))
        elif self._state is not _State.OPEN or (frame.source, frame.destination) != (self._peer, self._us):
            answer = HdlcFrame(frame.source, frame.destination, FrameKind.DISCONNECTED_MODE)
            result.reply += answer.encode() if frame.poll else b""
        elif frame.kind is FrameKind.DISCONNECT:
            result.reply += self._unnumbered(FrameKind.UNNUMBERED_ACKNOWLEDGE)
            self._state = _State.CLOSED
            result.closed = True
        elif frame.kind is FrameKind.INFORMATION:
            self._on_information(frame, result)
        elif frame.kind in (FrameKind.RECEIVE_READY, FrameKind.RECEIVE_NOT_READY):
            self._on_ready(frame, result)

    def _on_connect(self, frame: HdlcFrame, result: LinkResult) -> None:
        self._peer, self._us = frame.source, frame.destination
        agreed = self._limits.with_peer(decode_limits(frame.information))
        self._reset(agreed, _State.OPEN)
        result.reply += self._unnumbered(FrameKind.UNNUMBERED_ACKNOWLEDGE, agreed.encode())
        result.opened = True

    def _on_information(self, frame: HdlcFrame, result: LinkResult) -> None:
        self._acknowledge(frame.receive)
        apdu = self._take_segment(frame)
        if apdu:
            self._segments = []
            result.apdus.append(apdu)
        elif frame.poll:
            # The client repeats itself: it did not get our answer, or there is none yet.
            repeated = apdu is None and self._unacknowledged
            result.reply += self.retransmit() if repeated else self._supervisory()

    def _on_ready(self, frame: HdlcFrame, result: LinkResult) -> None:
        self._acknowledge(frame.receive)
        if frame.kind is FrameKind.RECEIVE_READY and self._unacknowledged:
            result.reply += self.retransmit()
        elif frame.kind is FrameKind.RECEIVE_READY and self._segments:
            result.reply += self._send_window()
        elif frame.poll:
            result.reply += self._supervisory()
