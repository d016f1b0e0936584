"""How fast the simulated region's physics is: loads, power flow and storage, against power-grid-model by itself.

    python -m benchmarks.simulator_physics --meters 10000 --days 4 [--json]

The bare figure is `power-grid-model` solving the same networks with loads prepared beforehand, one network a call; the
difference is what drawing loads, summing per joint and rounding into columns costs.
"""

from __future__ import annotations

import argparse
import resource
import time
from typing import Any

import numpy as np

from benchmarks.report import finish, progress
from meterops.simulator.loads import STEPS, draw_day
from meterops.simulator.physics import Physics
from meterops.simulator.region import Region, generate_region

FIRST_DAY = 20_600


def main() -> None:
    """Run the benchmark as asked on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meters", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=4)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="the result only, as one line of JSON")
    asked = parser.parse_args()
    began = time.perf_counter()
    region = generate_region(seed=asked.seed, meters=asked.meters)
    generated = time.perf_counter() - began
    progress(f"{asked.meters:,} meters at {region.grid.transformers:,} transformers generated in {generated:.2f} s")
    physics = Physics(region)
    physics.day(FIRST_DAY - 1)
    taken = _whole(physics, asked.days)
    bare = _bare(region, physics, asked.days)
    load_steps = region.grid.customers * STEPS * asked.days
    finish(
        f"simulator_physics_{asked.meters}", _result(region, asked.days, load_steps, taken, bare, generated), asked.json
    )


def _result(region: Region, days: int, load_steps: int, taken: float, bare: float, generated: float) -> dict[str, Any]:
    return {
        "meters": region.meters,
        "loads": region.grid.customers,
        "joints": len(region.grid.joint_m),
        "transformers": region.grid.transformers,
        "days": days,
        "generate_s": generated,
        "seconds": taken,
        "loads_steps_per_s": load_steps / taken,
        "us_per_load_step": taken / load_steps * 1e6,
        "bare_seconds": bare,
        "bare_us_per_load_step": bare / load_steps * 1e6,
        "ratio": taken / bare,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _whole(physics: Physics, days: int) -> float:
    began = time.perf_counter()
    for day in range(days):
        physics.day(FIRST_DAY + day)
        progress(f"day {day + 1} of {days}")
    return time.perf_counter() - began


def _bare(region: Region, physics: Physics, days: int) -> float:
    """Time in power-grid-model alone, with the same networks, loads and settings."""
    taken = 0.0
    for day in range(days):
        power, reactive = draw_day(region.seed, FIRST_DAY + day, region.customers)
        for network in physics.networks:
            split = region.customers.split[network.customers].T[:, :, None]
            p, q = (
                np.ascontiguousarray(
                    np.add.reduceat(
                        column[network.customers][None] * split, network.first_customer, axis=1, dtype=np.float64
                    ).transpose(2, 1, 0)
                )
                for column in (power, reactive)
            )
            batch = network.update(p, q, np.full(STEPS, 1.01))
            began = time.perf_counter()
            network.solve(batch)
            taken += time.perf_counter() - began
        progress(f"power-grid-model alone: day {day + 1} of {days}")
    return taken


if __name__ == "__main__":
    main()
