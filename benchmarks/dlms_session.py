"""What one complete DLMS session costs the client, ours and Gurux's, and how many a second go over loopback TCP.

    .venv/bin/python -m benchmarks.dlms_session [--sessions N] [--connections N] --json

A session: associate with HLS5-GMAC, five registers one by one, a day of quarters (96 rows of 4 columns) by range in PDUs of
512 octets, release; everything authenticated and encrypted. First the codec alone, framing included, on the recorded octets
of a simulated meter: both clients must give the same values. Then simulated meters in a process of their own, real TCP, real
challenges, and our client in another under uvloop: sessions a second by the clock, and by the CPU the client used.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import subprocess
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.report import finish, progress
from benchmarks.session_recording import (
    CLIENT_SAP,
    ROWS,
    SERVER_SAP,
    Recording,
    client_parameters,
    make_meter,
    record,
    replayer,
    whole_session,
)
from meterops.fleet.headend.session import open_session
from meterops.protocols.dlms.association.client import ClientAssociation
from meterops.protocols.dlms.framing import WrapperLink
from meterops.simulator.fleet_server import FleetMember, FleetServer

ROOT = Path(__file__).resolve().parents[1]
PEER_PYTHON = ROOT / ".venv-gurux" / "bin" / "python"
PEER = Path(__file__).parent / "peers" / "gurux_session.py"


def main() -> None:
    """Run the benchmark as asked on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=5_000, help="sessions of ours on replayed octets, and over TCP")
    parser.add_argument("--peer-sessions", type=int, default=40, help="sessions of Gurux's")
    parser.add_argument("--connections", type=int, default=32, help="meters talked to at a time")
    parser.add_argument("--json", action="store_true", help="the result only, as one line of JSON")
    asked = parser.parse_args()
    recording = record()
    progress(f"recorded a session of {len(recording.answers)} round trips")
    cpu_ms = _replay(recording, asked.sessions)
    progress(f"ours: {cpu_ms:.3f} ms of CPU a session; now Gurux, {asked.peer_sessions} sessions")
    peer_cpu_ms = _replay_with_gurux(recording, asked.peer_sessions)
    progress(f"Gurux: {peer_cpu_ms:.1f} ms; now over TCP, {asked.connections} meters at a time")
    over_tcp = _over_tcp(asked.sessions, asked.connections)
    result = {
        "round_trips": len(recording.answers),
        "profile_rows": recording.rows,
        "profile_columns": recording.columns,
        "sessions": asked.sessions,
        "cpu_ms_per_session": cpu_ms,
        "peer": "gurux-dlms",
        "peer_cpu_ms_per_session": peer_cpu_ms,
        "ratio": peer_cpu_ms / cpu_ms,
        **over_tcp,
    }
    finish("dlms_session", result, asked.json)


def _replay(recording: Recording, sessions: int) -> float:
    session = replayer(recording)
    values, rows = session()
    if tuple(values) != recording.values or rows.columns[-1][-1] != recording.last_reading:
        raise RuntimeError("the replayed session gives other values than the recorded one")
    began = time.process_time()
    for _ in range(sessions):
        session()
    return (time.process_time() - began) / sessions * 1e3


def _replay_with_gurux(recording: Recording, sessions: int) -> float:
    if not PEER_PYTHON.exists():
        raise SystemExit("the peer's environment is missing: `make gurux` builds .venv-gurux")
    ran = subprocess.run(
        [str(PEER_PYTHON), str(PEER), "--sessions", str(sessions)],
        input=json.dumps(recording.as_json()),
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise SystemExit(f"the peer failed:\n{ran.stderr}")
    said: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    if (tuple(said["values"]), said["rows"], said["last_reading"]) != (
        recording.values,
        recording.rows,
        recording.last_reading,
    ):
        raise RuntimeError(f"the peer read something else: {said}")
    return float(said["cpu_ms"])


def _over_tcp(sessions: int, connections: int) -> dict[str, Any]:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    meters = spawn.Process(target=_serve, args=(theirs, connections), daemon=True)
    meters.start()
    try:
        port: int = ours.recv()
        uvloop.run(_visit_all(port, connections, connections * 2))
        cpu, clock = time.process_time(), time.perf_counter()
        uvloop.run(_visit_all(port, connections, sessions, first=3))
        cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    finally:
        meters.terminate()
        meters.join()
    return {
        "connections": connections,
        "sessions_per_s_per_core": sessions / clock,
        "sessions_per_cpu_s": sessions / cpu,
        "tcp_cpu_ms_per_session": cpu / sessions * 1e3,
    }


async def _visit_all(port: int, connections: int, sessions: int, first: int = 1) -> None:
    """Talk to `connections` meters at a time, each again and again."""
    each, more = divmod(sessions, connections)
    async with asyncio.TaskGroup() as group:
        for number in range(connections):
            group.create_task(_visit(port, number, each + (number < more), first))


async def _visit(port: int, number: int, sessions: int, first: int) -> None:
    for turn in range(first, first + sessions):
        async with await open_session(
            f"127.0.1.{number + 1}", port, WrapperLink(CLIENT_SAP, SERVER_SAP), timeout=30.0
        ) as session:
            _, rows = await session.run(whole_session(ClientAssociation(client_parameters(turn * 100))))
            if rows.row_count != ROWS:
                raise RuntimeError(f"{rows.row_count} rows instead of {ROWS}")


def _serve(told: Connection, meters: int) -> None:
    """Serve the meters until told to end; sends the port."""
    uvloop.run(_serve_forever(told, meters))


async def _serve_forever(told: Connection, meters: int) -> None:
    members = {f"127.0.1.{number + 1}": FleetMember(make_meter(number)) for number in range(meters)}
    server = FleetServer(lambda address, port: members.get(address))
    await server.start("0.0.0.0", (0,))  # peers outside the machine are refused
    told.send(server.ports[0])
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
