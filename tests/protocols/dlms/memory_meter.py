"""A small meter in memory, made of the server role, and the exchange that lets flows talk to it without a socket."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from meterops.protocols.dlms import axdr, cosem_time
from meterops.protocols.dlms.apdu.descriptors import CLOCK_COLUMN, Attribute, CaptureObject, EntryAccess, RangeAccess
from meterops.protocols.dlms.apdu.enums import ActionResult, Conformance, DataAccessResult, Mechanism
from meterops.protocols.dlms.association.client import ClientAssociation
from meterops.protocols.dlms.association.parameters import Authentication, Ciphering, ClientParameters
from meterops.protocols.dlms.association.server import ServerAssociation
from meterops.protocols.dlms.axdr import Data
from meterops.protocols.dlms.obis import Obis
from meterops.protocols.dlms.security import CounterRange, InvocationCounter, KeyRing, SecuritySuite, unwrap_key
from meterops.protocols.dlms.server.logical_device import DEFAULT_CONFORMANCE, AssociationRule, Notice
from meterops.protocols.dlms.server.object_table import (
    Access,
    CosemObject,
    ObjectTable,
    current_association,
)

CLIENT_TITLE = b"MOP\x00\x00\x00\x00\x01"
METER_TITLE = b"MTR\x00\x00\x00\x00\x07"
ENERGY = Attribute(3, Obis.parse("1.0.1.8.0.255"), 2)
NAME = Attribute(1, Obis.parse("0.0.42.0.0.255"), 2)
NOTE = Attribute(1, Obis.parse("0.0.96.50.0.255"), 2)
LIMIT = Attribute(1, Obis.parse("0.0.96.51.0.255"), 2)
MISSING = Attribute(3, Obis.parse("1.0.77.77.77.255"), 2)
COUNTER = Attribute(1, Obis.parse("0.0.43.1.0.255"), 2)
PROFILE = Obis.parse("1.0.99.1.0.255")
ECHO = Obis.parse("0.0.10.0.0.255")
PUBLIC, READER, MANAGER, SIGNER = 16, 2, 1, 3
PERIOD_S = 900
FIRST_AT = 1_772_323_200
COLUMNS = (CLOCK_COLUMN, CaptureObject(3, ENERGY.obis, 2))


@dataclass
class MemoryMeter:
    """What the objects of the meter read and change."""

    suite: SecuritySuite = SecuritySuite.SUITE_0
    conformance: Conformance = DEFAULT_CONFORMANCE
    max_pdu_size: int = 512
    rows: int = 96
    protection: int = 0x30
    system_title: bytes = METER_TITLE
    password: bytes = b"12345678"
    last_client_counter: int = 41
    note: bytes = b""
    limit: int = 5
    image: dict[int, bytes] = field(default_factory=dict)
    image_size: int = 0
    image_identifier: bytes = b""
    image_status: int = 0
    busy_answers: int = 0
    notices: list[Notice] = field(default_factory=list)
    echoed: list[Data | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        size = self.suite.key_length
        curve = ec.SECP384R1() if self.suite is SecuritySuite.SUITE_2 else ec.SECP256R1()
        own, client = ec.generate_private_key(curve), ec.generate_private_key(curve)
        symmetric = {"encryption": bytes(range(size)), "authentication": bytes(range(100, 100 + size))}
        master = bytes(range(200, 200 + size))
        self.keys = KeyRing(**symmetric, master=master, signing=own, verification=client.public_key())
        self.client_keys = KeyRing(**symmetric, master=master, signing=client, verification=own.public_key())
        self.waiting_keys: KeyRing | None = None
        self.counter = InvocationCounter(1000)
        table = ObjectTable(_objects())
        everything = table.view()
        public = table.view([NAME.obis, COUNTER.obis], writable=False)
        self.rules = {
            sap: AssociationRule(0, sap, mechanism, view, protection, self.conformance, self.max_pdu_size)
            for sap, mechanism, view, protection in (
                (PUBLIC, Mechanism.LOWEST, public, 0),
                (READER, Mechanism.LOW, everything, 0),
                (MANAGER, Mechanism.HIGH_GMAC, everything, self.protection),
                (SIGNER, Mechanism.HIGH_ECDSA, everything, self.protection),
            )
        }

    def rule_for(self, client_sap: int) -> AssociationRule | None:
        return self.rules.get(client_sap)

    def take_counter(self) -> int:
        return self.counter.take()

    def accept_client_counter(self, counter: int) -> None:
        self.last_client_counter = counter

    def noticed(self, notice: Notice) -> None:
        self.notices.append(notice)

    def answered(self) -> None:
        if self.waiting_keys is not None:
            self.keys, self.waiting_keys = self.waiting_keys, None
            self.last_client_counter = -1

    def client(self, sap: int = MANAGER, **changed: Any) -> ClientAssociation:
        """An association as the meter expects it from the client `sap`, with what is `changed`."""
        usual: dict[str, Any] = {"client_sap": sap}
        if sap == READER:
            usual |= {"authentication": Authentication.LLS, "password": self.password}
        if sap in (MANAGER, SIGNER):
            usual |= {
                "authentication": Authentication.HLS5_GMAC if sap == MANAGER else Authentication.HLS7_ECDSA,
                "system_title": CLIENT_TITLE,
                "keys": self.client_keys,
                "suite": self.suite,
                "ciphering": Ciphering.GENERAL_GLO,
                "counter": CounterRange(self.last_client_counter + 1, self.last_client_counter + 100_000),
            }
        return ClientAssociation(ClientParameters(**(usual | changed)))

    def connect(self, sap: int = MANAGER) -> Wire:
        """A connection of client `sap`."""
        return Wire(ServerAssociation(self, sap))


class Wire:
    """Carries APDUs between a flow and the meter; `tamper` may change or replace what the meter sends."""

    def __init__(self, server: ServerAssociation, tamper: Callable[[bytes], Sequence[bytes]] | None = None) -> None:
        self.server = server
        self.tamper = tamper
        self.sent: list[bytes] = []
        self.received: list[bytes] = []
        self._waiting: deque[bytes] = deque()

    def __call__(self, request: bytes) -> bytes:
        if request:
            self.sent.append(request)
            for answer in self.server.receive(request):
                self._waiting.extend([answer] if self.tamper is None else self.tamper(answer))
        assert self._waiting, f"nothing comes after {request.hex()}"
        self.received.append(self._waiting.popleft())
        return self.received[-1]


def _objects() -> list[CosemObject]:
    def number(obis: Obis, get: Callable[[MemoryMeter], int]) -> CosemObject:
        return CosemObject(1, obis, {2: lambda meter, access: axdr.encode(axdr.uint32(max(get(meter), 0)))})

    return [
        current_association(),
        CosemObject(3, ENERGY.obis, {2: axdr.encode(axdr.uint32(123_456)), 3: bytes.fromhex("02020f00161e")}),
        CosemObject(1, NAME.obis, {2: axdr.encode(axdr.octets(b"MTR0000000000007"))}),
        number(COUNTER.obis, lambda meter: meter.last_client_counter),
        CosemObject(1, NOTE.obis, {2: lambda meter, access: axdr.encode(axdr.octets(meter.note))}, {2: _set_note}),
        CosemObject(1, LIMIT.obis, {2: lambda meter, access: axdr.encode(axdr.uint16(meter.limit))}, {2: _set_limit}),
        CosemObject(
            7,
            PROFILE,
            {2: _buffer, 3: axdr.encode(axdr.array(column.data() for column in COLUMNS))},
            selectors={2: (1, 2)},
        ),
        CosemObject(9, ECHO, {2: axdr.encode(axdr.null())}, methods={1: _echo}),
        CosemObject(64, Obis.parse("0.0.43.0.0.255"), {2: axdr.encode(axdr.enum(3))}, methods={2: _take_keys}),
        CosemObject(18, Obis.parse("0.0.44.0.0.255"), _image_attributes(), methods=_image_methods()),
    ]


def _set_note(meter: MemoryMeter, value: Data) -> DataAccessResult:
    meter.note = bytes(value.value)
    return DataAccessResult.SUCCESS


def _set_limit(meter: MemoryMeter, value: Data) -> DataAccessResult:
    if value.value > 100:
        return DataAccessResult.OTHER_REASON
    meter.limit = value.value
    return DataAccessResult.SUCCESS


def _echo(meter: MemoryMeter, value: Data | None) -> tuple[ActionResult, bytes | None]:
    meter.echoed.append(value)
    return ActionResult.SUCCESS, None if value is None else axdr.encode(value)


def _buffer(meter: MemoryMeter, access: Access) -> bytes | DataAccessResult:
    numbers = range(meter.rows)
    if isinstance(access, RangeAccess):
        starts, ends = access.starts_epoch, access.ends_epoch
        numbers = [n for n in numbers if starts <= FIRST_AT + n * PERIOD_S <= ends]
    elif isinstance(access, EntryAccess):
        numbers = numbers[access.first - 1 : access.last or None]
    rows = [
        axdr.structure(axdr.octets(cosem_time.encode_epoch(FIRST_AT + n * PERIOD_S)), axdr.uint32(1000 + n))
        for n in numbers
    ]
    return axdr.encode(axdr.array(rows))


def _take_keys(meter: MemoryMeter, value: Data | None) -> tuple[ActionResult, bytes | None]:
    keys = {"encryption": meter.keys.encryption, "authentication": meter.keys.authentication}
    master = meter.keys.master
    assert value is not None
    assert master is not None
    for entry in value.elements:
        kind, wrapped = entry.elements
        name = {0: "encryption", 2: "authentication"}[kind.value]
        keys[name] = unwrap_key(master, wrapped.value)
    meter.waiting_keys = KeyRing(**keys, master=master, signing=meter.keys.signing)
    return ActionResult.SUCCESS, None


BLOCK = 100


def _image_attributes() -> dict[int, Any]:
    def missing(meter: MemoryMeter) -> int:
        blocks = -(-meter.image_size // BLOCK)
        return next((n for n in range(blocks) if n not in meter.image), blocks)

    def to_activate(meter: MemoryMeter, access: Access) -> bytes:
        if meter.image_status != 3:
            return b"\x01\x00"
        entry = axdr.structure(axdr.uint32(meter.image_size), axdr.octets(meter.image_identifier), axdr.octets(b"hash"))
        return axdr.encode(axdr.array(entry))

    return {
        2: axdr.encode(axdr.uint32(BLOCK)),
        4: lambda meter, access: axdr.encode(axdr.uint32(missing(meter))),
        5: axdr.encode(axdr.boolean(True)),
        6: lambda meter, access: axdr.encode(axdr.enum(_image_state(meter))),
        7: to_activate,
    }


def _image_state(meter: MemoryMeter) -> int:
    """Asked often enough, a busy meter gets done."""
    if meter.image_status in (2, 5):
        meter.busy_answers -= 1
        if meter.busy_answers <= 0:
            meter.image_status += 1
    return meter.image_status


def _image_methods() -> dict[int, Any]:
    def initiate(meter: MemoryMeter, value: Data | None) -> tuple[ActionResult, bytes | None]:
        assert value is not None
        identifier, size = value.elements
        meter.image_identifier, meter.image_size = identifier.value, size.value
        meter.image, meter.image_status = {}, 1
        return ActionResult.SUCCESS, None

    def transfer(meter: MemoryMeter, value: Data | None) -> tuple[ActionResult, bytes | None]:
        assert value is not None
        if meter.busy_answers > 0:
            meter.busy_answers -= 1
            return ActionResult.TEMPORARY_FAILURE, None
        number, block = value.elements
        meter.image[number.value] = block.value
        return ActionResult.SUCCESS, None

    def verify(meter: MemoryMeter, value: Data | None) -> tuple[ActionResult, bytes | None]:
        if meter.image_size != sum(map(len, meter.image.values())):
            return ActionResult.OTHER_REASON, None
        meter.image_status = 2 if meter.busy_answers else 3
        return (ActionResult.TEMPORARY_FAILURE if meter.busy_answers else ActionResult.SUCCESS), None

    def activate(meter: MemoryMeter, value: Data | None) -> tuple[ActionResult, bytes | None]:
        meter.image_status = 5 if meter.busy_answers else 6
        return (ActionResult.TEMPORARY_FAILURE if meter.busy_answers else ActionResult.SUCCESS), None

    return {1: initiate, 2: transfer, 3: verify, 4: activate}
