"""What the shipped scenarios do to the simulated fleet is what the system says happened, node by node, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.scenarios.play import BEGAN, Play

from meterops.kernel import facts
from meterops.practices.events import api as events
from meterops.practices.incidents import api as incidents
from meterops.simulator.scenario import ActKind
from meterops.site import wiring

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Play]:
    wiring.wire()
    play = Play(request.param[0], tmp_path, request.param[1])
    yield play
    play.lake.close()
    for name in wiring.HEARD:
        facts._subscribers[name].clear()


def moments(play: Play, until: float) -> list[float]:
    """When everything has settled: two minutes after each change, where nothing else changes meanwhile."""
    changes = sorted({at for one in play.script.happenings for at in (one.starts_at, one.ends_at) if at is not None})
    changes = [at - BEGAN for at in changes if at - BEGAN < until]
    return [at + 125 for at, following in zip(changes, [*changes[1:], until], strict=True) if following >= at + 125]


@pytest.mark.parametrize(
    ("play", "until"),
    [
        (("transformer-outage", 23), 250),
        (("feeder-outage", 23), 850),
        (("fuse", 23), 250),
        (("outage", 23), 490),
        (("concentrator-failure", 23), 250),
        (("momentary", 23), 250),
        (("gasps-lost", 23), 310),
        (("planned-work", 25), 1030),
    ],
    indirect=["play"],
    ids=lambda value: str(value[0]) if isinstance(value, tuple) else "",
)
def test_what_is_said_is_what_happens(play: Play, until: float) -> None:
    play.plan_what_is_planned()
    ever: set[tuple[str, str]] = set()
    for moment in moments(play, until):
        play.until(moment)
        assert play.seen() == play.causes(), f"{moment:.0f} s after the beginning"
        ever |= play.causes()
    queue = incidents.incident_queue(incidents.QueueFilter(states=tuple(incidents.IncidentState))).rows
    assert len(queue) == len(events.list_situations(state="")), "a situation is one incident"
    assert {(str(one.kind), play.named(one.node_mrid)) for one in queue} <= ever, "and none of what did not happen"


@pytest.mark.parametrize("play", [("concentrator-failure", 23)], indirect=True)
def test_a_route_that_loses_most_answers_is_without_contact_and_nobody_without_supply(play: Play) -> None:
    lossy = next(one for one in play.script.happenings if one.act.kind is ActKind.ROUTE_LOSS)
    began, ended = lossy.starts_at - BEGAN, (lossy.ends_at or 0.0) - BEGAN
    play.skip_to(began - 20)
    for moment in (began + 125, began + 600):
        play.until(moment)
        assert play.seen() == play.causes() == {("COMMUNICATION", play.named(lossy.where))}
    play.skip_to(ended)
    play.until(ended + 125)
    assert play.seen() == play.causes() == set()
    (incident,) = incidents.incident_queue(incidents.QueueFilter(states=tuple(incidents.IncidentState))).rows
    assert (str(incident.kind), incident.expected) == ("COMMUNICATION", len(lossy.meters))


@pytest.mark.parametrize("play", [("tamper", 23)], indirect=True)
def test_hands_at_meters_are_safety_incidents_and_no_situation(play: Play) -> None:
    play.until(650)
    queue = incidents.incident_queue(incidents.QueueFilter()).rows
    first, second = (play.fleet.meters[number].serial for number in (0, 1))
    assert {one.title for one in queue} >= {
        f"Terminal cover removed, meter {first}",
        f"Meter cover removed, meter {second}",
        f"Strong dc field detected, meter {second}",
    }
    assert {one.kind for one in queue} == {"SAFETY"}
    assert events.list_situations(state="") == []
    active = {(one.event_type, one.serial) for one in events.list_alarms().alarms}
    assert ("TERMINAL_COVER_REMOVED", first) not in active, "it was closed again"
    assert ("METER_COVER_REMOVED", second) in active
