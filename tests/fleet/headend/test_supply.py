"""The five answers of a power check follow from the evidence."""

import numpy as np
import pytest

from meterops.fleet.headend.supply import ANSWERS, PENDING, SupplyAnswer, paths_up, supply_answers
from meterops.fleet.telemetry.api import SupplyEvidence

NOW = 1_800_000_000.0


def evidence(
    *,
    answered: float = 0,
    tried: float = 0,
    error: str = "",
    voltage: float = np.nan,
    contact: float = NOW - 3600,
    gasp: float = 0,
) -> SupplyEvidence:
    return SupplyEvidence(
        np.array([1]),
        np.array([answered]),
        np.array([max(tried, answered)]),
        np.array([error], dtype=object),
        np.array([voltage]),
        np.array([max(contact, answered)]),
        np.array([gasp]),
    )


@pytest.mark.parametrize(
    ("case", "path", "over", "expected"),
    [
        (evidence(answered=NOW, voltage=231.0), False, False, SupplyAnswer.ON),
        (evidence(answered=NOW, voltage=12.0), False, False, SupplyAnswer.OFF),
        (evidence(answered=NOW), True, False, SupplyAnswer.UNKNOWN),
        (evidence(tried=NOW, error="authentication"), True, False, SupplyAnswer.UNKNOWN),
        (evidence(tried=NOW, error="timeout"), True, False, SupplyAnswer.NO_CONTACT),
        (evidence(tried=NOW, error="timeout", gasp=NOW - 60), True, False, SupplyAnswer.OFF),
        (evidence(tried=NOW, error="timeout", gasp=NOW - 60), False, False, SupplyAnswer.NO_CONTACT),
        (evidence(tried=NOW, error="timeout", gasp=NOW - 7200), True, False, SupplyAnswer.NO_CONTACT),
        (evidence(gasp=NOW - 60), True, False, None),
        (evidence(gasp=NOW - 60), True, True, SupplyAnswer.OFF),
        (evidence(), True, True, SupplyAnswer.NO_CONTACT),
        (evidence(answered=NOW, voltage=230.0, gasp=NOW - 60), True, False, SupplyAnswer.ON),
    ],
)
def test_an_answer_follows_from_what_is_known(
    case: SupplyEvidence, path: bool, over: bool, expected: SupplyAnswer | None
) -> None:
    (code,) = supply_answers(case, np.array([path]), is_over=over).tolist()
    assert (None if code == PENDING else ANSWERS[code]) == expected


def test_a_path_is_up_when_one_of_its_meters_answered() -> None:
    paths, meters = np.array([7, 7, 8, 0]), np.array([1, 2, 3, 4])
    assert paths_up(paths, meters, np.array([2, 4])) == {7}
    assert paths_up(paths[:0], meters[:0], np.array([2])) == set()
