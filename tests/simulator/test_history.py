"""A meter's own past: rows, totals, gaps, and that it all goes on after a restart."""

import struct

import numpy as np
import pytest

from meterops.simulator.history import POWER_FAILED, HistoryReadings, find_totals, open_history
from meterops.simulator.loads import DAY_S
from meterops.simulator.meter_readings import Channel, MeterReadings
from meterops.simulator.physics import Physics
from meterops.simulator.region import generate_region
from meterops.simulator.supply import SupplyGap, SupplyPlan

TODAY = 20_600
NOW = TODAY * DAY_S + 15 * 3600 + 1000
REGION = generate_region(seed=21, meters=80)
DARK = SupplyGap(np.array([4], np.int32), NOW - 7 * 3600, NOW - 5 * 3600)
PHYSICS = Physics(REGION, SupplyPlan([DARK]))


def start(folder, *, now=NOW, began=TODAY - 2):
    return open_history(PHYSICS, now=now, days_back=2, folder=folder, began_day=began)


def numbers(octets, width=4):
    return list(struct.unpack(f">{len(octets) // width}{'I' if width == 4 else 'H'}", octets))


@pytest.fixture(scope="module")
def history():
    return start(None)


def test_rows_are_stamped_with_their_ends_and_hold_the_totals_of_those_moments(history):
    readings: MeterReadings = HistoryReadings(history, 0)
    first_at, count = readings.window(900, NOW)
    assert (first_at, count) == ((TODAY - 2) * DAY_S + 900, 2 * 96 + 61)
    rows = numbers(readings.column(Channel.IMPORT_WH, 900, first_at, count, 4))
    assert rows == [readings.value(Channel.IMPORT_WH, first_at + number * 900) for number in range(count)]
    assert rows == sorted(rows)
    assert rows[-1] > rows[0]


def test_any_part_of_a_column_is_the_same_part_of_the_whole(history):
    readings = HistoryReadings(history, 3)
    first_at, count = readings.window(900, NOW)
    for channel, width in ((Channel.IMPORT_WH, 4), (Channel.VOLTAGE_L1, 2), (Channel.CURRENT_L1, 4)):
        whole = readings.column(channel, 900, first_at, count, width)
        for skipped, taken in ((0, 1), (95, 2), (90, 110), (count - 1, 1)):
            part = readings.column(channel, 900, first_at + skipped * 900, taken, width)
            assert part == whole[skipped * width : (skipped + taken) * width]


def test_the_daily_profile_has_the_totals_at_midnight(history):
    readings = HistoryReadings(history, 1)
    first_at, count = readings.window(DAY_S, NOW)
    assert (first_at, count) == ((TODAY - 2) * DAY_S, 3)
    days = numbers(readings.column(Channel.IMPORT_WH, DAY_S, first_at, count, 4))
    assert days == [readings.value(Channel.IMPORT_WH, first_at + day * DAY_S) for day in range(3)]


def test_totals_rise_evenly_within_a_quarter_hour_and_powers_fit(history):
    readings = HistoryReadings(history, 2)
    start_at = NOW // 900 * 900
    values = [readings.value(Channel.IMPORT_WH, start_at + second) for second in range(0, 900, 60)]
    assert values == sorted(values)
    rise = readings.value(Channel.IMPORT_WH, start_at + 900) - values[0]
    net = readings.value(Channel.IMPORT_W, start_at)
    assert net == 4 * rise


def test_rows_are_missing_where_there_was_no_supply_and_the_next_one_says_so(history):
    readings = HistoryReadings(history, 4)
    first_at, count = readings.window(900, NOW)
    gone = readings.missing(900, first_at, count)
    assert gone is not None
    assert sum(gone) == 8
    status = readings.column(Channel.STATUS, 900, first_at, count, 1)
    after = max(number for number in range(count) if gone[number]) + 1
    assert status[after] == POWER_FAILED
    assert status[after + 1] == 0
    assert HistoryReadings(history, 5).missing(900, first_at, count) is None
    during = (DARK.starts_at + DARK.ends_at) // 2
    assert readings.value(Channel.VOLTAGE_L1, during) == 0
    assert readings.value(Channel.IMPORT_W, during) == 0


def test_asking_beyond_either_end_gives_what_is_there(history):
    readings = HistoryReadings(history, 0)
    assert readings.value(Channel.IMPORT_WH, 0) == readings.value(Channel.IMPORT_WH, history.starts_at)
    assert readings.value(Channel.IMPORT_WH, 2**31) >= readings.value(Channel.IMPORT_WH, NOW)
    assert readings.window(900, history.starts_at - DAY_S)[1] == 0
    assert readings.window(900, NOW + 40 * DAY_S)[1] == 3 * 96


def test_a_later_start_finds_the_same_past(tmp_path):
    one = start(tmp_path)
    later = start(tmp_path, now=NOW + DAY_S)
    fresh = start(None, now=NOW + DAY_S)
    for meter in (0, 4, REGION.meters - 1):
        old, new, other = (HistoryReadings(history, meter) for history in (one, later, fresh))
        first_at, count = new.window(900, NOW)
        assert count > 96
        for channel, width in ((Channel.IMPORT_WH, 4), (Channel.EXPORT_WH, 4), (Channel.VOLTAGE_L1, 2)):
            rows = new.column(channel, 900, first_at, count, width)
            assert rows == old.column(channel, 900, first_at, count, width)
            assert rows == other.column(channel, 900, first_at, count, width)


def test_days_fall_out_as_others_come(tmp_path):
    history = start(tmp_path)
    readings = HistoryReadings(history, 0)
    before = [readings.value(Channel.IMPORT_WH, NOW + hours * 3600) for hours in range(8)]
    history.extend()
    history.extend()
    assert (history.first_day, history.end_day) == (TODAY - 1, TODAY + 3)
    assert [readings.value(Channel.IMPORT_WH, NOW + hours * 3600) for hours in range(8)] == before
    day, totals = find_totals(tmp_path, TODAY + 50) or (0, None)
    assert day == TODAY + 3
    assert totals is not None
    assert totals.shape == (3, REGION.meters)
