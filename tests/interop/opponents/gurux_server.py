"""A meter whose octets are made by gurux-dlms, an implementation that shares nothing with ours, for trying our client.

    .venv-gurux/bin/python tests/interop/opponents/gurux_server.py --port 4061 --drop-every 7

The server that gurux-dlms 1.0.203 brings along cannot answer an AARQ, so associations and services are handled here.
Gurux does the rest: it parses the AARQ and makes the InitiateResponse, ciphers (its own AES-GCM) and answers
challenges, codes all data, makes and checks HDLC frames. It takes any GCM tag for a good one, so tags and counters are
checked here. Client SAPs: 16 public, 2 password, 1 HLS5-GMAC. Writes `READY host port` when it listens.
Runs in an environment of its own (GPL-2) and is never imported by anything of ours.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import os
import socketserver
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from gurux_dlms import GXByteBuffer, GXDateTime, GXReplyData
from gurux_dlms._GXAPDU import _GXAPDU
from gurux_dlms.AesGcmParameter import AesGcmParameter
from gurux_dlms.enums import Authentication, Command, Conformance, DataType, InterfaceType, Security
from gurux_dlms.GXCiphering import GXCiphering
from gurux_dlms.GXDLMS import GXDLMS
from gurux_dlms.GXDLMSSettings import GXDLMSSettings
from gurux_dlms.GXSecure import GXSecure
from gurux_dlms.internal._GXCommon import _GXCommon
from gurux_dlms.internal._GXDataInfo import _GXDataInfo

TITLE = b"GRX\x00\x00\x00\x30\x39"
MECHANISM_OF_SAP = {16: Authentication.NONE, 2: Authentication.LOW, 1: Authentication.HIGH_GMAC}
OFFERED = (
    Conformance.GENERAL_PROTECTION
    | Conformance.BLOCK_TRANSFER_WITH_GET_OR_READ
    | Conformance.BLOCK_TRANSFER_WITH_SET_OR_WRITE
    | Conformance.BLOCK_TRANSFER_WITH_ACTION
    | Conformance.SELECTIVE_ACCESS
    | Conformance.MULTIPLE_REFERENCES
    | Conformance.GET
    | Conformance.SET
    | Conformance.ACTION
)
SUCCESS, DENIED, UNDEFINED, UNMATCHED, OTHER = 0, 3, 4, 12, 250
NOT_POSSIBLE, BAD_CIPHER, NO_SERVICE = b"\xd8\x01\x01", b"\xd8\x01\x05", b"\xd8\x02\x02"
BLOCK_SIZE = 200
SETTINGS = GXDLMSSettings(True, None)


def silenced():
    """gurux-dlms prints what it ciphers."""
    return contextlib.redirect_stdout(io.StringIO())


def coded(kind: DataType, value) -> bytes:
    """Let Gurux encode a value."""
    buffer = GXByteBuffer()
    _GXCommon.setData(SETTINGS, buffer, kind, value)
    return bytes(buffer.array())


def count(number: int) -> bytes:
    buffer = GXByteBuffer()
    _GXCommon.setObjectCount(number, buffer)
    return bytes(buffer.array())


def group(kind: int, members: list[bytes]) -> bytes:
    """An array (1) or a structure (2) of encoded members."""
    return bytes((kind,)) + count(len(members)) + b"".join(members)


def octets(value: bytes) -> bytes:
    return coded(DataType.OCTET_STRING, bytearray(value))


def stamp(moment: datetime) -> bytes:
    return coded(DataType.OCTET_STRING, GXDateTime(moment))


def name_of(text: str) -> bytes:
    return bytes(int(part) for part in text.split("."))


def moment_of(value) -> datetime:
    """A date-time that a client sent, as Gurux decodes it."""
    decoded = value
    if isinstance(value, (bytes, bytearray)):
        decoded = _GXCommon.changeType(SETTINGS, bytearray(value), DataType.DATETIME)
    moment = decoded.value
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


class Meter:
    """What outlives connections: keys, counters, objects."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.lock = threading.RLock()
        self.title = TITLE
        self.keys = {0: options.encryption_key, 2: options.authentication_key, 3: options.master_key}
        self.new_keys: dict[int, bytes] = {}
        self.sent_counter = 0
        self.seen_counter = 0
        self.clock_ahead = timedelta(0)
        self.connected = True
        self.alarms = 0x11
        self.note = b""
        self.answers = 0
        self.image: dict[int, bytes] = {}
        self.image_name, self.image_size, self.image_status = b"", 0, 0
        self.readers = self._readers()
        self.writers = self._writers()
        self.methods = self._methods()

    def counter(self) -> int:
        self.sent_counter += 1
        return self.sent_counter

    def _readers(self) -> dict[tuple[int, bytes, int], Callable]:
        readers: dict[tuple[int, bytes, int], Callable] = {}

        def add(class_id: int, name: str, *attributes: Callable) -> None:
            obis = name_of(name)
            readers[class_id, obis, 1] = lambda chosen: octets(obis)
            for number, read in enumerate(attributes, 2):
                readers[class_id, obis, number] = read

        add(1, "0.0.42.0.0.255", lambda chosen: octets(b"GRX0000000012345"))
        add(1, "0.0.43.1.0.255", lambda chosen: coded(DataType.UINT32, self.seen_counter))
        add(1, "0.0.97.98.0.255", lambda chosen: coded(DataType.UINT32, self.alarms))
        add(1, "0.0.96.50.0.255", lambda chosen: octets(self.note))
        add(8, "0.0.1.0.0.255", lambda chosen: stamp(datetime.now(UTC).replace(microsecond=0) + self.clock_ahead))
        for number, name in enumerate(("1.0.1.8.0.255", "1.0.2.8.0.255", "1.0.3.8.0.255", "1.0.4.8.0.255")):
            unit = group(2, [coded(DataType.INT8, 0), coded(DataType.ENUM, 30 if number < 2 else 32)])
            value = coded(DataType.UINT32, 123456 + number)
            add(3, name, lambda chosen, value=value: value, lambda chosen, unit=unit: unit)
        tenths = group(2, [coded(DataType.INT8, -1), coded(DataType.ENUM, 35)])
        add(3, "1.0.32.7.0.255", lambda chosen: coded(DataType.UINT16, 2301), lambda chosen: tenths)
        columns = [(8, "0.0.1.0.0.255"), (3, "1.0.1.8.0.255"), (3, "1.0.2.8.0.255")]
        captured = group(1, [self._column(class_id, name) for class_id, name in columns])
        add(
            *(7, "1.0.99.1.0.255", self._rows, lambda chosen: captured),
            *(lambda chosen: coded(DataType.UINT32, 900), lambda chosen: coded(DataType.ENUM, 1)),
            lambda chosen: self._column(8, "0.0.1.0.0.255"),
            *[lambda chosen: coded(DataType.UINT32, self.options.rows)] * 2,
        )
        states = (lambda chosen: coded(DataType.BOOLEAN, self.connected),)
        add(70, "0.0.96.3.10.255", *states, lambda chosen: coded(DataType.ENUM, int(self.connected)))
        add(
            *(18, "0.0.44.0.0.255", lambda chosen: coded(DataType.UINT32, BLOCK_SIZE)),
            lambda chosen: coded(DataType.BITSTRING, "".join("01"[n in self.image] for n in range(self._blocks))),
            lambda chosen: coded(DataType.UINT32, self._first_missing()),
            lambda chosen: coded(DataType.BOOLEAN, True),
            lambda chosen: coded(DataType.ENUM, self.image_status),
            lambda chosen: self._to_activate(),
        )
        add(64, "0.0.43.0.0.255", lambda chosen: coded(DataType.ENUM, 3), lambda chosen: coded(DataType.ENUM, 0))
        add(15, "0.0.40.0.0.255", lambda chosen: self._object_list())
        return readers

    def _object_list(self) -> bytes:
        listed: dict[tuple[int, bytes], list[int]] = {}
        for class_id, obis, number in self.readers:
            listed.setdefault((class_id, obis), []).append(number)
        entries = []
        for (class_id, obis), numbers in listed.items():
            modes = [
                group(2, [coded(DataType.INT8, number), coded(DataType.ENUM, 1), coded(DataType.NONE, None)])
                for number in numbers
            ]
            version = 1 if class_id in (7, 15) else 0
            head = [coded(DataType.UINT16, class_id), coded(DataType.UINT8, version), octets(obis)]
            entries.append(group(2, [*head, group(2, [group(1, modes), group(1, [])])]))
        return group(1, entries)

    @staticmethod
    def _column(class_id: int, name: str) -> bytes:
        kinds = (DataType.UINT16, DataType.INT8, DataType.UINT16)
        first, attribute, index = (coded(kind, value) for kind, value in zip(kinds, (class_id, 2, 0), strict=True))
        return group(2, [first, octets(name_of(name)), attribute, index])

    def _rows(self, chosen) -> bytes:
        numbers = range(self.options.rows)
        at = [self.options.start + timedelta(seconds=900 * number) for number in numbers]
        if chosen is not None and chosen[0] == 1:
            starts, ends = moment_of(chosen[1][1]), moment_of(chosen[1][2])
            numbers = [number for number in numbers if starts <= at[number] <= ends]
        elif chosen is not None:
            first, last = chosen[1][0], chosen[1][1]
            numbers = numbers[first - 1 : last or None]
        rows = []
        for number in numbers:
            energy = [coded(DataType.UINT32, 100_000 + 7 * number), coded(DataType.UINT32, 5_000 + number)]
            rows.append(group(2, [stamp(at[number]), *energy]))
        return group(1, rows)

    def _writers(self) -> dict[tuple[int, bytes, int], Callable]:
        def clock(value) -> None:
            self.clock_ahead = moment_of(value) - datetime.now(UTC)

        def alarms(value) -> None:
            self.alarms &= ~value

        def note(value) -> None:
            self.note = bytes(value)

        return {
            (8, name_of("0.0.1.0.0.255"), 2): clock,
            (1, name_of("0.0.97.98.0.255"), 2): alarms,
            (1, name_of("0.0.96.50.0.255"), 2): note,
        }

    def _methods(self) -> dict[tuple[int, bytes, int], Callable]:
        control, image, setup = (name_of(text) for text in ("0.0.96.3.10.255", "0.0.44.0.0.255", "0.0.43.0.0.255"))
        return {
            (70, control, 1): lambda given: self._switch(False),
            (70, control, 2): lambda given: self._switch(True),
            (18, image, 1): self._initiate,
            (18, image, 2): self._block,
            (18, image, 3): self._verify,
            (18, image, 4): self._activate,
            (64, setup, 2): self._take_keys,
        }

    def _switch(self, connected: bool) -> int:
        self.connected = connected
        return SUCCESS

    @property
    def _blocks(self) -> int:
        return -(-self.image_size // BLOCK_SIZE)

    def _first_missing(self) -> int:
        return next((number for number in range(self._blocks) if number not in self.image), self._blocks)

    def _whole_image(self) -> bytes:
        return b"".join(self.image[number] for number in sorted(self.image))

    def _to_activate(self) -> bytes:
        if self.image_status not in (3, 6):
            return group(1, [])
        digest = hashlib.sha256(self._whole_image()).digest()
        return group(1, [group(2, [coded(DataType.UINT32, self.image_size), octets(self.image_name), octets(digest)])])

    def _initiate(self, given) -> int:
        self.image_name, self.image_size = bytes(given[0]), given[1]
        self.image, self.image_status = {}, 1
        return SUCCESS

    def _block(self, given) -> int:
        if self.image_status != 1 or not 0 <= given[0] < self._blocks:
            return OTHER
        self.image[given[0]] = bytes(given[1])
        return SUCCESS

    def _verify(self, given) -> int:
        whole = self.image_size > 0 and len(self._whole_image()) == self.image_size
        self.image_status = 3 if whole else 4
        return SUCCESS if whole else OTHER

    def _activate(self, given) -> int:
        if self.image_status != 3:
            return OTHER
        self.image_status = 6
        return SUCCESS

    def _take_keys(self, given) -> int:
        unwrapped = {int(kind): aes_key_unwrap(self.keys[3], bytes(wrapped)) for kind, wrapped in given}
        self.new_keys = unwrapped
        return SUCCESS

    def put_on_new_keys(self) -> None:
        if self.new_keys:
            if 0 in self.new_keys:
                self.seen_counter = self.sent_counter = 0
            self.keys.update(self.new_keys)
            self.new_keys = {}


class Refused(Exception):
    """An APDU that is answered with an exception."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(answer.hex())
        self.answer = answer


class Association:
    """One connection: at most one association, and the services in it."""

    def __init__(self, meter: Meter, *, hdlc: bool) -> None:
        self.meter = meter
        self.settings = GXDLMSSettings(True, None)
        self.settings.interfaceType = InterfaceType.HDLC if hdlc else InterfaceType.WRAPPER
        self.settings.cipher = GXCiphering(bytearray(meter.title))
        self.state = "idle"
        self.sap = 16
        self.ciphered = False
        self.room = 0xFFFF
        self.sending: tuple[bytes, int, int] | None = None
        self.receiving: tuple[bytes, bytearray, int] | None = None

    def answer(self, apdu: bytes, sap: int) -> bytes:
        with self.meter.lock:
            try:
                answer = self._answer(apdu, sap)
            except Refused as refused:
                return refused.answer
            self.meter.put_on_new_keys()
            return answer

    def _answer(self, apdu: bytes, sap: int) -> bytes:
        if apdu[0] == 0x60:
            return self._associate(apdu, sap)
        if apdu[0] == 0x62:
            self.state = "idle"
            return b"\x63\x03\x80\x01\x00"
        if self.state == "idle":
            raise Refused(NOT_POSSIBLE)
        tag = apdu[0]
        general, dedicated = tag in (0xDB, 0xDC), tag == 0xDC or 0xD0 <= tag <= 0xD7
        if not general and not 0xC8 <= tag <= 0xD7:
            if self.ciphered:
                raise Refused(NOT_POSSIBLE)
            return self._serve(apdu)
        key = bytes(self.settings.cipher.dedicatedKey or b"") if dedicated else self.meter.keys[0]
        answer = self._serve(self._opened(apdu, key, counted=not dedicated))
        if answer[0] == 0xD8:
            return answer
        return self._sealed(tag if general else answer[0] + (16 if dedicated else 8), key, answer)

    # Ciphering: Gurux' AES, our checks

    def _parameters(self, tag: int, title: bytes, key: bytes) -> AesGcmParameter:
        own = self.meter.keys[2]
        parameters = AesGcmParameter(tag, bytearray(title), bytearray(key), bytearray(own))
        parameters.security = Security.AUTHENTICATION_ENCRYPTION
        return parameters

    def _sealed(self, tag: int, key: bytes, plain: bytes) -> bytes:
        parameters = self._parameters(tag, self.meter.title, key)
        parameters.invocationCounter = self.meter.counter()
        with silenced():
            return bytes(GXCiphering.encrypt(parameters, bytearray(plain)))

    def _opened(self, apdu: bytes, key: bytes, *, counted: bool) -> bytes:
        if not key:
            raise Refused(BAD_CIPHER)
        parameters = self._parameters(0, bytes(self.settings.sourceSystemTitle), key)
        with silenced():
            plain = bytes(GXCiphering.decrypt(self.settings, parameters, GXByteBuffer(bytearray(apdu))))
            again = self._parameters(Command.GLO_GET_REQUEST, bytes(parameters.systemTitle), key)
            again.invocationCounter = parameters.invocationCounter
            sealed = bytes(GXCiphering.encrypt(again, bytearray(plain)))
        if parameters.security != Security.AUTHENTICATION_ENCRYPTION or sealed[-12:] != apdu[-12:]:
            raise Refused(BAD_CIPHER)
        if counted:
            self._count(parameters.invocationCounter)
        return plain

    def _count(self, counter: int) -> None:
        if counter <= self.meter.seen_counter:
            raise Refused(b"\xd8\x01\x06" + (self.meter.seen_counter + 1).to_bytes(4, "big"))
        self.meter.seen_counter = counter

    # Associations

    def _associate(self, aarq: bytes, sap: int) -> bytes:
        settings, meter = self.settings, self.meter
        cipher = settings.cipher
        cipher.blockCipherKey, cipher.authenticationKey = bytearray(meter.keys[0]), bytearray(meter.keys[2])
        cipher.dedicatedKey, cipher.security = None, Security.NONE
        settings.proposedConformance, settings.negotiatedConformance = OFFERED, Conformance.NONE
        settings.maxServerPDUSize, settings.maxPduSize = meter.options.max_pdu, 0xFFFF
        settings.authentication, settings.password = Authentication.NONE, None
        settings.sourceSystemTitle = None
        self.sap, self.state, self.sending, self.receiving = sap, "idle", None, None
        try:
            with silenced():
                _GXAPDU.parsePDU(settings, cipher, GXByteBuffer(bytearray(aarq)), None)
        except Exception:  # under another key the InitiateRequest is noise, on which Gurux stumbles
            self.ciphered = True
            return self._aare(13)
        self.ciphered = cipher.security != Security.NONE
        if self.ciphered:
            self._opened(aarq[self._user_information(aarq) + 4 :], meter.keys[0], counted=True)
        diagnostic = self._judge()
        self.room = min(settings.maxPduSize or 0xFFFF, meter.options.max_pdu)
        return self._aare(diagnostic)

    @staticmethod
    def _user_information(aarq: bytes) -> int:
        """Find the field BE by walking the fields."""
        position = 2
        while aarq[position] != 0xBE:
            position += 2 + aarq[position + 1]
        return position

    def _judge(self) -> int:
        """The diagnostic: 0 in order, 14 a challenge must be answered, others refuse."""
        settings = self.settings
        wanted = MECHANISM_OF_SAP.get(self.sap)
        if wanted is None:
            return 3
        if settings.authentication != wanted:
            return 11
        if wanted == Authentication.LOW and bytes(settings.password or b"") != self.meter.options.password:
            return 13
        if wanted == Authentication.HIGH_GMAC:
            return 14 if self.ciphered else 2
        return 0

    def _aare(self, diagnostic: int) -> bytes:
        settings, cipher, meter = self.settings, self.settings.cipher, self.meter
        accepted = diagnostic in (0, 14)
        context = 3 if self.ciphered else 1
        fields = b"\xa1\x09\x06\x07\x60\x85\x74\x05\x08\x01" + bytes((context,))
        fields += bytes((0xA2, 3, 2, 1, 0 if accepted else 1, 0xA3, 5, 0xA1, 3, 2, 1, diagnostic))
        if self.ciphered:
            fields += b"\xa4\x0a\x04\x08" + meter.title
        if diagnostic == 14:
            settings.stoCChallenge = bytearray(os.urandom(16))
            fields += b"\x88\x02\x07\x80\x89\x07\x60\x85\x74\x05\x08\x02\x05"
            fields += b"\xaa\x12\x80\x10" + bytes(settings.stoCChallenge)
        information = b"\x0e\x01\x06\x01"
        if accepted:
            settings.maxPduSize = meter.options.max_pdu
            cipher.systemTitle = bytearray(meter.title)
            if self.ciphered:
                cipher.invocationCounter = meter.counter()
            with silenced():
                information = bytes(_GXAPDU.getUserInformation(settings, cipher))
            self.state = "challenged" if diagnostic == 14 else "open"
        fields += bytes((0xBE, len(information) + 2, 4, len(information))) + information
        return bytes((0x61, len(fields))) + fields

    def _check_challenge(self, answer: bytes) -> tuple[int, bytes]:
        settings, meter = self.settings, self.meter
        with silenced():
            counter = int.from_bytes(answer[1:5], "big")
            title = bytearray(settings.sourceSystemTitle)
            wanted = bytes(GXSecure.secure(settings, settings.cipher, counter, settings.stoCChallenge, title))
            if answer != wanted:
                self.state = "idle"
                return DENIED, b""
            own = bytearray(meter.title)
            proof = GXSecure.secure(settings, settings.cipher, meter.counter(), settings.ctoSChallenge, own)
        self.state = "open"
        return SUCCESS, octets(bytes(proof))

    # Services

    def _serve(self, plain: bytes) -> bytes:
        buffer = GXByteBuffer(bytearray(plain))
        service, kind, invoke = buffer.getUInt8(), buffer.getUInt8(), bytes((buffer.getUInt8(),))
        if self.state == "challenged" and service != 0xC3:
            raise Refused(NOT_POSSIBLE)
        if service == 0xC0:
            return self._get(kind, invoke, buffer)
        if service == 0xC1:
            return self._set(kind, invoke, buffer)
        if service == 0xC3:
            return self._act(kind, invoke, buffer)
        raise Refused(NO_SERVICE)

    @staticmethod
    def _value(buffer: GXByteBuffer):
        return _GXCommon.getData(SETTINGS, buffer, _GXDataInfo())

    @staticmethod
    def _descriptor(buffer: GXByteBuffer) -> tuple[int, bytes, int]:
        class_id, name = buffer.getUInt16(), bytearray(6)
        buffer.get(name)
        return class_id, bytes(name), buffer.getUInt8()

    def _selection(self, buffer: GXByteBuffer):
        return (buffer.getUInt8(), self._value(buffer)) if buffer.getUInt8() else None

    def _read(self, buffer: GXByteBuffer) -> bytes:
        """One get-data-result."""
        descriptor = self._descriptor(buffer)
        chosen = self._selection(buffer)
        reader = self.meter.readers.get(descriptor)
        return bytes((1, UNDEFINED)) if reader is None else b"\x00" + reader(chosen)

    def _get(self, kind: int, invoke: bytes, buffer: GXByteBuffer) -> bytes:
        if kind == 2:
            return self._next_block(invoke, buffer.getUInt32())
        if kind == 1:
            result = self._read(buffer)
            whole, data = b"\xc4\x01" + invoke + result, result[1:]
        else:
            data = count(number := _GXCommon.getObjectCount(buffer)) + b"".join(
                [self._read(buffer) for _ in range(number)]
            )
            whole = b"\xc4\x03" + invoke + data
        if len(whole) <= self.room - 40:
            return whole
        self.sending = (data, 0, 1)
        return self._next_block(invoke, 0)

    def _next_block(self, invoke: bytes, confirmed: int) -> bytes:
        if self.sending is None or confirmed != self.sending[2] - 1:
            return b"\xc4\x02" + invoke + b"\x01" + confirmed.to_bytes(4, "big") + b"\x01\x13"
        data, start, number = self.sending
        piece = data[start : start + self.room - 52]
        ends = start + len(piece)
        self.sending = None if ends >= len(data) else (data, ends, number + 1)
        head = b"\xc4\x02" + invoke + bytes((self.sending is None,)) + number.to_bytes(4, "big")
        return head + b"\x00" + count(len(piece)) + piece

    def _write(self, descriptor: tuple[int, bytes, int], value) -> int:
        writer = self.meter.writers.get(descriptor)
        if writer is None:
            return DENIED if descriptor in self.meter.readers else UNDEFINED
        try:
            writer(value)
        except (TypeError, ValueError, AttributeError):
            return UNMATCHED
        return SUCCESS

    def _set(self, kind: int, invoke: bytes, buffer: GXByteBuffer) -> bytes:
        if kind == 1:
            descriptor = self._descriptor(buffer)
            self._selection(buffer)
            return b"\xc5\x01" + invoke + bytes((self._write(descriptor, self._value(buffer)),))
        if kind == 4:
            descriptors = [
                (self._descriptor(buffer), self._selection(buffer))[0] for _ in range(_GXCommon.getObjectCount(buffer))
            ]
            _GXCommon.getObjectCount(buffer)
            results = bytes(self._write(descriptor, self._value(buffer)) for descriptor in descriptors)
            return b"\xc5\x05" + invoke + count(len(results)) + results
        if kind == 2:
            descriptor = self._descriptor(buffer)
            self._selection(buffer)
            self.receiving = (descriptor, bytearray(), 1)
        last, number, collected = self._collect(buffer)
        if not last:
            return b"\xc5\x02" + invoke + number
        descriptor, octets_, _ = collected
        result = self._write(descriptor, self._value(GXByteBuffer(octets_)))
        return b"\xc5\x03" + invoke + bytes((result,)) + number

    def _collect(self, buffer: GXByteBuffer):
        """Take a block of a long SET or ACTION: last or not, its number, what has come."""
        last, number = buffer.getUInt8(), buffer.getUInt32()
        piece = bytearray(_GXCommon.getObjectCount(buffer))
        buffer.get(piece)
        if self.receiving is None or number != self.receiving[2]:
            raise Refused(NOT_POSSIBLE)
        descriptor, collected, _ = self.receiving
        collected += piece
        self.receiving = None if last else (descriptor, collected, number + 1)
        return last, number.to_bytes(4, "big"), (descriptor, collected, number)

    def _act(self, kind: int, invoke: bytes, buffer: GXByteBuffer) -> bytes:
        if kind == 1:
            descriptor = self._descriptor(buffer)
            value = self._value(buffer) if buffer.getUInt8() else None
        else:
            if kind == 4:
                self.receiving = (self._descriptor(buffer), bytearray(), 1)
            last, number, (descriptor, collected, _) = self._collect(buffer)
            if not last:
                return b"\xc7\x04" + invoke + number
            value = self._value(GXByteBuffer(collected))
        result, returned = self._invoke(descriptor, value)
        return b"\xc7\x01" + invoke + bytes((result,)) + (b"\x01\x00" + returned if returned else b"\x00")

    def _invoke(self, descriptor: tuple[int, bytes, int], value) -> tuple[int, bytes]:
        if self.state == "challenged":
            if descriptor != (15, name_of("0.0.40.0.0.255"), 1):
                raise Refused(NOT_POSSIBLE)
            return self._check_challenge(bytes(value))
        method = self.meter.methods.get(descriptor)
        if method is None or self.sap == 16:
            return DENIED, b""
        try:
            return method(value), b""
        except Exception:  # a parameter that makes no sense
            return UNMATCHED, b""


class Connection(socketserver.BaseRequestHandler):
    """Octets to APDUs and back, with the faults that were asked for."""

    server: Server

    def handle(self) -> None:
        association = Association(self.server.meter, hdlc=self.server.options.hdlc)
        with contextlib.suppress(ConnectionError):
            if self.server.options.hdlc:
                self._serve_hdlc(association)
            else:
                self._serve_wrapper(association)

    def _take(self, size: int) -> bytes:
        taken = b""
        while len(taken) < size:
            piece = self.request.recv(size - len(taken))
            if not piece:
                raise ConnectionError
            taken += piece
        return taken

    def _spoiled(self, answer: bytes) -> bytes:
        """Delay an answer, spoil its tag or drop the connection, each every so many answers of this meter."""
        options, meter = self.server.options, self.server.meter
        time.sleep(options.delay_ms / 1000)
        meter.answers += 1
        if options.drop_every and meter.answers % options.drop_every == 0:
            raise ConnectionError
        ciphered = answer[0] in (0xDB, 0xDC) or 0xC8 <= answer[0] <= 0xD7
        if options.bad_tag_every and ciphered and meter.answers % options.bad_tag_every == 0:
            return answer[:-1] + bytes((answer[-1] ^ 1,))
        return answer

    def _send(self, frame: bytes) -> None:
        size = self.server.options.chunk or len(frame)
        for start in range(0, len(frame), size):
            self.request.sendall(frame[start : start + size])
            if self.server.options.chunk:
                time.sleep(0.0005)

    def _serve_wrapper(self, association: Association) -> None:
        while True:
            header = self._take(8)
            apdu = self._take(int.from_bytes(header[6:8], "big"))
            answer = self._spoiled(association.answer(apdu, int.from_bytes(header[2:4], "big")))
            self._send(header[:2] + header[4:6] + header[2:4] + len(answer).to_bytes(2, "big") + answer)

    def _serve_hdlc(self, association: Association) -> None:
        """One frame at a time; Gurux makes, numbers and checks frames, segments are put together here."""
        settings, info = association.settings, GXReplyData()
        waiting, collected = GXByteBuffer(), bytearray()
        while True:
            frame = self._take_frame()
            buffer = GXByteBuffer(bytearray(frame))
            info.clear()
            control = GXDLMS.getHdlcData(True, settings, buffer, info, None)
            if not info.complete:
                continue
            if control == 0x93:
                collected.clear()
                waiting = GXByteBuffer()
                self._accept_link(settings, frame)
            elif control == 0x53:
                self._send(bytes(GXDLMS.getHdlcFrame(settings, 0x73, GXByteBuffer())))
            elif control & 1 == 0:
                collected += frame[buffer.position : len(frame) - 3]
                if frame[1] & 0x08:
                    self._send(bytes(GXDLMS.getHdlcFrame(settings, settings.getReceiverReady(), None)))
                    continue
                apdu = bytes(collected).removeprefix(b"\xe6\xe6\x00")
                collected.clear()
                waiting = GXByteBuffer()
                waiting.set(
                    bytearray(b"\xe6\xe7\x00" + self._spoiled(association.answer(apdu, settings.clientAddress)))
                )
                self._send(bytes(GXDLMS.getHdlcFrame(settings, 0, waiting)))
            elif len(waiting):
                self._send(bytes(GXDLMS.getHdlcFrame(settings, settings.getNextSend(False), waiting)))
            else:
                self._send(bytes(GXDLMS.getHdlcFrame(settings, settings.getReceiverReady(), None)))

    def _take_frame(self) -> bytes:
        octet = self._take(1)
        while octet != b"\x7e":
            octet = self._take(1)
        while octet == b"\x7e":
            octet = self._take(1)
        head = octet + self._take(1)
        return b"\x7e" + head + self._take(((head[0] & 7) << 8 | head[1]) - 2 + 1)

    def _accept_link(self, settings: GXDLMSSettings, snrm: bytes) -> None:
        """Answer SNRM with UA: information fields of what both sides can, windows of one frame."""
        asked = {5: 128, 6: 128}
        start = snrm.find(b"\x81\x80")
        if start > 0:
            position, ends = start + 3, start + 3 + snrm[start + 2]
            while position < ends:
                size = snrm[position + 1]
                asked[snrm[position]] = int.from_bytes(snrm[position + 2 : position + 2 + size], "big")
                position += 2 + size
        own = self.server.options.hdlc_info
        sending, receiving = min(own, asked[6]), min(own, asked[5])
        settings.resetFrameSequence()
        agreed = b"".join(bytes((kind, 2)) + size.to_bytes(2, "big") for kind, size in ((5, sending), (6, receiving)))
        agreed += b"\x07\x04\x00\x00\x00\x01\x08\x04\x00\x00\x00\x01"
        settings.hdlc.maxInfoTX = 128
        parameters = GXByteBuffer(bytearray(b"\x81\x80" + bytes((len(agreed),)) + agreed))
        self._send(bytes(GXDLMS.getHdlcFrame(settings, 0x73, parameters)))
        settings.hdlc.maxInfoTX, settings.hdlc.maxInfoRX = sending, receiving


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.meter = Meter(options)
        super().__init__((options.host, options.port), Connection)


def parse() -> argparse.Namespace:
    of_hex = bytes.fromhex
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=4061)
    parser.add_argument("--hdlc", action="store_true")
    parser.add_argument("--hdlc-info", type=int, default=128)
    parser.add_argument("--max-pdu", type=int, default=512)
    parser.add_argument("--encryption-key", type=of_hex, required=True)
    parser.add_argument("--authentication-key", type=of_hex, required=True)
    parser.add_argument("--master-key", type=of_hex, required=True)
    parser.add_argument("--password", type=str.encode, default="12345678")
    parser.add_argument("--rows", type=int, default=960)
    parser.add_argument(
        "--start", type=lambda text: datetime.fromisoformat(text).replace(tzinfo=UTC), default="2026-03-01"
    )
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--drop-every", type=int, default=0)
    parser.add_argument("--bad-tag-every", type=int, default=0)
    parser.add_argument("--chunk", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    with Server(parse()) as server:
        print(f"READY {server.server_address[0]} {server.server_address[1]}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
