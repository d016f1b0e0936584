"""Takes what meters push: DataNotifications over TCP and UDP, wrapper or HDLC, plain or ciphered, from known and unknown meters.

Everything that arrives is kept: decoded, as readings and events of the meter whose title or serial it carries; undecodable or
from nobody known, as a notification row that says why. A peer that sends garbage or nothing costs one connection until its time
is up. Nothing here raises on bad input; what is dropped is counted.
"""

import asyncio
import logging
import os
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from meterops.fleet.headend.push import PushDesk, PushFrame
from meterops.fleet.headend.spool import FrameSpool
from meterops.fleet.telemetry import api as telemetry
from meterops.kernel import beats
from meterops.kernel.clock import utc_now
from meterops.protocols.dlms import flows
from meterops.protocols.dlms.errors import DlmsError
from meterops.protocols.dlms.framing import PushReceiver

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """Bounds that keep a flood from costing more than its own packets."""

    connections: int = 20_000
    idle_timeout_s: float = 20.0
    connection_timeout_s: float = 120.0
    flush_s: float = 1.0
    frames_held_at_most: int = 200_000


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
        self._connections = 0
        self._started_at = utc_now()
        self.ready = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set; what has arrived by then is made durable first."""
        await asyncio.to_thread(self._take_over)
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

    def admit(self) -> bool:
        """Whether another connection fits."""
        if self._connections >= self.settings.connections:
            self.figures.dropped["too many connections"] += 1
            return False
        self._connections += 1
        return True

    def leave(self) -> None:
        """A connection is gone."""
        self._connections -= 1

    def take(self, frame: PushFrame) -> None:
        """Accept an APDU: from here on the death of this process does not lose it, and the next flush stores it."""
        if len(self._frames) >= self.settings.frames_held_at_most:
            self.figures.dropped["the store is too slow"] += 1
            return
        self.figures.frames += 1
        self.figures.bytes += len(frame.apdu)
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
        self._spool.turn()
        if not frames:
            return
        try:
            dropped = await asyncio.to_thread(self._desk.store, frames)
        except BaseException:
            self._frames[:0] = frames
            raise
        self._spool.drop_turned()
        self.figures.dropped.update(dropped)

    async def _beat_for_ever(self) -> None:
        while True:
            status = {
                "port": self.port,
                "connections": self._connections,
                "frames_total": self.figures.frames,
                "dropped": dict(self.figures.dropped),
                "unspooled": self.figures.unspooled,
            }
            await asyncio.to_thread(
                beats.beat,
                process=self._name,
                role="listener",
                started_at=self._started_at,
                now=utc_now(),
                status=status,
            )
            await asyncio.sleep(2)


class _Stream(asyncio.Protocol):
    """One TCP connection: bytes in, APDUs out; ended when it breaks the framing or its time is up."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._receiver = PushReceiver()
        self._blocks = flows.PushReassembly()
        self._transport: asyncio.Transport | None = None
        self._admitted = False
        self._peer = ""
        self._timers: list[asyncio.TimerHandle] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._admitted = self._listener.admit()
        if not self._admitted:
            self._transport.abort()
            return
        self._peer = _peer_name(transport.get_extra_info("peername"))
        self._start_timers()

    def data_received(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or not self._admitted:
            return
        self._restart_idle_timer()
        try:
            whole = [done for apdu in self._receiver.feed(data) if (done := self._blocks.feed(apdu)) is not None]
        except DlmsError as error:
            self._listener.figures.dropped["broken framing"] += 1
            self._listener.take(PushFrame(data[:2048], "tcp", self._peer, time.time(), fault=str(error)))
            transport.abort()
            return
        for apdu in whole:
            self._listener.take(PushFrame(apdu, "tcp", self._peer, time.time()))

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in self._timers:
            timer.cancel()
        if self._admitted:
            self._listener.leave()

    def _start_timers(self) -> None:
        loop, settings = asyncio.get_running_loop(), self._listener.settings
        self._timers = [
            loop.call_later(settings.idle_timeout_s, self._time_is_up, "idle"),
            loop.call_later(settings.connection_timeout_s, self._time_is_up, "too long"),
        ]

    def _restart_idle_timer(self) -> None:
        self._timers[0].cancel()
        loop = asyncio.get_running_loop()
        self._timers[0] = loop.call_later(self._listener.settings.idle_timeout_s, self._time_is_up, "idle")

    def _time_is_up(self, reason: str) -> None:
        if self._receiver.pending:
            self._listener.figures.dropped[f"unfinished frame ({reason})"] += 1
        if self._transport is not None:
            self._transport.abort()


class _Datagrams(asyncio.DatagramProtocol):
    """The UDP port: every datagram holds whole frames."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def datagram_received(self, data: bytes, addr: Any) -> None:
        receiver, peer, now = PushReceiver(), _peer_name(addr), time.time()
        try:
            apdus = receiver.feed(data)
        except DlmsError as error:
            self._listener.figures.dropped["broken framing"] += 1
            self._listener.take(PushFrame(data[:2048], "udp", peer, now, fault=str(error)))
            return
        if receiver.pending:
            self._listener.figures.dropped["unfinished frame (datagram)"] += 1
            self._listener.take(PushFrame(data[:2048], "udp", peer, now, fault="the datagram ends within a frame"))
        for apdu in apdus:
            self._listener.take(PushFrame(apdu, "udp", peer, now))


def _peer_name(address: Any) -> str:
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) and len(address) >= 2 else str(address)
