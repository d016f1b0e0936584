"""A-XDR (IEC 61334-6): the encoding of COSEM data, as a typed tree and as plain Python values.

Two decoders read the same octets. `decode` gives a `Data` tree that encodes back to the same octets; `decode_plain`
gives natives (int, bytes, str, float, bool, None, list, `BitString`) and is what reads thousands of meters. Lengths
may be short or long-form everywhere. Depth and the number of elements are limited, so hostile octets exhaust
neither stack nor memory: whatever the input, the outcome is a value or a `DecodeError`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from meterops.protocols.dlms.errors import DecodeError, EncodeError

Octets = bytes | bytearray | memoryview

MAX_DEPTH: Final = 24
"""Arrays and structures may stand inside one another this deep; real meters stay below ten."""

EXPANSION_LIMIT: Final = 8
"""A compact array may unfold to this many elements an octet (and a few more): nulls in it take no octets at all."""


class Tag(IntEnum):
    """Type tags of the Data CHOICE (Green Book, COSEMpdu). `RAW_DESCRIPTOR` never travels as a tag: see `Data`."""

    NULL = 0
    ARRAY = 1
    STRUCTURE = 2
    BOOLEAN = 3
    BIT_STRING = 4
    INT32 = 5
    UINT32 = 6
    OCTET_STRING = 9
    VISIBLE_STRING = 10
    UTF8_STRING = 12
    BCD = 13
    INT8 = 15
    INT16 = 16
    UINT8 = 17
    UINT16 = 18
    COMPACT_ARRAY = 19
    INT64 = 20
    UINT64 = 21
    ENUM = 22
    FLOAT32 = 23
    FLOAT64 = 24
    DATE_TIME = 25
    DATE = 26
    TIME = 27
    DELTA_INT8 = 28
    DELTA_INT16 = 29
    DELTA_INT32 = 30
    DELTA_UINT8 = 31
    DELTA_UINT16 = 32
    DELTA_UINT32 = 33
    DONT_CARE = 255
    RAW_DESCRIPTOR = 256


@dataclass(frozen=True, slots=True)
class BitString:
    """A bit string: `length` bits, the first one the most significant of the first octet."""

    length: int
    octets: bytes

    @staticmethod
    def of(bits: str) -> BitString:
        """Make one from text such as `"1011"`."""
        padded = bits.ljust((len(bits) + 7) // 8 * 8, "0")
        return BitString(len(bits), bytes(int(padded[i : i + 8], 2) for i in range(0, len(padded), 8)))

    def __str__(self) -> str:
        return "".join(f"{octet:08b}" for octet in self.octets)[: self.length]

    def __int__(self) -> int:
        return int(str(self) or "0", 2)

    def __getitem__(self, index: int) -> bool:
        if not 0 <= index < self.length:
            raise IndexError(index)
        return bool(self.octets[index >> 3] & (0x80 >> (index & 7)))


@dataclass(frozen=True, slots=True)
class TypeDescription:
    """What the contents of a compact array look like.

    A structure has `members`; an array has `count` and one member; every other type has neither.
    """

    tag: Tag
    members: tuple[TypeDescription, ...] = ()
    count: int = 0


@dataclass(frozen=True, slots=True)
class CompactArray:
    """A compact array: one type description, then elements without tags."""

    description: TypeDescription
    elements: tuple[Data, ...]


@dataclass(frozen=True, slots=True)
class Data:
    """One COSEM value with its type.

    `value` by tag: ARRAY and STRUCTURE a tuple of `Data`; COMPACT_ARRAY a `CompactArray`; BIT_STRING a `BitString`;
    strings, DATE_TIME (12 octets), DATE (5) and TIME (4) `bytes`; BOOLEAN `bool`; NULL and DONT_CARE `None`; floats
    `float`; BCD the octet (0 to 255); all other numbers `int`. RAW_DESCRIPTOR holds the 9 octets of an attribute
    descriptor that some meters push without a tag (`decode(..., raw_descriptors=True)`).
    """

    tag: Tag
    value: Any

    def __len__(self) -> int:
        return len(self.elements)

    @property
    def elements(self) -> tuple[Data, ...]:
        """The members of an array, structure or compact array; a `DecodeError` for any other type."""
        value = self.value
        if isinstance(value, tuple):
            return value
        if isinstance(value, CompactArray):
            return value.elements
        raise DecodeError(f"{self.tag.name} where an array or structure was expected")

    def __bool__(self) -> bool:
        return True

    def plain(self) -> Any:
        """The same as natives, as `decode_plain` gives them."""
        return to_plain(self)


# --- lengths --------------------------------------------------------------------------------------


def decode_length(buf: bytes, offset: int, what: str = "length") -> tuple[int, int]:
    """Read a length (short, or long-form with up to four octets) and give it with the offset after it."""
    try:
        first = buf[offset]
        if first < 0x80:
            return first, offset + 1
        size = first & 0x7F
        end = offset + 1 + size
        if not 1 <= size <= 4:
            raise DecodeError(f"{what}: length of {size} octets", offset)
        if end > len(buf):
            raise DecodeError(f"{what}: length cut short", offset)
        return int.from_bytes(buf[offset + 1 : end], "big"), end
    except IndexError:
        raise DecodeError(f"{what}: missing", offset) from None


def encode_length(length: int) -> bytes:
    """Write a length in its shortest form."""
    if length < 0x80:
        return _SHORT_LENGTHS[length]
    size = (length.bit_length() + 7) // 8
    if size > 4:
        raise EncodeError(f"a length of {length} cannot be encoded")
    return bytes((0x80 | size,)) + length.to_bytes(size, "big")


_SHORT_LENGTHS: Final = [bytes((n,)) for n in range(0x80)]


def decode_octets(buf: bytes, offset: int, what: str = "octet string") -> tuple[bytes, int]:
    """Read a length and that many octets."""
    length, start = decode_length(buf, offset, what)
    end = start + length
    if end > len(buf):
        raise DecodeError(f"{what}: {length} octets announced, {len(buf) - start} left", offset)
    return buf[start:end], end


def encode_octets(octets: bytes) -> bytes:
    """Write a length and the octets."""
    return encode_length(len(octets)) + octets


# --- scalars of fixed size ------------------------------------------------------------------------

_FORMATS: Final[dict[Tag, str]] = {
    Tag.BOOLEAN: "?",
    Tag.INT32: "i",
    Tag.UINT32: "I",
    Tag.BCD: "B",
    Tag.INT8: "b",
    Tag.INT16: "h",
    Tag.UINT8: "B",
    Tag.UINT16: "H",
    Tag.INT64: "q",
    Tag.UINT64: "Q",
    Tag.ENUM: "B",
    Tag.FLOAT32: "f",
    Tag.FLOAT64: "d",
    Tag.DATE_TIME: "12s",
    Tag.DATE: "5s",
    Tag.TIME: "4s",
    Tag.DELTA_INT8: "b",
    Tag.DELTA_INT16: "h",
    Tag.DELTA_INT32: "i",
    Tag.DELTA_UINT8: "B",
    Tag.DELTA_UINT16: "H",
    Tag.DELTA_UINT32: "I",
    Tag.RAW_DESCRIPTOR: "9s",
}

STRUCT_FORMAT: Final[dict[int, str]] = {int(tag): code for tag, code in _FORMATS.items() if tag < 256}
"""The `struct` code (big-endian) of every scalar whose size its tag fixes."""

_STRUCTS: Final[dict[int, struct.Struct]] = {int(tag): struct.Struct(">" + code) for tag, code in _FORMATS.items()}
_TAGGED: Final[dict[int, struct.Struct]] = {
    int(tag): struct.Struct(">B" + code) for tag, code in _FORMATS.items() if tag < 256
}

_Unpack = Callable[[bytes, int], tuple[Any, ...]]
_SCALARS: Final[list[tuple[_Unpack, int] | None]] = [
    (_STRUCTS[tag].unpack_from, _STRUCTS[tag].size) if tag in _STRUCTS else None for tag in range(256)
]
_STRINGS: Final = frozenset((Tag.OCTET_STRING, Tag.VISIBLE_STRING, Tag.UTF8_STRING))
_TAGS: Final[list[Tag | None]] = [next((tag for tag in Tag if tag == value), None) for value in range(256)]


# --- plain values ---------------------------------------------------------------------------------


def decode_plain(buf: Octets, offset: int = 0) -> tuple[Any, int]:
    """Read one value as natives and give it with the offset after it.

    Arrays, structures and compact arrays become lists, visible strings (Latin-1) and UTF-8 strings (with
    replacement) `str`, octet strings and dates `bytes`, null and don't-care `None`.
    """
    return _plain(bytes(buf), offset, 0)


def _plain(buf: bytes, offset: int, depth: int) -> tuple[Any, int]:
    try:
        tag = buf[offset]
    except IndexError:
        raise DecodeError("data: tag missing", offset) from None
    scalar = _SCALARS[tag]
    if scalar is not None:
        try:
            return scalar[0](buf, offset + 1)[0], offset + 1 + scalar[1]
        except struct.error:
            raise _cut_short(tag, offset) from None
    if tag == 1 or tag == 2:
        return _plain_sequence(buf, offset, depth + 1)
    if tag == 0 or tag == 255:
        return None, offset + 1
    if tag == 9:
        return decode_octets(buf, offset + 1)
    value, end = _typed_other(buf, offset, tag, depth)
    return to_plain(value), end


def _plain_sequence(buf: bytes, offset: int, depth: int) -> tuple[list[Any], int]:
    count, offset = _sequence_head(buf, offset, depth)
    values: list[Any] = []
    append = values.append
    scalars = _SCALARS
    try:
        for _ in range(count):
            tag = buf[offset]
            scalar = scalars[tag]
            if scalar is not None:
                append(scalar[0](buf, offset + 1)[0])
                offset += 1 + scalar[1]
            elif tag == 9 and buf[offset + 1] < 0x80:
                end = offset + 2 + buf[offset + 1]
                if end > len(buf):
                    raise _cut_short(tag, offset)
                append(buf[offset + 2 : end])
                offset = end
            else:
                value, offset = _plain(buf, offset, depth)
                append(value)
    except IndexError:
        raise DecodeError(f"element {len(values) + 1} of {count}: missing", offset) from None
    except struct.error:
        raise _cut_short(buf[offset], offset) from None
    return values, offset


def end_of(buf: bytes, offset: int = 0) -> int:
    """Find where the value at `offset` ends."""
    return _plain(buf, offset, 0)[1]


def to_plain(data: Data) -> Any:
    """Turn a `Data` tree into natives, as `decode_plain` gives them."""
    value = data.value
    tag = data.tag
    if tag is Tag.ARRAY or tag is Tag.STRUCTURE:
        return [to_plain(element) for element in value]
    if tag is Tag.COMPACT_ARRAY:
        return [to_plain(element) for element in value.elements]
    if tag is Tag.VISIBLE_STRING:
        return value.decode("latin-1")
    if tag is Tag.UTF8_STRING:
        return value.decode("utf-8", "replace")
    return value


# --- the typed tree -------------------------------------------------------------------------------


def decode(buf: Octets, offset: int = 0, *, raw_descriptors: bool = False) -> tuple[Data, int]:
    """Read one value as a `Data` tree and give it with the offset after it.

    With `raw_descriptors`, a first member of a structure that begins 0x00 and looks like an attribute descriptor
    (class id, OBIS code ending in 0xFF, attribute) is taken as such: some meters push descriptors without a tag,
    which A-XDR cannot say.
    """
    return _typed(bytes(buf), offset, 0, raw_descriptors)


def decode_all(buf: Octets, *, allow_trailing: bool = False) -> Data:
    """Read one value that takes all of `buf`; octets after it are refused unless `allow_trailing`."""
    data, end = decode(buf)
    if end != len(buf) and not allow_trailing:
        raise DecodeError(f"data: {len(buf) - end} octets too many", end)
    return data


def _typed(buf: bytes, offset: int, depth: int, raw: bool) -> tuple[Data, int]:
    try:
        tag = buf[offset]
    except IndexError:
        raise DecodeError("data: tag missing", offset) from None
    if tag == 1 or tag == 2:
        return _typed_sequence(buf, offset, depth + 1, raw)
    return _typed_other(buf, offset, tag, depth)


def _typed_sequence(buf: bytes, offset: int, depth: int, raw: bool) -> tuple[Data, int]:
    tag = Tag.ARRAY if buf[offset] == 1 else Tag.STRUCTURE
    count, offset = _sequence_head(buf, offset, depth)
    elements: list[Data] = []
    for index in range(count):
        if raw and index == 0 and tag is Tag.STRUCTURE and _looks_like_descriptor(buf, offset):
            element, offset = Data(Tag.RAW_DESCRIPTOR, buf[offset : offset + 9]), offset + 9
        else:
            element, offset = _typed(buf, offset, depth, raw)
        elements.append(element)
    return Data(tag, tuple(elements)), offset


def _looks_like_descriptor(buf: bytes, offset: int) -> bool:
    return len(buf) >= offset + 9 and buf[offset] == 0 and buf[offset + 1] != 0 and buf[offset + 7] == 0xFF


def _typed_other(buf: bytes, offset: int, number: int, depth: int) -> tuple[Data, int]:
    tag = _TAGS[number]
    if tag is None:
        raise DecodeError(f"data: unknown tag {number}", offset)
    if tag is Tag.COMPACT_ARRAY:
        return _compact_array(buf, offset, depth + 1)
    return _untagged(buf, offset + 1, tag, offset)


def _untagged(buf: bytes, offset: int, tag: Tag, begins: int) -> tuple[Data, int]:
    """Read a value whose tag is known; `offset` is that of its contents, `begins` where an error is said to be."""
    scalar = _STRUCTS.get(tag)
    if scalar is not None:
        try:
            return Data(tag, scalar.unpack_from(buf, offset)[0]), offset + scalar.size
        except struct.error:
            raise _cut_short(tag, begins) from None
    if tag in _STRINGS:
        octets, end = decode_octets(buf, offset, tag.name)
        return Data(tag, octets), end
    if tag is Tag.BIT_STRING:
        bits, end = decode_bit_string(buf, offset)
        return Data(tag, bits), end
    return Data(tag, None), offset


def decode_bit_string(buf: bytes, offset: int) -> tuple[BitString, int]:
    """Read the contents of a bit string: its length in bits, then the octets."""
    length, start = decode_length(buf, offset, "BIT_STRING")
    end = start + (length + 7) // 8
    if end > len(buf):
        raise DecodeError(f"BIT_STRING: {length} bits announced, {len(buf) - start} octets left", offset)
    return BitString(length, buf[start:end]), end


def _sequence_head(buf: bytes, offset: int, depth: int) -> tuple[int, int]:
    if depth > MAX_DEPTH:
        raise DecodeError(f"data: nested deeper than {MAX_DEPTH}", offset)
    count, start = decode_length(buf, offset + 1, "number of elements")
    if count > len(buf) - start:
        raise DecodeError(f"{count} elements announced, {len(buf) - start} octets left", offset)
    return count, start


def _cut_short(tag: int, offset: int) -> DecodeError:
    return DecodeError(f"{Tag(tag).name}: cut short", offset)


# --- compact arrays -------------------------------------------------------------------------------


class _Budget:
    """Counts elements down, so that a compact array cannot unfold without bound."""

    __slots__ = ("left",)

    def __init__(self, octets: int) -> None:
        self.left = 64 + EXPANSION_LIMIT * octets

    def take(self, offset: int) -> None:
        """Count one element."""
        self.left -= 1
        if self.left < 0:
            raise DecodeError("COMPACT_ARRAY: unfolds to too many elements", offset)


def _compact_array(buf: bytes, offset: int, depth: int) -> tuple[Data, int]:
    if depth > MAX_DEPTH:
        raise DecodeError(f"data: nested deeper than {MAX_DEPTH}", offset)
    description, offset = _type_description(buf, offset + 1, depth)
    start = offset
    length, offset = decode_length(buf, start, "COMPACT_ARRAY contents")
    end = offset + length
    if end > len(buf):
        raise DecodeError(f"COMPACT_ARRAY: {length} octets announced, {len(buf) - offset} left", start)
    contents = buf[:end]
    budget = _Budget(length)
    elements: list[Data] = []
    while offset < end:
        element, after = _described(contents, offset, description, budget)
        if after == offset:
            raise DecodeError("COMPACT_ARRAY: elements of no octets", offset)
        elements.append(element)
        offset = after
    return Data(Tag.COMPACT_ARRAY, CompactArray(description, tuple(elements))), end


def _type_description(buf: bytes, offset: int, depth: int) -> tuple[TypeDescription, int]:
    if depth > MAX_DEPTH:
        raise DecodeError(f"type description: nested deeper than {MAX_DEPTH}", offset)
    if offset >= len(buf):
        raise DecodeError("type description: missing", offset)
    tag = _TAGS[buf[offset]]
    if tag is None or tag is Tag.COMPACT_ARRAY:
        raise DecodeError(f"type description: tag {buf[offset]}", offset)
    if tag is Tag.ARRAY:
        if offset + 3 > len(buf):
            raise DecodeError("type description: number of elements cut short", offset)
        count = int.from_bytes(buf[offset + 1 : offset + 3], "big")
        member, end = _type_description(buf, offset + 3, depth + 1)
        return TypeDescription(tag, (member,), count), end
    if tag is not Tag.STRUCTURE:
        return TypeDescription(tag), offset + 1
    count, end = _sequence_head(buf, offset, depth)
    members: list[TypeDescription] = []
    for _ in range(count):
        member, end = _type_description(buf, end, depth + 1)
        members.append(member)
    return TypeDescription(tag, tuple(members)), end


def _described(buf: bytes, offset: int, description: TypeDescription, budget: _Budget) -> tuple[Data, int]:
    tag = description.tag
    budget.take(offset)
    if tag is not Tag.ARRAY and tag is not Tag.STRUCTURE:
        return _untagged(buf, offset, tag, offset)
    members = description.members * description.count if tag is Tag.ARRAY else description.members
    elements: list[Data] = []
    for member in members:
        element, offset = _described(buf, offset, member, budget)
        elements.append(element)
    return Data(tag, tuple(elements)), offset


# --- encoding -------------------------------------------------------------------------------------


def encode(data: Data) -> bytes:
    """Write a value with its tag; a value its type cannot carry is an `EncodeError`."""
    out = bytearray()
    _write(out, data, 0)
    return bytes(out)


def _write(out: bytearray, data: Data, depth: int) -> None:
    tag = data.tag
    tagged = _TAGGED.get(tag)
    if tagged is not None:
        _check_fixed(data)
        try:
            out += tagged.pack(tag, data.value)
        except (struct.error, OverflowError):
            raise _unfit(data) from None
        return
    if tag is Tag.ARRAY or tag is Tag.STRUCTURE:
        if depth >= MAX_DEPTH:
            raise EncodeError(f"data nested deeper than {MAX_DEPTH}")
        out.append(tag)
        out += encode_length(len(data.elements))
        for element in data.elements:
            _write(out, element, depth + 1)
        return
    if tag is not Tag.RAW_DESCRIPTOR:
        out.append(tag)
    if tag is Tag.COMPACT_ARRAY:
        _write_compact(out, data.value, depth)
    else:
        _write_untagged(out, data)


def _write_untagged(out: bytearray, data: Data) -> None:
    tag, value = data.tag, data.value
    if tag in _STRINGS:
        if not isinstance(value, (bytes, bytearray)):
            raise _unfit(data)
        out += encode_length(len(value))
        out += value
    elif tag is Tag.BIT_STRING:
        if not isinstance(value, BitString):
            raise _unfit(data)
        out += encode_bit_string(value)
    elif tag is not Tag.NULL and tag is not Tag.DONT_CARE:
        _check_fixed(data)
        try:
            out += _STRUCTS[tag].pack(value)
        except (struct.error, OverflowError):
            raise _unfit(data) from None


def encode_bit_string(bits: BitString) -> bytes:
    """Write the contents of a bit string: its length in bits, then the octets."""
    if len(bits.octets) != (bits.length + 7) // 8:
        raise EncodeError(f"{bits!r} is not a bit string")
    return encode_length(bits.length) + bits.octets


def _write_compact(out: bytearray, value: Any, depth: int) -> None:
    if not isinstance(value, CompactArray):
        raise EncodeError(f"{value!r} is not a compact array")
    if depth >= MAX_DEPTH:
        raise EncodeError(f"data nested deeper than {MAX_DEPTH}")
    _write_description(out, value.description)
    contents = bytearray()
    for element in value.elements:
        _write_described(contents, element, value.description)
    out += encode_length(len(contents))
    out += contents


def _write_description(out: bytearray, description: TypeDescription) -> None:
    tag = description.tag
    if tag is Tag.COMPACT_ARRAY or tag is Tag.RAW_DESCRIPTOR:
        raise EncodeError(f"{tag.name} cannot stand in a compact array")
    out.append(tag)
    if tag is Tag.ARRAY:
        if len(description.members) != 1 or not 0 <= description.count <= 0xFFFF:
            raise EncodeError("the array of a type description has one member and a 16-bit count")
        out += description.count.to_bytes(2, "big")
    elif tag is Tag.STRUCTURE:
        out += encode_length(len(description.members))
    for member in description.members:
        _write_description(out, member)


def _write_described(out: bytearray, data: Data, description: TypeDescription) -> None:
    if data.tag is not description.tag:
        raise EncodeError(f"{data.tag.name} in a compact array of {description.tag.name}")
    if data.tag is Tag.ARRAY or data.tag is Tag.STRUCTURE:
        repeat = description.count if data.tag is Tag.ARRAY else 1
        members = description.members * repeat
        if len(members) != len(data.elements):
            raise EncodeError(f"{len(data.elements)} elements where the type description has {len(members)}")
        for element, member in zip(data.elements, members, strict=True):
            _write_described(out, element, member)
    else:
        _write_untagged(out, data)


_SIZED: Final = {Tag.DATE_TIME: 12, Tag.DATE: 5, Tag.TIME: 4, Tag.RAW_DESCRIPTOR: 9}


def _check_fixed(data: Data) -> None:
    """`struct` pads and truncates octets, and takes anything as a boolean: check what it does not."""
    size = _SIZED.get(data.tag)
    if size is not None and (not isinstance(data.value, bytes) or len(data.value) != size):
        raise _unfit(data)
    if data.tag is Tag.BOOLEAN and not isinstance(data.value, (bool, int)):
        raise _unfit(data)


def _unfit(data: Data) -> EncodeError:
    return EncodeError(f"{data.value!r:.60} does not fit {data.tag.name}")


# --- constructors ---------------------------------------------------------------------------------

NULL_DATA: Final = Data(Tag.NULL, None)


def null() -> Data:
    """null-data."""
    return NULL_DATA


def dont_care() -> Data:
    """dont-care."""
    return Data(Tag.DONT_CARE, None)


def boolean(value: bool) -> Data:
    """boolean."""
    return Data(Tag.BOOLEAN, bool(value))


def int8(value: int) -> Data:
    """integer (8 bits, signed)."""
    return Data(Tag.INT8, value)


def int16(value: int) -> Data:
    """long (16 bits, signed)."""
    return Data(Tag.INT16, value)


def int32(value: int) -> Data:
    """double-long (32 bits, signed)."""
    return Data(Tag.INT32, value)


def int64(value: int) -> Data:
    """long64 (64 bits, signed)."""
    return Data(Tag.INT64, value)


def uint8(value: int) -> Data:
    """unsigned (8 bits)."""
    return Data(Tag.UINT8, value)


def uint16(value: int) -> Data:
    """long-unsigned (16 bits)."""
    return Data(Tag.UINT16, value)


def uint32(value: int) -> Data:
    """double-long-unsigned (32 bits)."""
    return Data(Tag.UINT32, value)


def uint64(value: int) -> Data:
    """long64-unsigned (64 bits)."""
    return Data(Tag.UINT64, value)


def enum(value: int) -> Data:
    """enum (8 bits)."""
    return Data(Tag.ENUM, int(value))


def bcd(value: int) -> Data:
    """bcd: one octet."""
    return Data(Tag.BCD, value)


def float32(value: float) -> Data:
    """float32."""
    return Data(Tag.FLOAT32, value)


def float64(value: float) -> Data:
    """float64."""
    return Data(Tag.FLOAT64, value)


def octets(value: Octets) -> Data:
    """octet-string."""
    return Data(Tag.OCTET_STRING, bytes(value))


def visible_string(value: str | bytes) -> Data:
    """visible-string; text is written as Latin-1."""
    if isinstance(value, str):
        try:
            value = value.encode("latin-1")
        except UnicodeEncodeError:
            raise EncodeError(f"{value!r:.60} does not fit VISIBLE_STRING") from None
    return Data(Tag.VISIBLE_STRING, value)


def utf8_string(value: str | bytes) -> Data:
    """utf8-string."""
    return Data(Tag.UTF8_STRING, value.encode("utf-8", "replace") if isinstance(value, str) else value)


def bit_string(bits: BitString | str) -> Data:
    """bit-string, from a `BitString` or text such as `"1011"`."""
    return Data(Tag.BIT_STRING, BitString.of(bits) if isinstance(bits, str) else bits)


def date_time(value: bytes) -> Data:
    """date-time: 12 octets (`cosem_time.encode_epoch`)."""
    return Data(Tag.DATE_TIME, value)


def date(value: bytes) -> Data:
    """date: 5 octets."""
    return Data(Tag.DATE, value)


def time(value: bytes) -> Data:
    """time: 4 octets."""
    return Data(Tag.TIME, value)


def array(*elements: Data | Iterable[Data]) -> Data:
    """array: of the elements given one by one, or of one iterable of them."""
    return Data(Tag.ARRAY, _elements(elements))


def structure(*elements: Data | Iterable[Data]) -> Data:
    """structure: of the members given one by one, or of one iterable of them."""
    return Data(Tag.STRUCTURE, _elements(elements))


def compact_array(description: TypeDescription, elements: Iterable[Data]) -> Data:
    """compact-array: elements that all are as `description` says."""
    return Data(Tag.COMPACT_ARRAY, CompactArray(description, tuple(elements)))


def _elements(given: tuple[Data | Iterable[Data], ...]) -> tuple[Data, ...]:
    if len(given) == 1 and not isinstance(given[0], Data):
        return tuple(given[0])
    return given  # type: ignore[return-value]  # more than one argument: every one is Data by the signature's promise
