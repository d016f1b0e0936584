"""A flood whose process dies in the middle of a step, wherever that is: the end is that of an undisturbed one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from tests.practices.events.conftest import Plant

from meterops.kernel import facts
from meterops.practices.events import events as told
from meterops.practices.events.models import Alarm, AlarmFlood
from meterops.practices.incidents import api as incidents
from meterops.practices.incidents import floods, opening
from meterops.practices.incidents.models import Incident

COVER_OFF, COVER_ON, FRAUD_LOG = 44, 45, 1


class Killed(BaseException):
    """The process ends here; nothing may catch it."""


@contextmanager
def deadly(where: Any, name: str, deaths: list[str]) -> Iterator[None]:
    """Whoever calls that dies, after it has done its work and before anybody else does theirs."""
    original: Callable[..., Any] = getattr(where, name)

    def die(*arguments: Any, **words: Any) -> None:
        original(*arguments, **words)
        deaths.append(name)
        raise Killed

    with pytest.MonkeyPatch.context() as patch, suppress(Killed):
        patch.setattr(where, name, die)
        yield


def look(plant: Plant) -> None:
    plant.wait(1)
    floods.follow_floods(now=plant.now)


@pytest.mark.parametrize(
    ("where", "name"),
    [(AlarmFlood, "save"), (facts, "publish"), (opening, "take_flood"), (floods, "note")],
    ids=["flood begun", "alarms stored", "incident half open", "incident half written"],
)
def test_a_flood_survives_the_death_of_who_takes_it_in(plant: Plant, where: Any, name: str) -> None:
    """Covers come off and some come on again; at each look the process first dies at that call."""
    everybody = [device for devices in plant.ids.values() for device in devices]
    deaths: list[str] = []
    for devices, code in ((everybody[:90], COVER_OFF), (everybody[90:], COVER_OFF), (everybody[:40], COVER_ON)):
        plant.now += floods.LOOKS_EVERY
        plant.events(devices, code, log=FRAUD_LOG)
        with deadly(where, name, deaths):
            look(plant)
        plant.kill()
        look(plant)
    assert deaths
    states = Counter(Alarm.objects.values_list("state", "occurrences"))
    assert states == {("ACTIVE", 1): 110, ("CLEARED", 1): 40}
    assert AlarmFlood.objects.values_list("alarms", "cleared").get() == (150, 40)
    incident = Incident.objects.get()
    assert (incident.title, incident.heard, len(incidents.members(incident.pk))) == (
        "Meter cover removed, 150 meters, North", 150, 150,
    )  # fmt: skip
    assert [entry.text for entry in incidents.timeline(incident.pk)] == [
        "Opened at P2: so many meters say so that they are one incident (exception).",
        "60 more alarms, 150 by now.",
    ]
    assert not plant.told(told.SafetyAlarmRaised)
    assert not plant.told(told.AlarmCleared)
