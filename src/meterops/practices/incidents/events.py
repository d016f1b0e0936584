"""What incidents tell others."""

from dataclasses import dataclass
from datetime import datetime

from meterops.kernel.facts import fact


@fact
@dataclass(frozen=True, slots=True)
class IncidentOpened:
    """Something is wrong that somebody has to care for. `situation_id` is empty for a single meter's safety alarm."""

    number: int
    kind: str
    situation_id: str
    node_id: int
    priority: int
    started_at: datetime
    at: datetime


@fact
@dataclass(frozen=True, slots=True)
class IncidentChanged:
    """State, owner, priority, place or membership is another one now; `what` says which in one word."""

    number: int
    what: str
    state: str
    priority: int
    at: datetime


@fact
@dataclass(frozen=True, slots=True)
class IncidentAcknowledged:
    """A person has seen it."""

    number: int
    by: str
    at: datetime


@fact
@dataclass(frozen=True, slots=True)
class IncidentResolved:
    """Supply is proved to be back, or the cause is gone."""

    number: int
    kind: str
    node_id: int
    started_at: datetime
    restored_at: datetime
    at: datetime


@fact
@dataclass(frozen=True, slots=True)
class IncidentReopened:
    """It was not over after all."""

    number: int
    reason: str
    at: datetime


@fact
@dataclass(frozen=True, slots=True)
class IncidentClosed:
    """Nothing is left to do."""

    number: int
    kind: str
    node_id: int
    premises: int
    unserved_kwh: float
    started_at: datetime
    restored_at: datetime
    at: datetime


@fact
@dataclass(frozen=True, slots=True)
class MajorIncidentDeclared:
    """An incident is led as a major one from now on."""

    number: int
    by: str
    reason: str
    at: datetime


@fact
@dataclass(frozen=True, slots=True)
class EscalationStuck:
    """The independent check found a chain whose next step is overdue: nobody would have been told."""

    number: int
    next_eta: datetime
    at: datetime
