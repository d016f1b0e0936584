"""Where the opponents' environment lies, and how an opponent is run: always as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.shared_data import SHARED

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-gurux" / "bin" / "python"
OPPONENTS = Path(__file__).resolve().parent / "opponents"
SHARED_PEERS = SHARED / "peers" if SHARED is not None and (SHARED / "peers").is_dir() else None

START_TIMEOUT_S = 60.0


def opponent_python() -> str:
    """The interpreter that has gurux-dlms; without it the test fails where CI runs it and is skipped elsewhere."""
    if not PYTHON.exists():
        missing = "the opponents' environment is missing: `make gurux` builds .venv-gurux"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return str(PYTHON)


async def run_opponent(script: Path, *arguments: str, timeout_s: float = 90.0) -> tuple[int, str]:
    """Run an opponent to its end; its exit code and everything it wrote."""
    process = await asyncio.create_subprocess_exec(
        opponent_python(), str(script), *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(timeout_s):
            written, _ = await process.communicate()
    finally:
        await _end(process)
    return process.returncode or 0, written.decode(errors="replace")


@contextlib.asynccontextmanager
async def serving_opponent(script: Path, *arguments: str) -> AsyncIterator[int]:
    """Run an opponent that serves, and give its port: it writes `READY host port ...` when it listens."""
    process = await asyncio.create_subprocess_exec(
        opponent_python(), str(script), "--port", "0", *arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_TIMEOUT_S):
            line = b""
            while not line.startswith(b"READY"):
                line = await process.stdout.readline()
                assert line, f"{script.name} ended before it listened"
        yield int(line.split()[2])
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    # The transport closes its pipes a moment later; without this they would be found open by the garbage collector.
    await asyncio.sleep(0)
