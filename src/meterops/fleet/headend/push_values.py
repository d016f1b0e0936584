"""What a pushed notification says, whatever form its body has: who it is from, registers, alarms and event codes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from meterops.fleet.telemetry.api import INTERVAL_OFFSET, READING_TYPES, ReadingType
from meterops.protocols.dlms import flows
from meterops.protocols.dlms.obis import Obis

ALARM_LOG = 100
"""The log number under which the bits of pushed alarm registers stand beside the logs read from meters."""

_ALARM_REGISTERS = frozenset({"0.0.97.98.0.255", "0.0.97.98.1.255", "0.0.97.98.2.255"})
_EVENT_CODE = "0.0.96.11."
_IDENTITIES = frozenset({"0.0.96.1.0.255", "0.0.96.1.1.255", "0.0.42.0.0.255", "1.0.0.0.0.255", "1.1.0.0.5.255"})
_TYPES = {t.obis: t for t in READING_TYPES.values() if t.id < INTERVAL_OFFSET}
_MOST_PAIRS = 500


@dataclass(slots=True)
class PushedValues:
    """A notification taken apart. `registers` hold thousandths of their unit, `events` (log, code)."""

    identity: str = ""
    registers: list[tuple[ReadingType, int]] = field(default_factory=list)
    events: list[tuple[int, int]] = field(default_factory=list)


def take_apart(push: flows.Push) -> PushedValues:
    """Find what is known in a notification; what is not known stays in its stored octets.

    A register without its scaler is taken only where companion specifications fix one: energies, in Wh and varh.
    """
    found = PushedValues()
    for obis, value, exponent in _pairs(push):
        _take(found, obis, value, exponent)
    return found


def _take(found: PushedValues, obis: str, value: Any, exponent: int | None) -> None:
    if obis in _IDENTITIES and isinstance(value, bytes | str) and value:
        found.identity = value if isinstance(value, str) else value.decode("ascii", "replace").strip("\x00 ")
    elif not isinstance(value, int | float) or isinstance(value, bool):
        return
    elif obis in _ALARM_REGISTERS:
        found.events += [(ALARM_LOG, bit) for bit in range(32) if int(value) >> bit & 1]
    elif obis.startswith(_EVENT_CODE):
        found.events.append((int(obis.split(".")[4]), int(value)))
    elif (kind := _TYPES.get(obis)) is not None and (exponent is not None or kind.cumulative):
        found.registers.append((kind, round(value * 10.0 ** (3 + (exponent or 0)))))


def _pairs(push: flows.Push) -> Iterator[tuple[str, Any, int | None]]:
    """(OBIS, value, exponent where the body gives one) for every attribute 2 that the body names."""
    if push.attribute is not None:
        if push.attribute.attribute == 2:
            yield str(push.attribute.obis), push.values, None
        return
    body = push.values
    if not isinstance(body, list) or not body or len(body) > _MOST_PAIRS:
        return
    objects = _object_list(body[0])
    if objects is not None:
        yield from ((obis, value, None) for obis, value in zip(objects, body[1:], strict=False) if obis)
    elif all(isinstance(one, list) for one in body):
        yield from _structures(body)
    else:
        yield from _sequence(body)


def _object_list(first: Any) -> list[str] | None:
    """The OBIS of each object that a body lists in front of its values ("" for other attributes than the value)."""
    if not isinstance(first, list) or not first:
        return None
    names = []
    for one in first:
        if not (isinstance(one, list) and len(one) >= 3 and isinstance(one[1], bytes) and len(one[1]) == 6):
            return None
        names.append(str(Obis.of(one[1])) if one[2] == 2 else "")
    return names


def _structures(body: list[Any]) -> Iterator[tuple[str, Any, int | None]]:
    """Structures of OBIS, value and perhaps [scaler, unit], as Aidon's meters push them."""
    for one in body:
        if len(one) >= 2 and isinstance(one[0], bytes) and len(one[0]) == 6:
            scaled = one[2] if len(one) > 2 and isinstance(one[2], list) else None
            exponent = scaled[0] if scaled and isinstance(scaled[0], int) and -10 <= scaled[0] <= 10 else None
            yield str(Obis.of(one[0])), one[1], exponent


def _sequence(body: list[Any]) -> Iterator[tuple[str, Any, int | None]]:
    """OBIS and value in turn, anything else between them passed over, as Kamstrup's meters push them."""
    name: bytes | None = None
    for one in body:
        if name is not None:
            yield str(Obis.of(name)), one, None
            name = None
        elif isinstance(one, bytes) and len(one) == 6:
            name = one
