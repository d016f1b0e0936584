"""A shipped scenario played in quick time: real meters' ciphered pushes, a real lake and store, and the truth beside it."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from meterops.fleet.headend.push import PushDesk, PushFrame
from meterops.fleet.inventory import api as inventory
from meterops.fleet.telemetry import api as telemetry
from meterops.kernel import facts
from meterops.kernel.actor import process_actor
from meterops.practices.events import api as events
from meterops.simulator import api as simulator
from meterops.simulator.behaviors import Reach
from meterops.simulator.fleet import Fleet
from meterops.simulator.fleet_server import FleetServer
from meterops.simulator.history import open_history
from meterops.simulator.loads import DAY_S
from meterops.simulator.meter_push import build_push, event_objects
from meterops.simulator.physics import Physics
from meterops.simulator.pushes import PushOffice
from meterops.simulator.scenario import SUPPLY_KINDS, ActKind, find_scenario
from meterops.simulator.script import Happening, make_script
from meterops.simulator.stage import Stage
from meterops.simulator.world_time import WorldTime
from meterops.site.demo_setup import apply_shipment

BEGAN = 20_600 * DAY_S + 12 * 3600.0
METERS = 300
ROUND_EVERY_S = 60
ANSWERS = 6
"""Of a session: one that does not arrive ends it."""
Cause = tuple[str, str]
"""(kind, mRID of the node)."""


class QuickOffice(PushOffice):
    """Keeps what the real one would send until its time has come, and lets each meter build its push then."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet, None)
        self._meters, self._world = fleet.meters, fleet.world
        self._dice = np.random.default_rng(9)
        self._waiting: list[tuple[float, int, int]] = []

    def push_event(self, meters: Iterable[int], code: int, *, within_s: float = 0.0, udp: bool = False) -> None:
        for number in meters:
            at = self._world.now() + float(self._dice.uniform(0, within_s) + self._dice.lognormal(-0.5, 0.6))
            heapq.heappush(self._waiting, (at, number, code))

    def due(self, now: float) -> Iterator[PushFrame]:
        """What arrives by a moment."""
        while self._waiting and self._waiting[0][0] <= now:
            at, number, code = heapq.heappop(self._waiting)
            yield PushFrame(build_push(self._meters[number], event_objects(code)), "tcp", "192.0.2.1:1", at)

    def __bool__(self) -> bool:
        return bool(self._waiting)


class Play:
    """One scenario with everything that listens to it; the clock is moved by hand."""

    def __init__(self, name: str, folder: Path, seed: int) -> None:
        region = simulator.generate_region(seed=seed, meters=METERS)
        simulator.write_shipment(region, folder / "shipment", port=4059)
        apply_shipment(folder / "shipment")
        self.now = BEGAN
        world = WorldTime(BEGAN, real=lambda: self.now)
        self.script = make_script(find_scenario(name), region, began_at=BEGAN)
        history = open_history(
            Physics(region, self.script.outages), now=BEGAN, days_back=0, folder=None, began_day=int(BEGAN // DAY_S)
        )
        self.fleet = Fleet(region, history, world=world, began_at=BEGAN)
        self._server = FleetServer(self.fleet.find)
        self._office = QuickOffice(self.fleet)
        self.stage = Stage(self.fleet, self.script, self._server, self._office)
        self.lake = telemetry.Lake(telemetry.LakeConfig(folder=str(folder / "lake")))
        self._desk, self._intake = PushDesk(self.lake), events.Intake(self.lake)
        ids = inventory.ids_by_serial([meter.serial for meter in self.fleet.meters])
        self._ids = np.array([ids[meter.serial] for meter in self.fleet.meters], np.int32)
        self._next_round = BEGAN + ROUND_EVERY_S
        self._heard_at = 0.0
        self._names: dict[bytes, str] = {}
        self._dice = np.random.default_rng(seed)

    def skip_to(self, seconds: float) -> None:
        """Let pass what happens before, while nobody listens."""
        self.now = BEGAN + seconds
        self._perform()
        self._next_round = self.now + ROUND_EVERY_S

    def until(self, seconds: float) -> None:
        """Let the play go on until so long after it began, a second at a time while anything happens."""
        while self.now < BEGAN + seconds:
            busy = bool(self._office) or self.now < self._heard_at + 12
            self.now += 1.0 if busy else min(15.0, BEGAN + seconds - self.now)
            self._perform()
            if frames := list(self._office.due(self.now)):
                self._heard_at = self.now
                assert not self._desk.store(frames), "a push of the simulated fleet was dropped"
            if self.now >= self._next_round:
                self._next_round += ROUND_EVERY_S
                self._ask_everybody()
            self._intake.step(now=self.moment)
            while facts.deliver(now=self.moment):
                pass

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    def _perform(self) -> None:
        while self.stage._turns and self.stage._turns[0][0] <= self.now:
            at, _, starts, one = heapq.heappop(self.stage._turns)
            self.stage._do(one, at, starts=starts, live=True)

    def _ask_everybody(self) -> None:
        """A reading round: who can be reached answers, the others have failed twice."""
        members = [self.fleet.find(address.host, address.port) for address in self.fleet.addresses]
        behaviors = [self._server.behaviors.of(one.route, one.meter.serial) for one in members]
        loss = np.array([1.0 if one.reach is not Reach.UP else one.answer_loss for one in behaviors])
        failed = self._dice.random(len(loss)) < (1 - (1 - loss) ** ANSWERS) ** 2
        n, whole = len(failed), np.zeros(len(failed), np.int32)
        self.lake.append(
            sessions={
                "end_device_id": self._ids,
                "route_id": whole,
                "operation_id": [""] * n,
                "lane": np.full(n, 50, np.int16),
                "started_at": np.full(n, np.datetime64(self.moment.replace(tzinfo=None), "ms")),
                "duration_ms": whole,
                "bytes_sent": whole,
                "bytes_received": whole,
                "apdus": whole,
                "round_trips": whole,
                "outcome": failed.astype(np.int16),
                "error_class": ["timeout" if one else "" for one in failed],
                "error_detail": [""] * n,
                "readings": whole,
                "attempt": np.full(n, 2, np.int16),
                "clock_drift_ms": [None] * n,
            }
        )

    # The truth.

    def causes(self) -> set[Cause]:
        """What is wrong now and hidden behind nothing wider; planned work is known and no cause."""
        going_on = [one for one in self.script.happenings if one.starts_at <= self.now < (one.ends_at or np.inf)]
        wide = [one for one in going_on if not one.act.phase]
        return {
            (_KINDS[one.act.kind], self.named(one.where))
            for one in going_on
            if one.act.kind in _KINDS and not any(_hides(other, one) for other in wide)
        }

    def seen(self) -> set[Cause]:
        """What the open situations say."""
        return {(one.kind, self.named(one.node_mrid)) for one in events.list_situations()}

    def named(self, mrid: str) -> str:
        """A node as the one name of all that have the same meters: nobody can tell a feeder from a substation that has no other."""
        meters = inventory.ids_of_end_devices(inventory.EndDeviceFilter(under=(mrid,)))
        return self._names.setdefault(meters.tobytes(), mrid)

    def plan_what_is_planned(self) -> None:
        """Tell the control room of planned work, as whoever plans it would have."""
        for one in self.script.happenings:
            if one.act.kind is ActKind.PLANNED_WORK and one.ends_at is not None:
                events.plan_work(
                    node_mrid=one.where,
                    starts_at=datetime.fromtimestamp(one.starts_at - 60, UTC),
                    ends_at=datetime.fromtimestamp(one.ends_at, UTC) + timedelta(minutes=1),
                    reason="as planned",
                    actor=_ACTOR,
                    at=self.moment,
                )


def _hides(other: Happening, one: Happening) -> bool:
    is_wider = len(other.meters) > len(one.meters) or (
        other.act.kind in SUPPLY_KINDS and one.act.kind not in SUPPLY_KINDS
    )
    return is_wider and bool(np.isin(one.meters, other.meters).all())


_ACTOR = process_actor("test")
_KINDS = {
    ActKind.OUTAGE: "OUTAGE",
    ActKind.FUSE: "PHASE",
    ActKind.CONCENTRATOR_DOWN: "COMMUNICATION",
    ActKind.ROUTE_LOSS: "COMMUNICATION",
}
