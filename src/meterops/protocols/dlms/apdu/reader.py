"""Reading an APDU field by field: every missing or impossible field is a `DecodeError` with its name and octet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.errors import DecodeError

T = TypeVar("T")


class Reader:
    """A position in the octets of one APDU."""

    __slots__ = ("buf", "offset")

    def __init__(self, buf: bytes, offset: int = 0) -> None:
        self.buf = buf
        self.offset = offset

    def uint8(self, what: str) -> int:
        """Read one octet."""
        offset = self.offset
        if offset >= len(self.buf):
            raise DecodeError(f"{what}: missing", offset)
        self.offset = offset + 1
        return self.buf[offset]

    def uint16(self, what: str) -> int:
        """Read two octets."""
        return int.from_bytes(self.take(2, what), "big")

    def uint32(self, what: str) -> int:
        """Read four octets."""
        return int.from_bytes(self.take(4, what), "big")

    def flag(self, what: str) -> bool:
        """Read a BOOLEAN, or the presence of an OPTIONAL field: zero is false, anything else true."""
        return self.uint8(what) != 0

    def take(self, size: int, what: str) -> bytes:
        """Read `size` octets."""
        offset = self.offset
        end = offset + size
        if end > len(self.buf):
            raise DecodeError(f"{what}: {size} octets expected, {len(self.buf) - offset} left", offset)
        self.offset = end
        return self.buf[offset:end]

    def octets(self, what: str) -> bytes:
        """Read a length and that many octets."""
        value, self.offset = axdr.decode_octets(self.buf, self.offset, what)
        return value

    def value(self, what: str) -> bytes:
        """Read one A-XDR value and give its octets, tag included."""
        start = self.offset
        if start >= len(self.buf):
            raise DecodeError(f"{what}: missing", start)
        self.offset = axdr.end_of(self.buf, start)
        return self.buf[start : self.offset]

    def rest(self, what: str) -> bytes:
        """Read all that is left, which must be something."""
        if self.offset >= len(self.buf):
            raise DecodeError(f"{what}: missing", self.offset)
        start, self.offset = self.offset, len(self.buf)
        return self.buf[start:]

    def list_of(self, read: Callable[[Reader], T], what: str) -> tuple[T, ...]:
        """Read a count and that many items."""
        start = self.offset
        count, self.offset = axdr.decode_length(self.buf, start, f"number of {what}")
        if count > len(self.buf) - self.offset:
            raise DecodeError(f"{count} {what} announced, {len(self.buf) - self.offset} octets left", start)
        return tuple([read(self) for _ in range(count)])

    def at_end(self) -> bool:
        """Tell whether nothing is left."""
        return self.offset >= len(self.buf)
