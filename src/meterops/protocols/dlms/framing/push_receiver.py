"""Octets of meters that push: the first ones say whether they come in HDLC frames or in the wrapper."""

from __future__ import annotations

from typing import Final

from meterops.protocols.dlms.errors import DecodeError
from meterops.protocols.dlms.framing.hdlc import MAX_APDU, without_llc
from meterops.protocols.dlms.framing.hdlc_frames import FLAG, FrameKind, FrameReader, HdlcAddress
from meterops.protocols.dlms.framing.wrapper import WrapperLink

_WRAPPER: Final = b"\x00\x01"
_CARRIES: Final = (FrameKind.UNNUMBERED_INFORMATION, FrameKind.INFORMATION)


class PushReceiver:
    """Takes what one connection (or one datagram) brings and gives whole APDUs. Bounded by the longest APDU."""

    __slots__ = ("_fault", "_first", "_frames", "_segments", "_wrapper")

    def __init__(self) -> None:
        self._fault: DecodeError | None = None
        self._first = b""
        self._wrapper: WrapperLink | None = None
        self._frames: FrameReader | None = None
        self._segments: dict[HdlcAddress, bytearray] = {}

    @property
    def pending(self) -> int:
        """Octets of an APDU that is not complete yet."""
        inner = self._wrapper or self._frames
        waiting = sum(len(segments) for segments in self._segments.values())
        return len(self._first) if inner is None else inner.pending + waiting

    def feed(self, data: bytes) -> list[bytes]:
        """Take octets and return the APDUs they complete; `DecodeError` when they are neither framing, or damaged.

        What was whole before the damage is given first, and the next call raises: call again, with nothing, until nothing comes.
        """
        if self._fault is not None:
            raise self._fault
        if self._wrapper is None and self._frames is None:
            data, self._first = self._first + data, b""
            if not self._recognize(data):
                self._first = data
                return []
        if self._wrapper is not None:
            return self._wrapper.take(data)
        return self._unframe(data)

    def _recognize(self, data: bytes) -> bool:
        if data[:1] == bytes((FLAG,)):
            self._frames = FrameReader(strict=True)
        elif data[:2] == _WRAPPER:
            self._wrapper = WrapperLink()
        elif data not in (b"", _WRAPPER[:1]):
            raise DecodeError(f"neither HDLC nor wrapper begins with {data[:2].hex()}", 0)
        return self._wrapper is not None or self._frames is not None

    def _unframe(self, data: bytes) -> list[bytes]:
        apdus: list[bytes] = []
        for frame in self._frames.feed(data) if self._frames else ():
            if frame.kind not in _CARRIES:
                continue
            segments = self._segments.setdefault(frame.source, bytearray())
            segments += frame.information
            if sum(len(one) for one in self._segments.values()) > MAX_APDU:
                self._fault = DecodeError(f"HDLC: an APDU of more than {MAX_APDU} octets in segments")
                break
            if not frame.segmented:
                apdus.append(without_llc(bytes(segments)))
                del self._segments[frame.source]
        if self._fault is not None and not apdus:
            raise self._fault
        return [apdu for apdu in apdus if apdu]
