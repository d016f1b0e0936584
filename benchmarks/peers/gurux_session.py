"""CPU of one recorded session with the gurux-dlms client: the peer that `benchmarks.dlms_session` compares with.

    .venv-gurux/bin/python benchmarks/peers/gurux_session.py --sessions 20 < recording.json

Reads a recording from stdin and writes one JSON object: CPU in milliseconds a session, and what was read, for the caller
to compare. Runs in an environment of its own (GPL-2) and is never imported by anything of ours.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gurux_dlms import GXByteBuffer, GXDateTime, GXReplyData
from gurux_dlms.enums import Authentication, Conformance, InterfaceType, Security
from gurux_dlms.objects import GXDLMSProfileGeneric, GXDLMSRegister
from gurux_dlms.secure import GXDLMSSecureClient


class ReplayedSession:
    """A client whose every request is answered by the next recorded frame."""

    def __init__(self, recording: dict[str, Any]) -> None:
        self.recording = recording
        self.frames = iter([bytes.fromhex(frame) for frame in recording["answers"]])
        client = GXDLMSSecureClient(True, 1, 1, Authentication.HIGH_GMAC, None, InterfaceType.WRAPPER)
        client.ciphering.security = Security.AUTHENTICATION_ENCRYPTION
        client.ciphering.blockCipherKey = bytearray.fromhex(recording["encryption_key"])
        client.ciphering.authenticationKey = bytearray.fromhex(recording["authentication_key"])
        client.ciphering.systemTitle = bytearray.fromhex(recording["client_title"])
        client.ciphering.invocationCounter = 1
        client.proposedConformance &= ~Conformance.GENERAL_PROTECTION
        client.settings.useCustomChallenge = True
        client.settings.ctoSChallenge = bytearray.fromhex(recording["challenge"])
        self.client = client

    def run(self) -> tuple[list[int], int, int]:
        """The whole session; values of the registers, rows of the profile, and its last reading."""
        client, recording = self.client, self.recording
        client.parseAareResponse(self.ask(client.aarqRequest()).data)
        client.parseApplicationAssociationResponse(self.ask(client.getApplicationAssociationRequest()).data)
        values = []
        for name in recording["registers"]:
            register = GXDLMSRegister(name)
            values.append(client.updateValue(register, 2, self.ask(client.read(register, 2)).value))
        profile = GXDLMSProfileGeneric(recording["profile"])
        starts, ends = (GXDateTime(datetime.fromtimestamp(recording[key], UTC)) for key in ("starts_at", "ends_at"))
        rows = self.ask(client.readRowsByRange(profile, starts, ends)).value
        self.ask(client.releaseRequest())
        return values, len(rows), rows[-1][-1]

    def ask(self, requests: Any) -> Any:
        """Send what Gurux made, following blocks."""
        reply = GXReplyData()
        for request in [requests] if isinstance(requests, (bytes, bytearray)) else requests or []:
            reply.clear()
            self._answer(request, reply)
            while reply.isMoreData():
                self._answer(self.client.receiverReady(reply), reply)
        return reply

    def _answer(self, request: Any, reply: Any) -> None:
        frame = GXByteBuffer()
        frame.set(next(self.frames))
        if not self.client.getData(frame, reply, GXReplyData()):
            raise RuntimeError("Gurux wants more octets than the frame has")
        if reply.error:
            raise RuntimeError(f"Gurux reports error {reply.error}")


def main() -> None:
    """Measure as asked on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=20)
    asked = parser.parse_args()
    recording = json.load(sys.stdin)
    # gurux-dlms prints at every ciphered PDU.
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        values, rows, last = ReplayedSession(recording).run()
        began = time.process_time()
        for _ in range(asked.sessions):
            ReplayedSession(recording).run()
        taken = time.process_time() - began
    print(json.dumps({"cpu_ms": taken / asked.sessions * 1e3, "values": values, "rows": rows, "last_reading": last}))


if __name__ == "__main__":
    main()
