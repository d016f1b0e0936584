"""What a simulated meter sends unasked: last gasps, alarms, periodic values, as ciphered DataNotifications."""

from __future__ import annotations

import asyncio
import socket
from enum import StrEnum
from typing import Final

from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.apdu.descriptors import CaptureObject
from meterops.protocols.dlms.apdu.notification import DataNotification
from meterops.protocols.dlms.cosem_time import encode_epoch
from meterops.protocols.dlms.framing.wrapper import WrapperLink
from meterops.protocols.dlms.obis import Obis
from meterops.protocols.dlms.security import AUTHENTICATED, ENCRYPTED, EnvelopeTag, seal_general
from meterops.protocols.dlms.server.object_table import read_attribute
from meterops.simulator.meter import SimulatedMeter
from meterops.simulator.meter_events import EventCode, log_of
from meterops.simulator.meter_objects import CLOCK, LOGICAL_DEVICE_NAME, MANAGEMENT_CLIENT, PUSH_OBJECTS

_LONG_INVOKE: Final = 0x4000_0000
_MANAGEMENT_DEVICE: Final = 1

PERIODIC_OBJECTS: Final = (
    CaptureObject(1, LOGICAL_DEVICE_NAME, 2),
    CaptureObject(8, CLOCK, 2),
    CaptureObject(3, Obis.parse("1.0.1.8.0.255"), 2),
    CaptureObject(3, Obis.parse("1.0.2.8.0.255"), 2),
)
"""What a periodic push holds after the list of these objects."""


class PushKind(StrEnum):
    """Why a meter pushes."""

    LAST_GASP = "last-gasp"
    ALARM = "alarm"
    PERIODIC = "periodic"


def event_objects(code: int) -> tuple[CaptureObject, ...]:
    """What the push of an event holds: who, when, the alarm register, and the event code of the log it went to."""
    return (
        *PUSH_OBJECTS[:3],
        CaptureObject(1, Obis.parse(f"0.0.96.11.{int(log_of(code))}.255"), 2),
        *PUSH_OBJECTS[4:],
    )


def build_push(meter: SimulatedMeter, objects: tuple[CaptureObject, ...], *, ciphered: bool = True) -> bytes:
    """Build a DataNotification: a structure of the list of objects and then their values, as of now.

    Ciphered ones go into general-glo-ciphering, authenticated and encrypted, and use up one of the meter's counters.
    """
    view = meter.model.rules[MANAGEMENT_CLIENT].view
    values = [axdr.encode(axdr.array(one.data() for one in objects))]
    for one in objects:
        descriptor = one.class_id.to_bytes(2, "big") + one.obis.octets + bytes((one.attribute,))
        value = read_attribute(view, meter, descriptor, None)
        values.append(value if isinstance(value, bytes) else b"\x00")
    body = b"\x02" + axdr.encode_length(len(values)) + b"".join(values)
    counter = meter.take_counter()
    plain = DataNotification(_LONG_INVOKE | counter & 0xFF_FFFF, encode_epoch(int(meter.clock)), body).encode()
    if not ciphered:
        return plain
    control = AUTHENTICATED | ENCRYPTED | meter.suite
    protected = meter.keys.unicast_cipher.protect(plain, meter.system_title, counter, control)
    return seal_general(EnvelopeTag.GENERAL_GLO_CIPHERING, meter.system_title, protected)


def note_and_build(meter: SimulatedMeter, kind: PushKind, code: int | None = None, *, ciphered: bool = True) -> bytes:
    """Let an event happen to a meter and build the push that reports it."""
    if kind is PushKind.PERIODIC:
        return build_push(meter, PERIODIC_OBJECTS, ciphered=ciphered)
    happened = EventCode.POWER_FAILURE if code is None else code
    meter.note(happened)
    return build_push(meter, event_objects(happened), ciphered=ciphered)


class MeterPush:
    """Sends pushes to a head-end's listener over TCP (a connection each) or UDP, in wrapper frames."""

    def __init__(self, host: str, port: int, *, udp: bool = False, timeout_s: float = 5.0) -> None:
        """Send to `host`, a name or address of this machine, and `port`."""
        self._destination = (host, port)
        self._udp = udp
        self._timeout_s = timeout_s

    async def send(self, apdu: bytes, source: str | None = None) -> None:
        """Send one push, from the meter's own address if given; `OSError` or `TimeoutError` when nobody takes it."""
        framed = WrapperLink(_MANAGEMENT_DEVICE, MANAGEMENT_CLIENT).send(apdu)
        local = None if source is None else (source, 0)
        if self._udp:
            self._send_datagram(framed, local)
            return
        async with asyncio.timeout(self._timeout_s):
            _, writer = await asyncio.open_connection(*self._destination, local_addr=local)
            writer.write(framed)
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    def _send_datagram(self, framed: bytes, local: tuple[str, int] | None) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            if local is not None:
                sender.bind(local)
            sender.sendto(framed, self._destination)
