"""Many machines: the same tests of the state store on a real PostgreSQL, and a lake whose catalog is in one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.production.postgres import postgres

from meterops.fleet.telemetry import api as telemetry

pytestmark = pytest.mark.postgres

ROOT = Path(__file__).parents[2]
STATE_TESTS = (
    "tests/kernel",
    "tests/fleet",
    "tests/practices/events",
    "tests/practices/incidents",
)
WRITERS, COMMITS = 3, 5


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with postgres() as found:
        yield found


@pytest.mark.timeout(420)
@pytest.mark.parametrize("place", STATE_TESTS)
def test_the_state_store_holds_what_it_holds_on_sqlite(address: str, place: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-rs", "-p", "tests.production.state_only", place],
        cwd=ROOT,
        env=os.environ | {"METEROPS_DATABASE_URL": address, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def _catalog(address: str) -> str:
    parts = urlsplit(address)
    words = {"host": parts.hostname, "port": parts.port, "user": parts.username, "password": parts.password}
    return " ".join(f"{name}={value}" for name, value in {"dbname": parts.path[1:], **words}.items() if value)


WRITER = """
import sys
import numpy as np
from meterops.fleet.telemetry.lake import Lake, LakeConfig
folder, catalog, meter, commits = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
lake = Lake(LakeConfig(folder=folder, catalog=catalog))
for commit in range(commits):
    at = np.arange(96).astype("datetime64[s]") + np.timedelta64(commit * 86_400, "s")
    lake.append(readings={
        "end_device_id": np.full(96, meter, np.int32), "reading_type": np.full(96, 1, np.int16), "ts": at,
        "value": np.arange(96, dtype=np.int64), "quality": np.zeros(96, np.int16),
    })
"""


@pytest.mark.parametrize("kind", ["embedded", "postgresql"])
def test_processes_that_write_at_the_same_time_lose_nothing(address: str, kind: str, tmp_path: Path) -> None:
    catalog = _catalog(address) if kind == "postgresql" else ""
    folder = str(tmp_path / "lake")
    telemetry.Lake(telemetry.LakeConfig(folder=folder, catalog=catalog))
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, folder, catalog, str(meter), str(COMMITS)])
        for meter in range(1, WRITERS + 1)
    ]
    assert [writer.wait(120) for writer in writers] == [0] * WRITERS
    lake = telemetry.Lake(telemetry.LakeConfig(folder=folder, catalog=catalog))
    found = lake.query("SELECT end_device_id, count(*) FROM lake.readings GROUP BY ALL ORDER BY ALL").fetchall()
    assert found == [(meter, 96 * COMMITS) for meter in range(1, WRITERS + 1)]
