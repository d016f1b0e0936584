"""Durable work: a table of jobs and a table of leases on what they work on.

A job names a `key` (a route, a batch). A worker claims keys, not jobs: whoever holds the lease on a key sees every ready job of
that key, so work on one key never runs twice at a time and an urgent job reaches the worker that already holds the key.
A worker that dies lets its leases run out; a late one finds that its updates match no row (fencing by owner).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet

from meterops.kernel.models import Job, JobState, Lease, Tick

_LONG_AGO = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class NewJob:
    """Work to be put in line. `unique_name` makes enqueueing it again a no-op, for ever."""

    kind: str
    key: str
    due_at: datetime
    lane: int = 50
    payload: dict[str, Any] | None = None
    deadline_at: datetime | None = None
    unique_name: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job whose key the claiming worker holds."""

    id: int
    kind: str
    key: str
    lane: int
    payload: dict[str, Any]
    attempts: int
    due_at: datetime
    deadline_at: datetime | None


@transaction.atomic
def enqueue(new_jobs: Iterable[NewJob], *, now: datetime) -> int:
    """Put jobs in line in the caller's transaction. Returns how many rows the table was asked to take."""
    rows = [
        Job(
            kind=new.kind,
            key=new.key,
            lane=new.lane,
            payload=new.payload or {},
            unique_name=new.unique_name,
            due_at=new.due_at,
            deadline_at=new.deadline_at,
            created_at=now,
        )
        for new in new_jobs
    ]
    return len(Job.objects.bulk_create(rows, batch_size=2000, ignore_conflicts=True))


def claim(
    *,
    owner: str,
    kinds: Sequence[str],
    now: datetime,
    lease: timedelta,
    new_keys: int = 50,
    below_lane: int | None = None,
    limit: int = 500,
) -> list[ClaimedJob]:
    """Ready, due jobs on keys that `owner` holds, after taking up to `new_keys` more free keys; urgent lanes first.

    `below_lane` restricts both to jobs of more urgent lanes (a full worker still looks for those).
    """
    ready = Job.objects.filter(state=JobState.READY, kind__in=kinds, due_at__lte=now)
    if below_lane is not None:
        ready = ready.filter(lane__lt=below_lane)
    if new_keys > 0:
        _take_free_keys(ready, owner, now, lease, new_keys)
    mine = Lease.objects.filter(owner=owner, leased_until__gt=now).values("key")
    found = ready.filter(key__in=mine).order_by("lane", "due_at", "id")[:limit]
    return [ClaimedJob(j.id, j.kind, j.key, j.lane, j.payload, j.attempts, j.due_at, j.deadline_at) for j in found]


def _take_free_keys(ready: QuerySet[Job], owner: str, now: datetime, lease: timedelta, count: int) -> None:
    """Take free keys that have ready work. Of two workers that pick the same key one gets it, and the other passes it by."""
    held = Lease.objects.filter(leased_until__gt=now).values("key")
    wanted = list(
        dict.fromkeys(
            ready.exclude(key__in=held).order_by("lane", "due_at", "id").values_list("key", flat=True)[: count * 4]
        )
    )[:count]
    if not wanted:
        return
    # Apart from the taking: a transaction that held its new rows would keep others waiting for them, maybe in a circle.
    Lease.objects.bulk_create(
        [Lease(key=key, owner="", leased_until=_LONG_AGO) for key in sorted(wanted)], ignore_conflicts=True
    )
    with transaction.atomic():
        free = Lease.objects.select_for_update(skip_locked=True).filter(key__in=wanted, leased_until__lte=now)
        keys = list(free.order_by("key").values_list("key", flat=True))
        Lease.objects.filter(key__in=keys).update(owner=owner, leased_until=now + lease)


def renew(*, owner: str, now: datetime, lease: timedelta) -> set[str]:
    """Prolong every lease the owner still holds; returns their keys. One that ran out is gone: stop working on it."""
    Lease.objects.filter(owner=owner, leased_until__gt=now).update(leased_until=now + lease)
    return set(Lease.objects.filter(owner=owner, leased_until__gt=now).values_list("key", flat=True))


def release(*, owner: str, keys: Iterable[str] | None = None) -> None:
    """Give leases back, all of them where no keys are named."""
    held = Lease.objects.filter(owner=owner)
    (held if keys is None else held.filter(key__in=list(keys))).delete()


def held(*, owner: str, keys: Iterable[str], now: datetime) -> set[str]:
    """Which of the keys `owner` holds now. Inside a transaction their rows stay locked, so the answer stays true."""
    rows = Lease.objects.select_for_update().filter(key__in=list(keys), owner=owner, leased_until__gt=now)
    return set(rows.values_list("key", flat=True))


def finish(
    *, owner: str, job_ids: Sequence[int], now: datetime, state: JobState = JobState.DONE, outcome: str = ""
) -> int:
    """Close jobs. Returns how many: fewer than asked means that the lease was lost and another worker has them."""
    return _held(owner, job_ids, now).update(state=state, finished_at=now, outcome=outcome)


def postpone(*, owner: str, job_ids: Sequence[int], now: datetime, due_at: datetime) -> int:
    """Make jobs due again later, one attempt richer. Returns how many (see `finish`)."""
    return _held(owner, job_ids, now).update(due_at=due_at, attempts=F("attempts") + 1)


def cancel(*, now: datetime, kind: str, unique_names: Sequence[str], outcome: str = "") -> int:
    """Cancel ready jobs by their names, whoever holds them; the holder notices when it next asks."""
    rows = Job.objects.filter(kind=kind, unique_name__in=list(unique_names), state=JobState.READY)
    return rows.update(state=JobState.CANCELLED, finished_at=now, outcome=outcome)


def take_tick(*, schedule: str, slot_at: datetime, now: datetime) -> bool:
    """Take a periodic slot in the caller's transaction; False where it was taken before."""
    with transaction.atomic():
        _, created = Tick.objects.get_or_create(schedule=schedule, slot_at=slot_at, defaults={"taken_at": now})
    return created


def prune(*, now: datetime, keep: timedelta) -> int:
    """Delete closed jobs, old ticks and dead leases. Returns how many jobs went."""
    Tick.objects.filter(taken_at__lt=now - keep).delete()
    Lease.objects.filter(leased_until__lt=now - timedelta(hours=1)).delete()
    old = Job.objects.filter(~Q(state=JobState.READY), finished_at__lt=now - keep).values_list("id", flat=True)[:5000]
    deleted, _ = Job.objects.filter(id__in=list(old)).delete()
    return deleted


def _held(owner: str, job_ids: Sequence[int], now: datetime) -> QuerySet[Job]:
    mine = Lease.objects.filter(owner=owner, leased_until__gt=now).values("key")
    return Job.objects.filter(id__in=list(job_ids), state=JobState.READY, key__in=mine)
