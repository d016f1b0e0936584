"""A client made of gurux-dlms, an implementation that shares nothing with ours, for trying our meters.

    .venv-gurux/bin/python tests/interop/opponents/gurux_client.py 127.0.0.1 4059 --authentication hls5 --writes

It goes through a list of steps and writes one JSON object a line: {"step": ..., "ok": ..., "said": ...}. The exit code is
1 when a step failed. gurux-dlms 1.0.203 takes any GCM tag for a good one, so tags and counters are checked here.
Runs in an environment of its own (GPL-2) and is never imported by anything of ours.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import socket
import sys
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from gurux_dlms import GXByteBuffer, GXDateTime, GXReplyData
from gurux_dlms.enums import Authentication, Conformance, DataType, InterfaceType, Security
from gurux_dlms.GXCiphering import GXCiphering
from gurux_dlms.GXDLMSException import GXDLMSException
from gurux_dlms.objects import (
    GXDLMSClock,
    GXDLMSData,
    GXDLMSDisconnectControl,
    GXDLMSImageTransfer,
    GXDLMSProfileGeneric,
    GXDLMSRegister,
    GXDLMSSecuritySetup,
)
from gurux_dlms.secure import GXDLMSSecureClient

CLIENT_SAPS = {"none": 16, "lls": 2, "hls5": 1}
MECHANISMS = {"none": Authentication.NONE, "lls": Authentication.LOW, "hls5": Authentication.HIGH_GMAC}


class TagWatch:
    """Looks over Gurux' shoulder at every ciphered answer: is its tag right, does its counter rise."""

    def __init__(self) -> None:
        self.checked = 0
        self.faults: list[str] = []
        self._last: dict[bytes, int] = {}
        self._decrypt = GXCiphering.decrypt
        GXCiphering.decrypt = self._check

    def _check(self, settings, parameters, data):
        sealed = bytes(data.remaining())
        plain = self._decrypt(settings, parameters, data)
        try:
            self._judge(parameters, plain, sealed)
        except Exception as error:  # Gurux would take it for a fault of the meter
            self.faults.append(repr(error))
        return plain

    def _judge(self, parameters, plain, sealed: bytes) -> None:
        key, own = bytes(parameters.blockCipherKey), bytes(parameters.authenticationKey)
        counter = parameters.invocationCounter
        control = int(parameters.security) | int(parameters.securitySuite)
        nonce = bytes(parameters.systemTitle) + counter.to_bytes(4, "big")
        tag = AESGCM(key).encrypt(nonce, bytes(plain), bytes((control,)) + own)[-16:-4]
        self.checked += 1
        if tag != sealed[-12:]:
            self.faults.append(f"wrong tag with counter {counter}")
        if counter <= self._last.get(key, -1):
            self.faults.append(f"counter {counter} after {self._last[key]}")
        self._last[key] = counter


class Wire:
    """Octets to and from the meter, one whole frame at a time."""

    def __init__(self, host: str, port: int, *, hdlc: bool) -> None:
        self._socket = socket.create_connection((host, port), timeout=15)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._hdlc = hdlc

    def exchange(self, frame: bytes) -> bytes:
        if frame:
            self._socket.sendall(bytes(frame))
        return self._hdlc_frame() if self._hdlc else self._wrapper_frame()

    def close(self) -> None:
        self._socket.close()

    def _take(self, count: int) -> bytes:
        taken = b""
        while len(taken) < count:
            piece = self._socket.recv(count - len(taken))
            if not piece:
                raise ConnectionError("the meter closed the connection")
            taken += piece
        return taken

    def _wrapper_frame(self) -> bytes:
        header = self._take(8)
        return header + self._take(int.from_bytes(header[6:8], "big"))

    def _hdlc_frame(self) -> bytes:
        octet = self._take(1)
        while octet == b"\x7e":
            octet = self._take(1)
        head = octet + self._take(1)
        return b"\x7e" + head + self._take(((head[0] & 7) << 8 | head[1]) - 2 + 1)


@contextlib.contextmanager
def silenced():
    """gurux-dlms prints what it ciphers."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


class Dialogue:
    """One association of a Gurux client."""

    def __init__(self, options: argparse.Namespace, authentication: str, counter: int = 1) -> None:
        self.wire = Wire(options.host, options.port, hdlc=options.hdlc)
        framing = InterfaceType.HDLC if options.hdlc else InterfaceType.WRAPPER
        sap = CLIENT_SAPS[authentication]
        password = options.password if authentication == "lls" else None
        client = GXDLMSSecureClient(True, sap, 1, MECHANISMS[authentication], password, framing)
        if authentication == "hls5":
            cipher = client.ciphering
            cipher.security = Security.AUTHENTICATION_ENCRYPTION
            cipher.securitySuite = options.suite
            cipher.blockCipherKey = bytearray(options.encryption_key)
            cipher.authenticationKey = bytearray(options.authentication_key)
            cipher.systemTitle = bytearray(b"MDM00001")
            cipher.invocationCounter = counter
            if "dedicated" in options.ciphering:
                cipher.dedicatedKey = bytearray(os.urandom(len(options.encryption_key)))
            if "general" not in options.ciphering:
                client.proposedConformance &= ~Conformance.GENERAL_PROTECTION
        self.client = client

    def ask(self, frames) -> GXReplyData:
        """Send frames one by one and collect the answer to the last."""
        reply = GXReplyData()
        for frame in [frames] if isinstance(frames, (bytes, bytearray)) else frames or []:
            reply.clear()
            self._once(frame, reply)
            while reply.isMoreData():
                with silenced():
                    more = None if reply.isStreaming() else self.client.receiverReady(reply)
                self._once(more or b"", reply)
        return reply

    def _once(self, frame: bytes, reply: GXReplyData) -> None:
        received, aside = GXByteBuffer(), GXReplyData()
        received.set(self.wire.exchange(frame))
        with silenced():
            while not self.client.getData(received, reply, aside):
                received.set(self.wire.exchange(b""))
        if reply.error:
            raise GXDLMSException(reply.error)

    def made(self, make, *arguments):
        """Let Gurux make or parse something without its prints."""
        with silenced():
            return make(*arguments)

    def open(self) -> None:
        client = self.client
        snrm = self.made(client.snrmRequest)
        if snrm:
            self.made(client.parseUAResponse, self.ask(snrm).data)
        self.made(client.parseAareResponse, self.ask(self.made(client.aarqRequest)).data)
        if client.authentication > Authentication.LOW:
            answer = self.ask(self.made(client.getApplicationAssociationRequest))
            self.made(client.parseApplicationAssociationResponse, answer.data)

    def close(self) -> None:
        client = self.client
        hdlc = client.interfaceType == InterfaceType.HDLC
        self.ask(self.made(client.disconnectRequest if hdlc else client.releaseRequest))
        self.wire.close()

    def read(self, thing, attribute: int):
        answer = self.ask(self.made(self.client.read, thing, attribute))
        return self.made(self.client.updateValue, thing, attribute, answer.value)

    def write(self, thing, attribute: int) -> None:
        self.ask(self.made(self.client.write, thing, attribute))

    def invoke(self, thing, method: int, value, kind: DataType) -> None:
        self.ask(self.made(self.client.method, thing, method, value, kind))


class Trial:
    """The steps, in the order in which they are taken."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.failed = False
        self.watch = TagWatch()

    def step(self, name: str, take) -> object:
        try:
            said, ok = take(), True
        except Exception as error:  # whatever goes wrong is the finding
            said, ok = f"{type(error).__name__}: {error}", False
        self.failed |= not ok
        print(json.dumps({"step": name, "ok": ok, "said": said}, default=str), flush=True)
        return said if ok else None

    def run(self) -> int:
        options = self.options
        counter = 0
        if options.authentication == "hls5":
            counter = self.step("invocation counter", self._counter) or 0
        self.peer = Dialogue(options, options.authentication, counter + 1)
        self.step("associate", self.peer.open)
        if not self.failed:
            self._read()
            if options.writes:
                self._write()
            if options.writes and options.authentication == "hls5":
                self._rotate()
            else:
                self.step("release", self.peer.close)
        self.step("tags", self._tags)
        return int(self.failed)

    def _tags(self) -> int:
        if self.watch.faults:
            raise AssertionError("; ".join(self.watch.faults))
        return self.watch.checked

    def _counter(self) -> int:
        public = Dialogue(self.options, "none")
        public.open()
        value = public.read(GXDLMSData("0.0.43.1.0.255"), 2)
        public.close()
        return int(value)

    def _read(self) -> None:
        peer, step = self.peer, self.step
        step("device name", lambda: bytes(peer.read(GXDLMSData("0.0.42.0.0.255"), 2)).hex())
        step("clock", lambda: peer.read(GXDLMSClock("0.0.1.0.0.255"), 2).value.isoformat())
        step("object list", self._objects)
        if self.options.authentication == "none":
            return
        registers = [GXDLMSRegister(f"1.0.{number}.8.0.255") for number in (1, 2, 3, 4)]
        voltage = GXDLMSRegister("1.0.32.7.0.255")
        step("scalers", lambda: [peer.read(one, 3) for one in [*registers, voltage]])
        step("values", lambda: [peer.read(one, 2) for one in [*registers, voltage]])
        step("list of values", lambda: self._list([*registers, voltage]))
        profile = GXDLMSProfileGeneric("1.0.99.1.0.255")
        step("capture objects", lambda: [str(one[0].logicalName) for one in peer.read(profile, 3)])
        step("rows of a day", lambda: self._rows(profile))
        step("first ten rows", lambda: self._entries(profile))
        events = GXDLMSProfileGeneric("0.0.99.98.0.255")
        step("event columns", lambda: len(peer.read(events, 3)))
        step("events", lambda: [row[1] for row in peer.read(events, 2)])
        step("unknown object refused", self._unknown)

    def _objects(self) -> int:
        peer = self.peer
        answer = peer.ask(peer.made(peer.client.getObjectsRequest))
        return len(peer.made(peer.client.parseObjects, answer.data, True, False))

    def _list(self, registers) -> list:
        peer = self.peer
        values = []
        for frame in peer.made(peer.client.readList, [(one, 2) for one in registers]):
            values += peer.ask(frame).value
        if len(values) != len(registers):
            raise AssertionError(f"{len(values)} values")
        return values

    def _rows(self, profile) -> int:
        peer = self.peer
        first = self.options.start
        last = first + timedelta(seconds=900 * 95)
        answer = peer.ask(peer.made(peer.client.readRowsByRange, profile, first, last))
        rows = peer.made(peer.client.updateValue, profile, 2, answer.value)
        if len(rows) != 96:
            raise AssertionError(f"{len(rows)} rows")
        return len(rows)

    def _entries(self, profile) -> int:
        peer = self.peer
        answer = peer.ask(peer.made(peer.client.readRowsByEntry, profile, 1, 10))
        rows = peer.made(peer.client.updateValue, profile, 2, answer.value)
        if len(rows) != 10:
            raise AssertionError(f"{len(rows)} rows")
        return len(rows)

    def _unknown(self) -> str:
        try:
            self.peer.read(GXDLMSRegister("1.0.77.77.77.255"), 2)
        except GXDLMSException as refused:
            return str(refused)
        raise AssertionError("it was answered")

    def _write(self) -> None:
        step = self.step
        step("set clock", self._set_clock)
        step("disconnect and reconnect", self._switch)
        step("image transfer", self._image)
        step("write a long value", self._filter)

    def _set_clock(self) -> str:
        clock = GXDLMSClock("0.0.1.0.0.255")
        wanted = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=10)
        clock.time = GXDateTime(wanted)
        self.peer.write(clock, 2)
        shown = self.peer.read(clock, 2).value
        if abs((shown - wanted).total_seconds()) > 30:
            raise AssertionError(f"{shown} instead of {wanted}")
        self.peer.invoke(clock, 6, -600, DataType.INT16)
        return str(shown)

    def _switch(self) -> list:
        control = GXDLMSDisconnectControl("0.0.96.3.10.255")
        states = []
        for act in (control.remoteDisconnect, control.remoteReconnect):
            self.peer.ask(self.peer.made(act, self.peer.client))
            states.append(bool(self.peer.read(control, 2)))
        if states != [False, True]:
            raise AssertionError(str(states))
        return states

    def _image(self) -> int:
        peer, transfer = self.peer, GXDLMSImageTransfer("0.0.44.0.0.255")
        image = os.urandom(1777)
        size = peer.read(transfer, 2)
        peer.ask(peer.made(transfer.imageTransferInitiate, peer.client, "FW-2.0.0", len(image)))
        # Gurux builds the requests of all blocks at once and so spends counters before they are sent: one by one here.
        for number, start in enumerate(range(0, len(image), size)):
            block = image[start : start + size]
            length = bytes((len(block),)) if len(block) < 128 else b"\x81" + bytes((len(block),))
            peer.invoke(
                transfer,
                2,
                bytearray(b"\x02\x02\x06" + number.to_bytes(4, "big") + b"\x09" + length + block),
                DataType.STRUCTURE,
            )
        peer.ask(peer.made(transfer.imageVerify, peer.client))
        signature = bytes(peer.read(transfer, 7)[0].signature)
        if signature != hashlib.sha256(image).digest():
            raise AssertionError("the meter holds another image")
        peer.ask(peer.made(transfer.imageActivate, peer.client))
        status = int(peer.read(transfer, 6))
        if status != 6:
            raise AssertionError(f"status {status}")
        return status

    def _filter(self) -> int:
        mask = GXDLMSData("0.0.97.98.10.255")
        mask.value = 0x0F0F
        mask.setDataType(2, DataType.UINT32)
        self.peer.write(mask, 2)
        return self.peer.read(mask, 2)

    def _rotate(self) -> None:
        options = self.options
        former = options.encryption_key, options.authentication_key
        self.step("new keys", lambda: self._give(os.urandom(len(former[0])), os.urandom(len(former[1]))))
        self.step("read under the new keys", lambda: self.peer.read(GXDLMSRegister("1.0.1.8.0.255"), 2))
        self.step("former keys back", lambda: self._give(*former))
        self.step("release", self.peer.close)

    def _give(self, encryption: bytes, authentication: bytes) -> str:
        """Transfer wrapped keys, then associate anew with them."""
        options, setup = self.options, GXDLMSSecuritySetup("0.0.43.0.0.255")
        entries = b"\x01\x02"
        for kind, key in ((0, encryption), (2, authentication)):
            wrapped = aes_key_wrap(options.master_key, key)
            entries += bytes((2, 2, 0x16, kind, 9, len(wrapped))) + wrapped
        self.peer.invoke(setup, 2, bytearray(entries), DataType.ARRAY)
        self.peer.close()
        options.encryption_key, options.authentication_key = encryption, authentication
        self.peer = Dialogue(options, "hls5", self._counter() + 1)
        self.peer.open()
        return "associated"


def parse() -> argparse.Namespace:
    of_hex = bytes.fromhex
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--hdlc", action="store_true")
    parser.add_argument("--authentication", choices=CLIENT_SAPS, default="hls5")
    ciphering = ("general-glo", "glo", "dedicated", "general-dedicated")
    parser.add_argument("--ciphering", choices=ciphering, default="general-glo")
    parser.add_argument("--suite", type=int, default=0)
    parser.add_argument("--encryption-key", type=of_hex, required=True)
    parser.add_argument("--authentication-key", type=of_hex, required=True)
    parser.add_argument("--master-key", type=of_hex, required=True)
    parser.add_argument("--password", default="12345678")
    parser.add_argument(
        "--start", type=lambda text: datetime.fromisoformat(text).replace(tzinfo=UTC), default="2026-03-01"
    )
    parser.add_argument("--writes", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(Trial(parse()).run())
