"""The TCP/UDP wrapper (IEC 62056-4-7): eight octets before each APDU: version 1, source, destination, length."""

from __future__ import annotations

from typing import Final

from meterops.protocols.dlms.errors import DecodeError, EncodeError
from meterops.protocols.dlms.framing.link import LinkResult

HEADER_LENGTH: Final = 8
VERSION: Final = 1
MAX_APDU: Final = 0xFFFF


class WrapperLink:
    """One end of a wrapper connection: frames what is sent from `source` to `destination`, and undoes it.

    A client's source is its client SAP and its destination the server SAP; a server starts with 0 for both and takes
    them from the first frame it gets. `max_apdu` bounds what a peer may announce.
    """

    __slots__ = ("_buffer", "_max_apdu", "_prefix", "destination", "source")

    def __init__(self, source: int = 0, destination: int = 0, *, max_apdu: int = MAX_APDU) -> None:
        """Frame from `source` to `destination`, both 0 to 65535."""
        self._buffer = bytearray()
        self._max_apdu = max_apdu
        self.address(source, destination)

    def address(self, source: int, destination: int) -> None:
        """Frame from `source` to `destination` from now on."""
        self.source, self.destination = source, destination
        self._prefix = b"\x00\x01" + source.to_bytes(2, "big") + destination.to_bytes(2, "big")

    @property
    def pending(self) -> int:
        """Octets of a frame that is not complete yet."""
        return len(self._buffer)

    def open(self) -> bytes:
        """Nothing: TCP has opened the connection."""
        return b""

    def close(self) -> bytes:
        """Nothing: TCP closes the connection."""
        return b""

    def send(self, apdu: bytes) -> bytes:
        """Return the APDU in its frame; `EncodeError` when it is longer than a frame can say."""
        if len(apdu) > MAX_APDU:
            raise EncodeError(f"wrapper: an APDU of {len(apdu)} octets does not fit, at most {MAX_APDU} do")
        return self._prefix + len(apdu).to_bytes(2, "big") + apdu

    frame = send

    def feed(self, data: bytes) -> LinkResult:
        """Take octets from the peer; `DecodeError` on a wrong version or an announced length over the bound."""
        return LinkResult(self.take(data))

    def take(self, data: bytes) -> list[bytes]:
        """Take octets from the peer and return the APDUs they complete.

        `DecodeError` where what stands first is no frame; what stands before it is given, and the next call raises.
        """
        buffer = self._buffer
        if not buffer and len(data) > HEADER_LENGTH and self._whole(data):
            return [data[HEADER_LENGTH:]]
        buffer += data
        apdus: list[bytes] = []
        start = 0
        while len(buffer) - start >= HEADER_LENGTH:
            try:
                ends = start + HEADER_LENGTH + self._announced(buffer, start)
            except DecodeError:
                if not apdus:
                    raise
                break
            if len(buffer) < ends:
                break
            apdus.append(bytes(buffer[start + HEADER_LENGTH : ends]))
            start = ends
        del buffer[:start]
        return apdus

    def _whole(self, data: bytes) -> bool:
        """Whether `data` is exactly one frame, as nearly always."""
        return self._announced(data, 0) == len(data) - HEADER_LENGTH

    def _announced(self, buffer: bytes | bytearray, start: int) -> int:
        """The length a header announces, after a look at the rest of it."""
        if buffer[start] or buffer[start + 1] != VERSION:
            version = int.from_bytes(buffer[start : start + 2], "big")
            raise DecodeError(f"wrapper: version {version} instead of {VERSION}", start)
        length = buffer[start + 6] << 8 | buffer[start + 7]
        if length > self._max_apdu:
            raise DecodeError(f"wrapper: {length} octets announced, at most {self._max_apdu} are taken", start + 6)
        if not self.destination:
            self.address(buffer[start + 4] << 8 | buffer[start + 5], buffer[start + 2] << 8 | buffer[start + 3])
        return length
