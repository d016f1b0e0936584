"""An independent client goes through everything a client does with our simulated meter; every step must succeed."""

from __future__ import annotations

import json

import pytest
from tests.interop.bench import bench_meter, serving
from tests.interop.environment import OPPONENTS, SHARED_PEERS, run_opponent

from meterops.simulator.fleet_server import Framing
from meterops.simulator.meter_bench import BenchMeter

pytestmark = pytest.mark.interop

FRAMINGS = [Framing.WRAPPER, Framing.HDLC]
CIPHERINGS = ["general-glo", "glo", "dedicated", "general-dedicated"]
ALWAYS = {"associate", "device name", "clock", "object list", "release", "tags"}
READING = {"scalers", "values", "list of values", "capture objects", "rows of a day", "first ten rows", "events"}
WRITING = {"set clock", "disconnect and reconnect", "image transfer", "write a long value"}
ROTATING = {"new keys", "read under the new keys", "former keys back"}


async def try_meter(bench: BenchMeter, framing: Framing, *options: str) -> dict[str, object]:
    """Let the opponent try the meter; what each step said."""
    keys = bench.keys
    assert keys.master is not None
    hex_keys = [
        *("--encryption-key", keys.encryption.hex()),
        *("--authentication-key", keys.authentication.hex()),
        *("--master-key", keys.master.hex()),
    ]
    if framing is Framing.HDLC:
        options = (*options, "--hdlc")
    async with serving(bench, framing) as port:
        code, written = await run_opponent(
            OPPONENTS / "gurux_client.py", "127.0.0.1", str(port), *hex_keys, "--suite", str(int(bench.suite)), *options
        )
    steps = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    assert code == 0, written
    assert [step["step"] for step in steps if not step["ok"]] == []
    return {step["step"]: step["said"] for step in steps}


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_public_client(framing: Framing) -> None:
    said = await try_meter(bench_meter(), framing, "--authentication", "none")
    assert said.keys() == ALWAYS
    assert said["device name"] == b"SIM0000000012345".hex()


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_password_client(framing: Framing) -> None:
    said = await try_meter(bench_meter(), framing, "--authentication", "lls", "--writes")
    assert said.keys() >= ALWAYS | READING | WRITING


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("ciphering", CIPHERINGS)
async def test_ciphering_client(framing: Framing, ciphering: str) -> None:
    said = await try_meter(bench_meter(), framing, "--ciphering", ciphering, "--writes")
    assert said.keys() >= ALWAYS | READING | WRITING | ROTATING
    assert isinstance(said["tags"], int)
    assert said["tags"] > 40


@pytest.mark.parametrize("suite", [1, 2])
@pytest.mark.parametrize("ciphering", ["general-glo", "dedicated"])
async def test_suites_above_0(suite: int, ciphering: str) -> None:
    said = await try_meter(bench_meter(suite), Framing.WRAPPER, "--ciphering", ciphering, "--writes")
    assert said.keys() >= ALWAYS | READING | WRITING | ROTATING


@pytest.mark.parametrize("size", [64, 128, 300])
async def test_small_apdus(size: int) -> None:
    said = await try_meter(bench_meter(max_pdu_size=size), Framing.WRAPPER, "--writes")
    assert said.keys() >= ALWAYS | READING | WRITING | ROTATING


@pytest.mark.skipif(SHARED_PEERS is None, reason="no shared opponents beside the checkout")
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize(
    "options",
    [("--auth", "none"), ("--auth", "lls"), (), ("--glo",), ("--glo", "--dedicated", "0f" * 16)],
    ids=["none", "lls", "general-glo", "glo", "dedicated"],
)
async def test_shared_opponent(framing: Framing, options: tuple[str, ...]) -> None:
    assert SHARED_PEERS is not None
    options = (*options, "--hdlc") if framing is Framing.HDLC else options
    async with serving(bench_meter(), framing) as port:
        script = SHARED_PEERS / "gurux_client.py"
        code, written = await run_opponent(script, "127.0.0.1", str(port), "--writes", *options)
    assert code == 0, written
    assert "RESULT PASS" in written
