"""What is known of every meter now: when it last said that it is dark, that it is lit, and when it last failed to answer."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from meterops.practices.events.correlation.columns import Floats
from meterops.practices.events.correlation.situations import Evidence
from meterops.practices.events.correlation.topology import Places

NEVER = -np.inf


class Standing(IntEnum):
    """What follows for a meter from its latest word."""

    UNHEARD = 0
    DARK = 1
    SILENT = 2
    LIT = 3


class EvidenceBook:
    """Times by place (n), `NEVER` where there is none. The latest word on a meter counts, in whatever order words arrive.

    `standing` (n) follows from the times; an octet a meter, it is looked at far oftener than they are.
    """

    def __init__(self, size: int) -> None:
        self.standing = np.zeros(size, np.int8)
        self.down_at = np.full(size, NEVER)
        self.lit_at = np.full(size, NEVER)
        self.silent_at = np.full(size, NEVER)
        self.tried_at = np.full(size, NEVER)

    def is_down(self, places: Places) -> NDArray[np.bool_]:
        """Whose last word is that it lost supply."""
        return np.asarray(self.standing[places] == Standing.DARK)

    def is_silent(self, places: Places) -> NDArray[np.bool_]:
        """Who failed to answer since, and did not say that it is dark."""
        return np.asarray(self.standing[places] == Standing.SILENT)

    def is_tried(self, places: Places) -> NDArray[np.bool_]:
        """Whom somebody tried to reach, as far as is remembered."""
        return self.tried_at[places] > NEVER

    def note(self, places: Places, evidence: NDArray[np.int8], times: Floats) -> None:
        """Take words in; any order, any repetition."""
        is_down, is_silent = evidence == Evidence.DOWN, evidence == Evidence.SILENT
        is_answer = evidence == Evidence.ANSWERED
        is_lit = is_answer | (evidence == Evidence.UP)
        for column, chosen in (
            (self.down_at, is_down),
            (self.lit_at, is_lit),
            (self.silent_at, is_silent),
            (self.tried_at, is_answer | is_silent),
        ):
            if chosen.any():
                np.maximum.at(column, places[chosen], times[chosen])
        self._settle(places)

    def forget(self, places: Places) -> None:
        """Forget that these were dark, silent or tried."""
        self.down_at[places] = self.silent_at[places] = self.tried_at[places] = NEVER
        self._settle(places)

    def _settle(self, places: Places) -> None:
        lit_at = self.lit_at[places]
        standing = np.where(lit_at > NEVER, Standing.LIT, Standing.UNHEARD)
        standing[self.silent_at[places] > lit_at] = Standing.SILENT
        standing[self.down_at[places] > lit_at] = Standing.DARK
        self.standing[places] = standing
