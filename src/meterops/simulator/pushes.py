"""Sends what simulated meters push, a bounded number at a time, from each meter's own address."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable
from typing import Any, Final

import numpy as np

from meterops.simulator.fleet import Fleet
from meterops.simulator.meter import SimulatedMeter
from meterops.simulator.meter_events import EventCode
from meterops.simulator.meter_push import PERIODIC_OBJECTS, MeterPush, build_push, event_objects
from meterops.simulator.push_settings import PeriodicPushes

AT_ONCE: Final = 100
_WHO_PUSHES: Final = 0x9054


class PushOffice:
    """Takes pushes to the listener. Without one, nothing is sent."""

    def __init__(self, fleet: Fleet, listener: tuple[str, int] | None, *, own_address: bool = True) -> None:
        """Send to `listener`, from the meters' own addresses where they have one."""
        self.sent = 0
        self.failed = 0
        self._fleet = fleet
        self._listener = listener
        self._own_address = own_address
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._number_of = {meter.serial: number for number, meter in enumerate(fleet.meters)}

    def on_request(self, meter: SimulatedMeter) -> None:
        """A client has told the meter to push."""
        apdu = build_push(meter, event_objects(EventCode.POWER_RETURNED))
        self._post(self._send(self._number_of[meter.serial], apdu, meter.push_destination or self._listener))

    def push_event(self, meters: Iterable[int], code: int, *, within_s: float = 0.0, udp: bool = False) -> None:
        """Let meters report an event that they have noted already, spread over some real seconds."""
        numbers = list(meters)
        if self._listener is None or not numbers:
            return
        self._post(self._spread(numbers, code, within_s, udp))

    async def push_periodically(self, wanted: PeriodicPushes) -> None:
        """Let the meters that do so push their totals, each at its own second of the period, for ever."""
        region, world = self._fleet.region, self._fleet.world
        if self._listener is None or not wanted.share:
            return
        dice = np.random.default_rng((region.seed, _WHO_PUSHES))
        pushing = np.flatnonzero(dice.random(region.meters) < wanted.share)
        second = dice.uniform(0, wanted.every_s, len(pushing))
        order = np.argsort(second)
        while len(pushing):
            period = world.now() // wanted.every_s * wanted.every_s
            for place in order:
                due = period + second[place]
                if due < world.now() - 1:
                    continue
                await asyncio.sleep(world.real_seconds_until(due))
                await self._push_totals(int(pushing[place]), udp=wanted.udp)
            await asyncio.sleep(world.real_seconds_until(period + wanted.every_s))

    async def _push_totals(self, number: int, *, udp: bool) -> None:
        if not self._is_dark(number):
            apdu = build_push(self._fleet.meters[number], PERIODIC_OBJECTS)
            await self._send(number, apdu, self._listener, udp=udp)

    def _is_dark(self, number: int) -> bool:
        physics = self._fleet.history.physics
        return physics.outages.is_dark(self._fleet.region, number, self._fleet.world.now())

    async def _spread(self, numbers: list[int], code: int, within_s: float, udp: bool) -> None:
        pause = within_s / len(numbers)
        for number in numbers:
            apdu = build_push(self._fleet.meters[number], event_objects(code))
            self._post(self._send(number, apdu, self._listener, udp=udp))
            await asyncio.sleep(pause)

    async def _send(self, number: int, apdu: bytes, to: tuple[str, int] | None, *, udp: bool = False) -> None:
        if to is None:
            return
        source = self._fleet.addresses[number].host if self._own_address else None
        async with self._slots:
            try:
                await MeterPush(*to, udp=udp).send(apdu, source)
                self.sent += 1
            except (OSError, TimeoutError):
                self.failed += 1  # a listener that is not there is none of the meter's business

    def _post(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is still on its way."""
        for task in list(self._tasks):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks, return_exceptions=True)
