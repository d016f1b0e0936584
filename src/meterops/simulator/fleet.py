"""Assembles the meters of a region: models, keys, clocks and readings, and tells which is meant by an address."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from meterops.simulator.fleet_models import MODELS
from meterops.simulator.fleet_server import FleetMember, Found
from meterops.simulator.history import History, HistoryReadings
from meterops.simulator.meter import SimulatedMeter
from meterops.simulator.meter_store import MeterStore
from meterops.simulator.region import Address, Addressing, Region, address_of
from meterops.simulator.world_time import WorldTime

RUN_FILE: Final = "run.json"
_UNSET_FOR_S: Final = 1.5 * 86_400
"""How long before the run began the clocks were last set."""


class AnotherFleet(ValueError):
    """The state folder belongs to another fleet."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a state folder remembers of its run, so that a second start continues it."""

    seed: int
    meters: int
    began_at: float
    speed: float
    scenario: str
    scenario_began_at: float

    @classmethod
    def resume(cls, folder: Path | None, region: Region, *, scenario: str, speed: float, now: float) -> Run:
        """Continue the run of a folder, or begin one; another scenario begins now.

        Raises `AnotherFleet` when the folder holds another region.
        """
        file = None if folder is None else folder / RUN_FILE
        run = cls(region.seed, region.meters, now, speed, scenario, now)
        if file is not None and file.exists():
            kept = cls(**json.loads(file.read_text(encoding="utf-8")))
            if (kept.seed, kept.meters) != (region.seed, region.meters):
                raise AnotherFleet(
                    f"{folder} keeps the state of {kept.meters:,} meters of seed {kept.seed}: "
                    "choose that fleet again or another folder"
                )
            if kept.speed != speed:
                raise AnotherFleet(f"{folder} keeps a world that runs at speed {kept.speed:g}: choose it again")
            same = kept.scenario == scenario
            run = cls(kept.seed, kept.meters, kept.began_at, speed, scenario, kept.scenario_began_at if same else now)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(asdict(run), indent=1), encoding="utf-8")
        return run


class Fleet:
    """All meters of a region, in its order."""

    def __init__(
        self,
        region: Region,
        history: History,
        *,
        world: WorldTime,
        began_at: float,
        port: int = 4059,
        addressing: Addressing = Addressing.LOOPBACK,
        store: MeterStore | None = None,
    ) -> None:
        """Make the meters; those that the store knows are as they were left."""
        self.region = region
        self.history = history
        self.world = world
        self.store = store
        models = [model.make() for model in MODELS]
        kept = store.load() if store is not None else {}
        self.meters: list[SimulatedMeter] = []
        self.addresses: list[Address] = [address_of(number, port, addressing) for number in range(region.meters)]
        for number in range(region.meters):
            serial = region.serial(number)
            meter = SimulatedMeter(
                model=models[region.meter_model[number]],
                serial=serial,
                system_title=region.system_title(number),
                keys=region.keys(number),
                password=region.password(number),
                readings=HistoryReadings(history, number),
                logical_device_name=region.logical_device_name(number).encode(),
                firmware=region.firmware(number),
                now=world.now,
                drift_s_per_day=float(region.meter_drift[number]),
                state=kept.get(serial),
                keeper=store,
            )
            if serial not in kept:
                meter.drift_since = began_at - _UNSET_FOR_S
            self.meters.append(meter)
        self._by_address = self._index(addressing)

    def _index(self, addressing: Addressing) -> dict[tuple[str, int], FleetMember | Mapping[int, FleetMember]]:
        members = [FleetMember(meter, self.region.route_mrid(number)) for number, meter in enumerate(self.meters)]
        if addressing is not Addressing.SAP:
            return {(at.host, at.port): one for at, one in zip(self.addresses, members, strict=True)}
        by_sap = {at.server_sap: one for at, one in zip(self.addresses, members, strict=True)}
        return {(self.addresses[0].host, self.addresses[0].port): by_sap}

    def find(self, host: str, port: int) -> Found:
        """The meter at an address of this machine, or the meters there by server SAP."""
        return self._by_address.get((host, port))

    def ports(self) -> list[int]:
        """The ports at which the fleet listens."""
        return sorted({address.port for address in self.addresses})
