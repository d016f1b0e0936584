"""Does a meter have supply? The five answers of a power check, and how they follow from what is known. Pure."""

from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from meterops.fleet.headend.errors import ErrorClass
from meterops.fleet.telemetry.api import SupplyEvidence

LIVE_VOLTAGE_V: Final = 46.0
"""A fifth of 230 V: a phase below it has no supply; what is left comes over neighbours and long cables."""

POWER_FAILURE_EVENTS: Final = ((0, 1), (2, 101))
"""(log, code) of a lost supply: the standard log of DSMR, SMR and IDIS meters, the power log of IS 15959 meters."""

HEARD_CLASSES: Final = frozenset(
    {
        ErrorClass.REFUSED,
        ErrorClass.AUTHENTICATION,
        ErrorClass.COUNTER,
        ErrorClass.PROTOCOL,
        ErrorClass.DATA,
        ErrorClass.INTERNAL,
    }
)
"""Failures in which something answered, or that are ours: they say nothing of the supply at the meter."""


class SupplyAnswer(StrEnum):
    """What a power check found out about one meter."""

    ON = "ON"
    """It answered and measures a voltage."""
    OFF = "OFF"
    """It answered and measures none; or it gasped after its last contact, and a neighbor proves that the path is up."""
    UNKNOWN = "UNKNOWN"
    """Something answered, but not with a voltage."""
    NO_CONTACT = "NO_CONTACT"
    """It did not answer, and nothing says why."""
    UNKNOWN_ID = "UNKNOWN_ID"
    """No end device is known by that name."""


ANSWERS: Final = (
    SupplyAnswer.ON,
    SupplyAnswer.OFF,
    SupplyAnswer.UNKNOWN,
    SupplyAnswer.NO_CONTACT,
    SupplyAnswer.UNKNOWN_ID,
)
"""An answer's place here is its number in arrays; `PENDING` stands for none yet."""
PENDING: Final = -1


def supply_answers(evidence: SupplyEvidence, path_is_up: NDArray[np.bool_], *, is_over: bool) -> NDArray[np.int8]:
    """Every meter's answer as a number of `ANSWERS`, int8 of shape (n,); `PENDING` for those not tried yet unless `is_over`.

    `path_is_up` (n,): another meter on the same path answered while the check ran.
    """
    answered = evidence.answered_at > 0
    has_voltage = ~np.isnan(evidence.voltage)
    live = evidence.voltage >= LIVE_VOLTAGE_V
    tried = evidence.tried_at > 0
    heard = np.isin(evidence.error, [str(one) for one in HEARD_CLASSES]) & ~answered & tried
    gasped = (evidence.gasp_at > evidence.contact_at) & path_is_up & ~answered
    return np.select(
        [
            answered & has_voltage & live,
            answered & has_voltage,
            answered | heard,
            gasped & (tried | is_over),
            tried | is_over,
        ],
        [np.int8(0), np.int8(1), np.int8(2), np.int8(1), np.int8(3)],
        np.int8(PENDING),
    ).astype(np.int8)


def paths_up(paths: NDArray[np.int64], meters: NDArray[np.int64], answered_meters: NDArray[np.int64]) -> set[int]:
    """The paths that a meter which answered hangs on. `paths` and `meters` are columns of one length, `meters` ascending."""
    if not len(meters):
        return set()
    return set(paths[np.isin(meters, answered_meters)].tolist()) - {0}
