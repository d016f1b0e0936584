"""What can be asked about alarms, situations, planned work, the load of alarms, and events themselves."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
from django.db.models import Count, F, Q, Sum
from numpy.typing import NDArray

from meterops.fleet.inventory import api as inventory
from meterops.fleet.telemetry import api as telemetry
from meterops.kernel.interval import Interval
from meterops.practices.events.catalogue import ALARM_REGISTER, EventType, Severity, catalogue, family_of
from meterops.practices.events.correlation import Correlator
from meterops.practices.events.models import (
    Alarm,
    AlarmFlood,
    AlarmMinute,
    AlarmState,
    DailyCounter,
    IntakeState,
    PlannedWork,
    Situation,
    SituationState,
)
from meterops.practices.events.refusals import AlarmPageNotValid, AlarmUnknown, SituationUnknown, WordNotValid
from meterops.practices.events.rules import (
    CHATTERS,
    HEAD_END_TYPES,
    SILENT_METER,
    UNKNOWN_PREFIX,
    WINDOW_S,
    Flood,
    find_flood,
)

_WINDOW = timedelta(seconds=WINDOW_S)
STALE_AFTER = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class AlarmFilter:
    """Alarms that fit every field given. `shelved` None: whether or not."""

    state: str = "ACTIVE"
    event_type: str = ""
    severity: str = ""
    end_device_id: int | None = None
    transformer_id: int | None = None
    is_security: bool | None = None
    shelved: bool | None = False
    acknowledged: bool | None = None
    unknown_only: bool = False

    def checked(self) -> AlarmFilter:
        """The filter itself, for those who typed it.

        Raises:
            WordNotValid: when its state, severity or event type is none.
        """
        for word, words in ((self.state, AlarmState), (self.severity, Severity)):
            if word and word not in set(words):
                raise WordNotValid(f"{word[:60]} is none of {', '.join(words)}.")
        check_event_type(self.event_type)
        return self


def check_event_type(name: str) -> None:
    """Do nothing for the name of an event type, of an unknown code (UNKNOWN_777), and for none.

    Raises:
        WordNotValid: when no event is called that, with those that are called nearly so.
    """
    known = {event.type for _, event in catalogue().items()} | {one.type for one in HEAD_END_TYPES.values()}
    known.add(SILENT_METER)
    if name and name not in known and not name.startswith(UNKNOWN_PREFIX):
        near = difflib.get_close_matches(name.upper(), sorted(known), n=3)
        raise WordNotValid(f"No event is called {name[:60]}{': perhaps ' + ', '.join(near) if near else ''}.")


@dataclass(frozen=True, slots=True)
class AlarmView:
    """An alarm as lists show it."""

    id: int
    event_type: str
    words: str
    severity: str
    is_security: bool
    end_device_id: int
    identity: str
    serial: str
    transformer_id: int
    state: str
    first_at: datetime
    last_at: datetime
    raised_at: datetime
    cleared_at: datetime | None
    occurrences: int
    acknowledged_at: datetime | None
    acknowledged_by: str
    shelved_until: datetime | None
    shelved_by: str
    shelve_reason: str


@dataclass(frozen=True, slots=True)
class AlarmPage:
    """A page of alarms; `after` asks for the next one, empty at the end."""

    alarms: tuple[AlarmView, ...]
    after: str


def list_alarms(wanted: AlarmFilter | None = None, *, after: str = "", limit: int = 100) -> AlarmPage:
    """Alarms, the newest raised first.

    Raises:
        AlarmPageNotValid: when `after` is not what a page answered.
    """
    found = _alarms(wanted or AlarmFilter()).order_by("-raised_at", "-id")
    if after:
        at, last = _place(after)
        found = found.filter(Q(raised_at__lt=at) | Q(raised_at=at, id__lt=last))
    rows = list(found[: limit + 1])
    more = f"{rows[limit - 1].raised_at.timestamp():.6f}_{rows[limit - 1].pk}" if len(rows) > limit else ""
    return AlarmPage(_views(rows[:limit]), more)


def _place(after: str) -> tuple[datetime, int]:
    moment, _, last = after.partition("_")
    try:
        return datetime.fromtimestamp(float(moment), UTC), int(last)
    except (ValueError, OverflowError):
        raise AlarmPageNotValid(f"{after[:60]!r} is no place in a list of alarms; give what a page answered.") from None


def get_alarm(alarm_id: int) -> AlarmView:
    """One alarm.

    Raises:
        AlarmUnknown: when there is none of that number.
    """
    found = _views(list(Alarm.objects.filter(pk=alarm_id)))
    if not found:
        raise AlarmUnknown(f"There is no alarm {alarm_id}.")
    return found[0]


def alarm_counts(wanted: AlarmFilter | None = None) -> dict[str, int]:
    """How many alarms fit, by type, most first."""
    rows = _alarms(wanted or AlarmFilter()).values("event_type").annotate(n=Count("pk")).order_by("-n", "event_type")
    return {row["event_type"]: row["n"] for row in rows}


def list_shelved(limit: int = 200) -> tuple[AlarmView, ...]:
    """Shelved alarms, those that come back first first."""
    rows = Alarm.objects.filter(shelved_until__isnull=False, state=AlarmState.ACTIVE).order_by("shelved_until", "id")
    return _views(list(rows[:limit]))


@dataclass(frozen=True, slots=True)
class DeviceAlarms:
    """The active alarms of some devices: the ids of those in line and of those shelved, and when the next one comes back."""

    in_line: tuple[int, ...]
    shelved: tuple[int, ...]
    next_back_at: datetime | None


_MANY_DEVICES = 2000


def alarms_of_devices(end_device_ids: NDArray[np.int64]) -> DeviceAlarms:
    """The active alarms of these meters; for many of them every active alarm is looked at once."""
    active = Alarm.objects.filter(state=AlarmState.ACTIVE, end_device_id__gt=0)
    if len(end_device_ids) <= _MANY_DEVICES:
        active = active.filter(end_device_id__in=end_device_ids.tolist())
    rows = list(active.order_by("id").values_list("pk", "end_device_id", "shelved_until"))
    wanted = set(end_device_ids.tolist())
    mine = [(pk, until) for pk, device, until in rows if device in wanted]
    return DeviceAlarms(
        in_line=tuple(pk for pk, until in mine if until is None),
        shelved=tuple(pk for pk, until in mine if until is not None),
        next_back_at=min((until for _, until in mine if until is not None), default=None),
    )


def _alarms(wanted: AlarmFilter) -> Any:
    found = Alarm.objects.all()
    given = {
        "state": wanted.state,
        "event_type": wanted.event_type,
        "severity": wanted.severity,
        "end_device_id": wanted.end_device_id,
        "transformer_id": wanted.transformer_id,
        "is_security": wanted.is_security,
    }
    found = found.filter(**{name: value for name, value in given.items() if value not in ("", None)})
    if wanted.shelved is not None:
        found = found.filter(shelved_until__isnull=not wanted.shelved)
    if wanted.acknowledged is not None:
        found = found.filter(acknowledged_at__isnull=not wanted.acknowledged)
    return found.filter(end_device_id=0) if wanted.unknown_only else found


def _views(rows: Sequence[Alarm]) -> tuple[AlarmView, ...]:
    serials = inventory.serials_of({row.end_device_id for row in rows if row.end_device_id})
    return tuple(
        AlarmView(
            row.pk,
            row.event_type,
            words_of(row.event_type),
            row.severity,
            row.is_security,
            row.end_device_id,
            row.identity,
            serials.get(row.end_device_id, row.identity),
            row.transformer_id,
            row.state,
            row.first_at,
            row.last_at,
            row.raised_at,
            row.cleared_at,
            row.occurrences,
            row.acknowledged_at,
            row.acknowledged_by,
            row.shelved_until,
            row.shelved_by,
            row.shelve_reason,
        )
        for row in rows
    )


def words_of(event_type: str) -> str:
    """A type in words."""
    found = catalogue().by_type(event_type)
    return found.words if found is not None else event_type.replace("_", " ").capitalize()


# Situations.


@dataclass(frozen=True, slots=True)
class SituationView:
    """A situation with its figures; see `correlation.SituationChange` for what they count."""

    id: str
    kind: str
    tree: str
    state: str
    node_id: int
    node_mrid: str
    node_name: str
    started_at: datetime
    opened_at: datetime
    changed_at: datetime
    cleared_at: datetime | None
    reason: str
    into_id: str
    expected: int
    heard: int
    silent: int
    answered: int
    restored: int
    power_score: float
    communication_score: float
    confidence: float
    phases: str

    @property
    def sentence(self) -> str:
        """Why, in words."""
        where = self.node_name or self.node_mrid
        lost = "supply" if not self.phases else f"supply or phase {self.phases}"
        said = f"{self.heard:,} of {self.expected:,} meters said that they lost {lost}" if self.heard else ""
        mute = f"{self.silent:,} of {self.expected:,} do not answer" if self.silent else ""
        back = f"{self.answered:,} answer" if self.answered else "none answers"
        what = {"OUTAGE": "is without supply", "PHASE": f"misses phase {self.phases}"}.get(
            self.kind, "cannot be reached"
        )
        return f"{where} {what}: {', '.join(part for part in (said, mute, back) if part)}."


@dataclass(frozen=True, slots=True)
class SituationMembers:
    """Ids of the meters below a situation's root by what is known of them."""

    heard: NDArray[np.int64]
    silent: NDArray[np.int64]
    answered: NDArray[np.int64]
    rest: NDArray[np.int64]


def list_situations(*, state: str = "OPEN", kind: str = "", limit: int = 200) -> list[SituationView]:
    """Situations, the newest first; `state` "" for all."""
    found = Situation.objects.order_by("-opened_at", "id")
    if state:
        found = found.filter(state=state)
    if kind:
        found = found.filter(kind=kind)
    return [_situation(row) for row in found[:limit]]


def get_situation(situation_id: str | UUID) -> SituationView:
    """One situation.

    Raises:
        SituationUnknown: when there is none of that id.
    """
    try:
        key = UUID(str(situation_id))
    except ValueError:
        raise SituationUnknown(f"{str(situation_id)[:60]!r} is no situation's id.") from None
    row = Situation.objects.filter(pk=key).first()
    if row is None:
        raise SituationUnknown(f"There is no situation {key}.")
    return _situation(row)


def situation_members(situation_id: str) -> SituationMembers:
    """The meters below an open situation's root, as the stored correlator knows them (at most half a minute old).

    Raises:
        SituationUnknown: when it is not open.
    """
    from meterops.practices.events.intake import load_fleet

    state = IntakeState.objects.filter(id=1).first()
    found = None
    if state is not None and state.correlator:
        found = Correlator(load_fleet().topology, state=bytes(state.correlator)).members(str(situation_id))
    if found is None:
        raise SituationUnknown(f"Situation {situation_id} is not open.")
    return SituationMembers(found.heard, found.silent, found.answered, found.rest)


def _situation(row: Situation) -> SituationView:
    return SituationView(
        str(row.pk),
        row.kind,
        row.tree,
        row.state,
        row.node_id,
        row.node_mrid,
        row.node_name,
        row.started_at,
        row.opened_at,
        row.changed_at,
        row.cleared_at,
        row.reason,
        str(row.into_id or ""),
        row.expected,
        row.heard,
        row.silent,
        row.answered,
        row.restored,
        row.power_score,
        row.communication_score,
        row.confidence,
        row.phases,
    )


# Planned work, counters, noisy devices.


@dataclass(frozen=True, slots=True)
class PlannedWorkView:
    """Planned work."""

    id: int
    node_id: int
    node_mrid: str
    starts_at: datetime
    ends_at: datetime
    reason: str
    planned_by: str
    cancelled_at: datetime | None


def list_planned_work(*, now: datetime, include_over: bool = False, limit: int = 200) -> list[PlannedWorkView]:
    """Planned work that goes on or is to come, the next first."""
    found = PlannedWork.objects.order_by("starts_at", "id")
    if not include_over:
        found = found.filter(cancelled_at=None, ends_at__gt=now)
    return [
        PlannedWorkView(w.pk, w.node_id, w.node_mrid, w.starts_at, w.ends_at, w.reason, w.planned_by, w.cancelled_at)
        for w in found[:limit]
    ]


@dataclass(frozen=True, slots=True)
class DayCount:
    """Events of a type on a day (UTC)."""

    day: date
    event_type: str
    words: str
    received: int
    repeated: int


def daily_counters(*, first_day: date, event_type: str = "", limit: int = 1000) -> list[DayCount]:
    """Counters since a day, the newest day and the most frequent type first."""
    found = DailyCounter.objects.filter(day__gte=first_day).order_by("-day", "-received")
    if event_type:
        found = found.filter(event_type=event_type)
    return [DayCount(c.day, c.event_type, words_of(c.event_type), c.received, c.repeated) for c in found[:limit]]


@dataclass(frozen=True, slots=True)
class NoisyDevice:
    """A device that raised many alarms."""

    end_device_id: int
    serial: str
    alarms: int
    occurrences: int


def noisy_devices(*, since: datetime, limit: int = 20) -> list[NoisyDevice]:
    """Devices by how often they raised alarms since a time."""
    rows = (
        Alarm.objects.filter(last_at__gte=since, end_device_id__gt=0)
        .values("end_device_id")
        .annotate(alarms=Count("pk"), times=Sum("occurrences"))
        .order_by("-times", "end_device_id")[:limit]
    )
    found = list(rows)
    serials = inventory.serials_of({row["end_device_id"] for row in found})
    return [
        NoisyDevice(r["end_device_id"], serials.get(r["end_device_id"], ""), r["alarms"], r["times"]) for r in found
    ]


# Alarm health.


@dataclass(frozen=True, slots=True)
class AlarmHealth:
    """The load of alarms as ISA-18.2 and EEMUA 191 measure it, per operator position, over the last day.

    `strip` are alarms in the last twelve windows of ten minutes, oldest first. `mix` are shares by priority 1 to 4. Some of the
    `shelved` may be `shelved_past_end`: nothing has put them back in line. `suppressed` are meters below `works` that go on now.
    """

    positions: int
    strip: tuple[float, ...]
    per_hour: float
    peak_per_window: float
    flood: Flood
    standing: int
    stale: int
    chattering: int
    shelved: int
    shelved_past_end: int
    suppressed: int
    works: int
    mix: tuple[float, float, float, float]
    top: tuple[tuple[str, int], ...]
    top_share: float
    is_storm: bool


def alarm_health(*, now: datetime, positions: int = 1) -> AlarmHealth:
    """Measure it."""
    since = now - timedelta(hours=24)
    minutes = list(AlarmMinute.objects.filter(minute_at__gte=since).values_list("minute_at", "priority", "shown"))
    windows = [0.0] * (24 * 3600 // WINDOW_S)
    by_priority = dict.fromkeys((1, 2, 3, 4), 0)
    for minute_at, priority, shown in minutes:
        back = int((now - minute_at) / _WINDOW)
        if back < len(windows):
            windows[-1 - back] += shown / positions
        by_priority[priority] = by_priority.get(priority, 0) + shown
    total = sum(by_priority.values())
    by_type = _occurrences_by_type(since)
    raised, everything = sum(times for _, times in by_type[:10]), sum(times for _, times in by_type)
    in_line = Q(shelved_until=None)
    active = Alarm.objects.filter(state=AlarmState.ACTIVE).aggregate(
        standing=Count("pk", filter=in_line),
        stale=Count("pk", filter=in_line & Q(raised_at__lt=now - STALE_AFTER)),
        chattering=Count("pk", filter=~in_line & Q(shelve_reason=CHATTERS)),
        shelved=Count("pk", filter=~in_line),
        shelved_past_end=Count("pk", filter=Q(shelved_until__lte=now)),
    )
    going_on = PlannedWork.objects.filter(cancelled_at=None, starts_at__lte=now, ends_at__gt=now)
    nodes = tuple(going_on.values_list("node_mrid", flat=True))
    state = IntakeState.objects.filter(id=1).first()
    return AlarmHealth(
        positions=positions,
        strip=tuple(windows[-12:]),
        per_hour=round(total / 24 / positions, 2),
        peak_per_window=max(windows, default=0.0),
        flood=find_flood(windows),
        **active,
        suppressed=inventory.count_end_devices(inventory.EndDeviceFilter(under=nodes)) if nodes else 0,
        works=len(nodes),
        mix=tuple(by_priority[p] / total if total else 0.0 for p in (1, 2, 3, 4)),  # type: ignore[arg-type]
        top=tuple((words_of(name), count) for name, count in by_type[:10]),
        top_share=raised / everything if everything else 0.0,
        is_storm=bool(state and state.is_storm),
    )


def _occurrences_by_type(since: datetime) -> list[tuple[str, int]]:
    """How often alarms of each type said so, of those that did since, most first."""
    rows = (
        Alarm.objects.filter(last_at__gte=since)
        .values(name=F("event_type"))
        .annotate(times=Sum("occurrences"))
        .order_by("-times", "name")
    )
    return [(row["name"], row["times"]) for row in rows]


# Events.


@dataclass(frozen=True, slots=True)
class EventView:
    """An event with what it means."""

    end_device_id: int
    serial: str
    identity: str
    log: int
    code: int
    event_type: str
    words: str
    severity: str
    is_security: bool
    occurred_at: datetime
    received_at: datetime
    origin: str


_LOGS = {
    0: "standard log",
    1: "fraud log",
    2: "disconnect log",
    3: "M-Bus log",
    4: "communication log",
    5: "power quality log",
    ALARM_REGISTER: "alarm register",
}


def log_words(log: int) -> str:
    """Which of a meter's logs, or its alarm register, a number stands for."""
    return _LOGS.get(log, f"log {log}")


_ORIGINS = {1: "read from the log", 2: "pushed"}


def explore_events(
    *,
    end_device_id: int | None = None,
    code: int | None = None,
    event_type: str = "",
    period: Interval | None = None,
    limit: int = 100,
) -> list[EventView]:
    """Events from the lake, the newest first, in words of the catalogue. Repetitions are given once."""
    codes = [pair[1] for pair in catalogue().codes(event_type)] if event_type else [code]
    rows: list[telemetry.EventRow] = []
    for one in sorted({c for c in codes if c is not None}) or [None]:  # type: ignore[list-item]
        rows += telemetry.list_events(
            telemetry.lake(), end_device_id=end_device_id, code=one, period=period, limit=limit
        )
    rows.sort(key=lambda row: row.occurred_at, reverse=True)
    return describe_events(rows, event_type=event_type)[:limit]


def describe_events(rows: Sequence[telemetry.EventRow], *, event_type: str = "") -> list[EventView]:
    """Rows of the lake in words; with `event_type`, only those that are of it in their meter's family."""
    serials: dict[int, str] = {}
    profiles: dict[int, str] = {}
    if known := {row.end_device_id for row in rows if row.end_device_id}:
        columns = inventory.columns_of_end_devices(["serial", "profile"], inventory.EndDeviceFilter(ids=tuple(known)))
        serials = dict(zip(columns["id"].tolist(), columns["serial"].tolist(), strict=True))
        profiles = dict(zip(columns["id"].tolist(), columns["profile"].tolist(), strict=True))
    views = []
    for row in rows:
        event = find_event(profiles.get(row.end_device_id, ""), row.log, row.code)
        name = event.type if event is not None else f"UNKNOWN_{row.code}"
        if event_type and name != event_type:
            continue
        views.append(
            EventView(
                row.end_device_id,
                serials.get(row.end_device_id, ""),
                row.identity,
                row.log,
                row.code,
                name,
                event.words if event is not None else f"Unknown event {row.code}",
                str(event.severity) if event is not None else "WARNING",
                event.is_security if event is not None else False,
                row.occurred_at,
                row.received_at,
                _ORIGINS.get(row.origin, str(row.origin)),
            )
        )
    return views


def find_event(profile: str, log: int, code: int) -> EventType | None:
    """What a code in a log means for meters of a companion profile; None when nobody knows."""
    return catalogue().find(family_of(profile), log, code)


def count_open_situations() -> dict[str, int]:
    """Open situations by kind."""
    rows = Situation.objects.filter(state=SituationState.OPEN).values("kind").annotate(n=Count("pk"))
    return {row["kind"]: row["n"] for row in rows}


@dataclass(frozen=True, slots=True)
class FloodView:
    """Safety alarms of one type that came too many to be told one by one; `is_over` where the meters took them all back."""

    id: str
    event_type: str
    words: str
    severity: str
    started_at: datetime
    last_at: datetime
    alarms: int
    is_over: bool


def list_floods(*, since: datetime) -> list[FloodView]:
    """Floods that got alarms since a moment, oldest first."""
    rows = AlarmFlood.objects.filter(last_at__gte=since).order_by("started_at", "pk")
    return [
        FloodView(
            str(row.pk),
            row.event_type,
            words_of(row.event_type),
            row.severity,
            row.started_at,
            row.last_at,
            row.alarms,
            row.cleared >= row.alarms,
        )
        for row in rows
    ]


def meters_of_flood(flood_id: str) -> NDArray[np.int64]:
    """Ids of the meters that a flood has alarms of, ascending, each once; one query."""
    rows = Alarm.objects.filter(flood_id=UUID(flood_id)).values_list("end_device_id", flat=True)
    return np.unique(np.fromiter(rows.iterator(chunk_size=20_000), np.int64))
