"""What a visit tells the person who asked for it."""

from datetime import UTC, datetime

import pytest

from meterops.fleet.headend.contents import ALL_CONTENTS
from meterops.fleet.headend.lanes import Lane
from meterops.fleet.headend.meter_session import MeterVisit
from meterops.fleet.headend.reading import MeterReading, ProfileLayout
from meterops.fleet.headend.route_runner import MeterTask
from meterops.protocols.dlms.obis import Obis
from meterops.protocols.dlms.profile_rows import ProfileRows

NOON = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp())
LAYOUT = ProfileLayout(Obis.parse("1.0.99.1.0.255"), clock=0, status=None, values=((1, 1, 0),))


def a_visit(profile: ProfileRows | None) -> MeterVisit:
    task = MeterTask(1, 7, (), ALL_CONTENTS, 86_400, Lane.ON_DEMAND, datetime(2040, 1, 1, tzinfo=UTC), 1)
    return MeterVisit(task, float(NOON), MeterReading(profile=profile, profile_layout=LAYOUT))


@pytest.mark.parametrize("profile", [None, ProfileRows((), 0), ProfileRows(([], []), 0)])
def test_a_meter_without_a_new_row_is_described_all_the_same(profile: ProfileRows | None) -> None:
    """Whoever asks twice within an interval gets the registers and no row the second time."""
    described = a_visit(profile).describe()
    assert described["ok"]
    assert described["profile_rows"] == 0
    assert described["profile_until"] is None


def test_the_newest_row_is_named_as_an_instant() -> None:
    described = a_visit(ProfileRows(([NOON - 900, NOON, None], [1, 2, 3]), 3)).describe()
    assert described["profile_rows"] == 3
    assert described["profile_until"] == "2026-03-01T12:00:00+00:00"
