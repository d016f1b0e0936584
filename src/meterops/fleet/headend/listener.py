"""Takes what meters push: DataNotifications over TCP and UDP, wrapper or HDLC, plain or ciphered, from known and unknown meters.

Everything that arrives is kept: decoded, as readings and events of the meter whose title or serial it carries; undecodable or
from nobody known, as a notification row that says why. A peer that sends garbage or nothing costs one connection until its time
is up, or until another one wants its place. Nothing here raises on bad input; what is dropped is counted.
"""

import asyncio
import logging
import os
import resource
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from meterops.fleet.headend.push import PushDesk, PushFrame
from meterops.fleet.headend.spool import FrameSpool
from meterops.fleet.telemetry import api as telemetry
from meterops.kernel import beats
from meterops.kernel.clock import utc_now
from meterops.protocols.dlms import flows
from meterops.protocols.dlms.errors import DlmsError
from meterops.protocols.dlms.framing import PushReceiver

log = logging.getLogger(__name__)
FILES_BESIDES: Final = 500
"""Files that are no connections: those of the lake, the spool, the state store, and what the process was started with."""


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """Bounds that keep a flood from costing more than its own packets."""

    connections: int = 20_000
    idle_timeout_s: float = 20.0
    connection_timeout_s: float = 120.0
    flush_s: float = 1.0
    frames_a_connection: int = 5_000
    """That one connection may bring between two flushes; it then waits, so that it fills nobody else's place."""
    frames_held_at_most: int = 200_000
    """That wait for the store. Datagrams fill half of it only, for nobody can make their senders wait."""
    octets_held_at_most: int = 256_000_000
    octets_unfinished_at_most: int = 64_000_000
    """Of frames that have begun, all connections together; most meters send theirs in one piece and hold none."""


@dataclass(slots=True)
class ListenerFigures:
    """What came in and what was dropped, by reason."""

    frames: int = 0
    bytes: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    unspooled: int = 0
    """Frames that were only in memory until they were stored, the disk being full or gone."""


class Listener:
    """The listener process's work; `run` until `stop` is set."""

    def __init__(
        self, lake: telemetry.Lake, *, host: str, port: int, spool: Path, settings: ListenerSettings | None = None
    ) -> None:
        """`spool` is the folder in which frames wait for the lake; listeners may share it."""
        self.settings = settings or ListenerSettings()
        self.figures = ListenerFigures()
        self.port = port
        self._host = host
        self._name = f"{socket.gethostname()}:{os.getpid()}:listener"
        self._desk = PushDesk(lake)
        self._spool = FrameSpool(spool)
        self._frames: list[PushFrame] = []
        self._held_frames = self.held_octets = 0
        self._waiting: set[_Stream] = set()
        self.flushes = 0
        self.unfinished_octets = 0
        self._streams: dict[_Stream, None] = {}
        self._room = self.settings.connections
        self._started_at = utc_now()
        self.ready = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set; what has arrived by then is made durable first."""
        await asyncio.to_thread(self._take_over)
        self._room = _room_for(self.settings.connections)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Stream(self), self._host, self.port, backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=(self._host, self.port))
        self.ready.set()
        flusher = asyncio.create_task(self._flush_for_ever())
        beater = asyncio.create_task(self._beat_for_ever())
        try:
            await stop.wait()
        finally:
            server.close()
            datagrams.close()
            for task in (flusher, beater):
                task.cancel()
            await asyncio.gather(flusher, beater, return_exceptions=True)
            await self._flush()
            await asyncio.to_thread(beats.farewell, process=self._name)

    @property
    def connections(self) -> int:
        """Those that are open now."""
        return len(self._streams)

    def admit(self, stream: "_Stream") -> None:
        """Take a connection in. Where none fits any more, the one that has been silent longest gives way.

        A meter says what it has to say at once, so whoever holds connections open costs others, not the meters.
        """
        if len(self._streams) >= self._room:
            self.figures.dropped["too many connections"] += 1
            longest = next(iter(self._streams))
            self.leave(longest)
            longest.end("gave way")
        self._streams[stream] = None
        if self._is_full:
            self.let_wait(stream)

    def heard(self, stream: "_Stream") -> None:
        """A connection brought something: all others have been silent longer."""
        if stream in self._streams:
            del self._streams[stream]
            self._streams[stream] = None

    def leave(self, stream: "_Stream") -> None:
        """A connection is gone."""
        self._streams.pop(stream, None)
        self._waiting.discard(stream)

    def let_wait(self, stream: "_Stream") -> None:
        """Read nothing more of a connection before the next flush: what its sender has to say stays with the sender."""
        if stream not in self._waiting and stream.pause():
            self._waiting.add(stream)

    def let_all_wait_if_full(self) -> None:
        """No connection is read any more while the store has enough to do. What was read by then is taken."""
        if self._is_full:
            for stream in self._streams:
                self.let_wait(stream)

    @property
    def _is_full(self) -> bool:
        settings = self.settings
        return self._held_frames >= settings.frames_held_at_most or self.held_octets >= settings.octets_held_at_most

    def take(self, frame: PushFrame) -> None:
        """Accept an APDU: from here on the death of this process does not lose it, and the next flush stores it."""
        size = len(frame.apdu)
        if frame.transport == "udp" and (self._is_full or 2 * self._held_frames >= self.settings.frames_held_at_most):
            self.figures.dropped["the store is too slow"] += 1
            return
        self._held_frames += 1
        self.held_octets += size
        self.figures.frames += 1
        self.figures.bytes += size
        try:
            self._spool.write(frame)
        except OSError as error:  # it is still held in memory, and stored within a second
            self.figures.unspooled += 1
            log.warning("a pushed frame could not be spooled: %s", error)
        self._frames.append(frame)

    async def _flush_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self.settings.flush_s)
            try:
                await self._flush()
            except Exception:
                log.exception("pushed frames were not stored; they are kept and tried again")

    def _take_over(self) -> None:
        """Store what a killed listener had taken: before anything new, for a sender's counters only rise."""
        for frames in self._spool.orphans():
            log.warning("storing %d frames that a listener which was killed had taken", len(frames))
            self.figures.dropped.update(self._desk.take_over(frames))

    async def _flush(self) -> None:
        frames, self._frames = self._frames, []
        self.flushes += 1
        self._spool.turn()
        if not frames:
            return
        try:
            dropped = await asyncio.to_thread(self._desk.store, frames)
        except BaseException:
            self._frames[:0] = frames
            raise
        self._spool.drop_turned()
        self._held_frames -= len(frames)
        self.held_octets -= sum(len(frame.apdu) for frame in frames)
        self.figures.dropped.update(dropped)
        if not self._is_full:
            waiting, self._waiting = self._waiting, set()
            for stream in waiting:
                stream.go_on()

    async def _beat_for_ever(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._beat, self._status())
            except Exception:
                log.exception("the listener could not report itself; it is tried again")
            await asyncio.sleep(2)

    def _status(self) -> dict[str, Any]:
        return {
            "port": self.port,
            "connections": self.connections,
            "frames_total": self.figures.frames,
            "dropped": dict(self.figures.dropped),
            "unspooled": self.figures.unspooled,
        }

    def _beat(self, status: dict[str, Any]) -> None:
        beats.beat(process=self._name, role="listener", started_at=self._started_at, now=utc_now(), status=status)


class _Stream(asyncio.Protocol):
    """One TCP connection: bytes in, APDUs out; ended when it breaks the framing or its time is up."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._receiver = PushReceiver()
        self._blocks = flows.PushReassembly()
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._unfinished = 0
        self._brought = self._brought_at = 0
        self._end = "closed"
        self._is_waiting = False
        self._timers: list[asyncio.TimerHandle] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._peer = _peer_name(transport.get_extra_info("peername"))
        self._start_timers()
        self._listener.admit(self)

    def data_received(self, data: bytes) -> None:
        transport = self._transport
        if transport is None:
            return
        self._listener.heard(self)
        self._restart_idle_timer()
        frames = 0
        try:
            for apdu in _apdus(self._receiver, data):
                if (whole := self._blocks.feed(apdu)) is not None:
                    self._listener.take(PushFrame(whole, "tcp", self._peer, time.time()))
                    frames += 1
        except DlmsError as error:
            self._listener.figures.dropped["broken framing"] += 1
            self._listener.take(PushFrame(data[:2048], "tcp", self._peer, time.time(), fault=str(error)))
            self._hold(0)
            transport.abort()
            return
        self._keep_to_its_share(frames)
        self._hold(self._receiver.pending + self._blocks.pending)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in self._timers:
            timer.cancel()
        if self._unfinished:
            self._listener.figures.dropped[f"unfinished frame ({self._end})"] += 1
            self._hold(0)
        self._listener.leave(self)

    def end(self, reason: str) -> None:
        """Break the connection off; what its sender still has to say is lost."""
        self._end = reason
        if self._is_waiting:
            self._listener.figures.dropped[f"waited for the store ({reason})"] += 1
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> bool:
        """Leave what comes with its sender. Returns whether there is somebody who can wait."""
        if self._transport is None or self._transport.is_closing():
            return False
        self._transport.pause_reading()
        self._timers[0].cancel()
        self._is_waiting = True
        return True

    def go_on(self) -> None:
        """Read again."""
        self._is_waiting = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self._restart_idle_timer()

    def _keep_to_its_share(self, frames: int) -> None:
        listener = self._listener
        if self._brought_at != listener.flushes:
            self._brought, self._brought_at = 0, listener.flushes
        self._brought += frames
        if self._brought >= listener.settings.frames_a_connection:
            listener.let_wait(self)
        listener.let_all_wait_if_full()

    def _hold(self, octets: int) -> None:
        """Keep account of what has begun; what would be too much for all connections together goes."""
        self._listener.unfinished_octets += octets - self._unfinished
        self._unfinished = octets
        if octets and self._listener.unfinished_octets > self._listener.settings.octets_unfinished_at_most:
            self.end("too many at once")

    def _start_timers(self) -> None:
        loop, settings = asyncio.get_running_loop(), self._listener.settings
        self._timers = [
            loop.call_later(settings.idle_timeout_s, self.end, "idle"),
            loop.call_later(settings.connection_timeout_s, self.end, "too long"),
        ]

    def _restart_idle_timer(self) -> None:
        self._timers[0].cancel()
        loop = asyncio.get_running_loop()
        self._timers[0] = loop.call_later(self._listener.settings.idle_timeout_s, self.end, "idle")


class _Datagrams(asyncio.DatagramProtocol):
    """The UDP port: every datagram holds whole frames."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def datagram_received(self, data: bytes, addr: Any) -> None:
        receiver, peer, now = PushReceiver(), _peer_name(addr), time.time()
        try:
            for apdu in _apdus(receiver, data):
                self._listener.take(PushFrame(apdu, "udp", peer, now))
        except DlmsError as error:
            self._listener.figures.dropped["broken framing"] += 1
            self._listener.take(PushFrame(data[:2048], "udp", peer, now, fault=str(error)))
            return
        if receiver.pending:
            self._listener.figures.dropped["unfinished frame (datagram)"] += 1
            self._listener.take(PushFrame(data[:2048], "udp", peer, now, fault="the datagram ends within a frame"))


def _apdus(receiver: PushReceiver, data: bytes) -> Iterator[bytes]:
    """The APDUs that octets complete; those before damage come before it is raised."""
    while apdus := receiver.feed(data):
        yield from apdus
        data = b""


def _peer_name(address: Any) -> str:
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) and len(address) >= 2 else str(address)


def _room_for(connections: int) -> int:
    """As many connections as the system lets this process hold, whose limit of open files is raised as far as it may be.

    At the limit the system would turn meters away without a word, and nothing could be stored.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + FILES_BESIDES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    files = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    room = max(1, files - FILES_BESIDES)
    if room < connections:
        log.warning("the system allows %d open files: %d connections fit, not %d", files, room, connections)
    return room
