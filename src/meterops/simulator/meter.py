"""One simulated meter: a logical device with keys, counters, a clock that drifts, logs, a disconnector and firmware.

The objects it shows are in `meter_objects` and belong to the model; a meter itself is only what differs between meters
(a few kilobytes), so one process can be a city.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

from meterops.protocols.dlms.security import KeyKind, KeyRing, SecuritySuite
from meterops.protocols.dlms.server.logical_device import AssociationRule, Notice
from meterops.simulator.meter_events import EventCode, EventLogs, alarm_bit_of
from meterops.simulator.meter_image import BLOCK_SIZE, SOUND, FirmwareDefects, ImageSlot

if TYPE_CHECKING:
    from meterops.protocols.dlms.server.profile_buffer import ProfileLayout
    from meterops.simulator.meter_readings import MeterReadings

TimeSource = Callable[[], float]
"""Gives the moment of the simulated world in UTC epoch seconds; it may run faster than real time."""

COUNTER_RESERVE: Final = 1024
"""How many of its own counter values a meter reserves at a time; after a restart it skips as many again."""


class StateKeeper(Protocol):
    """Where the meters' state survives a restart."""

    def changed(self, meter: SimulatedMeter, *, at_once: bool) -> None:
        """Keep the meter's state; `at_once` before the answer leaves, otherwise soon."""
        ...


@dataclass(frozen=True, slots=True)
class MeterModel:
    """What all meters of one make and model share."""

    name: str
    rules: Mapping[int, AssociationRule]
    load_profile: ProfileLayout
    daily_profile: ProfileLayout
    firmware: Mapping[str, FirmwareDefects] = field(default_factory=dict)
    profile_period: int = 900
    phases: int = 3
    image_block_size: int = BLOCK_SIZE

    def defects(self, version: str) -> FirmwareDefects:
        """What is wrong with a firmware version; nothing with one that is not listed."""
        return self.firmware.get(version, SOUND)


@dataclass(slots=True)
class MeterState:
    """What must survive a restart, besides the secrets the meter was made with."""

    next_counter: int = 1
    reserved_to: int = 1
    client_counters: dict[str, int] = field(default_factory=dict)
    clock_offset_s: float = 0.0
    output_connected: bool = True
    control_state: int = 1
    control_mode: int = 4
    alarm_register: int = 0
    alarm_filter: int = 0xFFFFFFFF
    firmware: str = "FW-1.0.0"
    keys: dict[int, bytes] = field(default_factory=dict)
    password: bytes = b""


class SimulatedMeter:
    """A logical device for `ServerAssociation`."""

    __slots__ = (
        "_fingerprint",
        "_last_client_counter",
        "_pending_keys",
        "drift_s_per_day",
        "drift_since",
        "image",
        "keeper",
        "keys",
        "logs",
        "model",
        "name",
        "now",
        "push_destination",
        "readings",
        "serial",
        "state",
        "suite",
        "system_title",
        "wants_push",
    )

    def __init__(
        self,
        *,
        model: MeterModel,
        serial: str,
        system_title: bytes,
        keys: KeyRing,
        readings: MeterReadings,
        password: bytes = b"",
        logical_device_name: bytes | None = None,
        firmware: str = "FW-1.0.0",
        suite: SecuritySuite = SecuritySuite.SUITE_0,
        now: TimeSource = time.time,
        drift_s_per_day: float = 0.0,
        state: MeterState | None = None,
        keeper: StateKeeper | None = None,
    ) -> None:
        """Make a meter. `state` is what was kept of it; keys that were changed since then are in it."""
        self.model = model
        self.serial = serial
        self.system_title = system_title
        self.name = logical_device_name or system_title[:3] + serial.encode()[-13:].rjust(13, b"0")
        self.readings = readings
        self.suite = suite
        self.now = now
        self.drift_s_per_day = drift_s_per_day
        self.drift_since = now()
        self.state = state or MeterState(firmware=firmware, password=password)
        self.keys = _with_changed(keys, self.state.keys)
        self.keeper = keeper
        self.image: ImageSlot | None = None
        self.logs: EventLogs | None = None
        self.push_destination: tuple[str, int] | None = None
        self.wants_push = False
        self._pending_keys: dict[int, bytes] | None = None
        self.state.next_counter = max(self.state.next_counter, self.state.reserved_to)
        self._follow_key()

    # What `ServerAssociation` asks of a logical device.

    @property
    def password(self) -> bytes:
        """The secret of low-level security."""
        return self.state.password

    def rule_for(self, client_sap: int) -> AssociationRule | None:
        """The association a client may open."""
        return self.model.rules.get(client_sap)

    def take_counter(self) -> int:
        """Give one value of the meter's own invocation counter; the same counter serves every key, and never falls."""
        state = self.state
        value = state.next_counter
        if value >= state.reserved_to:
            state.reserved_to = value + COUNTER_RESERVE
            self._keep(at_once=False)
        state.next_counter = value + 1
        return value

    @property
    def last_client_counter(self) -> int:
        """The highest counter accepted from a client under the present encryption key; -1 before the first."""
        return self._last_client_counter

    def accept_client_counter(self, counter: int) -> None:
        """Remember a counter that was verified and rises."""
        self._last_client_counter = counter
        if self.keeper is not None:
            self.state.client_counters[self._fingerprint] = counter
            self.keeper.changed(self, at_once=False)

    def noticed(self, notice: Notice) -> None:
        """Note an attempt to get in."""
        if notice is Notice.AUTHENTICATION_FAILED:
            self.note(EventCode.FAILED_LOGIN_ATTEMPT)
        elif notice in (Notice.DECIPHERING_FAILED, Notice.REPLAYED):
            self.note(EventCode.COMMUNICATION_ERROR)

    def answered(self) -> None:
        """Let what waited for the answer take effect: new keys."""
        if self._pending_keys is None:
            return
        changed, self._pending_keys = self._pending_keys, None
        self.state.client_counters[self._fingerprint] = self._last_client_counter
        self.state.keys.update(changed)
        self.keys = _with_changed(self.keys, changed)
        self._follow_key()
        self.note(EventCode.CONFIGURATION_CHANGE)
        self._keep(at_once=True)

    # What its objects do.

    def change_keys(self, keys: dict[int, bytes]) -> None:
        """Put on new keys once the answer is on its way."""
        self._pending_keys = {**(self._pending_keys or {}), **keys}

    @property
    def clock(self) -> float:
        """What the meter's clock shows, UTC epoch seconds."""
        moment = self.now()
        drift = self.drift_s_per_day + self.model.defects(self.state.firmware).clock_drift_s_per_day
        return moment + self.state.clock_offset_s + (moment - self.drift_since) * drift / 86_400

    def set_clock(self, epoch: float) -> None:
        """Set the clock and note the old and the new time."""
        before = self.clock
        self.note(EventCode.CLOCK_ADJUSTED_OLD_TIME)
        self.drift_since = self.now()
        self.state.clock_offset_s = epoch - self.drift_since
        self.note(EventCode.CLOCK_ADJUSTED_NEW_TIME if abs(epoch - before) >= 1 else EventCode.CLOCK_UPDATE)
        self._keep(at_once=True)

    def note(self, code: int, at: float | None = None) -> None:
        """Keep an event in its log and raise the alarm that belongs to it."""
        if self.logs is None:
            self.logs = EventLogs()
        self.logs.note(int(self.clock if at is None else at), code)
        self.state.alarm_register |= alarm_bit_of(code) & self.state.alarm_filter

    def switch(self, *, connected: bool, remotely: bool = True) -> None:
        """Operate the disconnector."""
        self.state.output_connected = connected
        self.state.control_state = 1 if connected else 0
        if remotely:
            self.note(EventCode.REMOTE_CONNECTION if connected else EventCode.REMOTE_DISCONNECTION)
        else:
            self.note(EventCode.MANUAL_CONNECTION if connected else EventCode.MANUAL_DISCONNECTION)
        self._keep(at_once=True)

    def activate_firmware(self, version: str) -> None:
        """Run another version, with its defects."""
        self.state.firmware = version
        self.note(EventCode.FIRMWARE_ACTIVATED)
        if self.model.defects(version).loses_counters:
            self.lose_counters()
        self._keep(at_once=True)

    def lose_counters(self, client_counter: int | None = None) -> None:
        """Behave like a meter that lost its non-volatile memory: its own counter starts again at 1.

        `client_counter` is what it now believes to have seen last of its client (nothing by default).
        """
        self.state.next_counter = 1
        self.state.reserved_to = 1
        self._last_client_counter = -1 if client_counter is None else client_counter
        self.state.client_counters = {self._fingerprint: self._last_client_counter}
        self.note(EventCode.HARDWARE_ERROR_NV_MEMORY)
        self._keep(at_once=True)

    def kept(self) -> None:
        """Keep what an object has changed in the state."""
        self._keep(at_once=True)

    def _keep(self, *, at_once: bool) -> None:
        if self.keeper is not None:
            self.keeper.changed(self, at_once=at_once)

    def _follow_key(self) -> None:
        """Find what was last seen under the present encryption key: a key that comes back brings its counter along."""
        self._fingerprint = hmac.digest(self.keys.encryption, b"counter of this key", "sha256")[:8].hex()
        self._last_client_counter = self.state.client_counters.get(self._fingerprint, -1)


def _with_changed(ring: KeyRing, changed: Mapping[int, bytes]) -> KeyRing:
    if not changed:
        return ring
    return replace(
        ring,
        encryption=changed.get(KeyKind.UNICAST_ENCRYPTION, ring.encryption),
        authentication=changed.get(KeyKind.AUTHENTICATION, ring.authentication),
        broadcast=changed.get(KeyKind.BROADCAST_ENCRYPTION, ring.broadcast),
        master=changed.get(KeyKind.MASTER, ring.master),
    )
