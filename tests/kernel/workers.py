"""Worker processes for tests of leases. Run as a program: workers.py enqueue N | work OWNER | hold OWNER."""

import os
import sys
import time
from datetime import UTC, datetime, timedelta

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "meterops.site.settings")

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import transaction  # noqa: E402

from meterops.kernel import jobs  # noqa: E402
from meterops.kernel.models import Job, JobState  # noqa: E402

HELD_FOR = timedelta(seconds=2)


def enqueue(count: int) -> None:
    """Make the tables and put jobs in line; what an earlier run left is cleared away."""
    call_command("migrate", verbosity=0)
    Job.objects.all().delete()
    now = datetime.now(UTC)
    jobs.enqueue([jobs.NewJob("read", f"R{number:03}", now) for number in range(count)], now=now)


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


if __name__ == "__main__":
    what, argument = sys.argv[1:]
    {"enqueue": lambda text: enqueue(int(text)), "work": work, "hold": hold}[what](argument)
