"""Which meters answer: one state per meter, from its newest contacts in the lake."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

import numpy as np
import numpy.typing as npt

SILENT_AFTER_S = 24 * 3600
CLOCK_OFF_MS = 30_000
"""A clock that is off by more than this puts energy into the wrong interval sooner or later."""


class ReadState(IntEnum):
    """How a meter's reading stands. The numbers go to the map; new ones come last."""

    READ = 0
    """Read within a day."""
    FAILING = 1
    """Read within a day, but its newest session failed."""
    SILENT = 2
    """Read before, but not within a day."""
    NEVER = 3
    """Never read."""


WORDS = {
    ReadState.READ: "read in 24 h",
    ReadState.FAILING: "failing",
    ReadState.SILENT: "silent",
    ReadState.NEVER: "never read",
}
MARKS = {ReadState.READ: "ok", ReadState.FAILING: "failed", ReadState.SILENT: "silent", ReadState.NEVER: "never"}
BOXES = {ReadState.READ: "ok", ReadState.FAILING: "fault", ReadState.SILENT: "silent", ReadState.NEVER: "never"}


@dataclass(frozen=True, slots=True)
class Contacts:
    """Newest contacts, in columns sorted by meter; epoch seconds, 0 for none."""

    end_device_id: npt.NDArray[np.int64]
    tried_at: npt.NDArray[np.int64]
    read_at: npt.NDArray[np.int64]
    error: npt.NDArray[np.object_]
    """The class of the newest session's error, empty where it succeeded."""
    drift_ms: npt.NDArray[np.float64]
    """How far the clock was off when it was last read, NaN where it never was."""

    def of(self, ids: Sequence[int] | npt.NDArray[np.int64], now: datetime) -> "States":
        """The states of these meters, in their order."""
        wanted = np.asarray(ids, dtype=np.int64)
        tried, read = np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.int64)
        if len(self.end_device_id):
            place = np.minimum(np.searchsorted(self.end_device_id, wanted), len(self.end_device_id) - 1)
            found = self.end_device_id[place] == wanted
            tried[found], read[found] = self.tried_at[place[found]], self.read_at[place[found]]
        return States(wanted, classify(tried, read, int(now.timestamp())), tried, read)

    def with_error(self, ids: npt.NDArray[np.int64], error: str) -> npt.NDArray[np.int64]:
        """Those of the meters whose newest session ended in an error class."""
        return np.asarray(np.intersect1d(ids, self.end_device_id[self.error == error]), dtype=np.int64)

    def is_off(self) -> npt.NDArray[np.bool_]:
        """Which clocks were off by more than `CLOCK_OFF_MS` when they were last read."""
        return np.asarray(np.nan_to_num(np.abs(self.drift_ms)) > CLOCK_OFF_MS)

    def with_clock_off(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Those of the meters whose clock is off."""
        return np.asarray(np.intersect1d(ids, self.end_device_id[self.is_off()]), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class States:
    """A state per meter, with its newest attempt and success (epoch seconds, 0 for none)."""

    end_device_id: npt.NDArray[np.int64]
    state: npt.NDArray[np.uint8]
    tried_at: npt.NDArray[np.int64]
    read_at: npt.NDArray[np.int64]

    def counts(self) -> dict[ReadState, int]:
        """How many meters are in each state, every state named."""
        found = np.bincount(self.state, minlength=len(ReadState))
        return {state: int(found[state]) for state in ReadState}

    def ids_in(self, state: ReadState) -> npt.NDArray[np.int64]:
        """The meters in a state."""
        return np.asarray(self.end_device_id[self.state == state], dtype=np.int64)


def classify(tried: npt.NDArray[np.int64], read: npt.NDArray[np.int64], now: int) -> npt.NDArray[np.uint8]:
    """The state of each meter from its newest attempt and success."""
    state = np.full(len(read), ReadState.READ, dtype=np.uint8)
    state[tried > read] = ReadState.FAILING
    state[now - read > SILENT_AFTER_S] = ReadState.SILENT
    state[read == 0] = ReadState.NEVER
    return state
