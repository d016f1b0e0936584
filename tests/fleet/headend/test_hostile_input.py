"""Peers that mean harm or are broken: at the listener they cost a count, and a meter that misbehaves costs its own session."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest

from meterops.fleet.headend import listener as listeners
from meterops.fleet.headend.listener import Listener, ListenerSettings
from meterops.fleet.headend.push import PushFrame
from meterops.fleet.headend.session import PeerClosed, PeerTimeout, SessionError, Unreachable, open_session
from meterops.fleet.telemetry import api as telemetry
from meterops.protocols.dlms.association.client import ClientAssociation
from meterops.protocols.dlms.association.parameters import Authentication, ClientParameters
from meterops.protocols.dlms.errors import DlmsError
from meterops.protocols.dlms.flows import associate
from meterops.protocols.dlms.framing import WrapperLink

PLAIN_PUSH = bytes.fromhex("0F00000001000201090C07EA0B1B05120000008000FF")


def framed(apdu: bytes) -> bytes:
    return WrapperLink(1, 1).send(apdu)


class Desk:
    """Stands where frames are decoded and stored: what a listener does with its sockets is looked at here, not the state store."""

    def __init__(self) -> None:
        self.frames: list[PushFrame] = []
        self.is_open = threading.Event()
        self.is_open.set()

    def store(self, frames: list[PushFrame]) -> dict[str, int]:
        self.is_open.wait(30)
        self.frames += frames
        return {}


@asynccontextmanager
async def listening(lake: telemetry.Lake, **words: float) -> AsyncIterator[tuple[Listener, Desk]]:
    spool = Path(tempfile.mkdtemp(dir=lake.config.folder))
    listener = Listener(lake, host="127.0.0.1", port=0, spool=spool, settings=ListenerSettings(flush_s=0.05, **words))  # type: ignore[arg-type]
    listener._desk = desk = Desk()  # type: ignore[assignment]
    stop = asyncio.Event()
    silent = SimpleNamespace(beat=lambda **_: None, farewell=lambda **_: None)
    with patch.object(listeners, "beats", silent):
        running = asyncio.create_task(listener.run(stop))
        await listener.ready.wait()
        try:
            yield listener, desk
        finally:
            stop.set()
            await running


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[telemetry.Lake]:
    lake = telemetry.Lake(telemetry.LakeConfig(folder=str(tmp_path_factory.mktemp("lake"))))
    yield lake
    lake.close()


async def send(port: int, *pieces: bytes, pause: float = 0.0) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def until(what: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_garbage_is_counted_kept_and_ends_its_connection_only(lake: telemetry.Lake) -> None:
    async with listening(lake) as (listener, desk):
        for octets in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(400), b"\x00\x01" + os.urandom(300), b"\x7e" * 500):
            await send(listener.port, octets)
        await send(listener.port, framed(PLAIN_PUSH))
        await until(lambda: any(frame.apdu == PLAIN_PUSH for frame in desk.frames))
        assert listener.figures.dropped["broken framing"] >= 1
        assert all(frame.fault for frame in desk.frames if frame.apdu != PLAIN_PUSH)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_what_was_whole_before_garbage_is_taken(lake: telemetry.Lake, transport: str) -> None:
    octets = framed(PLAIN_PUSH) + framed(PLAIN_PUSH) + b"GET / HTTP/1.1\r\n\r\n"
    async with listening(lake) as (listener, desk):
        if transport == "tcp":
            await send(listener.port, octets)
        else:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(octets, ("127.0.0.1", listener.port))
        await until(lambda: len(desk.frames) == 3)
        assert [bool(frame.fault) for frame in desk.frames] == [False, False, True]
        assert desk.frames[0].apdu == desk.frames[1].apdu == PLAIN_PUSH
        assert listener.figures.dropped["broken framing"] == 1


async def test_a_frame_that_never_ends_is_cut_off_and_a_dripping_one_taken(lake: telemetry.Lake) -> None:
    async with listening(lake, idle_timeout_s=0.4) as (listener, desk):
        whole = framed(PLAIN_PUSH)
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(whole[:-3])
        await send(listener.port, *(whole[place : place + 1] for place in range(len(whole))), pause=0.01)
        await until(lambda: desk.frames)
        await until(lambda: listener.figures.dropped["unfinished frame (idle)"] == 1)
        assert [frame.apdu for frame in desk.frames] == [PLAIN_PUSH]
        writer.close()


async def test_an_impossible_length_holds_no_memory(lake: telemetry.Lake) -> None:
    async with listening(lake, idle_timeout_s=0.5) as (listener, _):
        await send(listener.port, bytes.fromhex("000100010001FFFF"), *([b"\x00" * 60_000] * 3))
        await until(lambda: listener.connections == 0)


async def test_frames_that_begin_and_never_end_hold_little_memory_together(lake: telemetry.Lake) -> None:
    begun = bytes.fromhex("000100010001FFFF") + b"\x00" * 60_000
    async with listening(lake, octets_unfinished_at_most=1_000_000) as (listener, desk):
        links = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(30)]
        for _, writer in links:
            writer.write(begun)
        await until(lambda: listener.figures.dropped["unfinished frame (too many at once)"] >= 14)
        await until(lambda: 0 < listener.unfinished_octets <= 1_000_000)
        await send(listener.port, framed(PLAIN_PUSH))
        await until(lambda: desk.frames)
        for _, writer in links:
            writer.close()
        await until(lambda: listener.unfinished_octets == 0 and listener.connections == 0)
        ends = {reason: count for reason, count in listener.figures.dropped.items() if reason.startswith("unfinished")}
        assert sum(ends.values()) == 30, ends


async def test_blocks_of_a_push_that_never_ends_count_as_well(lake: telemetry.Lake) -> None:
    block = bytes.fromhex("E0000001000082") + (20_000).to_bytes(2, "big") + b"\x00" * 20_000
    async with listening(lake) as (listener, _):
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(framed(block))
        await until(lambda: listener.unfinished_octets == 20_000)
        writer.close()
        await until(lambda: listener.figures.dropped["unfinished frame (closed)"] == 1)
        assert listener.unfinished_octets == 0


async def test_senders_wait_while_the_store_has_enough_to_do_and_nothing_of_theirs_is_lost(
    lake: telemetry.Lake,
) -> None:
    async with listening(lake, octets_held_at_most=100_000) as (listener, desk):
        desk.is_open.clear()
        large = framed(b"\xff" * 60_000)
        for _ in range(20):
            await send(listener.port, large)
        await asyncio.sleep(0.2)
        assert listener.held_octets == 2 * 60_000, "the second made it full"
        desk.is_open.set()
        await until(lambda: len(desk.frames) == 20)
        assert not listener.figures.dropped
        assert listener.held_octets == 0


async def test_who_waits_in_vain_is_counted(lake: telemetry.Lake) -> None:
    async with listening(lake, octets_held_at_most=1, connection_timeout_s=0.5, idle_timeout_s=0.1) as (listener, desk):
        desk.is_open.clear()
        links = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(3)]
        for _, writer in links:
            writer.write(framed(PLAIN_PUSH))
        await until(lambda: listener.connections == 0)
        assert listener.figures.dropped == {"waited for the store (too long)": 3}
        desk.is_open.set()
        await until(lambda: desk.frames)
        for _, writer in links:
            writer.close()


async def test_one_connection_fills_nobody_elses_place(lake: telemetry.Lake) -> None:
    async with listening(lake, frames_a_connection=50, frames_held_at_most=100_000) as (listener, desk):
        desk.is_open.clear()
        one = asyncio.create_task(send(listener.port, *[framed(b"\xff" * 500) * 20] * 500))
        await until(lambda: listener.figures.frames >= 50)
        await asyncio.sleep(0.2)
        assert listener.figures.frames < 2_000, "it waits after what was read at once"
        await send(listener.port, framed(PLAIN_PUSH))
        desk.is_open.set()
        await until(lambda: any(frame.apdu == PLAIN_PUSH for frame in desk.frames))
        await one
        await until(lambda: len(desk.frames) == 10_001)
        assert not listener.figures.dropped


HALF_OPEN = """
import resource, socket, sys
port, count = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
print("held", flush=True)
sys.stdin.read()
"""
"""A peer that opens connections and says nothing; a program of its own, for one may not open so many files."""


async def test_more_half_open_connections_than_fit_give_way_to_a_meter_and_go(lake: telemetry.Lake) -> None:
    count, room = 3_000, 2_000
    async with listening(lake, connections=room, idle_timeout_s=2) as (listener, desk):
        reader, early = await asyncio.open_connection("127.0.0.1", listener.port)
        peer = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HALF_OPEN, str(listener.port), str(count),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert peer.stdout
        assert await peer.stdout.readline() == b"held\n"
        await until(lambda: listener.figures.dropped["too many connections"] == count + 1 - room)
        assert listener.connections == room
        assert await reader.read() == b"", "who has been silent longest has to go"
        early.close()
        await send(listener.port, framed(PLAIN_PUSH))
        await until(lambda: desk.frames, 5)
        await until(lambda: listener.connections == 0, 30)
        assert not any("unfinished" in reason for reason in listener.figures.dropped), "who said nothing lost nothing"
        peer.kill()
        await peer.wait()


async def test_who_speaks_keeps_its_place(lake: telemetry.Lake) -> None:
    whole = framed(PLAIN_PUSH)
    async with listening(lake, connections=3) as (listener, desk):
        _, meter = await asyncio.open_connection("127.0.0.1", listener.port)
        silent = []
        for octet in whole:
            silent.append((await asyncio.open_connection("127.0.0.1", listener.port))[1])
            meter.write(bytes((octet,)))
            await asyncio.sleep(0.01)
        await until(lambda: desk.frames)
        assert listener.figures.dropped["too many connections"] == len(whole) - 2
        for writer in (meter, *silent):
            writer.close()


async def test_a_flood_of_datagrams_is_bounded_and_counted(lake: telemetry.Lake) -> None:
    async with listening(lake, frames_held_at_most=100) as (listener, desk):
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            for number in range(2000):
                piece = framed(PLAIN_PUSH) if number % 2 else os.urandom(40)
                await loop.sock_sendto(sender, piece, ("127.0.0.1", listener.port))
        await until(lambda: listener.figures.frames > 0)
        await asyncio.sleep(0.2)
        assert len(desk.frames) + sum(listener.figures.dropped.values()) >= listener.figures.frames
        await send(listener.port, framed(PLAIN_PUSH))
        await until(lambda: any(frame.transport == "tcp" for frame in desk.frames))


# Meters.

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _garbage(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(os.urandom(300))
    await writer.drain()


async def _stops(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(bytes.fromhex("0001000100100040") + b"\x61\x29")
    await writer.drain()
    await asyncio.sleep(30)


async def _drips(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for octet in bytes.fromhex("0001000100100400") + bytes(1000):
        writer.write(bytes((octet,)))
        await writer.drain()
        await asyncio.sleep(0.05)


async def _mute(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def _hangs_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _associate_with(port: int, parameters: ClientParameters) -> None:
    async with await open_session("127.0.0.1", port, WrapperLink(16, 1), 0.6) as session:
        await session.run(associate(ClientAssociation(parameters)))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (_garbage, (DlmsError, SessionError)),
        (_stops, PeerTimeout),
        (_drips, PeerTimeout),
        (_mute, PeerTimeout),
        (_hangs_up, (PeerClosed, Unreachable)),
    ],
    ids=["garbage", "stops mid-frame", "drips", "never answers", "hangs up"],
)
async def test_a_broken_meter_costs_its_session_until_the_timeout_and_no_longer(
    answer: Answer, expected: type[Exception]
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        try:
            await answer(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    parameters = ClientParameters(client_sap=16, server_sap=1, authentication=Authentication.NONE)
    started = time.monotonic()
    ticks = 0

    async def neighbor() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    beside = asyncio.create_task(neighbor())
    with pytest.raises(expected):
        await _associate_with(port, parameters)
    took = time.monotonic() - started
    beside.cancel()
    server.close()
    assert took < 2
    assert ticks >= took / 0.05
