"""What events tells others."""

from dataclasses import dataclass
from datetime import datetime

from meterops.kernel.facts import fact


@fact
@dataclass(frozen=True, slots=True)
class SituationOpened:
    """One cause explains what many meters said."""

    situation_id: str
    kind: str
    tree: str
    node_id: int
    node_mrid: str
    started_at: datetime
    at: datetime
    expected: int
    heard: int
    silent: int
    answered: int
    power_score: float
    communication_score: float
    confidence: float
    phases: str = ""


@fact
@dataclass(frozen=True, slots=True)
class SituationChanged:
    """Counts, scores or the root are others now."""

    situation_id: str
    kind: str
    tree: str
    node_id: int
    node_mrid: str
    started_at: datetime
    at: datetime
    expected: int
    heard: int
    silent: int
    answered: int
    power_score: float
    communication_score: float
    confidence: float
    phases: str = ""
    previous_node_id: int = 0


@fact
@dataclass(frozen=True, slots=True)
class SituationMerged:
    """A situation turned out to be part of another."""

    situation_id: str
    into_id: str
    at: datetime


@fact
@dataclass(frozen=True, slots=True)
class SituationCleared:
    """What a situation told of is over, by what meters say."""

    situation_id: str
    at: datetime
    reason: str


@fact
@dataclass(frozen=True, slots=True)
class SafetyAlarmRaised:
    """A single meter says something that concerns safety."""

    alarm_id: int
    event_type: str
    severity: str
    end_device_id: int
    occurred_at: datetime
    at: datetime


@fact
@dataclass(frozen=True, slots=True)
class AlarmCleared:
    """An alarm's restoration came."""

    alarm_id: int
    event_type: str
    end_device_id: int
    at: datetime
