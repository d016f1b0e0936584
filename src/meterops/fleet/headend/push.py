"""From pushed APDUs to rows: who sent it, whether it may be believed, and what it says."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from meterops.fleet.credentials import api as credentials
from meterops.fleet.headend.push_values import BodyReader, PushedValues
from meterops.fleet.headend.sink import EventOrigin, Harvest, is_time
from meterops.fleet.inventory import api as inventory
from meterops.fleet.telemetry import api as telemetry
from meterops.protocols.dlms import flows
from meterops.protocols.dlms.errors import DlmsError, SecurityError, SecurityFault
from meterops.protocols.dlms.security import KeyRing

SENDERS_KEPT_S = 300.0
SENDERS_KEPT = 200_000
PAYLOAD_KEPT = 4096
STRANGE_KEPT_WHOLE = 200
"""Frames of nobody known of each batch, which is a second's: a flood of garbage must not fill the disk."""
BEGINNING_KEPT = 64
"""Octets of those beyond: who they claim to come from stands in them."""


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
    """A meter that pushes; `end_device_id` 0 and no keys for a title that nobody knows."""

    end_device_id: int
    keys: KeyRing | None
    last_counter: int
    known_at: float
    has_master: bool
    """Whether its master key was looked up as well."""


@dataclass(slots=True)
class _Opened:
    """A frame whose notification could be read."""

    frame: PushFrame
    push: flows.Push
    values: PushedValues


@dataclass(slots=True)
class _Rows:
    """What one batch becomes."""

    harvest: Harvest = field(default_factory=Harvest)
    notifications: list[tuple[int, str, str, str, float, str, bytes, str]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    counters: dict[int, int] = field(default_factory=dict)
    strange: int = 0

    def taken(self, frame: PushFrame, device: int, identity: str) -> None:
        """Keep a frame that is taken."""
        self._note(frame, device, identity, "taken", "", PAYLOAD_KEPT)

    def refuse(self, frame: PushFrame, device: int, identity: str, outcome: str, detail: str) -> None:
        """Keep a frame that is not taken; of very many of nobody known only their beginning."""
        self.strange += not device
        most = PAYLOAD_KEPT if device or self.strange <= STRANGE_KEPT_WHOLE else BEGINNING_KEPT
        self._note(frame, device, identity, outcome, detail, most)

    def _note(self, frame: PushFrame, device: int, identity: str, outcome: str, detail: str, most: int) -> None:
        payload = frame.apdu[:most]
        self.notifications.append(
            (device, identity, frame.transport, frame.peer, frame.received_at, outcome, payload, detail[:500])
        )

    def drop(self, frame: PushFrame, device: int, identity: str, reason: str, detail: str) -> None:
        """Keep a frame that is not believed or understood, and count it."""
        self.dropped[reason] += 1
        self.refuse(frame, device, identity, reason, detail)


class PushDesk:
    """Decodes batches of pushed frames and stores them. Senders are looked up once per batch, not per frame."""

    def __init__(self, lake: telemetry.Lake) -> None:
        self._lake = lake
        self._senders: dict[bytes, _Sender] = {}
        self._bodies = BodyReader()

    def store(self, frames: Sequence[PushFrame]) -> Counter[str]:
        """Decode and append in one commit. Returns what was not taken as readings or events, by reason.

        Every frame leaves a notification row, whatever becomes of it, so nothing that arrived is lost.
        """
        rows = _Rows()
        arrived = [(frame, sealed) for frame in frames if (sealed := _receive(frame, rows)) is not None]
        self._learn_senders(sealed for _, sealed in arrived)
        opened = [one for frame, sealed in arrived if (one := self._open(frame, sealed, rows)) is not None]
        unnamed = _known_by_identity(one.values.identity for one in opened if not one.push.title)
        for one in opened:
            self._keep(one, unnamed, rows)
        self._lake.append(
            readings=rows.harvest.reading_columns(),
            events=rows.harvest.event_columns(),
            notifications=_notification_columns(rows.notifications),
        )
        credentials.keep_push_counters(rows.counters)
        for title in {one.push.title for one in opened if one.push.title}:
            sender = self._senders[title]
            sender.last_counter = rows.counters.get(sender.end_device_id, sender.last_counter)
        return rows.dropped

    def take_over(self, frames: Sequence[PushFrame]) -> Counter[str]:
        """Store frames of which a process that was killed may have stored some: those are not stored again.

        Their counters are kept either way, which that process may not have come to.
        """
        if not frames:
            return Counter()
        times = [frame.received_at for frame in frames]
        kept = telemetry.notifications_between(self._lake, min(times), max(times))
        stored = [frame for frame in frames if _is_among(frame, kept)]
        self._keep_counters(stored)
        known = set(map(id, stored))
        return self.store([frame for frame in frames if id(frame) not in known])

    def _keep_counters(self, stored: Sequence[PushFrame]) -> None:
        rows = _Rows()
        arrived = [(frame, sealed) for frame in stored if (sealed := _receive(frame, rows)) is not None]
        self._learn_senders(sealed for _, sealed in arrived)
        for frame, sealed in arrived:
            self._open(frame, sealed, rows)
        credentials.keep_push_counters(rows.counters)

    def _learn_senders(self, arrived: Iterable[flows.SealedPush]) -> None:
        """Look up who is not known, or too long ago, or whose master key is needed now: few pushes bring a key wrapped by it."""
        now = time.monotonic()
        needs_master: dict[bytes, bool] = {}
        for sealed in arrived:
            if sealed.title:
                needs_master[sealed.title] = needs_master.get(sealed.title, False) or sealed.brings_key
        wanted = [title for title, master in needs_master.items() if not self._is_known(title, now, master=master)]
        if not wanted:
            return
        if len(self._senders) > SENDERS_KEPT:
            self._senders.clear()
            wanted = list(needs_master)  # those of this batch that were known as well
        with_master = any(needs_master[title] for title in wanted)
        known = inventory.ids_by_system_title(wanted)
        keys = credentials.keys_of(known.values(), with_master=with_master)
        counters = credentials.push_counters(known.values())
        for title in wanted:
            device = known.get(title, 0)
            self._senders[title] = _Sender(device, keys.get(device), counters.get(device, -1), now, with_master)

    def _is_known(self, title: bytes, now: float, *, master: bool) -> bool:
        sender = self._senders.get(title)
        return sender is not None and now - sender.known_at <= SENDERS_KEPT_S and (sender.has_master or not master)

    def _open(self, frame: PushFrame, sealed: flows.SealedPush, rows: _Rows) -> _Opened | None:
        title = sealed.title
        sender = self._senders.get(title)
        try:
            push = sealed.open(sender.keys if sender else None)
            values = self._bodies.take_apart(push)
            self._check_counter(push, sender, rows.counters)
        except SecurityError as error:
            rows.drop(frame, sender.end_device_id if sender else 0, title.hex(), str(error.reason), str(error))
        except DlmsError as error:
            rows.drop(frame, sender.end_device_id if sender else 0, title.hex(), "undecodable", str(error))
        else:
            return _Opened(frame, push, values)
        return None

    def _keep(self, one: _Opened, unnamed: dict[str, tuple[int, bool]], rows: _Rows) -> None:
        push, values, received = one.push, one.values, int(one.frame.received_at)
        identity = push.title.hex() if push.title else values.identity
        sender = self._senders.get(push.title) if push.title else None
        device, has_keys = unnamed.get(identity, (0, False)) if sender is None else (sender.end_device_id, True)
        if has_keys and push.control is None and not push.is_signed:
            rows.drop(
                one.frame, device, identity, "unprotected", "the meter has keys, so a plain push may be anybody's"
            )
            return
        occurred = push.occurred_at_epoch if is_time(push.occurred_at_epoch) else received
        named, origin = "" if device else identity, int(EventOrigin.PUSHED)
        rows.harvest.events += [(device, named, log, code, occurred, received, origin) for log, code in values.events]
        if device:
            for kind, value in values.registers:
                rows.harvest.add_reading(device, kind.id, occurred, value)
            rows.taken(one.frame, device, identity)
        else:
            rows.drop(one.frame, 0, identity, "unknown sender", "no end device is known by this name")

    @staticmethod
    def _check_counter(push: flows.Push, sender: _Sender | None, accepted: dict[int, int]) -> None:
        """A ciphered push is taken once: its counter must be above the last one taken from that sender."""
        if push.counter is None or sender is None:
            return
        last = accepted.get(sender.end_device_id, sender.last_counter)
        if push.counter <= last:
            raise SecurityError(f"counter {push.counter} was taken before (last {last})", SecurityFault.REPLAY)
        accepted[sender.end_device_id] = push.counter


def _receive(frame: PushFrame, rows: _Rows) -> flows.SealedPush | None:
    if frame.fault:
        rows.refuse(frame, 0, "", "broken", frame.fault)
        return None
    try:
        return flows.receive_push(frame.apdu)
    except SecurityError as error:
        rows.drop(frame, 0, "", str(error.reason), str(error))
    except DlmsError as error:
        rows.drop(frame, 0, "", "undecodable", str(error))
    return None


def _known_by_identity(identities: Iterable[str]) -> dict[str, tuple[int, bool]]:
    """For each serial that is known: its meter, and whether that has keys and so would not push in plain."""
    known = inventory.ids_by_serial(identity for identity in identities if identity)
    keyed = credentials.keys_of(known.values())
    return {identity: (device, device in keyed) for identity, device in known.items()}


def _is_among(frame: PushFrame, kept: set[tuple[int, bytes]]) -> bool:
    at = _microseconds(frame.received_at)
    return any((at, frame.apdu[:most]) in kept for most in (PAYLOAD_KEPT, BEGINNING_KEPT))


def _microseconds(at: float) -> int:
    return int(at * 1_000_000)


def _notification_columns(rows: Sequence[tuple[int, str, str, str, float, str, bytes, str]]) -> dict[str, Any]:
    return {
        "end_device_id": np.array([r[0] for r in rows], dtype=np.int32),
        "identity": [r[1] for r in rows],
        "transport": [r[2] for r in rows],
        "peer": [r[3] for r in rows],
        "received_at": np.array([_microseconds(r[4]) for r in rows], dtype="datetime64[us]"),
        "outcome": [r[5] for r in rows],
        "payload": [r[6] for r in rows],
        "detail": [r[7] for r in rows],
    }
