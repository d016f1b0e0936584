"""From classified events to alarms: many events of one key are one alarm, a restoration ends it. All in batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
from django.db.models import F
from numpy.typing import NDArray

from meterops.kernel import facts
from meterops.kernel.ids import new_id
from meterops.practices.events.catalogue import EventType
from meterops.practices.events.events import AlarmCleared, SafetyAlarmRaised
from meterops.practices.events.models import Alarm, AlarmFlood, AlarmMinute, AlarmState
from meterops.practices.events.rules import (
    CHATTER_SHELVED,
    CHATTERS,
    KEPT_CHANGES,
    MAX_SAFETY,
    MAX_SINGLES,
    WINDOW_S,
    is_chattering,
    priority_of,
    reduction_key,
)

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Word:
    """An event that raises or ends alarms. Times are epoch seconds by the clock that orders it."""

    end_device_id: int
    identity: str
    event: EventType
    at: float


@dataclass(slots=True)
class _Story:
    """What a batch says of one key, in order."""

    event: EventType
    end_device_id: int
    identity: str
    raised: list[float] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    is_active: bool = False
    ended_at: float = 0.0


def take_words(words: Iterable[Word], *, transformers: dict[int, int], now: datetime) -> tuple[int, int]:
    """Raise and end alarms in the caller's transaction. Returns how many were raised and how many ended."""
    stories = _stories(words)
    active = _active(stories)
    new, changed, raised, ended = [], [], [], []
    for key, story in stories.items():
        alarm = active.get(key)
        if alarm is None:
            if story.raised:
                alarm = _new(key, story, transformers, now)
                new.append(alarm)
                raised.append((alarm, story))
            else:
                continue
        else:
            _go_on(alarm, story)
            changed.append(alarm)
        if not story.is_active:
            alarm.state, alarm.cleared_at = AlarmState.CLEARED, _moment(story.ended_at)
            ended.append(alarm)
        if is_chattering(alarm.changes) and alarm.shelved_until is None:
            alarm.shelved_at, alarm.shelved_until = now, now + CHATTER_SHELVED
            alarm.shelved_by, alarm.shelve_reason = "process:events", CHATTERS
    _find_floods(raised, now)
    Alarm.objects.bulk_create(new, batch_size=_CHUNK)
    Alarm.objects.bulk_update(
        changed,
        [
            "last_at",
            "occurrences",
            "changes",
            "state",
            "cleared_at",
            "shelved_at",
            "shelved_until",
            "shelved_by",
            "shelve_reason",
        ],
        batch_size=_CHUNK,
    )
    _count_shown(raised, now)
    _tell(raised, ended, now)
    return len(raised), len(ended)


def raise_singles(
    ids: NDArray[np.int64],
    times: NDArray[np.float64],
    event: EventType,
    *,
    is_over: Callable[[NDArray[np.int64], NDArray[np.float64]], NDArray[np.bool_]],
    transformers: dict[int, int],
    now: datetime,
) -> tuple[int, int]:
    """Raise alarms of a type for meters (n,) since times (n,), and end the active ones that are over.

    Only what a meter showed since, or what explains it, ends its alarm: that nothing more was heard does not.
    Returns how many were raised and how many ended.
    """
    active = list(
        Alarm.objects.filter(state=AlarmState.ACTIVE, event_type=event.type).values_list(
            "end_device_id", "pk", "first_at"
        )
    )
    devices = np.array([device for device, _, _ in active], np.int64)
    ended = is_over(devices, np.array([first_at.timestamp() for _, _, first_at in active], np.float64))
    new = np.flatnonzero(~np.isin(ids, devices))
    chosen = new[np.argsort(times[new], kind="stable")][:MAX_SINGLES]
    words = [Word(int(ids[place]), "", event, float(times[place])) for place in chosen]
    raised, _ = take_words(words, transformers=transformers, now=now)
    over = [active[place][1] for place in np.flatnonzero(ended)]
    for start in range(0, len(over), _CHUNK):
        Alarm.objects.filter(pk__in=over[start : start + _CHUNK]).update(state=AlarmState.CLEARED, cleared_at=now)
    return raised, len(over)


def _stories(words: Iterable[Word]) -> dict[str, _Story]:
    stories: dict[str, _Story] = {}
    for word in sorted(words, key=lambda one: one.at):
        for restored in word.event.restores:
            key = reduction_key(restored, word.end_device_id, word.identity)
            story = stories.get(key) or stories.setdefault(key, _Story(word.event, word.end_device_id, word.identity))
            story.is_active, story.ended_at = False, word.at
            story.changes.append(word.at)
        if not word.event.restores:
            key = reduction_key(word.event.type, word.end_device_id, word.identity)
            story = stories.get(key) or stories.setdefault(key, _Story(word.event, word.end_device_id, word.identity))
            story.event, story.is_active = word.event, True
            story.raised.append(word.at)
            story.changes.append(word.at)
    return stories


def _active(keys: Iterable[str]) -> dict[str, Alarm]:
    wanted = list(keys)
    found: dict[str, Alarm] = {}
    for start in range(0, len(wanted), _CHUNK):
        rows = Alarm.objects.filter(state=AlarmState.ACTIVE, reduction_key__in=wanted[start : start + _CHUNK])
        found |= {alarm.reduction_key: alarm for alarm in rows}
    return found


def _new(key: str, story: _Story, transformers: dict[int, int], now: datetime) -> Alarm:
    return Alarm(
        reduction_key=key,
        event_type=story.event.type,
        severity=story.event.severity,
        is_security=story.event.is_security,
        end_device_id=story.end_device_id,
        identity=story.identity,
        transformer_id=transformers.get(story.end_device_id, 0),
        first_at=_moment(story.raised[0]),
        last_at=_moment(story.raised[-1]),
        raised_at=now,
        occurrences=len(story.raised),
        changes=story.changes[-KEPT_CHANGES:],
    )


def _go_on(alarm: Alarm, story: _Story) -> None:
    if story.raised:
        alarm.last_at = max(alarm.last_at, _moment(story.raised[-1]))
        alarm.occurrences += len(story.raised)
    alarm.changes = [*alarm.changes, *story.changes][-KEPT_CHANGES:]


def _count_shown(raised: Sequence[tuple[Alarm, _Story]], now: datetime) -> None:
    counts: dict[int, int] = {}
    for alarm, story in raised:
        if alarm.shelved_until is None:
            priority = priority_of(story.event)
            counts[priority] = counts.get(priority, 0) + 1
    for priority, count in counts.items():
        count_shown(priority, count, now)


def count_shown(priority: int, count: int, now: datetime) -> None:
    """Add to what operators were shown in this minute."""
    minute = now.replace(second=0, microsecond=0)
    if not AlarmMinute.objects.filter(minute_at=minute, priority=priority).update(shown=F("shown") + count):
        AlarmMinute.objects.create(minute_at=minute, priority=priority, shown=count)


def _find_floods(raised: Sequence[tuple[Alarm, _Story]], now: datetime) -> None:
    """Give safety alarms of a type that come too many their flood, begun if none goes on: two questions a type."""
    by_type: dict[str, list[Alarm]] = {}
    for alarm, story in raised:
        if _concerns_safety(alarm, story):
            by_type.setdefault(alarm.event_type, []).append(alarm)
    for event_type, alarms in by_type.items():
        since = now - timedelta(seconds=WINDOW_S)
        flood = AlarmFlood.objects.filter(event_type=event_type, last_at__gt=since).order_by("-last_at").first()
        if flood is None:
            lately = Alarm.objects.filter(event_type=event_type, is_security=True, raised_at__gt=since)
            if lately.count() + len(alarms) <= MAX_SAFETY:
                continue
            flood = AlarmFlood(id=new_id(), event_type=event_type, severity=alarms[0].severity)
            flood.started_at = min(alarm.first_at for alarm in alarms)
        flood.last_at, flood.alarms = now, flood.alarms + len(alarms)
        flood.save()
        for alarm in alarms:
            alarm.flood = flood


def _concerns_safety(alarm: Alarm, story: _Story) -> bool:
    is_seen = alarm.end_device_id != 0 and alarm.shelved_until is None
    return is_seen and alarm.is_security and priority_of(story.event) <= 2


def _tell(raised: Sequence[tuple[Alarm, _Story]], ended: Sequence[Alarm], now: datetime) -> None:
    """Alarms of a flood are not told of one by one: who wants to know looks at the flood."""
    facts.publish(
        *(
            SafetyAlarmRaised(alarm.pk, alarm.event_type, alarm.severity, alarm.end_device_id, alarm.first_at, now)
            for alarm, story in raised
            if _concerns_safety(alarm, story) and alarm.flood_id is None
        ),
        *(
            AlarmCleared(alarm.pk, alarm.event_type, alarm.end_device_id, now)
            for alarm in ended
            if alarm.is_security and alarm.end_device_id and alarm.flood_id is None
        ),
    )
    for flood, count in Counter(alarm.flood_id for alarm in ended if alarm.flood_id is not None).items():
        AlarmFlood.objects.filter(pk=flood).update(cleared=F("cleared") + count)


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
