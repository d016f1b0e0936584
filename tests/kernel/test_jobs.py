"""Durable work under leases: nothing is done twice at a time, nothing is lost with a worker, and a late one changes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from meterops.kernel import jobs
from meterops.kernel.jobs import NewJob
from meterops.kernel.models import Job, JobState, Lease, Tick

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)
KINDS = ["read"]


def enqueue(*keys: str, lane: int = 50, now: datetime = NOW) -> None:
    jobs.enqueue([NewJob("read", key, now, lane=lane, unique_name=f"{key} {lane}") for key in keys], now=now)


def claim(owner: str, now: datetime = NOW, **more: int) -> list[str]:
    found = jobs.claim(owner=owner, kinds=KINDS, now=now, lease=LEASE, **more)
    return [job.key for job in found]


def test_a_key_belongs_to_one_worker_until_its_lease_runs_out(db: None) -> None:
    enqueue("R1", "R2")
    assert claim("a") == ["R1", "R2"]
    assert claim("b") == []
    later = NOW + LEASE + timedelta(seconds=1)
    assert claim("b", later) == ["R1", "R2"]
    assert claim("a", later) == []


def test_renewing_keeps_a_key_and_releasing_gives_it_away(db: None) -> None:
    enqueue("R1", "R2")
    claim("a")
    half = NOW + LEASE / 2
    assert jobs.renew(owner="a", now=half, lease=LEASE) == {"R1", "R2"}
    assert claim("b", NOW + LEASE + timedelta(seconds=1)) == []
    jobs.release(owner="a", keys=["R1"])
    assert claim("b", half) == ["R1"]


def test_a_lease_that_ran_out_cannot_be_renewed(db: None) -> None:
    enqueue("R1")
    claim("a")
    assert jobs.renew(owner="a", now=NOW + LEASE * 2, lease=LEASE) == set()


def test_urgent_work_reaches_the_worker_that_holds_the_key(db: None) -> None:
    enqueue("R1")
    claim("a")
    enqueue("R1", lane=10)
    assert [job.lane for job in jobs.claim(owner="a", kinds=KINDS, now=NOW, lease=LEASE)] == [10, 50]
    assert [job.lane for job in jobs.claim(owner="a", kinds=KINDS, now=NOW, lease=LEASE, below_lane=50)] == [10]


def test_work_of_a_name_is_put_in_line_once_for_ever(db: None) -> None:
    enqueue("R1")
    (job,) = jobs.claim(owner="a", kinds=KINDS, now=NOW, lease=LEASE)
    assert jobs.finish(owner="a", job_ids=[job.id], now=NOW) == 1
    enqueue("R1")
    assert Job.objects.count() == 1
    assert claim("a") == []


def test_a_late_worker_changes_nothing(db: None) -> None:
    enqueue("R1")
    (job,) = jobs.claim(owner="late", kinds=KINDS, now=NOW, lease=LEASE)
    after = NOW + LEASE + timedelta(seconds=1)
    assert claim("next", after) == ["R1"]
    assert jobs.finish(owner="late", job_ids=[job.id], now=after) == 0
    assert jobs.postpone(owner="late", job_ids=[job.id], now=after, due_at=after) == 0
    assert Job.objects.get().state == JobState.READY
    assert jobs.finish(owner="next", job_ids=[job.id], now=after) == 1


def test_what_is_postponed_is_due_later_and_counts_an_attempt(db: None) -> None:
    enqueue("R1")
    (job,) = jobs.claim(owner="a", kinds=KINDS, now=NOW, lease=LEASE)
    jobs.postpone(owner="a", job_ids=[job.id], now=NOW, due_at=NOW + timedelta(seconds=10))
    assert claim("a", NOW + timedelta(seconds=5)) == []
    (again,) = jobs.claim(owner="a", kinds=KINDS, now=NOW + timedelta(seconds=10), lease=LEASE)
    assert again.attempts == 1


def test_a_slot_is_taken_once(db: None) -> None:
    assert jobs.take_tick(schedule="nightly", slot_at=NOW, now=NOW)
    assert not jobs.take_tick(schedule="nightly", slot_at=NOW, now=NOW)
    assert jobs.take_tick(schedule="nightly", slot_at=NOW + timedelta(days=1), now=NOW)


def test_pruning_keeps_what_is_open_and_what_is_young(db: None) -> None:
    enqueue("R1", "R2", "R3")
    found = jobs.claim(owner="a", kinds=KINDS, now=NOW, lease=LEASE)
    jobs.finish(owner="a", job_ids=[found[0].id], now=NOW)
    jobs.finish(owner="a", job_ids=[found[1].id], now=NOW + timedelta(days=9))
    jobs.take_tick(schedule="x", slot_at=NOW, now=NOW)
    assert jobs.prune(now=NOW + timedelta(days=10), keep=timedelta(days=5)) == 1
    assert Job.objects.count() == 2
    assert not Tick.objects.exists()
    assert not Lease.objects.exists()


@pytest.fixture
def program(tmp_path: Path) -> list[str]:
    """Processes of their own on a database of their own, SQLite or PostgreSQL as these tests run on."""
    os.environ["METEROPS_DATA_DIR"], before = str(tmp_path), os.environ["METEROPS_DATA_DIR"]
    command = [sys.executable, str(Path(__file__).with_name("workers.py"))]
    subprocess.run([*command, "enqueue", "120"], check=True, timeout=60)
    os.environ["METEROPS_DATA_DIR"] = before
    return [*command, str(tmp_path)]


def start(program: list[str], *words: str) -> subprocess.Popen[str]:
    command, folder = program[:-1], program[-1]
    return subprocess.Popen(
        [*command, *words], env=os.environ | {"METEROPS_DATA_DIR": folder}, stdout=subprocess.PIPE, text=True
    )


def test_many_processes_do_each_job_once_and_a_killed_one_loses_none(program: list[str]) -> None:
    victim = start(program, "hold", "victim")
    assert victim.stdout is not None
    held = victim.stdout.readline().split()
    assert len(held) == 3
    victim.send_signal(signal.SIGKILL)
    victim.communicate(timeout=10)
    workers = [start(program, "work", f"worker-{number}") for number in range(3)]
    done = [key for worker in workers for key in worker.communicate(timeout=90)[0].split()]
    assert sorted(done) == [f"R{number:03}" for number in range(120)]
    assert set(held) <= set(done)
