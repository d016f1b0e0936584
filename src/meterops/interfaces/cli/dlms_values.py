"""Attributes, methods and values as they are written on a command line and shown in a terminal or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from meterops.protocols.dlms import axdr, cosem_time
from meterops.protocols.dlms.apdu.descriptors import Attribute, Method
from meterops.protocols.dlms.axdr import BitString, Data
from meterops.protocols.dlms.errors import DlmsError
from meterops.protocols.dlms.obis import Obis

_NUMBERS: Final[Mapping[str, Callable[[int], Data]]] = {
    "int8": axdr.int8,
    "int16": axdr.int16,
    "int32": axdr.int32,
    "int64": axdr.int64,
    "uint8": axdr.uint8,
    "uint16": axdr.uint16,
    "uint32": axdr.uint32,
    "uint64": axdr.uint64,
    "enum": axdr.enum,
    "bcd": axdr.bcd,
}
_OTHERS: Final[Mapping[str, Callable[[str], Data]]] = {
    "bool": lambda text: axdr.boolean(_truth(text)),
    "float32": lambda text: axdr.float32(float(text)),
    "float64": lambda text: axdr.float64(float(text)),
    "octets": lambda text: axdr.octets(bytes.fromhex(text)),
    "text": axdr.visible_string,
    "utf8": axdr.utf8_string,
    "bits": axdr.bit_string,
    "time": lambda text: axdr.octets(cosem_time.encode_epoch(int(moment(text).timestamp()))),
    "axdr": lambda text: axdr.decode_all(bytes.fromhex(text)),
}
FORMS: Final = "null, " + ", ".join(f"{name}:VALUE" for name in (*_NUMBERS, *_OTHERS))


def parse_attribute(text: str) -> Attribute:
    """Read `CLASS:OBIS:ATTRIBUTE`, such as 3:1.0.1.8.0.255:2; ValueError says what is wrong."""
    return Attribute(*_target(text, "CLASS:OBIS:ATTRIBUTE, such as 3:1.0.1.8.0.255:2"))


def parse_method(text: str) -> Method:
    """Read `CLASS:OBIS:METHOD`, such as 70:0.0.96.3.10.255:1; ValueError says what is wrong."""
    return Method(*_target(text, "CLASS:OBIS:METHOD, such as 70:0.0.96.3.10.255:1"))


def parse_value(text: str) -> Data:
    """Read `TYPE:VALUE`, such as uint32:5, text:abc, octets:00ff, time:now, axdr:0203...; ValueError lists the types."""
    name, _, value = text.partition(":")
    try:
        if text == "null":
            return axdr.null()
        if name in _NUMBERS:
            data = _NUMBERS[name](int(value, 0))
        elif name in _OTHERS:
            data = _OTHERS[name](value)
        else:
            raise ValueError(f"a value is one of {FORMS}, not {text}")
        axdr.encode(data)
    except DlmsError as error:
        raise ValueError(f"{text}: {error}") from None
    return data


def moment(text: str) -> datetime:
    """Read a date or date-time (UTC where it names no zone), or `now`."""
    if text == "now":
        return datetime.now(UTC)
    read = datetime.fromisoformat(text)
    return read if read.tzinfo is not None else read.replace(tzinfo=UTC)


def shown(value: Any) -> str:
    """A plain value for people: octets as hex, beside it the text or the time they may be."""
    if isinstance(value, bytes):
        return _shown_octets(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(shown, value)) + "]"
    return "null" if value is None else str(value)


def as_json(value: Any) -> Any:
    """A plain value for programs: octets as hex, bit strings as zeros and ones."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    return str(value) if isinstance(value, BitString) else value


def _target(text: str, form: str) -> tuple[int, Obis, int]:
    class_id, _, rest = text.partition(":")
    name, _, number = rest.rpartition(":")
    try:
        return int(class_id), Obis.parse(name), int(number)
    except (ValueError, DlmsError):
        raise ValueError(f"{text}: {form} is expected") from None


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"true or false, not {text}")
    return text == "true"


def _shown_octets(octets: bytes) -> str:
    if len(octets) == 12:
        try:
            epoch = cosem_time.decode_epoch(octets)
            return f"{octets.hex()} ({datetime.fromtimestamp(epoch, UTC).isoformat()})"
        except (DlmsError, ValueError, OverflowError):
            pass  # twelve other octets
    if octets and all(32 <= octet < 127 for octet in octets):
        return f'{octets.hex()} ("{octets.decode("ascii")}")'
    return octets.hex() or '""'
