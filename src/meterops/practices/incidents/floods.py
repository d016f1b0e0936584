"""Safety alarms that come too many for an incident each are one incident, which follows them as they become more or end."""

import logging
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from meterops.kernel import hints
from meterops.practices.events import api as events
from meterops.practices.incidents.assessment import reassess
from meterops.practices.incidents.lifecycle import OPEN_STATES
from meterops.practices.incidents.models import Incident
from meterops.practices.incidents.opening import ENGINE, open_from_flood, take_flood
from meterops.practices.incidents.operations import reopen
from meterops.practices.incidents.timeline import HINT_TOPIC, EntryKind, note, tell_change

log = logging.getLogger(__name__)
LOOKS_BACK: Final = timedelta(days=2)
"""Floods that got their last alarm before that are left alone."""
GROWN: Final = 1.5
"""So many times the alarms of the last look are looked at at once; fewer wait, for each look costs as much as there are meters."""
LOOKS_EVERY: Final = timedelta(seconds=30)


def follow_floods(*, now: datetime) -> int:
    """Open the incidents of new floods and bring those of others up to date. Returns how many were opened or changed."""
    floods = events.list_floods(since=now - LOOKS_BACK)
    rows = Incident.objects.filter(flood_id__in=[flood.id for flood in floods])
    known = {row[0]: row[1:] for row in rows.values_list("flood_id", "heard", "cleared_at", "assessed_at")}
    done = 0
    for flood in floods:
        try:
            if flood.id not in known:
                with transaction.atomic():
                    open_from_flood(flood, at=now)
                done += 1
            elif _is_due(flood, *known[flood.id], now):
                done += _follow(flood, now)
        except Exception:
            log.exception("the flood %s could not be followed; it is tried again, the others go on", flood.id)
    return done


def _is_due(
    flood: events.FloodView, heard: int, cleared_at: datetime | None, looked_at: datetime, now: datetime
) -> bool:
    is_same = flood.alarms == heard and flood.is_over == (cleared_at is not None)
    return not is_same and (flood.alarms >= GROWN * heard or now - looked_at >= LOOKS_EVERY)


@transaction.atomic
def _follow(flood: events.FloodView, now: datetime) -> bool:
    incident = Incident.objects.select_for_update().get(flood_id=flood.id)
    more = flood.alarms - incident.heard
    take_flood(incident, flood)
    if flood.is_over != (incident.cleared_at is not None):
        incident.cleared_at = incident.restored_at = now if flood.is_over else None
        text = "The meters say that it is over." if flood.is_over else "It is not over: meters say so again."
        note(incident, EntryKind.SITUATION, text, actor=ENGINE, at=now)
        tell_change(incident, "cleared" if flood.is_over else "counts", now)
    incident.save()
    if more > 0:
        note(incident, EntryKind.SITUATION, f"{more:,} more alarms, {flood.alarms:,} by now.", actor=ENGINE, at=now)
        if incident.state not in OPEN_STATES and incident.parent_id is None:
            reopen(incident, f"it goes on, with {more:,} more alarms.", actor=ENGINE, at=now)
    reassess(incident, now=now, actor=ENGINE)
    hints.publish(HINT_TOPIC, str(incident.pk))
    return True
