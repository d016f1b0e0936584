"""A flood of alarms that nobody can act on one by one: within minutes every meter says that its cover is off, some say it twice.

    .venv/bin/python -m benchmarks.flood [--meters 100000] [--minutes 3] --json

The events go into the lake second by second; intake, facts and incidents work as the engine lets them, on the embedded store. What
counts is how many incidents it becomes, whether a second's work fits into a second, how many statements the state store gets, and
how much memory it takes. The peer in the same run is an incident an alarm, as a few alarms become: the rate at which they open.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import finish, progress
from benchmarks.state import own_state

PER_TRANSFORMER: Final = 50
TRANSFORMERS_A_FEEDER: Final = 20
FEEDERS_A_SUBSTATION: Final = 10
AGAIN: Final = 0.2
"""Share of the events that come once more, exactly."""
COVER_OFF: Final = 44
FRAUD_LOG: Final = 1
PEER_ALARMS: Final = 100


def main() -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meters", type=int, default=100_000)
    parser.add_argument("--minutes", type=float, default=3.0, help="in which they all say so")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="only the JSON line on stdout")
    asked = parser.parse_args()
    with own_state("flood") as folder:
        result = measure(folder, asked.meters, asked.minutes, asked.seed)
    finish(f"flood_{asked.meters}", result, json_only=asked.json)


def measure(folder: Path, meters: int, minutes: float, seed: int) -> dict[str, Any]:
    """Import a grid, let the flood come, and look at what became of it."""
    from meterops.interfaces.cli.state import open_state

    open_state()
    from meterops.fleet.inventory import api as inventory
    from meterops.kernel.clock import utc_now
    from meterops.practices.events import api as events
    from meterops.practices.incidents import api as incidents
    from meterops.site.wiring import wire

    wire()
    now = utc_now()
    progress(f"a grid with {meters:,} meters")
    _import_grid(folder, meters, now)
    ids = inventory.ids_of_end_devices()
    before_mb = _memory_mb()
    flood = _let_it_come(ids, minutes, now, np.random.default_rng(seed))
    counts = events.alarm_counts()
    rows = incidents.incident_queue(incidents.QueueFilter(), size=500).rows
    began = time.perf_counter()
    events.list_alarms()
    page_ms = 1000 * (time.perf_counter() - began)
    return {
        "meters": meters,
        "minutes": minutes,
        **flood,
        "alarms": counts.get("METER_COVER_REMOVED", 0),
        "situations": len(events.list_situations(state="")),
        "incidents": len(rows),
        "largest_incident_meters": max(row.meters for row in rows),
        "alarm_page_ms": round(page_ms, 1),
        "memory_mb_before": before_mb,
        "memory_mb_peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        **_measure_peer(ids, now + timedelta(days=2)),
    }


def _let_it_come(
    ids: NDArray[np.int64], minutes: float, began_at: datetime, dice: np.random.Generator
) -> dict[str, Any]:
    """A second after the other, and then until nothing moves any more."""
    from meterops.fleet.telemetry import api as telemetry
    from meterops.kernel import facts
    from meterops.practices.events import api as events
    from meterops.practices.incidents import api as incidents

    lake, statements, took = telemetry.lake(), _Statements(), []
    intake = events.Intake(lake)
    intake.step(now=began_at)
    seconds = int(minutes * 60)
    first = dice.integers(0, seconds, len(ids))
    told = 0
    with statements.counted():
        for second in range(seconds + 60):
            now = began_at + timedelta(seconds=second + 1)
            devices = ids[first == second]
            again = ids[(first == second - 5) & (dice.random(len(ids)) < AGAIN)]
            _append(
                lake,
                np.r_[devices, again],
                np.r_[first[first == second], np.full(len(again), second - 5)],
                began_at,
                now,
            )
            told += len(devices) + len(again)
            since = time.perf_counter()
            intake.step(now=now)
            while facts.deliver(now=now):
                pass
            incidents.work(owner="benchmark", now=now, lake=lake)
            took.append(time.perf_counter() - since)
            if not second % 30:
                progress(f"second {second}: {told:,} events, {_memory_mb():,} MB")
    busy = took[:seconds]
    return {
        "events": told,
        "events_per_s": round(told / sum(took)),
        "second_s_p50": float(np.quantile(busy, 0.5)),
        "second_s_p95": float(np.quantile(busy, 0.95)),
        "second_s_max": max(took),
        "statements": statements.count,
        "statements_per_alarm": statements.count / len(ids),
    }


class _Statements:
    """Counts what the state store is asked."""

    def __init__(self) -> None:
        self.count = 0

    def counted(self) -> Any:
        """A context in which statements count."""
        from django.db import connection

        return connection.execute_wrapper(self._count)

    def _count(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.count += 1
        return execute(sql, params, many, context)


def _append(
    lake: Any, devices: NDArray[np.int64], second: NDArray[np.int64], began_at: datetime, now: datetime
) -> None:
    n = len(devices)
    if not n:
        return
    began = np.datetime64(began_at.replace(tzinfo=None), "us")
    lake.append(
        events={
            "end_device_id": devices.astype(np.int32),
            "identity": [""] * n,
            "log": np.full(n, FRAUD_LOG, np.int16),
            "code": np.full(n, COVER_OFF, np.int32),
            "occurred_at": began + second * np.timedelta64(1_000_000, "us"),
            "received_at": np.full(n, np.datetime64(now.replace(tzinfo=None), "us")),
            "origin": np.full(n, 2, np.int16),
            "detail": [""] * n,
        },
        recorded_at=now,
    )


def _measure_peer(ids: NDArray[np.int64], at: datetime) -> dict[str, Any]:
    """An incident for every alarm: what a fact of each costs, on the same store."""
    from meterops.kernel import facts
    from meterops.practices.events.events import SafetyAlarmRaised
    from meterops.practices.incidents import api as incidents

    before = incidents.incident_counts().open
    facts.publish(
        *(
            SafetyAlarmRaised(10_000_000 + n, "STRONG_DC_FIELD", "EXCEPTION", int(ids[n]), at, at)
            for n in range(PEER_ALARMS)
        )
    )
    began = time.perf_counter()
    while facts.deliver(now=at):
        pass
    seconds = time.perf_counter() - began
    opened = incidents.incident_counts().open - before
    return {
        "one_by_one_incidents_per_s": round(opened / seconds, 1),
        "one_by_one_hours_for_all": round(len(ids) * seconds / max(opened, 1) / 3600, 2),
    }


def _import_grid(folder: Path, meters: int, now: datetime) -> None:
    from meterops.fleet.inventory import api as inventory
    from meterops.kernel.actor import process_actor

    files = [
        _write(folder / "nodes.csv", "mrid,kind,parent_electrical,parent_communication", _nodes(meters)),
        _write(folder / "devices.csv", "serial,profile,usage_point,route", _devices(meters)),
    ]
    inventory.import_files(files, actor=process_actor("benchmark"), at=now - timedelta(days=30))


def _nodes(meters: int) -> Iterator[tuple[str, ...]]:
    transformers = -(-meters // PER_TRANSFORMER)
    feeders = -(-transformers // TRANSFORMERS_A_FEEDER)
    yield "HES", "HEAD_END", "", ""
    yield from ((f"SS-{s}", "SUBSTATION", "", "") for s in range(-(-feeders // FEEDERS_A_SUBSTATION)))
    yield from ((f"FD-{f}", "FEEDER", f"SS-{f // FEEDERS_A_SUBSTATION}", "") for f in range(feeders))
    for t in range(transformers):
        yield f"TR-{t}", "POWER_TRANSFORMER", f"FD-{t // TRANSFORMERS_A_FEEDER}", ""
        yield f"RT-{t}", "ROUTE", "", "HES"
    yield from ((f"UP-{n}", "USAGE_POINT", f"TR-{n // PER_TRANSFORMER}", "") for n in range(meters))


def _devices(meters: int) -> Iterator[tuple[str, ...]]:
    return ((f"M{n:08d}", "dsmr5", f"UP-{n}", f"RT-{n // PER_TRANSFORMER}") for n in range(meters))


def _write(path: Path, header: str, rows: Iterator[tuple[str, ...]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)
    return path


def _memory_mb() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


if __name__ == "__main__":
    main()
