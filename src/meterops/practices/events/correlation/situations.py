"""What the correlator takes in and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


class Evidence(IntEnum):
    """What is known of one meter at one time."""

    DOWN = 1
    """It said that it lost supply: a last gasp, or a power failure in its log."""
    UP = 2
    """It said that supply is back."""
    ANSWERED = 3
    """It answered a session or a check: it has supply and a path."""
    SILENT = 4
    """A contact that was due failed."""
    L1_LOST = 5
    """It runs, but has no voltage on this phase."""
    L2_LOST = 6
    L3_LOST = 7
    L1_BACK = 8
    """It has voltage on this phase again."""
    L2_BACK = 9
    L3_BACK = 10


PHASE_WORDS: Final = tuple(one for one in Evidence if one >= Evidence.L1_LOST)


class TreeName(StrEnum):
    """The tree in which a situation has its root."""

    ELECTRICAL = "ELECTRICAL"
    COMMUNICATION = "COMMUNICATION"


class SituationKind(StrEnum):
    """What a situation is taken for."""

    OUTAGE = "OUTAGE"
    COMMUNICATION = "COMMUNICATION"
    PHASE = "PHASE"
    """One or two phases are missing below a node: what hangs on them alone is dark, the rest runs and says so."""


class Change(StrEnum):
    """What became of a situation."""

    OPENED = "OPENED"
    CHANGED = "CHANGED"
    MOVED = "MOVED"
    """Its root is another node now; it is the same situation."""
    MERGED = "MERGED"
    """Another situation explains what it explained."""
    CLEARED = "CLEARED"


@dataclass(frozen=True, slots=True)
class SituationChange:
    """A situation as it is after a change. Times are epoch seconds; counts are meters below the root.

    `expected` are all, `heard` said that they are without supply or a phase, `silent` failed to answer and said nothing, `answered`
    have answered or returned since it began, `restored` of those had been heard. Scores and confidence lie between 0 and 1.
    `phases` names those that are missing ("L2"), for situations of that kind.
    """

    change: Change
    situation_id: str
    kind: SituationKind
    tree: TreeName
    node_id: int
    started_at: float
    at: float
    expected: int = 0
    heard: int = 0
    silent: int = 0
    answered: int = 0
    restored: int = 0
    power_score: float = 0.0
    communication_score: float = 0.0
    confidence: float = 0.0
    phases: str = ""
    previous_node_id: int | None = None
    into_id: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MemberIds:
    """The meters below a situation's root by what is known of them; the rest are neither heard, silent nor answered."""

    heard: Ids
    silent: Ids
    answered: Ids
    rest: Ids
