"""How every benchmark reports: progress on stderr, a readable table, and one JSON object as the last line of stdout.

A result is also kept as text under `benchmarks/results/NAME.txt` with its date and the machine it was measured on,
so that a figure quoted elsewhere can be traced to a run.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"

_STARTED = time.monotonic()


def machine() -> dict[str, Any]:
    """Describe the machine: processor model, usable cores, memory in MiB, system and Python version."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_mb": _memory_mb(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def progress(text: str) -> None:
    """Say on stderr what goes on now, with the seconds since the start."""
    print(f"[{time.monotonic() - _STARTED:7.1f} s] {text}", file=sys.stderr, flush=True)


def finish(name: str, result: dict[str, Any], json_only: bool = False) -> None:
    """Report the result of the benchmark `name`.

    Prints a readable table (left out with `json_only`), writes `results/NAME.txt`, and prints the result as one
    line of JSON, the last on stdout. `machine` and `python` are added when the result has none.
    """
    described = machine()
    full: dict[str, Any] = {"machine": described, "python": described["python"], **result}
    table = _table(full)
    RESULTS.mkdir(exist_ok=True)
    heading = f"{name}, measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    (RESULTS / f"{name}.txt").write_text(f"{heading}\n\n{table}\n", encoding="utf-8")
    if not json_only:
        print(f"{heading}\n\n{table}\n")
    print(json.dumps(full, default=str), flush=True)


def _table(result: dict[str, Any]) -> str:
    rows = list(_flat(result))
    width = max(len(key) for key, _ in rows)
    return "\n".join(f"{key:<{width}}  {_readable(value)}" for key, value in rows)


def _flat(result: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in result.items():
        if isinstance(value, dict):
            rows.extend(_flat(value, f"{prefix}{key}."))
        else:
            rows.append((prefix + key, value))
    return rows


def _readable(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _memory_mb() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    except (ValueError, OSError, AttributeError):
        return None
