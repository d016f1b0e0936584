"""Intake while the lake's files are merged, its snapshots expire and old files go: nothing is lost, nothing taken in twice."""

from __future__ import annotations

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import Sum
from tests.practices.events.conftest import Plant

from meterops.fleet.telemetry import maintenance
from meterops.fleet.telemetry.lake import Lake
from meterops.practices.events.intake import Intake
from meterops.practices.events.models import Alarm, DailyCounter

COVER_OFF, FRAUD_LOG = 44, 1
"""Raises an alarm of its meter, which nothing ends here."""


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Maintenance that keeps nothing that nobody needs at this moment."""
    monkeypatch.setattr(maintenance, "SNAPSHOTS_KEPT", timedelta(0))
    monkeypatch.setattr(maintenance, "FILES_KEPT", timedelta(0))


def look_after(lake: Lake) -> None:
    """By the real clock, for that is what the lake's snapshots go by."""
    maintenance.maintain(lake, now=datetime.now(UTC) + timedelta(seconds=1))


def files_of(lake: Lake) -> int:
    row = lake.query("SELECT count(*) FROM ducklake_list_files('lake', 'events')").fetchone()
    return int(row[0]) if row else 0


def assert_taken_once(said: Counter[int], repeated: int) -> None:
    """Every event counted, those that were said twice as repetitions, and each meter's alarm as often as it raised it."""
    sums = DailyCounter.objects.aggregate(received=Sum("received"), repeated=Sum("repeated"))
    assert (sums["received"], sums["repeated"]) == (said.total() + repeated, repeated)
    assert dict(Alarm.objects.values_list("end_device_id", "occurrences")) == said


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("seed", range(2))
def test_between_two_looks_everything_may_be_merged_and_expire(plant: Plant, seed: int) -> None:
    dice = random.Random(seed)
    devices = [device for ids in plant.ids.values() for device in ids]
    said: Counter[int] = Counter()
    repeated, fewest = 0, 0
    for _ in range(15):
        chosen = dice.sample(devices, dice.choice((3, 30)))
        plant.events(chosen, COVER_OFF, log=FRAUD_LOG)
        said.update(chosen)
        if dice.random() < 0.3:
            again = chosen[: dice.randrange(1, len(chosen) + 1)]
            plant.events(again, COVER_OFF, log=FRAUD_LOG)
            repeated += len(again)
        if dice.random() < 0.4:
            before = files_of(plant.lake)
            look_after(plant.lake)
            fewest += files_of(plant.lake) < before
        if dice.random() < 0.2:
            plant.kill()
        if dice.random() < 0.7:
            plant.wait(1)
        plant.now += timedelta(seconds=30)
    look_after(plant.lake)
    plant.wait(2)
    assert fewest, "files were merged meanwhile"
    assert_taken_once(said, repeated)


def test_while_intake_looks_files_are_merged_and_more_arrives(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "SNAPSHOTS_KEPT", timedelta(0))
    devices = [device for ids in plant.ids.values() for device in ids]
    started, commits = plant.now, 20
    done = threading.Event()

    def write() -> None:
        for number in range(commits):
            plant.events(devices[number::commits], COVER_OFF, log=FRAUD_LOG, at=started)

    def maintain() -> None:
        while not done.is_set():
            look_after(plant.lake)

    intake = Intake(plant.lake)
    with ThreadPoolExecutor(2) as pool:
        writing, maintaining = pool.submit(write), pool.submit(maintain)
        while not writing.done():
            intake.step(now=plant.now)
        done.set()
    writing.result()
    maintaining.result()
    while intake.step(now=plant.now):
        pass
    assert_taken_once(Counter(devices), 0)
