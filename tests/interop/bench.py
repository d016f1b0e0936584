"""One of our simulated meters, served on the loopback for as long as a test wants it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from meterops.protocols.dlms.security import SecuritySuite
from meterops.simulator.fleet_server import Framing
from meterops.simulator.meter_bench import DEMO_KEYS, BenchMeter, serve_meter

METER_TITLE = bytes.fromhex("53494d0000003039")


def bench_meter(suite: int = 0, **changed: Any) -> BenchMeter:
    """A meter with the demonstration keys, doubled in suite 2."""
    times = SecuritySuite(suite).key_length // 16
    keys = replace(
        DEMO_KEYS,
        encryption=DEMO_KEYS.encryption * times,
        authentication=DEMO_KEYS.authentication * times,
        master=(DEMO_KEYS.master or b"") * times,
    )
    return BenchMeter(keys=keys, system_title=METER_TITLE, suite=SecuritySuite(suite), **changed)


@contextlib.asynccontextmanager
async def serving(bench: BenchMeter, framing: Framing = Framing.WRAPPER, **options: Any) -> AsyncIterator[int]:
    """Serve the meter and give its port."""
    stop = asyncio.Event()
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        serve_meter(
            bench,
            port=0,
            framing=framing,
            ready=lambda host, port: listening.set_result(port),
            stop=stop,
            **options,
        )
    )
    try:
        await asyncio.wait((task, listening), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield listening.result()
    finally:
        stop.set()
        await task
