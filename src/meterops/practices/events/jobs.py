"""What events does because time passes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone

from meterops.fleet.telemetry import api as telemetry
from meterops.kernel import hints, jobs
from meterops.kernel.jobs import NewJob
from meterops.practices.events.intake import Intake
from meterops.practices.events.models import Alarm, AlarmFlood, AlarmMinute, DailyCounter, Situation, SituationState

KIND: Final = "events-intake"
KEY: Final = "events"
LEASE: Final = timedelta(seconds=10)
MANY_ROWS: Final = 5000
KEPT: Final = timedelta(days=400)


class IntakeKeeper:
    """Runs intake in the one process that holds its lease; another takes over within ten seconds of its death."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._intake: Intake | None = None

    def work(self) -> bool:
        """Take in what there is, if the lease is ours. Returns whether it is."""
        if not self._holds():
            self._intake = None
            return False
        intake = self._intake = self._intake or Intake(telemetry.lake())
        while intake.step(now=timezone.now()) >= MANY_ROWS and self._holds():
            continue
        return True

    def _holds(self) -> bool:
        now = timezone.now()
        if KEY in jobs.renew(owner=self._owner, now=now, lease=LEASE):
            return True
        jobs.enqueue([NewJob(KIND, KEY, now, unique_name=KIND)], now=now)
        return bool(jobs.claim(owner=self._owner, kinds=[KIND], now=now, lease=LEASE, new_keys=1))


def end_shelving(*, now: datetime) -> int:
    """Let alarms whose shelving is over stand in line again. Returns how many."""
    ended = Alarm.objects.filter(shelved_until__lte=now).update(shelved_until=None, shelved_at=None, shelve_reason="")
    if ended:
        hints.publish("alarms")
    return ended


def forget_old(*, now: datetime) -> None:
    """Drop what is older than anybody looks at."""
    Alarm.objects.filter(state="CLEARED", cleared_at__lt=now - KEPT).delete()
    AlarmFlood.objects.filter(last_at__lt=now - KEPT, members__isnull=True).delete()
    Situation.objects.exclude(state=SituationState.OPEN).filter(changed_at__lt=now - KEPT).delete()
    AlarmMinute.objects.filter(minute_at__lt=now - KEPT).delete()
    DailyCounter.objects.filter(day__lt=(now - KEPT).date()).delete()
