"""One conversation with one meter: drives flows over a link and a TCP connection.

The flow is advanced inside `data_received`, so a whole flow costs one future and no task switch per APDU. A peer that
sends garbage, stops mid-frame, drips octets or never answers costs this one session until its time is up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, TypeVar, cast

from meterops.protocols.dlms.errors import DlmsError, ProtocolError
from meterops.protocols.dlms.flows import Flow, Pause, Silence
from meterops.protocols.dlms.framing import Link

T = TypeVar("T")

MAX_WAITING_APDUS: Final = 64
"""APDUs that may arrive without anybody waiting for them; more end the session."""

CLOSING_TIMEOUT_S: Final = 1.0
"""How long a link may take to say goodbye (HDLC: the answer to DISC)."""


class SessionError(Exception):
    """Root of what goes wrong below the protocol."""


class Unreachable(SessionError):  # a state of the peer, named as the operator reads it
    """The connection could not be made."""


class PeerClosed(SessionError):
    """The connection went away before the answer came."""


class PeerTimeout(SessionError):
    """The answer did not come, or not completely, in time."""


@dataclass(slots=True)
class SessionStats:
    """What a session cost: octets and APDUs on the wire (frames included), requests answered, and time in ms."""

    bytes_sent: int = 0
    bytes_received: int = 0
    apdus: int = 0
    round_trips: int = 0
    connect_ms: float = 0.0
    duration_ms: float = 0.0


class Session(asyncio.Protocol):
    """An open connection to a meter. `run` drives one flow at a time; `close` ends it. Also a context manager."""

    def __init__(self, link: Link, timeout: float, deadline: float | None, started: float) -> None:
        """Use `open_session` instead. `deadline` and `started` are times of the running loop, in seconds."""
        self.stats = SessionStats()
        self._loop = asyncio.get_running_loop()
        self._link = link
        self._timeout = timeout
        self._deadline = deadline
        self._started = started
        self._transport: asyncio.Transport | None = None
        self._flow: Flow[Any] | None = None
        self._done: asyncio.Future[Any] | None = None
        self._arrived: deque[bytes] = deque()
        self._failure: Exception | None = None
        self._lost = self._loop.create_future()
        self._link_closed: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._pausing: asyncio.TimerHandle | None = None
        self._is_opening = False
        self._is_awaiting = False

    # --- for users ------------------------------------------------------------------------------------

    async def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its end and return what it returns.

        Raises what the flow raises (`DlmsError`), `PeerTimeout` or `PeerClosed`. After a timeout, a framing error or a
        lost connection the session is over.
        """
        if self._flow is not None:
            raise RuntimeError("this session already runs a flow")
        if self._failure is not None:
            flow.close()
            raise self._failure
        self._flow = flow
        done: asyncio.Future[T] = self._loop.create_future()
        self._done = done
        try:
            self._advance(None)
            return await done
        finally:
            self._stop_waiting()
            self._flow = None
            self._done = None
            flow.close()

    async def close(self) -> None:
        """Say goodbye where the link knows how to, and close the connection. Never raises, never takes long."""
        transport = self._transport
        if transport is None:
            return
        try:
            if self._failure is None:
                await self._say_goodbye()
        finally:
            self._stop_waiting()
            self._failure = self._failure or PeerClosed("the session is closed")
            # What the peer does not take now it will not take later; without octets waiting this closes in order.
            if transport.get_write_buffer_size():
                transport.abort()
            else:
                transport.close()
            self.stats.duration_ms = (self._loop.time() - self._started) * 1000.0
        await self._lost

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- for asyncio ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self.stats.connect_ms = (self._loop.time() - self._started) * 1000.0

    def data_received(self, data: bytes) -> None:
        """Feed the link, answer on its level, and advance the flow with every APDU."""
        self.stats.bytes_received += len(data)
        if self._failure is not None:
            return
        try:
            result = self._link.feed(data)
        except DlmsError as error:
            self._fail(error)
            return
        if result.reply:
            # A whole frame arrived, so the peer is making progress: the wait for the rest begins anew.
            self._write(result.reply)
            self._begin_waiting()
        if result.opened and self._is_opening:
            self._is_opening = False
            self._finish(None)
        if result.closed:
            self._on_link_closed()
        if result.apdus:
            self.stats.apdus += len(result.apdus)
            self._arrived.extend(result.apdus)
            self._pump()

    def eof_received(self) -> bool:
        """Let the transport close."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """End whatever waits for an answer."""
        if not self._lost.done():
            self._lost.set_result(None)
        if self._link_closed is not None and not self._link_closed.done():
            self._link_closed.set_result(None)
        if self._failure is None:
            said = f": {error}" if error else ""
            self._fail(PeerClosed(f"the meter closed the connection{said}"))

    # --- the rest is private --------------------------------------------------------------------------

    async def open_link(self) -> None:
        """Open the link (HDLC: SNRM and UA); TCP wrappers have nothing to open."""
        opening = self._link.open()
        if not opening:
            return
        self._is_opening = True
        self._done = self._loop.create_future()
        self._write(opening)
        self._begin_waiting()
        try:
            await self._done
        finally:
            self._stop_waiting()
            self._done = None
            self._is_opening = False

    async def _say_goodbye(self) -> None:
        farewell = self._link.close()
        self._link_closed = self._loop.create_future()
        if not farewell:
            return
        self._write(farewell)
        timer = self._loop.call_later(min(CLOSING_TIMEOUT_S, self._timeout), self._on_link_closed)
        try:
            await self._link_closed
        finally:
            timer.cancel()

    def _advance(self, apdu: bytes | None) -> None:
        """Send an APDU into the flow (None: begin) and do what it asks for next."""
        flow = self._flow
        if flow is None:
            return
        self._is_awaiting = False
        if self._pausing is not None:
            self._pausing.cancel()
            self._pausing = None
        try:
            request = next(flow) if apdu is None else flow.send(apdu)
            if request:
                octets = self._link.send(request)
        except StopIteration as end:
            self._finish(end.value)
            return
        except Exception as error:
            self._finish_with(error)
            return
        if request:
            self.stats.apdus += 1
            self.stats.round_trips += 1
            self._write(octets)
        elif isinstance(request, Pause):
            self._stop_waiting()
            self._pausing = self._loop.call_later(request.seconds, self._after_pause)
            self._watch_deadline()
            return
        if isinstance(request, Silence):
            self._pausing = self._loop.call_later(min(request.seconds, self._timeout / 2), self._after_silence)
        self._is_awaiting = True
        self._begin_waiting()

    def _pump(self) -> None:
        """Hand over what has arrived as long as the flow awaits something."""
        arrived = self._arrived
        while arrived and self._is_awaiting:
            self._advance(arrived.popleft())
        if len(arrived) > MAX_WAITING_APDUS:
            self._fail(ProtocolError(f"more than {MAX_WAITING_APDUS} APDUs that nobody asked for"))

    def _after_pause(self) -> None:
        self._pausing = None
        self._advance(b"")
        self._pump()

    def _after_silence(self) -> None:
        """Tell the flow that nothing came: what it waits for was lost."""
        self._pausing = None
        if self._is_awaiting:
            self._advance(b"")

    def _write(self, octets: bytes) -> None:
        if self._transport is not None:
            self.stats.bytes_sent += len(octets)
            self._transport.write(octets)

    def _begin_waiting(self) -> None:
        """Expect something within the timeout. One timer serves many answers: it looks again when it fires early."""
        due = self._loop.time() + self._timeout
        if self._deadline is not None and self._deadline < due:
            due = self._deadline
        self._due = due
        if self._timer is None or self._timer.when() > due:
            self._set_timer(due)

    def _watch_deadline(self) -> None:
        """Expect nothing, yet keep to the deadline of the session."""
        if self._deadline is not None:
            self._due = self._deadline
            self._set_timer(self._deadline)

    def _set_timer(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._on_timer)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pausing is not None:
            self._pausing.cancel()
            self._pausing = None

    def _on_timer(self) -> None:
        self._timer = None
        if self._done is None or self._done.done():
            return
        if self._loop.time() < self._due:
            self._set_timer(self._due)
        elif self._deadline is not None and self._due >= self._deadline:
            self._fail(PeerTimeout("the time for this session is up"))
        else:
            self._fail(PeerTimeout(f"no complete answer within {self._timeout:g} s"))

    def _on_link_closed(self) -> None:
        if self._link_closed is not None:
            if not self._link_closed.done():
                self._link_closed.set_result(None)
        elif self._failure is None:
            self._fail(PeerClosed("the meter closed the link"))

    def _finish(self, value: Any) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(value)

    def _finish_with(self, error: Exception) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)

    def _fail(self, error: Exception) -> None:
        """The session is over: nothing the peer sends from now on can be trusted to belong together."""
        self._failure = error
        self._arrived.clear()
        self._finish_with(error)
        if self._transport is not None:
            self._transport.abort()


async def open_session(
    host: str,
    port: int,
    link: Link,
    timeout: float,
    *,
    total_timeout: float | None = None,
    connect_timeout: float | None = None,
    local_address: str | None = None,
) -> Session:
    """Connect to a meter and open the link.

    `timeout` (seconds) bounds each answer, `connect_timeout` the connection (else `timeout`), `total_timeout` the whole
    session with all its flows.
    Raises `Unreachable`, `PeerTimeout`, `PeerClosed`, or `DlmsError` when the link does not open.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    deadline = None if total_timeout is None else started + total_timeout
    session = Session(link, timeout, deadline, started)
    patience = min(timeout if connect_timeout is None else connect_timeout, total_timeout or timeout)
    local = None if local_address is None else (local_address, 0)
    try:
        async with asyncio.timeout(patience):
            await loop.create_connection(lambda: session, host, port, local_addr=local)
    except TimeoutError:
        raise Unreachable(f"{host}:{port} does not answer within {patience:g} s") from None
    except OSError as error:
        raise Unreachable(f"{host}:{port}: {error.strerror or error}") from None
    try:
        await session.open_link()
    except BaseException:
        await session.close()
        raise
    return session
