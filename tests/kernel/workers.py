"""Processes for tests of what several of them do at the same time.

Run as a program: workers.py prepare N | work OWNER | hold OWNER | late OWNER | crowd OWNER. Those that print `ready` go on when
they are sent a line.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from datetime import UTC, datetime, timedelta

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "meterops.site.settings")

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import transaction  # noqa: E402

from meterops.fleet.credentials import api as credentials  # noqa: E402
from meterops.fleet.credentials.models import SendCounter  # noqa: E402
from meterops.kernel import audit, facts, hints, jobs  # noqa: E402
from meterops.kernel.actor import process_actor  # noqa: E402
from meterops.kernel.models import AuditEntry, AuditHead, Hint, Job, JobState, Lease, OutboxFact, Tick  # noqa: E402

HELD_FOR = timedelta(seconds=2)
ROUNDS = 25
BATCH = 8
FIRST_SLOT = datetime(2026, 3, 1, tzinfo=UTC)


@facts.fact
@dataclasses.dataclass(frozen=True)
class LampLit:
    """A fact of these tests."""

    lamp: int


facts.subscribe(LampLit, lambda fact: hints.publish("lamp", str(fact.lamp)))


def prepare(count: int) -> None:
    """Make the tables, put jobs in line and publish facts; what an earlier run left is cleared away."""
    call_command("migrate", verbosity=0)
    for model in (Job, Lease, Tick, OutboxFact, Hint, AuditEntry, AuditHead, SendCounter):
        model._default_manager.all().delete()
    now = datetime.now(UTC)
    jobs.enqueue([jobs.NewJob("read", f"R{number:03}", now) for number in range(count)], now=now)
    facts.publish(*map(LampLit, range(ROUNDS)))


def claim(owner: str, lease: timedelta) -> list[jobs.ClaimedJob]:
    """Up to three jobs."""
    return jobs.claim(owner=owner, kinds=["read"], now=datetime.now(UTC), lease=lease, new_keys=3, limit=3)


def work(owner: str) -> None:
    """Do jobs until none is left, and print the key of each that this process has ended."""
    while Job.objects.filter(state=JobState.READY).exists():
        found = claim(owner, timedelta(seconds=20))
        for job in found:
            with transaction.atomic():
                ended = jobs.finish(owner=owner, job_ids=[job.id], now=datetime.now(UTC))
            if ended:
                print(job.key)
        jobs.release(owner=owner)
        if not found:
            time.sleep(0.05)


def hold(owner: str) -> None:
    """Claim, say so, and do nothing more."""
    print(*(job.key for job in claim(owner, HELD_FOR)), flush=True)
    time.sleep(60)


def late(owner: str) -> None:
    """Claim, and try to use what was claimed when the lease has long run out."""
    found = claim(owner, HELD_FOR)
    wait_for_others()
    now, ids = datetime.now(UTC), [job.id for job in found]
    renewed = jobs.renew(owner=owner, now=now, lease=HELD_FOR)
    finished = jobs.finish(owner=owner, job_ids=ids, now=now)
    postponed = jobs.postpone(owner=owner, job_ids=ids, now=now, due_at=now)
    print(len(found), len(renewed), finished, postponed)


def crowd(owner: str) -> None:
    """In every round take a slot, counters of meters that nobody has spoken to, and facts; write an entry and check the chain."""
    wait_for_others()
    for number in range(ROUNDS):
        now = datetime.now(UTC)
        if jobs.take_tick(schedule="crowd", slot_at=FIRST_SLOT + timedelta(days=number), now=now):
            print("slot", number)
        meters = range(number * BATCH, (number + 1) * BATCH)
        for meter, taken in credentials.reserve_counters(meters, 3).items():
            print("counters", meter, *range(taken.next, taken.next + taken.remaining))
        audit.record(actor=process_actor(owner), action="take part", subject=f"round {number}", at=now)
        if broken := audit.find_break():
            print("broken", broken)
        facts.deliver(now=now, limit=2)


def wait_for_others() -> None:
    """Say that this process stands ready, and go on when it is told."""
    print("ready", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    what, argument = sys.argv[1:]
    programs = {"prepare": lambda text: prepare(int(text)), "work": work, "hold": hold, "late": late, "crowd": crowd}
    programs[what](argument)
