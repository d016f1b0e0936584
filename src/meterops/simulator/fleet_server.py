"""Serves all meters of a simulated fleet from one process: real TCP (and UDP), one listening socket for a city.

Every meter has a loopback address of its own (127.x.y.z): the socket listens on all addresses, the address a client
connected to says which meter it wants, and nobody from outside the machine is let in. Where many loopback addresses are
not to be had, meters are told apart by port or by server SAP instead; `find` decides.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import struct
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, cast

from meterops.protocols.dlms.association.server import ServerAssociation
from meterops.protocols.dlms.errors import DecodeError, EncodeError
from meterops.protocols.dlms.framing import WrapperLink
from meterops.simulator.behaviors import HEALTHY, Behavior, BehaviorTable, Reach
from meterops.simulator.meter import SimulatedMeter

if TYPE_CHECKING:
    from meterops.protocols.dlms.framing import HdlcServerLink

BACKLOG: Final = 4096
MAX_ASSOCIATIONS: Final = 8
"""Client SAPs that one connection may use."""
MAX_DATAGRAM_PEERS: Final = 4096

_COUNTER_EXCEPTION: Final = b"\xd8\x01\x06"


class Framing(StrEnum):
    """What carries the APDUs."""

    WRAPPER = "wrapper"
    HDLC = "hdlc"


@dataclass(frozen=True, slots=True)
class FleetMember:
    """A meter and the route it is reached over."""

    meter: SimulatedMeter
    route: Hashable = None


Found = FleetMember | Mapping[int, FleetMember] | None
FindMeter = Callable[[str, int], Found]
"""Gives the meter behind a local address and port, or the meters there by server SAP."""


@dataclass(slots=True)
class ServerCounts:
    """What the server has seen since it started."""

    connections: int = 0
    refused: int = 0
    apdus: int = 0
    octets_in: int = 0
    octets_out: int = 0


@dataclass(slots=True)
class _Load:
    """Connections open now."""

    of_meter: dict[Hashable, int] = field(default_factory=dict)
    of_route: dict[Hashable, int] = field(default_factory=dict)

    def add(self, member: FleetMember, step: int) -> None:
        for table, key in ((self.of_meter, member.meter.serial), (self.of_route, member.route)):
            count = table.get(key, 0) + step
            if count:
                table[key] = count
            else:
                table.pop(key, None)


class FleetServer:
    """The listening side of a fleet. Behaviors may be changed at any time through `behaviors`."""

    def __init__(
        self,
        find: FindMeter,
        *,
        behaviors: BehaviorTable | None = None,
        framing: Framing = Framing.WRAPPER,
        loopback_only: bool = True,
        meter_session_limit: int = 4,
        idle_timeout_s: float = 180.0,
        seed: int = 0,
        on_push: Callable[[SimulatedMeter], None] | None = None,
    ) -> None:
        """Serve the meters that `find` knows; `on_push` hears of meters told to push by their push set-up."""
        self.find = find
        self.behaviors = behaviors or BehaviorTable()
        self.framing = framing
        self.loopback_only = loopback_only
        self.meter_session_limit = meter_session_limit
        self.counts = ServerCounts()
        self.dice = random.Random(seed)
        self.on_push = on_push
        self._load = _Load()
        self._idle_timeout_s = idle_timeout_s
        self._connections: set[_Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._datagrams: list[asyncio.DatagramTransport] = []
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, host: str = "0.0.0.0", ports: Iterable[int] = (4059,), *, udp: bool = False) -> None:  # noqa: S104  # peers outside the machine are refused
        """Listen on all `ports`; `OSError` when one is taken. UDP needs the meter's own address as `host`."""
        loop = asyncio.get_running_loop()
        for port in ports:
            server = await loop.create_server(lambda: _Connection(self), host, port, backlog=BACKLOG)
            self._servers.append(server)
            if udp:
                transport, _ = await loop.create_datagram_endpoint(
                    lambda: _Datagrams(self), local_addr=(host, self.ports[-1])
                )
                self._datagrams.append(transport)
        if self._sweeper is None:
            self._sweeper = loop.create_task(self._sweep())

    @property
    def ports(self) -> list[int]:
        """The ports listened on, as given by the system where 0 was asked for."""
        return [server.sockets[0].getsockname()[1] for server in self._servers]

    @property
    def open_connections(self) -> int:
        """Connections open now."""
        return len(self._connections)

    async def close(self) -> None:
        """Stop listening and drop all connections."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for server in self._servers:
            server.close()
        for transport in self._datagrams:
            transport.close()
        self.drop(lambda member: True)
        await asyncio.sleep(0)
        self._servers.clear()
        self._datagrams.clear()

    def drop(self, which: Callable[[FleetMember], bool]) -> int:
        """Reset the open connections of some meters, as when their supply or their concentrator fails."""
        doomed = [one for one in self._connections if one.member is not None and which(one.member)]
        for one in doomed:
            one.abort()
        return len(doomed)

    async def _sweep(self) -> None:
        """Close connections on which nothing has come for long: half-open ones would pile up."""
        while True:
            await asyncio.sleep(max(self._idle_timeout_s / 4, 0.05))
            before = time.monotonic() - self._idle_timeout_s
            for one in [one for one in self._connections if one.heard_at < before]:
                one.abort()

    def admits(self, peer: str, local: str) -> bool:
        """Whether a connection stays within this machine."""
        if not self.loopback_only:
            return True
        return _is_loopback(peer) and _is_loopback(local)

    def admit_session(self, member: FleetMember) -> Behavior | None:
        """Count a session of a meter and give what it meets, or None when it is to be reset."""
        behavior = self.behaviors.of(member.route, member.meter.serial)
        sessions = self._load.of_meter.get(member.meter.serial, 0)
        route_limit = self.behaviors.route(member.route).session_limit
        meter_limit = self.behaviors.meter(member.meter.serial).session_limit or self.meter_session_limit
        if (
            behavior.reach is Reach.REFUSED
            or sessions >= meter_limit
            or (route_limit and self._load.of_route.get(member.route, 0) >= route_limit)
            or (behavior.connect_loss and self.dice.random() < behavior.connect_loss)
        ):
            self.counts.refused += 1
            return None
        self._load.add(member, 1)
        return behavior

    def end_session(self, member: FleetMember) -> None:
        """Count a session that has ended."""
        self._load.add(member, -1)

    def joined(self, connection: _Connection) -> None:
        """Remember a connection."""
        self.counts.connections += 1
        self._connections.add(connection)

    def left(self, connection: _Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)

    def after_answers(self, meter: SimulatedMeter) -> None:
        """Let a push happen that a client has just asked for."""
        if meter.wants_push:
            meter.wants_push = False
            if self.on_push is not None:
                self.on_push(meter)


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or ipaddress.ip_address(address).is_loopback


def _hdlc_link() -> HdlcServerLink:
    from meterops.protocols.dlms.framing import HdlcServerLink

    return HdlcServerLink()


class _Connection(asyncio.Protocol):
    """One TCP connection of a client."""

    __slots__ = (
        "_admitted",
        "_associations",
        "_found",
        "_link",
        "_server",
        "_transport",
        "_writes_done_at",
        "heard_at",
        "member",
    )

    def __init__(self, server: FleetServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._found: Found = None
        self._admitted = False
        self._associations: dict[tuple[int, int], ServerAssociation] = {}
        self._link: WrapperLink | HdlcServerLink = WrapperLink() if server.framing is Framing.WRAPPER else _hdlc_link()
        self._writes_done_at = 0.0
        self.member: FleetMember | None = None
        self.heard_at = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find out which meter is wanted, and whether it is there."""
        self._transport = cast("asyncio.Transport", transport)
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self._server.joined(self)
        if not peer or not local or not self._server.admits(peer[0], local[0]):
            self.abort()
            return
        self._found = self._server.find(local[0], local[1])
        if self._found is None:
            self.abort()
        elif isinstance(self._found, FleetMember):
            self._meet(self._found)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything about the client."""
        self._server.left(self)
        if self._admitted and self.member is not None:
            self._server.end_session(self.member)
        for association in self._associations.values():
            association.lost()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer what has come."""
        self.heard_at = time.monotonic()
        self._server.counts.octets_in += len(data)
        member = self.member or self._member_by_sap(data)
        if member is None:
            self.abort()
            return
        behavior = self._server.behaviors.of(member.route, member.meter.serial)
        if behavior.reach is Reach.REFUSED:
            self.abort()
            return
        if behavior.reach is Reach.SILENT:
            return
        try:
            if isinstance(self._link, WrapperLink):
                self._answer_wrapper(self._link, data, member, behavior)
            else:
                self._answer_hdlc(self._link, data, member, behavior)
        except (DecodeError, EncodeError):
            self.abort()
            return
        if member.meter.wants_push:
            self._server.after_answers(member.meter)

    def abort(self) -> None:
        """Reset the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _meet(self, member: FleetMember) -> bool:
        self.member = member
        self._admitted = self._server.admit_session(member) is not None
        if not self._admitted:
            self.abort()
        return self._admitted

    def _member_by_sap(self, data: bytes) -> FleetMember | None:
        """Find the meter by the server SAP of the first frame, where several share an address and port."""
        if not isinstance(self._found, Mapping):
            return None
        sap = int.from_bytes(data[4:6], "big") if isinstance(self._link, WrapperLink) else 0
        member = self._found.get(sap)
        return member if member is not None and self._meet(member) else None

    def _answer_wrapper(self, link: WrapperLink, data: bytes, member: FleetMember, behavior: Behavior) -> None:
        if not link.pending and len(data) >= 6:
            client_sap, server_sap = struct.unpack_from(">HH", data, 2)
            if client_sap != link.destination or server_sap != link.source:
                link.address(server_sap, client_sap)
        for apdu in link.take(data):
            association = self._association(member, link.destination, link.source)
            self._answer(association.receive(apdu), link, behavior)

    def _answer_hdlc(self, link: HdlcServerLink, data: bytes, member: FleetMember, behavior: Behavior) -> None:
        result = link.feed(data)
        if result.opened or result.closed:
            for association in self._associations.values():
                association.lost()
            self._associations.clear()
        if result.reply:
            self._write(result.reply, behavior)
        for apdu in result.apdus:
            association = self._association(member, link.client_sap, link.server_sap)
            self._answer(association.receive(apdu), link, behavior)

    def _association(self, member: FleetMember, client_sap: int, server_sap: int) -> ServerAssociation:
        key = (client_sap, server_sap)
        association = self._associations.get(key)
        if association is None:
            if len(self._associations) >= MAX_ASSOCIATIONS:
                self._associations.clear()
            association = self._associations[key] = ServerAssociation(member.meter, client_sap, server_sap)
        return association

    def _answer(self, answers: list[bytes], link: WrapperLink | HdlcServerLink, behavior: Behavior) -> None:
        self._server.counts.apdus += 1
        if behavior is HEALTHY:
            for answer in answers:
                self._send(link.send(answer))
            return
        for answer in answers:
            if behavior.closes_on_bad_counter and answer[:3] == _COUNTER_EXCEPTION:
                self.abort()
                return
            spoiled = spoil(answer, behavior, self._server.dice)
            if spoiled is not None:
                self._write(link.send(spoiled), behavior)

    def _write(self, octets: bytes, behavior: Behavior) -> None:
        """Send octets as late, as slowly and as incompletely as the behavior has it."""
        if behavior is HEALTHY:
            self._send(octets)
            return
        dice = self._server.dice
        delay = behavior.latency_s + (dice.random() * behavior.jitter_s if behavior.jitter_s else 0.0)
        cut = bool(behavior.truncated) and dice.random() < behavior.truncated
        if cut:
            octets = octets[: max(1, len(octets) // 2)]
        now = asyncio.get_running_loop().time()
        at = max(now + delay, self._writes_done_at)
        pieces = _pieces(octets, behavior.drip_octets)
        for number, piece in enumerate(pieces):
            self._send_at(at + number * behavior.drip_pause_s, piece)
        self._writes_done_at = at + (len(pieces) - 1) * behavior.drip_pause_s
        if cut:
            asyncio.get_running_loop().call_at(self._writes_done_at, self._close)

    def _send_at(self, at: float, piece: bytes) -> None:
        loop = asyncio.get_running_loop()
        if at <= loop.time():
            self._send(piece)
        else:
            loop.call_at(at, self._send, piece)

    def _send(self, octets: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._server.counts.octets_out += len(octets)
            self._transport.write(octets)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class _Datagrams(asyncio.DatagramProtocol):
    """The same over UDP: one association for each client address and SAP."""

    def __init__(self, server: FleetServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None
        self._associations: dict[tuple[str, int, int, int], ServerAssociation] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one datagram, which holds whole frames."""
        if self._transport is None:
            return
        local = self._transport.get_extra_info("sockname")
        if not self._server.admits(addr[0], local[0]):
            return
        found = self._server.find(local[0], local[1])
        link = WrapperLink()
        try:
            apdus = link.take(data)
        except DecodeError:
            return
        member = found.get(link.source) if isinstance(found, Mapping) else found
        if member is None:
            return
        behavior = self._server.behaviors.of(member.route, member.meter.serial)
        if behavior.reach is not Reach.UP:
            return
        association = self._association((addr[0], addr[1], link.destination, link.source), member)
        for apdu in apdus:
            for answer in association.receive(apdu):
                spoiled = spoil(answer, behavior, self._server.dice)
                if spoiled is not None:
                    self._transport.sendto(link.send(spoiled), addr)

    def _association(self, key: tuple[str, int, int, int], member: FleetMember) -> ServerAssociation:
        association = self._associations.get(key)
        if association is None:
            if len(self._associations) >= MAX_DATAGRAM_PEERS:
                self._associations.clear()
            association = self._associations[key] = ServerAssociation(member.meter, key[2], key[3])
        return association


def spoil(answer: bytes, behavior: Behavior, dice: random.Random) -> bytes | None:
    """Do to an answer what the behavior does to answers; None when it gets lost."""
    if behavior.answer_loss and dice.random() < behavior.answer_loss:
        return None
    if behavior.malformed and dice.random() < behavior.malformed:
        return dice.randbytes(len(answer))
    if behavior.bad_tag and dice.random() < behavior.bad_tag:
        return answer[:-1] + bytes((answer[-1] ^ 0x01,))
    return answer


def _pieces(octets: bytes, size: int) -> list[bytes]:
    if not size or len(octets) <= size:
        return [octets]
    return [octets[start : start + size] for start in range(0, len(octets), size)]
