"""What is done about incidents because it is time. Any number of engines may call these; each act happens once."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from meterops.fleet.telemetry import api as telemetry
from meterops.kernel import jobs
from meterops.practices.incidents import escalation, restoration
from meterops.practices.incidents.assessment import reassess
from meterops.practices.incidents.configuration import configuration
from meterops.practices.incidents.delivery import deliver_messages
from meterops.practices.incidents.floods import follow_floods
from meterops.practices.incidents.lifecycle import OPEN_STATES, IncidentState
from meterops.practices.incidents.models import Incident, Message
from meterops.practices.incidents.opening import ENGINE
from meterops.practices.incidents.operations import end_waiting
from meterops.practices.incidents.planned import end_planned

log = logging.getLogger(__name__)
REASSESS_EVERY: Final = timedelta(minutes=5)
AUDIT_EVERY: Final = timedelta(minutes=1)
KEPT_FOR: Final = timedelta(days=400)


def reassess_open(*, now: datetime, limit: int = 100) -> int:
    """Compute the figures of open incidents again that are older than five minutes, the oldest first. Returns how many."""
    stale = Incident.objects.filter(
        state__in=OPEN_STATES, parent__isnull=True, assessed_at__lt=now - REASSESS_EVERY
    ).order_by("assessed_at")
    config, done = configuration(), 0
    for pk in list(stale.values_list("pk", flat=True)[:limit]):
        try:
            with transaction.atomic():
                incident = Incident.objects.select_for_update().filter(pk=pk, state__in=OPEN_STATES).first()
                if incident is not None and incident.assessed_at < now - REASSESS_EVERY:
                    reassess(incident, now=now, actor=ENGINE, config=config)
                    done += 1
        except Exception:
            log.exception("the figures of incident %s could not be computed; the others go on", pk)
            Incident.objects.filter(pk=pk).update(assessed_at=now)
    return done


def audit_when_due(*, now: datetime) -> int:
    """The independent check of escalations, once a minute whoever calls. Returns how many stuck ones it found."""
    slot = datetime.fromtimestamp(
        now.timestamp() // AUDIT_EVERY.total_seconds() * AUDIT_EVERY.total_seconds(), now.tzinfo
    )
    if not jobs.take_tick(schedule="incidents:escalation audit", slot_at=slot, now=now):
        return 0
    return escalation.audit_escalations(now=now)


def work(*, owner: str, now: datetime, lake: telemetry.Lake | None = None) -> dict[str, int]:
    """Everything that is due: escalations, messages, restorations, ladders, figures, closing. Returns what was done.

    A step that fails is logged and tried again next time; the others go on.
    """
    steps: tuple[tuple[str, Callable[[], int]], ...] = (
        ("floods", lambda: follow_floods(now=now)),
        ("escalations", lambda: escalation.take_due_steps(now=now)),
        ("audit", lambda: audit_when_due(now=now)),
        ("messages", lambda: deliver_messages(owner=owner, now=now)),
        ("checks", lambda: restoration.collect_checks(now=now, lake=lake)),
        ("restorations", lambda: restoration.look_at_restorations(now=now, lake=lake)),
        ("ladders", lambda: restoration.climb_ladders(now=now, lake=lake)),
        ("planned work", lambda: end_planned(now=now)),
        ("waiting", lambda: end_waiting(now=now)),
        ("figures", lambda: reassess_open(now=now)),
        ("closed", lambda: restoration.close_what_is_done(now=now)),
    )
    done: dict[str, int] = {}
    for name, step in steps:
        try:
            done[name] = step()
        except Exception:
            log.exception("incidents: the step %s failed; it is tried again", name)
    return done


def forget_old(*, now: datetime, keep: timedelta = KEPT_FOR) -> int:
    """Forget the messages of incidents that closed long ago; the incidents themselves stay. Returns how many."""
    old = Message.objects.filter(incident__state=IncidentState.CLOSED, incident__closed_at__lt=now - keep).values_list(
        "pk", flat=True
    )
    deleted, _ = Message.objects.filter(pk__in=list(old[:2000])).delete()
    return deleted
