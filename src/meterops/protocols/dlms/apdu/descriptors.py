"""What a service is about: attributes, methods, and selections within an attribute."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from meterops.protocols.dlms import axdr, cosem_time
from meterops.protocols.dlms.apdu.reader import Reader
from meterops.protocols.dlms.axdr import Data, Tag
from meterops.protocols.dlms.errors import DecodeError, EncodeError
from meterops.protocols.dlms.obis import Obis

_DESCRIPTOR: Final = struct.Struct(">H6sB")


class _Descriptor:
    """Class id, object name and a number within the object; the nine octets are made once."""

    __slots__ = ("class_id", "number", "obis", "octets")

    def __init__(self, class_id: int, obis: Obis, number: int) -> None:
        try:
            self.octets: Final = _DESCRIPTOR.pack(class_id, obis.octets, number & 0xFF)
        except struct.error:
            raise EncodeError(f"class id {class_id} is not a 16-bit number") from None
        if not -128 <= number <= 255:
            raise EncodeError(f"{number} is not the number of an attribute or method")
        self.class_id: Final = class_id
        self.obis: Final = obis
        self.number: Final = number

    def __eq__(self, other: object) -> bool:
        return self is other or (type(other) is type(self) and self.octets == other.octets)

    def __hash__(self) -> int:
        return hash(self.octets)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.class_id}, {self.obis.__repr__()}, {self.number})"

    def __str__(self) -> str:
        return f"{self.class_id}/{self.obis}/{self.number}"


class Attribute(_Descriptor):
    """cosem-attribute-descriptor: `Attribute(3, Obis.parse("1.0.1.8.0.255"), 2)`; negative numbers are a
    manufacturer's.
    """

    __slots__ = ()

    def __init__(self, class_id: int, obis: Obis, attribute: int) -> None:
        super().__init__(class_id, obis, attribute)

    @property
    def attribute(self) -> int:
        """The attribute's number, 0 for all of them."""
        return self.number


class Method(_Descriptor):
    """cosem-method-descriptor: `Method(70, Obis.parse("0.0.96.3.10.255"), 1)`."""

    __slots__ = ()

    def __init__(self, class_id: int, obis: Obis, method: int) -> None:
        super().__init__(class_id, obis, method)

    @property
    def method(self) -> int:
        """The method's number."""
        return self.number


@dataclass(frozen=True, slots=True)
class CaptureObject:
    """capture_object_definition: which attribute a column of a profile captures; `data_index` 0 is the whole
    attribute.
    """

    class_id: int
    obis: Obis
    attribute: int
    data_index: int = 0

    def data(self) -> Data:
        """The structure of four that describes the column."""
        return axdr.structure(
            axdr.uint16(self.class_id),
            axdr.octets(self.obis.octets),
            axdr.int8(self.attribute),
            axdr.uint16(self.data_index),
        )

    @staticmethod
    def of(data: Data) -> CaptureObject:
        """Read the structure of four; another shape is a `DecodeError`."""
        members = data.elements
        if [member.tag for member in members] != _CAPTURE_OBJECT_TAGS:
            raise DecodeError("capture object: not a structure of class id, logical name, attribute and data index")
        class_id, name, attribute, data_index = members
        return CaptureObject(class_id.value, Obis.of(name.value), attribute.value, data_index.value)


_CAPTURE_OBJECT_TAGS: Final = [Tag.UINT16, Tag.OCTET_STRING, Tag.INT8, Tag.UINT16]

CLOCK_COLUMN: Final = CaptureObject(8, Obis.parse("0.0.1.0.0.255"), 2)
"""The time of the clock: what profiles are sorted and selected by."""


@dataclass(frozen=True, slots=True)
class RangeAccess:
    """range_descriptor (selector 1 of a profile generic buffer): rows with `starts` <= restricting column <= `ends`.

    The bounds are `Data`, most often octet strings of 12 octets; `RangeAccess.between` makes them from epochs. No
    `columns` means all of them.
    """

    starts: Data
    ends: Data
    columns: tuple[CaptureObject, ...] = ()
    restricting: CaptureObject = CLOCK_COLUMN

    @staticmethod
    def between(
        starts_epoch: int,
        ends_epoch: int,
        columns: tuple[CaptureObject, ...] = (),
        deviation_minutes: int = 0,
    ) -> RangeAccess:
        """Select by the clock: both bounds in seconds since 1970 UTC, both included, written as octet strings."""
        return RangeAccess(
            Data(Tag.OCTET_STRING, cosem_time.encode_epoch(starts_epoch, deviation_minutes)),
            Data(Tag.OCTET_STRING, cosem_time.encode_epoch(ends_epoch, deviation_minutes)),
            columns,
        )

    @property
    def starts_epoch(self) -> int:
        """The lower bound in seconds since 1970 UTC."""
        return bound_epoch(self.starts)

    @property
    def ends_epoch(self) -> int:
        """The upper bound in seconds since 1970 UTC."""
        return bound_epoch(self.ends)

    def encode(self) -> bytes:
        """Write selector and parameters."""
        return b"".join(
            (
                _RANGE_HEAD,
                _CLOCK_COLUMN_OCTETS if self.restricting is CLOCK_COLUMN else axdr.encode(self.restricting.data()),
                axdr.encode(self.starts),
                axdr.encode(self.ends),
                axdr.encode(axdr.array(column.data() for column in self.columns)),
            )
        )


_RANGE_HEAD: Final = b"\x01\x02\x04"
_CLOCK_COLUMN_OCTETS: Final = axdr.encode(CLOCK_COLUMN.data())


def bound_epoch(bound: Data) -> int:
    """Read a bound of a range as seconds since 1970 UTC: a date-time (or octet string of one), or an integer as it
    is.
    """
    value = bound.value
    if isinstance(value, bytes):
        return cosem_time.decode_epoch(value)
    if isinstance(value, int):
        return int(value)
    raise DecodeError(f"range: {bound.tag.name} as a bound")


@dataclass(frozen=True, slots=True)
class EntryAccess:
    """entry_descriptor (selector 2 of a profile generic buffer): rows `first` to `last`, columns `first_column` to
    `last_column`.

    All count from 1 and are included; `last` 0 and `last_column` 0 mean the highest there is.
    """

    first: int
    last: int = 0
    first_column: int = 1
    last_column: int = 0

    def encode(self) -> bytes:
        """Write selector and parameters."""
        try:
            return _ENTRY.pack(2, 2, 4, 6, self.first, 6, self.last, 18, self.first_column, 18, self.last_column)
        except struct.error:
            raise EncodeError(f"{self!r} does not fit an entry descriptor") from None


_ENTRY: Final = struct.Struct(">BBBBIBIBHBH")


@dataclass(frozen=True, slots=True)
class OtherAccess:
    """Any other selection: the selector and its parameters as A-XDR octets."""

    selector: int
    parameters: bytes

    def encode(self) -> bytes:
        """Write selector and parameters."""
        if not 0 <= self.selector <= 255:
            raise EncodeError(f"{self.selector} is not an access selector")
        return bytes((self.selector,)) + self.parameters


Access = RangeAccess | EntryAccess | OtherAccess
AttributeSelection = tuple[Attribute, Access | None]


def read_attribute(reader: Reader) -> Attribute:
    """Read a cosem-attribute-descriptor."""
    class_id, name, number = _DESCRIPTOR.unpack(reader.take(9, "attribute descriptor"))
    return Attribute(class_id, Obis.of(name), number if number < 128 else number - 256)


def read_method(reader: Reader) -> Method:
    """Read a cosem-method-descriptor."""
    class_id, name, number = _DESCRIPTOR.unpack(reader.take(9, "method descriptor"))
    return Method(class_id, Obis.of(name), number if number < 128 else number - 256)


def read_optional_access(reader: Reader, class_id: int) -> Access | None:
    """Read an OPTIONAL selective access descriptor; one that is left out at the end of an APDU counts as absent."""
    if reader.at_end() or not reader.flag("presence of selective access"):
        return None
    return read_access(reader, class_id)


def read_access(reader: Reader, class_id: int) -> Access:
    """Read a selective access descriptor of an attribute of `class_id`."""
    selector = reader.uint8("access selector")
    parameters = reader.value("access parameters")
    if class_id == 7 and selector == 1:
        return _range_access(parameters)
    if class_id == 7 and selector == 2:
        return _entry_access(parameters)
    return OtherAccess(selector, parameters)


def read_attribute_with_access(reader: Reader) -> AttributeSelection:
    """Read a cosem-attribute-descriptor-with-selection."""
    attribute = read_attribute(reader)
    return attribute, read_optional_access(reader, attribute.class_id)


def encode_optional_access(access: Access | None) -> bytes:
    """Write an OPTIONAL selective access descriptor."""
    return b"\x00" if access is None else b"\x01" + access.encode()


def encode_attribute_with_access(selection: AttributeSelection) -> bytes:
    """Write a cosem-attribute-descriptor-with-selection."""
    return selection[0].octets + encode_optional_access(selection[1])


def _range_access(parameters: bytes) -> Access:
    data = axdr.decode_all(parameters)
    if data.tag is Tag.STRUCTURE and len(data.value) == 4:
        restricting, starts, ends, columns = data.value
        if columns.tag is Tag.ARRAY:
            try:
                return RangeAccess(
                    starts,
                    ends,
                    tuple(CaptureObject.of(column) for column in columns.value),
                    CaptureObject.of(restricting),
                )
            except DecodeError:  # another shape than the standard's is kept as it came
                return OtherAccess(1, parameters)
    return OtherAccess(1, parameters)


def _entry_access(parameters: bytes) -> Access:
    data = axdr.decode_all(parameters)
    if data.tag is Tag.STRUCTURE and [member.tag for member in data.value] == _ENTRY_TAGS:
        first, last, first_column, last_column = data.value
        return EntryAccess(first.value, last.value, first_column.value, last_column.value)
    return OtherAccess(2, parameters)


_ENTRY_TAGS: Final = [Tag.UINT32, Tag.UINT32, Tag.UINT16, Tag.UINT16]
