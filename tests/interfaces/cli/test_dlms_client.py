"""The ad-hoc client against a simulated meter over TCP and UDP, as somebody would use it from a shell."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import typer
from click.testing import Result
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

from meterops.interfaces.cli import dlms_client
from meterops.protocols.dlms.security import SecuritySuite
from meterops.simulator.fleet_server import Framing
from meterops.simulator.meter_bench import DEMO_KEYS, BenchMeter, serve_meter

TITLE = bytes.fromhex("53494d0000003039")
NAME = "1:0.0.42.0.0.255:2"
ENERGY = "3:1.0.1.8.0.255:2"
MISSING = "3:1.0.77.77.77.255:2"
CLOCK = "8:0.0.1.0.0.255:2"
DISCONNECT = "70:0.0.96.3.10.255:1"

app = typer.Typer()
dlms_client.register(app)


@dataclass(frozen=True)
class Shell:
    """A shell beside a meter."""

    port: int
    options: tuple[str, ...] = ()

    def run(self, command: str, *arguments: str, typed: str | None = None) -> Result:
        line = [command, "127.0.0.1", str(self.port), *arguments, *self.options]
        return CliRunner().invoke(app, line, input=typed)

    def answer(self, command: str, *arguments: str) -> str:
        result = self.run(command, *arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def using(self, *options: str) -> Shell:
        return replace(self, options=self.options + options)


class Bench:
    """Serves a meter from a thread of its own: the commands run their own loop."""

    def __init__(self, meter: BenchMeter, *, udp: bool = False) -> None:
        self.port = 0
        self._meter = meter
        self._udp = udp
        self._listening = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await serve_meter(
            self._meter, port=0, framing=Framing.WRAPPER, udp=self._udp, ready=self._ready, stop=self._stop
        )

    def _ready(self, host: str, port: int) -> None:
        self.port = port
        self._listening.set()

    def __enter__(self) -> Shell:
        self._thread.start()
        assert self._listening.wait(30)
        return Shell(self.port)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


@pytest.fixture
def shell() -> Iterator[Shell]:
    with Bench(BenchMeter(keys=DEMO_KEYS, system_title=TITLE)) as beside:
        yield beside


@pytest.fixture
def manager(shell: Shell, tmp_path: Path) -> Shell:
    """With keys, from files."""
    options = ["--auth", "hls5"]
    for name in ("encryption", "authentication", "master"):
        (tmp_path / name).write_text(getattr(DEMO_KEYS, name).hex() + "\n")
    for option, name in (("--ek", "encryption"), ("--ak", "authentication"), ("--kek", "master")):
        options += [option, f"@{tmp_path / name}"]
    return shell.using(*options)


def test_reading_as_the_public(shell: Shell) -> None:
    assert shell.answer("read", NAME) == f'{NAME} = {b"SIM0000000012345".hex()} ("SIM0000000012345")\n'
    refused = shell.run("read", NAME, ENERGY)
    assert refused.exit_code == 1
    assert f"{ENERGY} = refused: read write denied" in refused.stdout


def test_reading_with_keys_and_recording(manager: Shell, tmp_path: Path) -> None:
    record = tmp_path / "session.txt"
    found = json.loads(manager.answer("read", ENERGY, "3:1-0:1.8.0*255:3", "--json", "--trace-to", str(record)))
    assert [one["type"] for one in found] == ["uint32", "structure"]
    assert found[1]["value"] == [0, 30]
    lines = record.read_text().splitlines()
    assert {line[:6] for line in lines} == {"> 0001", "< 0001"}
    frames = [bytes.fromhex(line[2:]) for line in lines]
    assert all(len(frame) == 8 + int.from_bytes(frame[6:8], "big") for frame in frames)
    # The public association that learns the counter is in it, and the protected one.
    assert [frame[8] for frame in frames if frame[8] in (0x60, 0xDB)][:3] == [0x60, 0x60, 0xDB]
    assert record.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("ciphering", ["glo", "general-glo", "dedicated", "general-dedicated"])
def test_every_protection(manager: Shell, ciphering: str) -> None:
    assert ENERGY in manager.answer("read", ENERGY, "--ciphering", ciphering)


def test_the_password_comes_from_a_file(shell: Shell, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("12345678\n")
    reader = shell.using("--auth", "lls", "--password-file", str(secret))
    assert ENERGY in reader.answer("read", ENERGY)
    secret.write_text("wrong")
    refused = reader.run("read", ENERGY)
    assert refused.exit_code == 1
    assert "association refused" in refused.stderr


def test_over_udp() -> None:
    with Bench(BenchMeter(keys=DEMO_KEYS, system_title=TITLE), udp=True) as shell:
        assert "SIM0000000012345" in shell.answer("read", NAME, "--udp")


@pytest.mark.parametrize("suite", [1, 2])
def test_signatures(suite: int, tmp_path: Path) -> None:
    curve = ec.SECP384R1() if suite == 2 else ec.SECP256R1()
    meter_key, own = ec.generate_private_key(curve), ec.generate_private_key(curve)
    own_file, meter_file = tmp_path / "own.pem", tmp_path / "meter.pem"
    own_file.write_bytes(
        own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    meter_file.write_bytes(
        meter_key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    length = SecuritySuite(suite).key_length
    keys = replace(
        DEMO_KEYS,
        encryption=bytes(range(length)),
        authentication=bytes(range(length, 2 * length)),
        signing=meter_key,
        verification=own.public_key(),
    )
    with Bench(BenchMeter(keys=keys, system_title=TITLE, suite=SecuritySuite(suite))) as shell:
        signer = shell.using(
            *(
                "--auth",
                "hls7",
                "--suite",
                str(suite),
                "--ek",
                keys.encryption.hex(),
                "--ak",
                keys.authentication.hex(),
            ),
            *("--signing-key", str(own_file), "--meter-key", str(meter_file)),
        )
        assert ENERGY in signer.answer("read", ENERGY)
        assert ENERGY in signer.answer("read", ENERGY, "--sign")


def test_writing_asks_first(manager: Shell) -> None:
    later = "time:2031-05-06T07:08:09+00:00"
    assert "2031-05-06T07:08:09" in manager.answer("write", CLOCK, later, "--dry-run")
    nobody = manager.run("write", CLOCK, later, typed="")
    assert (nobody.exit_code, "--yes" in nobody.stderr) == (2, True)
    assert manager.run("write", CLOCK, later, typed="n\n").exit_code == 1
    assert "2031" not in manager.answer("read", CLOCK)
    assert manager.run("write", CLOCK, later, typed="y\n").exit_code == 0
    assert "2031-05-06T07:08" in manager.answer("read", CLOCK)
    refused = manager.run("write", ENERGY, "uint32:0", "--yes")
    assert refused.exit_code == 1
    assert "read write denied" in refused.stderr


def test_disconnecting(manager: Shell) -> None:
    state = "70:0.0.96.3.10.255:2"
    assert "would invoke" in manager.answer("invoke", DISCONNECT, "--dry-run")
    assert manager.answer("read", state) == f"{state} = True\n"
    assert manager.answer("invoke", DISCONNECT, "--yes") == "done\n"
    assert manager.answer("read", state) == f"{state} = False\n"


def test_profiles(manager: Shell) -> None:
    period = ("--from", "2026-03-01", "--to", "2026-03-02T00:00:00Z")
    found = json.loads(manager.answer("profile", *period, "--json"))
    assert found["columns"][0] == CLOCK
    assert [row[0] for row in found["rows"]][:2] == ["2026-03-01T00:00:00+00:00", "2026-03-01T00:15:00+00:00"]
    assert len(found["rows"]) == 96
    assert len(manager.answer("profile", *period, "--csv").splitlines()) == 97
    assert "2026-03-01T23:45:00+00:00" in manager.answer("profile", *period)
    assert "No rows" in manager.answer("profile", "--from", "2020-01-01", "--to", "2020-01-02")
    assert manager.run("profile", "--from", "2026-03-02", "--to", "2026-03-01").exit_code == 2


def test_firmware(manager: Shell, tmp_path: Path) -> None:
    file = tmp_path / "FW-9.9.9"
    file.write_bytes(bytes(range(256)) * 10)
    version = "1:1.0.0.2.0.255:2"
    assert "would transfer FW-9.9.9: 13 blocks of 200" in manager.answer("image", str(file), "--dry-run")
    assert "not activated" in manager.answer("image", str(file), "--yes")
    assert "FW-1.0.0" in manager.answer("read", version)
    assert "activated" in manager.answer("image", str(file), "--activate", "--yes")
    assert "FW-9.9.9" in manager.answer("read", version)


def test_new_keys_are_kept_before_they_are_sent_and_proved(manager: Shell, tmp_path: Path) -> None:
    file = tmp_path / "new.json"
    assert "would replace" in manager.answer("keys", "--generate", str(file), "--dry-run")
    assert not file.exists()
    assert "proved" in manager.answer("keys", "--generate", str(file), "--yes")
    assert file.stat().st_mode & 0o077 == 0
    assert manager.run("read", ENERGY).exit_code == 1
    new = json.loads(file.read_text())
    changed = Shell(manager.port).using(
        "--auth", "hls5", "--ek", new["unicast_encryption"], "--ak", new["authentication"]
    )
    assert ENERGY in changed.answer("read", ENERGY)
    # A file that is there is not written over.
    assert manager.run("keys", "--generate", str(file), "--yes").exit_code == 2


def test_what_an_association_offers(manager: Shell) -> None:
    found = json.loads(manager.answer("info", "--json"))
    assert found["system_title"] == TITLE.hex()
    assert "general_protection" in found["conformance"]
    (energy,) = [one for one in found["objects"] if one["obis"] == "1.0.1.8.0.255"]
    assert energy["class_id"] == 3
    assert "logical device name" in manager.answer("info")


def test_another_meter_than_expected(manager: Shell) -> None:
    refused = manager.run("read", ENERGY, "--meter-title", "0102030405060708")
    assert refused.exit_code == 1
    assert "was expected" in refused.stderr


def test_nobody_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        gone = Shell(unused.getsockname()[1]).run("read", NAME)
    assert gone.exit_code == 3
    assert gone.stderr.startswith("unreachable")


@pytest.mark.parametrize(
    "arguments",
    [
        ["read", "3:1.0.1.8.0.255"],
        ["read", "three:1.0.1.8.0.255:2"],
        ["read", NAME, "--auth", "hls5"],
        ["read", NAME, "--auth", "lls"],
        ["read", NAME, "--ek", "no hex", "--auth", "hls5"],
        ["read", NAME, "--ek", "@/nowhere", "--auth", "hls5"],
        ["read", NAME, "--quirk", "flies"],
        ["read", NAME, "--quirk", "list_limit"],
        ["write", ENERGY, "uint8:256", "--dry-run"],
        ["write", ENERGY, "blob:1", "--dry-run"],
        ["keys", "--yes"],
    ],
)
def test_wrong_use(arguments: list[str]) -> None:
    command, *rest = arguments
    result = Shell(1).run(command, *rest)
    assert result.exit_code == 2, result.output


def test_quirks(manager: Shell) -> None:
    assert ENERGY in manager.answer("read", ENERGY, NAME, "--quirk", "no-lists", "--quirk", "list_limit=2")
