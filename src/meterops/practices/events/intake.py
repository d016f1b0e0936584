"""Reads the lake as it grows: classifies events, drops repetitions, feeds the correlator, and stores what follows.

How far it has come, the alarms, the situations and the facts change in one transaction, so a process killed at any moment loses
nothing and repeats nothing. The correlator is stored whenever a situation changes and every half a minute; a process that takes
over feeds it what came since.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
from django.db import transaction
from django.db.models import F, Q
from numpy.typing import NDArray

from meterops.fleet.headend.api import Lane
from meterops.fleet.inventory import api as inventory
from meterops.fleet.telemetry import api as telemetry
from meterops.kernel import hints
from meterops.practices.events import rules, situations
from meterops.practices.events.alarms import Word, raise_singles, take_words
from meterops.practices.events.catalogue import EventClass, EventType, catalogue, family_of
from meterops.practices.events.correlation import Change, CorrelationSettings, Correlator, Evidence, Topology
from meterops.practices.events.correlation.correlator import AFTER_PLANNED_S
from meterops.practices.events.correlation.correlator import PlannedWork as CorrelatorWork
from meterops.practices.events.models import DailyCounter, IntakeState, PlannedWork

LOOK_BACK: Final = timedelta(days=2)
"""Repetitions are looked for among events received within this; a meter's log is read again and again."""
CHECKPOINT_EVERY_S: Final = 30.0
TOPOLOGY_EVERY_S: Final = 15.0
PUSHED: Final = 2
_DELIVERY_BEHIND_CONCENTRATOR: Final = 0.2
"""Last gasps over power line need the concentrator, which mostly hangs on the supply that is lost."""
_UNKNOWN_FAMILY: Final = "idis"
"""What codes of devices that nobody knows are looked up in: the generic ones."""
_EVIDENCE_OF: Final = {
    rules.SUPPLY_LOST: Evidence.DOWN,
    rules.SUPPLY_BACK: Evidence.UP,
    **{lost: Evidence[f"{phase}_LOST"] for phase, lost in rules.PHASE_LOST.items()},
    **{back: Evidence[f"{phase}_BACK"] for phase, back in rules.PHASE_BACK.items()},
}
"""What the correlator takes in, by the type of the event. None of these is an alarm by itself."""
_SILENT_ERRORS: Final = ("unreachable", "timeout")
_ANSWERED_ERRORS: Final = ("refused", "authentication", "counter", "protocol", "data")


@dataclass(slots=True)
class _Fleet:
    """What intake needs to know of meters, in columns ascending by id."""

    version: str
    topology: Topology
    ids: NDArray[np.int64]
    families: tuple[str, ...]
    family: NDArray[np.int64]
    transformers: dict[int, int]

    def families_of(self, device_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """The family of each device as a place in `families`, whose first is that of devices nobody knows."""
        if not len(self.ids):
            return np.zeros(len(device_ids), np.int64)
        at = np.searchsorted(self.ids, device_ids).clip(0, len(self.ids) - 1)
        return np.where(self.ids[at] == device_ids, self.family[at], 0)


@dataclass(slots=True)
class _Batch:
    """What one look at the lake brought."""

    events_place: int
    sessions_place: int
    words: list[Word] = field(default_factory=list)
    evidence: list[tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.float64]]] = field(default_factory=list)
    received: Counter[str] = field(default_factory=Counter)
    repeated: Counter[str] = field(default_factory=Counter)
    rows: int = 0


class Intake:
    """One process's reader of the lake. Only the holder of the lease may call `step`."""

    def __init__(self, lake: telemetry.Lake, settings: CorrelationSettings | None = None) -> None:
        """Begin where the stored state says."""
        self._lake = lake
        self._settings = settings or CorrelationSettings()
        self._fleet: _Fleet | None = None
        self._looked_at = self._saved_at = float("-inf")
        self._correlator: Correlator | None = None

    def step(self, *, now: datetime) -> int:
        """Take in what was appended since, up to a batch. Returns how many rows it was; call again while it is many."""
        state = self._state(now)
        fleet = self._look_at_fleet(now)
        correlator = self._correlator or self._take_over(state, fleet)
        since = state.read_at - LOOK_BACK
        batch = self._read(state.events_place, state.sessions_place, since, fleet, now)
        self._feed(correlator, batch, now)
        correlator.replace_planned(_planned(now))
        changes = correlator.advance(now.timestamp())
        try:
            self._store(state, batch, changes, fleet, correlator, now)
        except BaseException:
            self._correlator = None  # what it has said is not stored: begin again from what is
            raise
        return batch.rows

    # State.

    def _state(self, now: datetime) -> IntakeState:
        state, _ = IntakeState.objects.get_or_create(id=1, defaults={"read_at": now})
        return state

    def _take_over(self, state: IntakeState, fleet: _Fleet) -> Correlator:
        """A correlator as it was stored, fed with what was taken in since."""
        correlator = Correlator(fleet.topology, self._settings, bytes(state.correlator) or None)
        if state.correlator or state.outline:
            since = state.read_at - LOOK_BACK
            events, sessions = state.correlator_events_place, state.correlator_sessions_place
            batch = self._read(events, sessions, since, fleet, state.read_at, until=state)
            self._feed(correlator, batch, state.read_at)
        if state.outline:
            correlator.take_outline(state.outline)
        self._correlator = correlator
        return correlator

    def _look_at_fleet(self, now: datetime) -> _Fleet:
        if self._fleet is not None and now.timestamp() - self._looked_at < TOPOLOGY_EVERY_S:
            return self._fleet
        self._looked_at = now.timestamp()
        version = inventory.version()
        if self._fleet is None or self._fleet.version != version:
            self._fleet = load_fleet(version)
            if self._correlator is not None:
                self._correlator.replace_topology(self._fleet.topology)
        return self._fleet

    # Reading.

    def _read(
        self,
        events_place: int,
        sessions_place: int,
        since: datetime,
        fleet: _Fleet,
        now: datetime,
        *,
        until: IntakeState | None = None,
    ) -> _Batch:
        events = telemetry.rows_after(self._lake, "events", events_place, since=since)
        sessions = telemetry.rows_after(self._lake, "sessions", sessions_place, since=since)
        if until is not None:
            events = _no_later(events, until.events_place)
            sessions = _no_later(sessions, until.sessions_place)
        batch = _Batch(events.place, sessions.place, rows=events.rows.num_rows + sessions.rows.num_rows)
        if events.rows.num_rows:
            again = telemetry.repeated(self._lake, events.rows, events_place, since=now - LOOK_BACK)
            _take_events(batch, events.rows, again, fleet)
        if sessions.rows.num_rows:
            _take_sessions(batch, sessions.rows)
        return batch

    def _feed(self, correlator: Correlator, batch: _Batch, now: datetime) -> None:
        oldest = now.timestamp() - self._settings.memory_s
        for ids, evidence, times in batch.evidence:
            young = times >= oldest
            correlator.feed(ids[young], evidence[young], times[young])

    # Storing.

    def _store(
        self,
        state: IntakeState,
        batch: _Batch,
        changes: list[Any],
        fleet: _Fleet,
        correlator: Correlator,
        now: datetime,
    ) -> None:
        told = any(change.change is not Change.CHANGED for change in changes)
        is_due = now.timestamp() - self._saved_at >= CHECKPOINT_EVERY_S
        is_still = not batch.rows and not changes and not is_due
        if is_still and not correlator.is_waiting:
            return
        with transaction.atomic():
            _check_still_ours(state)
            raised, ended = take_words(batch.words, transformers=fleet.transformers, now=now)
            if is_due or told:
                more, over = self._singles(correlator, fleet, now)
                raised, ended = raised + more, ended + over
            situations.store(changes, now=now)
            _count(batch, now)
            state.events_place, state.sessions_place = batch.events_place, batch.sessions_place
            state.read_at, state.is_storm = now, correlator.is_storm
            state.outline = correlator.outline()
            if told or is_due:
                state.correlator = correlator.checkpoint()
                state.correlator_events_place = batch.events_place
                state.correlator_sessions_place = batch.sessions_place
            state.save()
            if raised or ended:
                hints.publish("alarms")
            for change in changes:
                hints.publish("situations", change.situation_id)
        if told or is_due:
            self._saved_at = now.timestamp()

    def _singles(self, correlator: Correlator, fleet: _Fleet, now: datetime) -> tuple[int, int]:
        """Meters that are dark, silent or miss a phase all by themselves. Not in a storm: most of them will be explained."""
        if correlator.is_storm:
            return 0, 0
        raised = ended = 0
        for event, evidence in _singly():
            at = now.timestamp()
            ids, times = correlator.unexplained(at, rules.SINGLE_HOLD_S, evidence)
            more, over = raise_singles(
                ids,
                times,
                event,
                is_over=partial(correlator.is_over, now=at, evidence=evidence),
                transformers=fleet.transformers,
                now=now,
            )
            raised, ended = raised + more, ended + over
        return raised, ended


class TakenOver(RuntimeError):
    """Another process has taken in what this one was about to store."""


def _check_still_ours(state: IntakeState) -> None:
    """A process that slept through its lease must not store what another one has stored."""
    stored = IntakeState.objects.select_for_update().get(id=1)
    if (stored.events_place, stored.sessions_place) != (state.events_place, state.sessions_place):
        raise TakenOver("another process has read on; this one begins again from what is stored")


def load_fleet(version: str = "") -> _Fleet:
    """Both trees and what is known of meters, in a handful of queries."""
    grid = inventory.topology_arrays(inventory.Tree.ELECTRICAL)
    paths = inventory.topology_arrays(inventory.Tree.COMMUNICATION)
    columns = inventory.columns_of_end_devices(["profile", "transformer_id", "concentrator_id"])
    is_meter = grid.kind == inventory.KIND_CODES[inventory.ItemKind.END_DEVICE]
    delivery = np.ones(len(grid), np.float32)
    behind = columns["id"][columns["concentrator_id"] > 0]
    delivery[np.searchsorted(grid.id, behind)] = _DELIVERY_BEHIND_CONCENTRATOR
    topology = Topology(grid.id, grid.parent, paths.parent, is_meter, grid.confidence, delivery)
    family = {profile: family_of(profile) or _UNKNOWN_FAMILY for profile in set(columns["profile"].tolist())}
    families = (_UNKNOWN_FAMILY, *sorted(set(family.values())))
    return _Fleet(
        version,
        topology,
        columns["id"],
        families,
        np.array([families.index(family[profile], 1) for profile in columns["profile"].tolist()], np.int64),
        dict(zip(columns["id"].tolist(), columns["transformer_id"].tolist(), strict=True)),
    )


def _take_events(batch: _Batch, rows: pa.Table, again: set[int], fleet: _Fleet) -> None:
    ids = rows.column("end_device_id").to_numpy().astype(np.int64)
    fresh = ~np.isin(rows.column("row_id").to_numpy(), np.fromiter(again, np.int64, len(again)))
    times = _event_times(rows)
    for key, chosen in _by_kind(rows, fleet.families_of(ids)):
        event = catalogue().find(fleet.families[key[0]], key[1], key[2])
        name = event.type if event is not None else f"{rules.UNKNOWN_PREFIX}{key[2]}"
        new = chosen[fresh[chosen]]
        batch.received[name] += len(chosen)
        batch.repeated[name] += len(chosen) - len(new)
        if event is not None and _raises(event):
            names = rows.column("identity").take(pa.array(new)).to_pylist()
            of_new = zip(ids[new].tolist(), names, times[new].tolist(), strict=True)
            batch.words += [Word(device, identity, event, at) for device, identity, at in of_new]
        if (evidence := _EVIDENCE_OF.get(name)) is not None:
            told = new[ids[new] > 0]
            batch.evidence.append((ids[told], np.full(len(told), evidence, np.int8), times[told]))


def _by_kind(rows: pa.Table, family: NDArray[np.int64]) -> Iterator[tuple[tuple[int, int, int], NDArray[np.int64]]]:
    """The rows of each (family, log, code), which mostly are a handful, in the order of the table."""
    logs = rows.column("log").to_numpy().astype(np.int64)
    codes = rows.column("code").to_numpy().astype(np.int64)
    packed = (family << 48) | ((logs & 0xFFFF) << 32) | (codes & 0xFFFF_FFFF)
    kinds, first, kind_of = np.unique(packed, return_index=True, return_inverse=True)
    order = np.argsort(kind_of, kind="stable")
    ends = np.cumsum(np.bincount(kind_of, minlength=len(kinds)))
    for place, chosen in zip(first.tolist(), np.split(order, ends[:-1]), strict=True):
        yield (int(family[place]), int(logs[place]), int(codes[place])), chosen


def _singly() -> list[tuple[EventType, Evidence]]:
    """What single meters may be in that nothing explains: the alarm, and what says so."""
    said = {rules.SUPPLY_LOST: Evidence.DOWN} | {one: _EVIDENCE_OF[one] for one in rules.PHASE_LOST.values()}
    known = [(event, word) for name, word in said.items() if (event := catalogue().by_type(name)) is not None]
    return [*known, (rules.SILENT, Evidence.SILENT)]


def _raises(event: EventType) -> bool:
    """Supply is the correlator's; the rest raises alarms by class, and restorations end them."""
    if event.type in _EVIDENCE_OF:
        return False
    return bool(event.restores) or event.event_class is not EventClass.LOG_ONLY


def _event_times(rows: pa.Table) -> NDArray[np.float64]:
    """When to believe it happened: pushed, when it arrived; read from a log, by the meter's clock but no later."""
    occurred, received = _seconds(rows.column("occurred_at")), _seconds(rows.column("received_at"))
    pushed = rows.column("origin").to_numpy() == PUSHED
    return np.where(pushed, received, np.minimum(occurred, received - 1.0))


def _take_sessions(batch: _Batch, rows: pa.Table) -> None:
    ids = rows.column("end_device_id").to_numpy().astype(np.int64)
    errors = np.array(rows.column("error_class").to_pylist(), dtype=object)
    ended = _seconds(rows.column("started_at")) + rows.column("duration_ms").to_numpy() / 1000.0
    answered = (rows.column("outcome").to_numpy() == 0) | np.isin(errors, _ANSWERED_ERRORS)
    last_try = (rows.column("attempt").to_numpy() >= 2) | (rows.column("lane").to_numpy() == int(Lane.OUTAGE_CHECK))
    silent = np.isin(errors, _SILENT_ERRORS) & last_try
    for chosen, evidence in ((answered, Evidence.ANSWERED), (silent, Evidence.SILENT)):
        if chosen.any():
            batch.evidence.append((ids[chosen], np.full(int(chosen.sum()), evidence, np.int8), ended[chosen]))
    for error, event in rules.HEAD_END_TYPES.items():
        for place in np.flatnonzero(errors == error):
            batch.words.append(Word(int(ids[place]), "", event, float(ended[place])))
            batch.received[event.type] += 1


def _seconds(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(column.cast(pa.timestamp("us")).cast(pa.int64()).to_numpy() / 1e6)


def _no_later(tail: telemetry.Tail, place: int) -> telemetry.Tail:
    """Rows come by their numbers, so those up to a place are the first ones."""
    count = int(np.searchsorted(tail.rows.column("row_id").to_numpy(), place, side="right"))
    return telemetry.Tail(place, tail.rows.slice(0, count))


def _planned(now: datetime) -> Iterable[CorrelatorWork]:
    """Work that goes on, or ended so lately that what is left below it is still to be looked at."""
    lately = now - timedelta(seconds=AFTER_PLANNED_S)
    rows = PlannedWork.objects.filter(Q(cancelled_at=None) | Q(cancelled_at__gt=lately), ends_at__gt=lately)
    return [
        CorrelatorWork(
            one.node_id, one.starts_at.timestamp(), min(one.ends_at, one.cancelled_at or one.ends_at).timestamp()
        )
        for one in rows.filter(starts_at__lte=now)
    ]


def _count(batch: _Batch, now: datetime) -> None:
    day = now.astimezone(UTC).date()
    for name, received in batch.received.items():
        repeated = batch.repeated[name]
        found = DailyCounter.objects.filter(day=day, event_type=name)
        if not found.update(received=F("received") + received, repeated=F("repeated") + repeated):
            DailyCounter.objects.create(day=day, event_type=name, received=received, repeated=repeated)
