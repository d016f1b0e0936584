"""Plays a script on a running fleet: what clients meet, what meters note and push, and the ground truth for those who ask.

Supply itself is part of the computed history (`supply.SupplyPlan`); here its signs are shown.
"""

from __future__ import annotations

import asyncio
import heapq
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from meterops.protocols.dlms.security import KeyKind
from meterops.simulator.behaviors import HEALTHY, Behavior, Reach
from meterops.simulator.fleet import Fleet
from meterops.simulator.fleet_models import MODELS
from meterops.simulator.fleet_server import FleetServer
from meterops.simulator.meter import SimulatedMeter
from meterops.simulator.meter_events import EventCode, EventLogs
from meterops.simulator.pushes import PushOffice
from meterops.simulator.scenario import BEHAVIOR_KINDS, SUPPLY_KINDS, ActKind
from meterops.simulator.script import Happening, Script

GROUND_TRUTH: Final = "ground_truth.jsonl"
MUTE_FOR_S: Final = 6 * 3600
"""Meters whose firmware makes them mute now and then are so for this long."""

_DARK_BEHIND_CONCENTRATOR: Final = Behavior(reach=Reach.REFUSED)
_SILENT: Final = Behavior(reach=Reach.SILENT)
_FIRMWARE: Final = "firmware"

_LAST_GASP_PLC: Final = 0.15
_LAST_GASP_MODEM: Final = 0.8
"""Shares of last gasps that arrive in a small outage; in a large one the air is full and they fall."""
_RETURNED: Final = 0.9
_STORM: Final = 2000


class Stage:
    """Where the script is played. `catch_up` first, then `play`."""

    def __init__(
        self, fleet: Fleet, script: Script, server: FleetServer, office: PushOffice, *, folder: Path | None = None
    ) -> None:
        """Play on these; the ground truth goes into `folder`."""
        self._fleet = fleet
        self._script = script
        self._server = server
        self._office = office
        self._dice = np.random.default_rng((fleet.region.seed, 0x57A6E))
        self._reasons: dict[int, dict[str, Behavior]] = {}
        self._truth = None if folder is None else folder / GROUND_TRUTH
        self._recorded = _recorded(self._truth)
        self._turns: list[tuple[float, int, bool, Happening]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        server.behaviors.everywhere = script.scenario.everywhere
        if script.scenario.sound_firmware:
            for meter in fleet.meters:
                meter.model = replace(meter.model, firmware={})
        for number, one in enumerate(script.happenings):
            self._turns.append((one.starts_at, number, True, one))
            if one.ends_at is not None:
                self._turns.append((one.ends_at, number, False, one))
        heapq.heapify(self._turns)

    def catch_up(self) -> None:
        """Put everything as it is by now, without pushes: what was noted, who is dark, who is mute."""
        now = self._fleet.world.now()
        while self._turns and self._turns[0][0] < now - 1:
            at, _, starts, one = heapq.heappop(self._turns)
            self._do(one, at, starts=starts, live=False)
        self._mute_by_firmware(now)

    async def play(self) -> None:
        """Let everything happen at its time, for ever."""
        world = self._fleet.world
        next_mute = (world.now() // MUTE_FOR_S + 1) * MUTE_FOR_S
        while True:
            due = min(self._turns[0][0] if self._turns else next_mute, next_mute)
            await asyncio.sleep(min(world.real_seconds_until(due), 30.0))
            while self._turns and self._turns[0][0] <= world.now():
                at, _, starts, one = heapq.heappop(self._turns)
                self._do(one, at, starts=starts, live=True)
                await asyncio.sleep(0)
            if world.now() >= next_mute:
                self._mute_by_firmware(world.now())
                next_mute += MUTE_FOR_S

    def close(self) -> None:
        """Leave the stage."""
        for task in self._tasks:
            task.cancel()

    def _do(self, one: Happening, at: float, *, starts: bool, live: bool) -> None:
        kind = one.act.kind
        self._record(one, at, starts=starts)
        if kind in SUPPLY_KINDS:
            self._supply(one, at, starts=starts, live=live)
        elif kind in BEHAVIOR_KINDS:
            self._behave(one.meters.tolist(), one.key, one.act.behavior if starts else HEALTHY)
        elif kind is ActKind.EVENT:
            self._event(one, at, live=live)
        elif kind is ActKind.CLOCK_DRIFT:
            for meter in self._meters(one.meters.tolist()):
                _let_drift(meter, one.act.seconds, at)
        elif live:
            self._change_meters(one, starts=starts)

    def _meters(self, numbers: Iterable[int]) -> Iterable[SimulatedMeter]:
        return (self._fleet.meters[number] for number in numbers)

    # Supply.

    def _supply(self, one: Happening, at: float, *, starts: bool, live: bool) -> None:
        affected, partly = self._split(one)
        dark = self._changing(affected, at, starts=starts)
        lost, back = EventCode.POWER_FAILURE, EventCode.POWER_RETURNED
        self._note(dark, lost if starts else back, at, live=live)
        if one.act.phase:
            lost_phase = EventCode(EventCode.PHASE_OUTAGE_L1 + one.act.phase - 1)
            back_phase = EventCode(EventCode.PHASE_RETURNED_L1 + one.act.phase - 1)
            self._note(partly, lost_phase if starts else back_phase, at, live=live)
            if live:
                self._office.push_event(
                    self._some(partly, one.act.push), lost_phase if starts else back_phase, within_s=5
                )
        self._darken(affected, one, starts=starts, live=live)
        if live and starts:
            self._office.push_event(self._gasping(dark, one.act.push), lost, within_s=min(20.0, 1 + len(dark) / 200))
        elif live:
            self._office.push_event(
                self._some(dark, one.act.push * _RETURNED), back, within_s=min(90.0, 5 + len(dark) / 50)
            )

    def _changing(self, numbers: list[int], at: float, *, starts: bool) -> list[int]:
        """Whose supply really changes: within another outage nobody gasps again, and nobody is back while one goes on."""
        plan, region = self._script.outages, self._fleet.region
        return [number for number in numbers if not plan.is_dark(region, number, at - 0.5 if starts else at)]

    def _split(self, one: Happening) -> tuple[list[int], list[int]]:
        """Who is wholly dark and who has lost a phase."""
        numbers = one.meters.tolist()
        if not one.act.phase:
            return numbers, []
        phases = self._fleet.region.customers.phase
        phase_of = {number: int(phases[number]) if number < len(phases) else 0 for number in numbers}
        return (
            [number for number in numbers if phase_of[number] == one.act.phase],
            [number for number in numbers if phase_of[number] == 0],
        )

    def _darken(self, dark: list[int], one: Happening, *, starts: bool, live: bool) -> None:
        """Behind a live concentrator a dark meter is known to be gone; elsewhere nothing answers."""
        region = self._fleet.region
        route, transformer = region.meter_route, region.transformer_of
        all_of = set(np.unique(transformer[one.meters]).tolist()) if _is_whole_transformer(one) else set()
        for number in dark:
            behind = route[number] >= 0 and int(route[number]) not in all_of
            behavior = (_DARK_BEHIND_CONCENTRATOR if behind else _SILENT) if starts else HEALTHY
            self._behave((number,), one.key, behavior)
        if live and starts:
            gone = {self._fleet.meters[number].serial for number in dark}
            self._server.drop(lambda member: member.meter.serial in gone)

    def _gasping(self, dark: list[int], push: float) -> list[int]:
        """Whose last gasp arrives: modems more often than power line, and fewer the more call at once."""
        route = self._fleet.region.meter_route[dark]
        calm = 1.0 / (1.0 + len(dark) / _STORM)
        share = np.where(route < 0, _LAST_GASP_MODEM, _LAST_GASP_PLC) * calm * push
        return [number for number, heard in zip(dark, self._dice.random(len(dark)) < share, strict=True) if heard]

    def _some(self, numbers: list[int], share: float) -> list[int]:
        heard = self._dice.random(len(numbers)) < share
        return [number for number, one in zip(numbers, heard, strict=True) if one]

    def _note(self, numbers: Iterable[int], code: int, at: float, *, live: bool) -> None:
        for meter in self._meters(numbers):
            if live:
                meter.note(code)
            else:
                meter.logs = meter.logs or EventLogs()
                meter.logs.note(int(at), code)

    # Behavior.

    def _behave(self, numbers: Iterable[int], reason: str, behavior: Behavior) -> None:
        for number in numbers:
            reasons = self._reasons.setdefault(number, {})
            if behavior is HEALTHY:
                reasons.pop(reason, None)
            else:
                reasons[reason] = behavior
            met = HEALTHY
            for one in reasons.values():
                met = met.and_then(one)
            self._server.behaviors.set_meter(self._fleet.meters[number].serial, met)

    def _mute_by_firmware(self, now: float) -> None:
        """Some firmware makes some meters mute for some hours; an update heals them."""
        if not any(defects.mute_share for model in MODELS for defects in model.defects.values()):
            return
        draw = np.random.default_rng((self._fleet.region.seed, 0x3717E, int(now // MUTE_FOR_S))).random(
            len(self._fleet.meters)
        )
        for number, meter in enumerate(self._fleet.meters):
            share = meter.model.defects(meter.state.firmware).mute_share
            is_mute = bool(share) and draw[number] < share
            if is_mute or _FIRMWARE in self._reasons.get(number, ()):
                self._behave((number,), _FIRMWARE, _SILENT if is_mute else HEALTHY)

    # Events and faults of meters.

    def _event(self, one: Happening, at: float, *, live: bool) -> None:
        numbers = one.meters.tolist()
        self._note(numbers, one.act.code, at, live=live)
        if live:
            self._office.push_event(
                self._some(numbers, one.act.push), one.act.code, within_s=min(60.0, len(numbers) / 50)
            )

    def _change_meters(self, one: Happening, *, starts: bool) -> None:
        """What a meter keeps over a restart, and which is therefore not done again when catching up."""
        for number, meter in zip(one.meters.tolist(), self._meters(one.meters.tolist()), strict=True):
            if one.act.kind is ActKind.COUNTER_LOSS:
                meter.lose_counters()
            elif one.act.kind is ActKind.CLOCK_JUMP:
                meter.state.clock_offset_s += one.act.seconds
                meter.kept()
            elif one.act.kind is ActKind.WRONG_KEYS:
                right = self._fleet.region.keys(number).encryption
                wrong = bytes(octet ^ 0x5A for octet in right)
                meter.change_keys({KeyKind.UNICAST_ENCRYPTION: wrong if starts else right})
                meter.answered()

    # Ground truth.

    def _record(self, one: Happening, at: float, *, starts: bool) -> None:
        """One line a beginning and one an end, each once in the life of the folder."""
        key = f"{one.key} {'starts' if starts else 'ends'} {one.starts_at:.0f}"
        if self._truth is None or key in self._recorded:
            return
        self._recorded.add(key)
        line = {
            "key": key,
            "at": datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z"),
            "what": str(one.act.kind),
            "does": "starts" if starts else "ends",
            "where": one.where,
            "label": one.act.label,
            "phase": one.act.phase,
            "meters": len(one.meters),
            "serials": [meter.serial for meter in self._meters(one.meters[:1000].tolist())],
        }
        with self._truth.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _is_whole_transformer(one: Happening) -> bool:
    return one.where.startswith(("TR-", "MV-", "SS-")) and not one.act.phase


def _let_drift(meter: SimulatedMeter, seconds_per_day: float, at: float) -> None:
    before = meter.clock
    now = meter.now()
    meter.drift_s_per_day = seconds_per_day
    meter.drift_since = now
    meter.state.clock_offset_s = before - now + (now - at) * seconds_per_day / 86_400


def _recorded(file: Path | None) -> set[str]:
    """The keys of the lines already written; half a line at the end of the file is nobody's."""
    keys: set[str] = set()
    if file is not None and file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                found: Any = json.loads(line)
            except ValueError:
                continue
            keys.add(str(found.get("key", "")))
    return keys
