"""A listener under attack, as a process of its own: what it says of each frame, and that meters are heard meanwhile."""

from __future__ import annotations

import contextlib
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.endtoend.fleet import Installation, installation
from tests.endtoend.test_storm_killed import last_gasps
from tests.fleet.headend.test_hostile_input import HALF_OPEN

from meterops.protocols.dlms.flows import receive_push
from meterops.protocols.dlms.framing import WrapperLink
from meterops.protocols.dlms.security import AUTHENTICATED, ENCRYPTED, EnvelopeTag, GcmKey, seal_general

pytestmark = [pytest.mark.endtoend, pytest.mark.timeout(120)]
COMMON_LIMIT = 1024
"""Open files that systems allow a process that does not ask for more."""
HEADER_OCTETS = 8


@contextlib.contextmanager
def open_files(soft: int) -> Iterator[None]:
    """Processes that are started in here may have so many files open, until they ask for more."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


@contextlib.contextmanager
def half_open(port: int, count: int) -> Iterator[None]:
    """So many connections that say nothing."""
    command = [sys.executable, "-c", HALF_OPEN, str(port), str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as peer:
        assert peer.stdout
        assert peer.stdout.readline() == b"held\n"
        yield
        peer.kill()


def push(port: int, octets: bytes) -> None:
    """Send, and wait until the listener has read it: it then ends the connection, in order or, after garbage, at once."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.sendall(octets)
        link.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            assert link.recv(1) == b""


def attacks(good: list[bytes]) -> list[bytes]:
    """A frame taken before, one forged, one with another key, one of nobody, an APDU that is none, and what is no frame at all."""
    key = GcmKey(b"\x07" * 16, b"\x09" * 16)
    title = receive_push(good[2][HEADER_OCTETS:]).title
    sealed = [
        seal_general(
            EnvelopeTag.GENERAL_GLO_CIPHERING, name, key.protect(b"\x0f", name, 900, AUTHENTICATED | ENCRYPTED)
        )
        for name in (title, b"NOBODY01")
    ]
    frames = [WrapperLink(1, 1).send(apdu) for apdu in (*sealed, b"\xc1\x02\x03")]
    return [good[0], good[1][:-1] + bytes((good[1][-1] ^ 1,)), *frames, b"GET / HTTP/1.1\r\n\r\n"]


@pytest.fixture
def attacked(tmp_path: Path) -> Iterator[Installation]:
    with installation(tmp_path, meters=60) as one:
        with open_files(COMMON_LIMIT):
            one.start("listener")
        yield one


def test_meters_are_heard_during_an_attack_and_every_frame_of_it_is_counted(attacked: Installation) -> None:
    one = attacked
    good = last_gasps(one)
    listener = psutil.Process(one.processes["listener"].pid)
    before = listener.memory_info().rss
    count = min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1000)
    with half_open(one.listen_port, count):
        one.until(lambda: listener.num_fds() > count, "all are held")
        for octets in (good[0], *attacks(good), good[2]):
            push(one.listen_port, octets)
        wanted = {"taken": 2, "replay": 1, "bad-tag": 2, "no-key": 1, "undecodable": 1, "broken": 1}
        one.until(
            lambda: {row["outcome"]: row["frames"] for row in one.json("pushes")["outcomes"]} == wanted, "counted"
        )
        assert listener.num_fds() > count, "all of this while they were held"
        assert listener.memory_info().rss - before < 150_000_000
    told = one.json("events", "--type", "POWER_FAILURE", "--limit", 100)
    assert len({event["serial"] for event in told}) == len(told) == 2
