"""Visits of our client to an opponent that plays the meter: sessions, associations, and counters that go on rising."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from meterops.fleet.headend.session import Session, open_session
from meterops.protocols.dlms.association.client import ClientAssociation
from meterops.protocols.dlms.association.parameters import Authentication, Ciphering, ClientParameters
from meterops.protocols.dlms.flows import associate, release
from meterops.protocols.dlms.framing import Link, WrapperLink
from meterops.protocols.dlms.framing.hdlc import HdlcClientLink
from meterops.protocols.dlms.security import InvocationCounter, KeyRing
from meterops.simulator.fleet_server import Framing
from meterops.simulator.meter_bench import DEMO_KEYS

CLIENT_TITLE = b"MOP\x00\x00\x00\x00\x01"
SAPS = {Authentication.NONE: 16, Authentication.LLS: 2, Authentication.HLS5_GMAC: 1}


@dataclass
class Visitor:
    """What the head-end remembers of one meter between sessions."""

    port: int
    framing: Framing = Framing.WRAPPER
    authentication: Authentication = Authentication.HLS5_GMAC
    ciphering: Ciphering = Ciphering.GENERAL_GLO
    keys: KeyRing = field(default_factory=lambda: replace(DEMO_KEYS))
    timeout_s: float = 10.0
    counter: InvocationCounter = field(default_factory=lambda: InvocationCounter(1))
    received_counter: int = -1
    sessions: int = 0

    def parameters(self) -> ClientParameters:
        """How the next association is opened."""
        if self.authentication is not Authentication.HLS5_GMAC:
            password = b"12345678" if self.authentication is Authentication.LLS else b""
            return ClientParameters(
                client_sap=SAPS[self.authentication], authentication=self.authentication, password=password
            )
        return ClientParameters(
            client_sap=1,
            authentication=self.authentication,
            system_title=CLIENT_TITLE,
            keys=self.keys,
            ciphering=self.ciphering,
            counter=self.counter,
            received_counter=self.received_counter,
        )

    def link(self) -> Link:
        """A link of the framing the meter speaks."""
        client_sap = SAPS[self.authentication]
        return HdlcClientLink(client_sap, 1) if self.framing is Framing.HDLC else WrapperLink(client_sap, 1)

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Connect, and hang up afterwards."""
        self.sessions += 1
        async with await open_session("127.0.0.1", self.port, self.link(), self.timeout_s) as session:
            yield session

    @contextlib.asynccontextmanager
    async def visit(self) -> AsyncIterator[tuple[Session, ClientAssociation]]:
        """Connect, associate, and release when nothing went wrong."""
        a = ClientAssociation(self.parameters())
        async with self.session() as session:
            try:
                await session.run(associate(a))
                yield session, a
                await session.run(release(a))
            finally:
                self.received_counter = max(self.received_counter, a.received_counter)
