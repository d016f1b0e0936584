"""The timeline: everything that happens to an incident leaves a line, in the transaction in which it happens."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from meterops.kernel import facts, hints
from meterops.kernel.actor import Actor
from meterops.practices.incidents.events import IncidentChanged
from meterops.practices.incidents.models import Incident, IncidentEntry

HINT_TOPIC = "incidents"


class EntryKind(StrEnum):
    """What a line of the timeline is about."""

    OPENED = "OPENED"
    SITUATION = "SITUATION"
    STATE = "STATE"
    PRIORITY = "PRIORITY"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    ASSIGNED = "ASSIGNED"
    NOTE = "NOTE"
    MERGED = "MERGED"
    SPLIT = "SPLIT"
    MAJOR = "MAJOR"
    POWER_CHECK = "POWER_CHECK"
    RESTORATION = "RESTORATION"
    NESTED = "NESTED"
    LADDER = "LADDER"
    WORK_ORDER = "WORK_ORDER"
    ESCALATION = "ESCALATION"
    MESSAGE = "MESSAGE"
    PLANNED = "PLANNED"


def note(
    incident: Incident,
    kind: EntryKind,
    text: str,
    *,
    actor: Actor,
    at: datetime,
    data: dict[str, Any] | None = None,
    unique_name: str | None = None,
) -> bool:
    """Add a line and leave a hint. With `unique_name` only the first one of that name is kept; False for a repetition."""
    values = {"incident": incident, "at": at, "kind": kind, "actor": str(actor), "text": text, "data": data or {}}
    if unique_name is None:
        IncidentEntry.objects.create(**values)
    else:
        _, created = IncidentEntry.objects.get_or_create(unique_name=unique_name[:200], defaults=values)
        if not created:
            return False
    hints.publish(HINT_TOPIC, str(incident.pk))
    return True


def tell_change(incident: Incident, what: str, at: datetime) -> None:
    """Publish that something about an incident is another one now."""
    facts.publish(IncidentChanged(incident.pk, what, incident.state, incident.priority, at))
