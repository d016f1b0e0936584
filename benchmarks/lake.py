"""How fast readings go into the lake and come out of it, with the engine alone beside it.

    .venv/bin/python -m benchmarks.lake [--rows 100000000] [--meters 10000] --json

Batches as the workers write them: a day of some thousand meters, three reading types of 96 quarters, rising energies. The lake
stores them checked, sorted, in Parquet, each batch durable before the next. The engine alone (DuckDB into a file of its own,
same rows, same order, a commit a batch) takes turns with it, so that both meet the same machine. Then the maintenance that a
worker does, and single days of single meters out of all rows, on an attached lake whose files the system may have cached.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from benchmarks.report import finish, progress
from meterops.fleet.telemetry.columns import TABLES, arrow_table
from meterops.fleet.telemetry.lake import Lake, LakeConfig
from meterops.fleet.telemetry.maintenance import maintain
from meterops.fleet.telemetry.queries import load_profile
from meterops.kernel.interval import Interval

QUARTERS = 96
QUARTER_US = 900 * 1_000_000
TYPES = np.array([101, 102, 103], dtype=np.int16)
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
ROWS_A_METER = QUARTERS * len(TYPES)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is stored: `days` days of `meters` meters, `batch` meters at a time."""

    meters: int
    days: int
    batch: int

    @property
    def rows(self) -> int:
        """All rows."""
        return self.meters * self.days * ROWS_A_METER

    def batches(self) -> Iterator[dict[str, Any]]:
        """Day by day, the meters in the order in which they happened to be read."""
        order = np.random.default_rng(1).permutation(self.meters).astype(np.int32) + 1
        for day in range(self.days):
            for first in range(0, self.meters, self.batch):
                yield _batch(order[first : first + self.batch], day)


def main() -> None:
    """Run the benchmark as asked on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000_000, help="at least this many rows are stored")
    parser.add_argument("--meters", type=int, default=10_000)
    parser.add_argument("--batch-meters", type=int, default=5_000, help="meters' days a commit")
    parser.add_argument("--bare-rows", type=int, default=20_000_000, help="rows that the engine alone stores, too")
    parser.add_argument("--points", type=int, default=300, help="single days read")
    parser.add_argument("--json", action="store_true", help="the result only, as one line of JSON")
    asked = parser.parse_args()
    plan = Plan(asked.meters, -(-asked.rows // (asked.meters * ROWS_A_METER)), min(asked.batch_meters, asked.meters))
    folder = Path(tempfile.mkdtemp(prefix="lake-"))
    try:
        result = measure(folder, plan, asked.bare_rows, asked.points)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    finish("lake", result, asked.json)


def measure(folder: Path, plan: Plan, bare_rows: int, points: int) -> dict[str, Any]:
    """Store everything, then read."""
    lake = Lake(LakeConfig(folder=str(folder / "lake")))
    bare = _Bare(folder / "bare.duckdb")
    stored, ingest_s, compared_s, told = 0, 0.0, 0.0, 0
    for batch in plan.batches():
        began = time.perf_counter()
        stored += lake.append(readings=batch)
        taken = time.perf_counter() - began
        ingest_s += taken
        if bare.rows < bare_rows:
            bare.append(batch)
            compared_s += taken
        if stored * 10 // plan.rows > told:
            told = stored * 10 // plan.rows
            progress(f"{stored:,} of {plan.rows:,} rows, {stored / ingest_s:,.0f} a second")
    bare.close()
    before = _points(lake, plan, points)
    progress(f"a meter's day takes {_percentile(before, 95):.1f} ms (p95) before maintenance")
    began = time.perf_counter()
    maintain(lake, now=datetime.now(UTC))
    maintained_s = time.perf_counter() - began
    after = _points(lake, plan, points)
    size = sum(path.stat().st_size for path in (folder / "lake").rglob("*.parquet"))
    lake.close()
    return {
        "rows": stored,
        "meters": plan.meters,
        "days": plan.days,
        "rows_a_commit": plan.batch * ROWS_A_METER,
        "ingest_rows_per_s": stored / ingest_s,
        "bare_rows": bare.rows,
        "compared_rows_per_s": bare.rows / compared_s,
        "bare_rows_per_s": bare.rows / bare.seconds,
        "ratio": bare.seconds / compared_s,
        "point_ms_p50": _percentile(after, 50),
        "point_ms_p95": _percentile(after, 95),
        "point_ms_p95_before_maintenance": _percentile(before, 95),
        "maintenance_s": maintained_s,
        "bytes_per_row": size / stored,
    }


class _Bare:
    """DuckDB with a table like the lake's in a file of its own."""

    def __init__(self, file: Path) -> None:
        self.rows = 0
        self.seconds = 0.0
        self._insert = TABLES["readings"].insert.replace("lake.", "")
        self._connection = duckdb.connect(str(file), config={"threads": 2, "memory_limit": "1GB"})
        self._connection.execute(TABLES["readings"].create.replace("lake.", ""))

    def append(self, batch: dict[str, Any]) -> None:
        table: pa.Table = arrow_table("readings", batch)
        began = time.perf_counter()
        self._connection.register("batch", table)
        self._connection.execute(self._insert, [datetime.now(UTC).replace(tzinfo=None)])
        self._connection.unregister("batch")
        self.seconds += time.perf_counter() - began
        self.rows += table.num_rows

    def close(self) -> None:
        began = time.perf_counter()
        self._connection.close()
        self.seconds += time.perf_counter() - began


def _batch(meters: np.ndarray[Any, np.dtype[np.int32]], day: int) -> dict[str, Any]:
    dice = np.random.default_rng((2, day, int(meters[0])))
    starts = int((FIRST_DAY + timedelta(days=day)).timestamp()) * 1_000_000
    steps = dice.integers(0, 250, (len(meters), len(TYPES), QUARTERS), dtype=np.int64)
    before = meters.astype(np.int64)[:, None, None] * 1_000 + day * 12_000
    count = len(meters)
    return {
        "end_device_id": np.repeat(meters, ROWS_A_METER),
        "reading_type": np.tile(np.repeat(TYPES, QUARTERS), count),
        "ts": np.tile(starts + np.arange(QUARTERS, dtype=np.int64) * QUARTER_US, count * len(TYPES)).astype("M8[us]"),
        "value": (before + steps.cumsum(axis=2)).ravel(),
        "quality": np.zeros(count * ROWS_A_METER, dtype=np.int16),
    }


def _points(lake: Lake, plan: Plan, points: int) -> list[float]:
    """Milliseconds for one day of one meter, each checked to be complete."""
    dice, taken = random.Random(3), []
    for _ in range(points):
        starts = FIRST_DAY + timedelta(days=dice.randrange(plan.days))
        meter = dice.randrange(plan.meters) + 1
        began = time.perf_counter()
        profile = load_profile(lake, meter, Interval(starts, starts + timedelta(days=1)), TYPES.tolist())
        taken.append((time.perf_counter() - began) * 1e3)
        # The day's first stamp is the end of the quarter before it.
        if profile.missing > 1:
            raise RuntimeError(f"{profile.missing} quarters of meter {meter} are missing on {starts:%Y-%m-%d}")
    return taken


def _percentile(values: list[float], percent: float) -> float:
    return float(np.percentile(values, percent))


if __name__ == "__main__":
    main()
