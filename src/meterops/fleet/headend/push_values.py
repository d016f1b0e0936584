"""What a pushed notification says, whatever form its body has: who it is from, registers, alarms and event codes."""

import math
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Self

from meterops.fleet.headend.sink import is_amount, is_code
from meterops.fleet.telemetry.api import INTERVAL_OFFSET, READING_TYPES, ReadingType
from meterops.protocols.dlms import axdr, flows
from meterops.protocols.dlms.obis import Obis

ALARM_LOG: Final = 100
"""The log number under which the bits of pushed alarm registers stand beside the logs read from meters."""

_MOST_PAIRS: Final = 500
_MOST_LISTS: Final = 32
_LONG: Final = 0x80
_LONGEST_IDENTITY: Final = 64
_SEQUENCES: Final = (axdr.Tag.ARRAY, axdr.Tag.STRUCTURE)


@dataclass(slots=True)
class PushedValues:
    """A notification taken apart. `registers` hold thousandths of their unit, `events` (log, code)."""

    identity: str = ""
    registers: list[tuple[ReadingType, int]] = field(default_factory=list)
    events: list[tuple[int, int]] = field(default_factory=list)


_Take = Callable[[PushedValues, Any, int | None], None]
"""Puts the value of one object, with its exponent where the body gives one, where it belongs."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Values of which all stand where they stood when first seen: their tags and lengths, and the octets of each."""

    octets: struct.Struct
    tags: tuple[bytes, ...]

    @classmethod
    def of(cls, body: bytes, offset: int, count: int) -> Self | None:
        """The layout of the values from an offset on; None where one is neither a number nor a short octet string."""
        form, tags = ">", []
        for _ in range(count):
            tag, code = body[offset], axdr.STRUCT_FORMAT.get(body[offset])
            if tag == axdr.Tag.OCTET_STRING and body[offset + 1] < _LONG:
                tags.append(body[offset : offset + 2])
                form += f"2s{body[offset + 1]}s"
                offset += 2 + body[offset + 1]
            elif code is not None:
                tags.append(body[offset : offset + 1])
                form += f"1s{code}"
                offset += 1 + struct.calcsize(">" + code)
            else:
                return None
        return cls(struct.Struct(form), tuple(tags))

    def values(self, body: bytes, offset: int) -> tuple[Any, ...] | None:
        """The values; None where they stand otherwise."""
        if len(body) != offset + self.octets.size:
            return None
        fields = self.octets.unpack_from(body, offset)
        return fields[1::2] if fields[::2] == self.tags else None


@dataclass(frozen=True, slots=True)
class _ObjectList:
    """What the octets before the values of a body say: what to do with each value, how many follow, and how they stood."""

    takes: tuple[_Take | None, ...]
    count: int
    layout: _Layout | None

    def values(self, body: bytes, offset: int) -> Iterable[Any]:
        """The values that stand in a body from an offset on; `DecodeError` where they are no A-XDR."""
        if self.layout is not None and (found := self.layout.values(body, offset)) is not None:
            return found
        return _values(body, offset, self.count)


class BodyReader:
    """Takes notifications apart, and remembers the lists of objects that stand before their values.

    A whole fleet pushes the same few lists, and a list is most of a body: one that begins with the octets of a known list need
    not have them decoded again.
    """

    def __init__(self) -> None:
        self._lists: dict[bytes, _ObjectList] = {}
        self._lengths: tuple[int, ...] = ()

    def take_apart(self, push: flows.Push) -> PushedValues:
        """Find what is known in a notification; what is not known stays in its stored octets.

        A register without its scaler is taken only where companion specifications fix one: energies, in Wh and varh.
        Raises `DecodeError` where the body is not A-XDR.
        """
        found = PushedValues()
        if push.attribute is not None:
            if push.attribute.attribute == 2:
                _take_pairs(found, [(push.attribute.obis.octets, push.values, None)])
            return found
        for length in self._lengths:
            if (known := self._lists.get(push.body[:length])) is not None:
                _take_listed(found, known.takes, known.values(push.body, length))
                return found
        self._take_body(found, push)
        return found

    def _take_body(self, found: PushedValues, push: flows.Push) -> None:
        body = push.values
        if not isinstance(body, list) or not body or len(body) > _MOST_PAIRS:
            return
        takes = _object_list(body[0])
        if takes is not None:
            if push.body[0] in _SEQUENCES:
                self._remember(push.body, takes, len(body) - 1)
            _take_listed(found, takes, body[1:])
        elif all(isinstance(one, list) for one in body):
            _take_pairs(found, _structures(body))
        else:
            _take_pairs(found, _sequence(body))

    def _remember(self, body: bytes, takes: tuple[_Take | None, ...], count: int) -> None:
        if len(self._lists) >= _MOST_LISTS:
            self._lists.clear()
        end = axdr.end_of(body, axdr.decode_length(body, 1)[1])
        self._lists[body[:end]] = _ObjectList(takes, count, _Layout.of(body, end, count))
        self._lengths = tuple({len(prefix) for prefix in self._lists})


def _values(body: bytes, offset: int, count: int) -> list[Any]:
    values = []
    for _ in range(count):
        value, offset = axdr.decode_plain(body, offset)
        values.append(value)
    return values


def _take_listed(found: PushedValues, takes: Iterable[_Take | None], values: Iterable[Any]) -> None:
    for take, value in zip(takes, values, strict=False):
        if take is not None:
            take(found, value, None)


def _take_pairs(found: PushedValues, pairs: Iterable[tuple[bytes, Any, int | None]]) -> None:
    for obis, value, exponent in pairs:
        if (take := _TAKES.get(obis)) is not None:
            take(found, value, exponent)


def _object_list(first: Any) -> tuple[_Take | None, ...] | None:
    """What to do with the value of each object that a body lists first (nothing with other attributes than the value)."""
    if not isinstance(first, list) or not first:
        return None
    for one in first:
        if not (isinstance(one, list) and len(one) >= 3 and isinstance(one[1], bytes) and len(one[1]) == 6):
            return None
    return tuple(_TAKES.get(one[1]) if one[2] == 2 else None for one in first)


def _structures(body: list[Any]) -> Iterator[tuple[bytes, Any, int | None]]:
    """Structures of OBIS, value and perhaps [scaler, unit], as Aidon's meters push them."""
    for one in body:
        if len(one) >= 2 and isinstance(one[0], bytes) and len(one[0]) == 6:
            scaled = one[2] if len(one) > 2 and isinstance(one[2], list) else None
            exponent = scaled[0] if scaled and isinstance(scaled[0], int) and -10 <= scaled[0] <= 10 else None
            yield one[0], one[1], exponent


def _sequence(body: list[Any]) -> Iterator[tuple[bytes, Any, int | None]]:
    """OBIS and value in turn, anything else between them passed over, as Kamstrup's meters push them."""
    name: bytes | None = None
    for one in body:
        if name is not None:
            yield name, one, None
            name = None
        elif isinstance(one, bytes) and len(one) == 6:
            name = one


# --- what to do with the value of an object ----------------------------------------------------------------------------


def _take_identity(found: PushedValues, value: Any, _: int | None) -> None:
    if isinstance(value, bytes | str) and value:
        text = value if isinstance(value, str) else value.decode("ascii", "replace")
        found.identity = "".join(filter(str.isprintable, text))[:_LONGEST_IDENTITY].strip()


def _take_alarms(found: PushedValues, value: Any, _: int | None) -> None:
    if is_amount(value):
        found.events += _alarm_bits(value & 0xFFFF_FFFF)


@lru_cache(maxsize=1024)
def _alarm_bits(register: int) -> tuple[tuple[int, int], ...]:
    return tuple((ALARM_LOG, bit) for bit in range(32) if register >> bit & 1)


def _event_code(log: int) -> _Take:
    def take(found: PushedValues, value: Any, _: int | None) -> None:
        if is_code(value):
            found.events.append((log, int(value)))

    return take


def _register(kind: ReadingType) -> _Take:
    def take(found: PushedValues, value: Any, exponent: int | None) -> None:
        if isinstance(value, int | float) and not isinstance(value, bool) and (exponent is not None or kind.cumulative):
            thousandths = value * 10.0 ** (3 + (exponent or 0))
            if math.isfinite(thousandths) and is_amount(amount := round(thousandths)):
                found.registers.append((kind, amount))

    return take


def _octets(*texts: str) -> Iterator[bytes]:
    return (Obis.parse(text).octets for text in texts)


_IDENTITIES: Final = ("0.0.96.1.0.255", "0.0.96.1.1.255", "0.0.42.0.0.255", "1.0.0.0.0.255", "1.1.0.0.5.255")
_ALARM_REGISTERS: Final = ("0.0.97.98.0.255", "0.0.97.98.1.255", "0.0.97.98.2.255")
_TAKES: Final[dict[bytes, _Take]] = (
    {Obis.parse(t.obis).octets: _register(t) for t in READING_TYPES.values() if t.id < INTERVAL_OFFSET}
    | {Obis.parse(f"0.0.96.11.{log}.255").octets: _event_code(log) for log in range(100)}
    | dict.fromkeys(_octets(*_ALARM_REGISTERS), _take_alarms)
    | dict.fromkeys(_octets(*_IDENTITIES), _take_identity)
)
