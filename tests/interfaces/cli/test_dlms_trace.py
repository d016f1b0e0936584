"""Traces of sessions that our client really had with a simulated meter: opened, in words, and without a secret in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from tests.interfaces.cli.test_dlms_client import CLOCK, ENERGY, TITLE, Bench, Shell
from typer.testing import CliRunner

from meterops.interfaces.cli.dlms import app
from meterops.simulator.meter_bench import DEMO_KEYS, BenchMeter

PASSWORD = "12345678"
OPTIONS = ("--ek", DEMO_KEYS.encryption.hex(), "--ak", DEMO_KEYS.authentication.hex())
KEYS = ("--key", DEMO_KEYS.encryption.hex(), "--auth-key", DEMO_KEYS.authentication.hex())


@pytest.fixture
def shell() -> Iterator[Shell]:
    with Bench(BenchMeter(keys=DEMO_KEYS, system_title=TITLE)) as beside:
        yield beside


def trace(record: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["trace", str(record), *arguments])


def assert_no_secret(text: str) -> None:
    folded = text.lower()
    for secret in (DEMO_KEYS.encryption, DEMO_KEYS.authentication, DEMO_KEYS.master, PASSWORD.encode()):
        assert secret is not None
        assert secret.hex() not in folded
    assert PASSWORD not in text


def test_a_plain_session_needs_no_key(shell: Shell, tmp_path: Path) -> None:
    record = tmp_path / "session.txt"
    shell.answer("read", CLOCK.replace(":2", ":3"), "--trace-to", str(record))
    told = trace(record)
    assert told.exit_code == 0, told.output
    assert "→ Aarq: associate: no security" in told.stdout
    assert "Clock 0.0.1.0.0.255" in told.stdout


def test_a_password_is_redacted(shell: Shell, tmp_path: Path) -> None:
    record, secret = tmp_path / "session.txt", tmp_path / "password"
    secret.write_text(PASSWORD)
    shell.using("--auth", "lls", "--password-file", str(secret)).answer("read", ENERGY, "--trace-to", str(record))
    assert PASSWORD.encode().hex() in record.read_text()
    for how in ((), ("--full",), ("--json",)):
        told = trace(record, *how)
        assert told.exit_code == 0, told.output
        assert_no_secret(told.output)


@pytest.mark.parametrize("ciphering", ["glo", "general-glo", "dedicated", "general-dedicated"])
def test_every_protection_is_opened(shell: Shell, tmp_path: Path, ciphering: str) -> None:
    record = tmp_path / "session.txt"
    reader = shell.using("--auth", "hls5", *OPTIONS, "--ciphering", ciphering)
    reader.answer("read", ENERGY, "--trace-to", str(record))
    told = trace(record, *KEYS, "--full")
    assert told.exit_code == 0, told.output
    assert "get Register 1.0.1.8.0.255" in told.stdout
    assert ("dedicated key" in told.stdout) == ("dedicated" in ciphering)
    assert "does not rise" not in told.stdout
    assert_no_secret(told.output)


def test_new_keys_are_redacted(shell: Shell, tmp_path: Path) -> None:
    record, new = tmp_path / "session.txt", tmp_path / "new.json"
    manager = shell.using("--auth", "hls5", *OPTIONS, "--kek", DEMO_KEYS.master.hex() if DEMO_KEYS.master else "")
    manager.answer("keys", "--generate", str(new), "--yes", "--trace-to", str(record))
    told = trace(record, *KEYS, "--full")
    assert "method 2" in told.stdout
    assert "redacted" in told.stdout
    for text in json.loads(new.read_text()).values():
        assert str(text).lower() not in told.output.lower()


def test_without_or_with_the_wrong_key_it_stays_closed_and_says_so(shell: Shell, tmp_path: Path) -> None:
    record = tmp_path / "session.txt"
    shell.using("--auth", "hls5", *OPTIONS).answer("read", ENERGY, "--trace-to", str(record))
    closed = trace(record)
    assert closed.exit_code == 1
    assert "the encryption key is not known" in closed.stdout
    wrong = trace(record, "--key", "00" * 16, "--auth-key", "11" * 16)
    assert wrong.exit_code == 1
    assert "stayed closed" in wrong.stderr


def test_a_replayed_answer_is_noted(shell: Shell, tmp_path: Path) -> None:
    record = tmp_path / "session.txt"
    shell.using("--auth", "hls5", *OPTIONS).answer("read", ENERGY, "--trace-to", str(record))
    lines = record.read_text().splitlines()
    answers = [number for number, line in enumerate(lines) if line.startswith("< ") and "db08" in line]
    lines.insert(answers[-1], lines[answers[0]])
    record.write_text("\n".join(lines))
    assert "the counter does not rise" in trace(record, *KEYS).stdout


def test_a_file_that_is_no_session(tmp_path: Path) -> None:
    record = tmp_path / "session.txt"
    record.write_text("> zz\n")
    refused = trace(record)
    assert refused.exit_code == 3
    assert "session.txt" in refused.stderr
