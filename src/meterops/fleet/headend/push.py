"""From pushed APDUs to rows: who sent it, whether it may be believed, and what it says."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from meterops.fleet.credentials import api as credentials
from meterops.fleet.headend.sink import Harvest
from meterops.fleet.inventory import api as inventory
from meterops.fleet.telemetry import api as telemetry
from meterops.fleet.telemetry.api import INTERVAL_OFFSET, READING_TYPES
from meterops.protocols.dlms import flows
from meterops.protocols.dlms.errors import DlmsError, SecurityError, SecurityFault
from meterops.protocols.dlms.security import KeyRing

ALARM_REGISTER = "0.0.97.98.0.255"
EVENT_CODE_PREFIX = "0.0.96.11."
ALARM_LOG, PUSH_LOG = 100, 101
"""Numbers under which pushed alarm bits and pushed event codes stand beside the logs read from meters."""
KEYS_KEPT_S = 300.0
TITLES_KEPT = 200_000
PAYLOAD_KEPT = 4096


@dataclass(slots=True)
class PushFrame:
    """An APDU as it arrived; `fault` is set where the framing was broken, and `apdu` then holds what came."""

    apdu: bytes
    transport: str
    peer: str
    received_at: float
    fault: str = ""


@dataclass(slots=True)
class _Sender:
    end_device_id: int
    keys: KeyRing
    known_at: float


@dataclass(slots=True)
class _Rows:
    """What one batch becomes."""

    harvest: Harvest = field(default_factory=Harvest)
    notifications: list[tuple[int, str, str, str, float, str, bytes, str]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


class PushDesk:
    """Decodes batches of pushed frames and stores them. Keys of senders are looked up once per batch, not per frame."""

    def __init__(self, lake: telemetry.Lake) -> None:
        self._lake = lake
        self._senders: dict[bytes, _Sender | None] = {}
        self._counters: dict[bytes, int] = {}

    def store(self, frames: Sequence[PushFrame]) -> Counter[str]:
        """Decode and append in one commit. Returns what was not taken as readings or events, by reason.

        Every frame leaves a notification row, whatever becomes of it, so nothing that arrived is lost.
        """
        self._learn_senders(frames)
        rows = _Rows()
        accepted: dict[bytes, int] = {}
        for frame in frames:
            self._take(frame, rows, accepted)
        telemetry.append_pushes(self._lake, rows.harvest, _notification_columns(rows.notifications))
        self._counters.update(accepted)
        return rows.dropped

    def _learn_senders(self, frames: Iterable[PushFrame]) -> None:
        now = time.monotonic()
        titles = {title for frame in frames if not frame.fault and (title := flows.title_of_push(frame.apdu))}
        wanted = {t for t in titles if (s := self._senders.get(t)) is None or now - s.known_at > KEYS_KEPT_S}
        if not wanted:
            return
        if len(self._senders) > TITLES_KEPT:
            self._senders.clear()
        known = credentials.keys_by_title(sorted(wanted))
        for title in wanted:
            found = known.get(title)
            if found is not None:
                self._senders[title] = _Sender(found.end_device_id, found.keys, now)

    def _take(self, frame: PushFrame, rows: _Rows, accepted: dict[bytes, int]) -> None:
        if frame.fault:
            self._note(rows, frame, 0, "", "broken", frame.fault)
            return
        try:
            push = flows.decode_push(frame.apdu, self._keys_of)
            self._check_counter(push, accepted)
        except SecurityError as error:
            rows.dropped[str(error.reason)] += 1
            title = flows.title_of_push(frame.apdu)
            self._note(rows, frame, self._id_of(title), title.hex() if title else "", str(error.reason), str(error))
            return
        except DlmsError as error:
            rows.dropped["undecodable"] += 1
            self._note(rows, frame, 0, "", "undecodable", str(error))
            return
        self._keep(frame, push, rows)

    def _keep(self, frame: PushFrame, push: flows.Push, rows: _Rows) -> None:
        end_device_id = self._id_of(push.system_title)
        identity = push.system_title.hex() if push.system_title else push.identity
        if not end_device_id and push.identity:
            device = inventory.find_end_device(push.identity)
            end_device_id = device.id if device is not None else 0
        occurred = push.occurred_epoch if push.occurred_epoch is not None else int(frame.received_at)
        for obis, value in push.values:
            _keep_value(rows.harvest, end_device_id, obis, value, occurred, int(frame.received_at))
        outcome = "taken" if end_device_id else "unknown sender"
        self._note(rows, frame, end_device_id, identity, outcome, "" if end_device_id else "no end device is known by it")

    def _check_counter(self, push: flows.Push, accepted: dict[bytes, int]) -> None:
        """A ciphered push is taken once: its counter must be above the last one taken from that sender."""
        if push.counter is None or not push.system_title:
            return
        last = accepted.get(push.system_title, self._counters.get(push.system_title, -1))
        if push.counter <= last:
            raise SecurityError(f"counter {push.counter} was taken before (last {last})", SecurityFault.REPLAY)
        accepted[push.system_title] = push.counter

    def _keys_of(self, title: bytes) -> KeyRing | None:
        sender = self._senders.get(title)
        return sender.keys if sender else None

    def _id_of(self, title: bytes | None) -> int:
        sender = self._senders.get(title) if title else None
        return sender.end_device_id if sender else 0

    def _note(self, rows: _Rows, frame: PushFrame, device: int, identity: str, outcome: str, detail: str) -> None:
        rows.notifications.append(
            (
                device,
                identity,
                frame.transport,
                frame.peer,
                frame.received_at,
                outcome,
                frame.apdu[:PAYLOAD_KEPT],
                detail[:500],
            )
        )


_TYPES_BY_OBIS = {t.obis: t for t in READING_TYPES.values() if t.id < INTERVAL_OFFSET}


def _keep_value(harvest: Harvest, device: int, obis: str, value: Any, occurred: int, received: int) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return
    if obis == ALARM_REGISTER:
        bits = (bit for bit in range(32) if int(value) >> bit & 1)
        harvest.events.extend((device, ALARM_LOG, bit, occurred, received) for bit in bits)
    elif obis.startswith(EVENT_CODE_PREFIX):
        harvest.events.append((device, PUSH_LOG, int(value), occurred, received))
    elif device and obis in _TYPES_BY_OBIS:
        harvest.add_reading(device, _TYPES_BY_OBIS[obis].id, occurred, round(value * 1000))


def _notification_columns(rows: Sequence[tuple[int, str, str, str, float, str, bytes, str]]) -> dict[str, Any]:
    return {
        "end_device_id": np.array([r[0] for r in rows], dtype=np.int32),
        "identity": [r[1] for r in rows],
        "transport": [r[2] for r in rows],
        "peer": [r[3] for r in rows],
        "received_at": np.array([int(r[4] * 1_000_000) for r in rows], dtype="datetime64[us]"),
        "outcome": [r[5] for r in rows],
        "payload": [r[6] for r in rows],
        "detail": [r[7] for r in rows],
    }

