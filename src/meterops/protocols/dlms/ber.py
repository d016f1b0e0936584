"""The part of BER (ITU-T X.690) that the association control APDUs use: single-octet tags, definite lengths."""

from __future__ import annotations

from dataclasses import dataclass

from meterops.protocols.dlms.axdr import decode_length, encode_length
from meterops.protocols.dlms.errors import DecodeError


@dataclass(frozen=True, slots=True)
class Element:
    """One tag-length-value: `contents` are its octets, `offset` is where the tag stood."""

    tag: int
    contents: bytes
    offset: int

    @property
    def contents_offset(self) -> int:
        """Where the contents begin, give or take the octets a long-form length wastes; for error messages."""
        return self.offset + 1 + len(encode_length(len(self.contents)))


def decode_element(buf: bytes, offset: int, what: str) -> tuple[Element, int]:
    """Read one element and give it with the offset after it."""
    if offset >= len(buf):
        raise DecodeError(f"{what}: missing", offset)
    tag = buf[offset]
    if tag & 0x1F == 0x1F:
        raise DecodeError(f"{what}: tag of several octets", offset)
    length, start = decode_length(buf, offset + 1, what)
    end = start + length
    if end > len(buf):
        raise DecodeError(f"{what}: {length} octets announced, {len(buf) - start} left", offset)
    return Element(tag, buf[start:end], offset), end


def decode_elements(buf: bytes, offset: int, what: str) -> list[Element]:
    """Read the elements that fill `buf` from `offset` to its end."""
    elements: list[Element] = []
    while offset < len(buf):
        element, offset = decode_element(buf, offset, what)
        elements.append(element)
    return elements


def encode_element(tag: int, contents: bytes) -> bytes:
    """Write a tag, the length and the contents."""
    return bytes((tag,)) + encode_length(len(contents)) + contents


def decode_integer(contents: bytes, what: str, offset: int | None = None) -> int:
    """Read the contents of an INTEGER of up to eight octets (signed)."""
    if not 1 <= len(contents) <= 8:
        raise DecodeError(f"{what}: INTEGER of {len(contents)} octets", offset)
    return int.from_bytes(contents, "big", signed=True)


def encode_integer(value: int) -> bytes:
    """Write a complete INTEGER element."""
    size = (value + (value < 0)).bit_length() // 8 + 1
    return encode_element(0x02, value.to_bytes(size, "big", signed=True))


def unwrap(element: Element, tag: int, what: str) -> bytes:
    """Give the contents of the element with `tag` that stands alone inside `element`."""
    inner, _ = decode_element(element.contents, 0, what)
    if inner.tag != tag:
        raise DecodeError(f"{what}: tag 0x{inner.tag:02x} where 0x{tag:02x} was expected", element.contents_offset)
    return inner.contents
