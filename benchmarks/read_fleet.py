"""How many daily load profiles a second one worker reads into durable storage, with the simulated fleet beside it.

    .venv/bin/python -m benchmarks.read_fleet --meters 1000 --json

Everything is real: the processes, TCP, HLS5-GMAC, the state store, the lake. A read counts when its meter's rows are committed.
What was lost or stored twice is counted in the lake afterwards, against the rows each meter has. The measure beside it is the
published figure of an open head-end: 15 million reads a day, which squeezed into 8 hours of night are 521 a second.
"""

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import psutil

from benchmarks.report import finish, progress
from benchmarks.state import own_state

PUBLISHED_READS_PER_S = 521.0
DAY = timedelta(days=1)
ROWS_A_DAY = 96


def main() -> None:
    """Measure once and print."""
    options = _options()
    with own_state("read-fleet") as folder:
        result = measure(folder, options.meters, options.seed, options.sessions, options.port)
    finish(f"read_fleet_{options.meters}", result, json_only=options.json)


def measure(folder: Path, meters: int, seed: int, sessions: int, port: int) -> dict[str, Any]:
    """Set up a fleet in `folder`, read one day of every meter, and count."""
    from meterops.interfaces.cli.state import open_state

    open_state()
    from meterops.site.demo_setup import apply_shipment, make_shipment

    progress(f"a grid with {meters:,} meters")
    shipment = make_shipment(folder, meters=meters, seed=seed, port=port)
    _lift_route_limits(shipment / "nodes.csv")
    apply_shipment(shipment)
    simulate = (
        "simulate",
        "fleet",
        "--meters",
        meters,
        "--seed",
        seed,
        "--state",
        folder / "simulator",
        "--port",
        port,
    )
    with _process(folder, "simulator", *simulate, "--scenario", "healthy"):
        _wait_for_meters(port)
        with _process(folder, "worker", "work", "--sessions", sessions) as worker:
            return _read(worker, meters)


def _lift_route_limits(nodes: Path) -> None:
    """Let routes carry as much as there is to say: the head-end is measured, not its politeness to radio cells."""
    text = re.sub(r'(""connect_rate_per_s"":)\d+', r"\g<1>100000", nodes.read_text())
    nodes.write_text(re.sub(r'(""session_limit"":)\d+', r"\g<1>64", text))


def _read(worker: psutil.Process, meters: int) -> dict[str, Any]:
    from meterops.fleet.headend import api as headend
    from meterops.kernel.actor import process_actor
    from meterops.kernel.clock import utc_now

    _wait_for_worker()
    rss_start, cpu_start = worker.memory_info().rss, sum(worker.cpu_times()[:2])
    started, now = time.monotonic(), utc_now()
    operation = headend.start_operation(
        title="One day of every meter",
        contents=(headend.Content.LOAD_PROFILE,),
        lane=headend.Lane.SCHEDULED_READ,
        deadline_at=now + timedelta(hours=2),
        actor=process_actor("benchmark"),
        at=now,
        lookback=DAY,
    )
    most_rss = rss_start
    for look in count():
        time.sleep(0.2)
        view = headend.get_operation(operation)
        most_rss = max(most_rss, worker.memory_info().rss)
        if look % 10 == 0:
            progress(f"{view.succeeded:,} of {meters:,} read, {view.failed:,} given up")
        if view.routes_done == view.routes:
            break
    elapsed = time.monotonic() - started
    cpu = sum(worker.cpu_times()[:2]) - cpu_start
    lost, duplicated, rows = _count(meters, now)
    return {
        "meters": meters,
        "reads": view.succeeded,
        "elapsed_s": round(elapsed, 2),
        "reads_per_s": round(view.succeeded / elapsed, 1),
        "published_reads_per_s": PUBLISHED_READS_PER_S,
        "ratio": round(view.succeeded / elapsed / PUBLISHED_READS_PER_S, 2),
        "lost": lost,
        "duplicated": duplicated,
        "rows": rows,
        "worker_cpu_ms_per_read": round(cpu / max(1, view.succeeded) * 1000, 3),
        "worker_rss_mb": {
            "start": round(rss_start / 1e6, 1),
            "most": round(most_rss / 1e6, 1),
            "end": round(worker.memory_info().rss / 1e6, 1),
        },
    }


def _count(meters: int, now: Any) -> tuple[int, int, int]:
    """(meters with fewer rows than a day has, rows stored more than once, rows)."""
    from meterops.fleet.telemetry import api as telemetry

    per_meter = f"""
        SELECT end_device_id, count(*) AS n, count(DISTINCT (reading_type, ts)) AS d, count(DISTINCT ts) AS stamps
        FROM lake.readings WHERE reading_type > {telemetry.INTERVAL_OFFSET} GROUP BY ALL"""
    row = (
        telemetry.lake()
        .query(f"SELECT count(*) FILTER (stamps >= {ROWS_A_DAY - 1}), sum(n - d), sum(n) FROM ({per_meter})")
        .fetchone()
    )
    whole, twice, rows = row or (0, 0, 0)
    return meters - int(whole or 0), int(twice or 0), int(rows or 0)


def _wait_for_meters(port: int) -> None:
    import socket

    until = time.monotonic() + 300
    while time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the simulated meters do not answer")


def _wait_for_worker() -> None:
    from meterops.kernel import beats

    until = time.monotonic() + 60
    while not any(one.role == "worker" for one in beats.list_processes()):
        if time.monotonic() > until:
            raise SystemExit("the worker does not start")
        time.sleep(0.1)


@contextmanager
def _process(folder: Path, name: str, *arguments: object) -> Iterator[psutil.Process]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "meterops.site.main", *map(str, arguments)], stdout=log, stderr=log
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
        said = (folder / f"{name}.log").read_text(errors="replace").strip()
        if said:
            progress(f"{name} said: {said[-2000:]}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meters", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--sessions", type=int, default=200, help="sessions at once")
    parser.add_argument("--port", type=int, default=4159)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
