"""Durable work under leases: nothing is done twice at a time, nothing is lost with a worker, and a late one changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

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
