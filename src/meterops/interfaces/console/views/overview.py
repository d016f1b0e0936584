"""Is all well, and what first: the figures of the fleet, the rounds under way, what needs a look, the newest sessions."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from meterops.fleet.headend import api as headend
from meterops.fleet.headend.api import ErrorClass
from meterops.fleet.inventory import api as inventory
from meterops.fleet.telemetry import api as telemetry
from meterops.fleet.telemetry.api import DayCompleteness, SessionBucket
from meterops.interfaces.console.fleet_state import CONTACTS, HEALTH, Kept
from meterops.interfaces.console.operation_lines import schedule_line
from meterops.interfaces.console.pages import page, signed_in
from meterops.interfaces.console.reading_state import ReadState, States
from meterops.interfaces.console.session_lines import session_lines
from meterops.interfaces.console.templatetags.console import number, percent, span
from meterops.kernel import beats
from meterops.kernel.clock import from_epoch, utc_now
from meterops.kernel.interval import Interval
from meterops.practices.incidents import api as incidents

TARGET = 0.98
"""The share of a day's load profile that has to be stored."""
TREND_DAYS = 8
WORST = 6
RECENT = 12
BUCKET_S = 300
HOUR = timedelta(hours=1)
SMALLEST_AREA = 3
LOOK_ROWS = 12


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of the strip with what it has to be measured by."""

    name: str
    value: str
    note: str
    unit: str = ""
    href: str = ""
    level: str = ""
    trend: tuple[float | None, ...] = ()
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """Something a person should look at."""

    key: str
    mark: str
    what: str
    place: str
    href: str
    count: int
    total: int | None
    at: datetime | None


def _completeness() -> list[DayCompleteness]:
    now = utc_now()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    period = Interval(midnight - timedelta(days=TREND_DAYS - 1), midnight + timedelta(days=1))
    expected = inventory.count_end_devices(READ_ROUND)
    return telemetry.fleet_completeness(telemetry.lake(), period, expected_devices=expected, now=now)


def _last_hour() -> list[SessionBucket]:
    now = utc_now()
    return telemetry.session_summary(telemetry.lake(), Interval(now - HOUR, now), BUCKET_S)


READ_ROUND = inventory.EndDeviceFilter(state=tuple(str(state) for state in inventory.READABLE_STATES))
COMPLETENESS: Kept[list[DayCompleteness]] = Kept(_completeness, seconds=30.0)
LAST_HOUR: Kept[list[SessionBucket]] = Kept(_last_hour, seconds=3.0)


@signed_in
@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    """The first page."""

    def strip() -> dict[str, object]:
        return {"figures": list(_figures())}

    def rounds() -> dict[str, object]:
        return {"schedules": [schedule_line(one) for one in headend.list_schedules(now=utc_now())]}

    def look() -> dict[str, object]:
        return {"look": _look(), "knows_meters": bool(len(_states().end_device_id))}

    def recent() -> dict[str, object]:
        return {"sessions": session_lines(telemetry.list_sessions(telemetry.lake(), limit=RECENT))}

    def worst() -> dict[str, object]:
        return {
            "queue": incidents.incident_queue(incidents.QueueFilter(states=tuple(incidents.OPEN_STATES)), size=WORST)
        }

    def load() -> dict[str, object]:
        return {"health": HEALTH.get()}

    parts = {"strip": strip, "incidents": worst, "load": load, "rounds": rounds, "look": look, "recent": recent}
    return page(request, "overview", parts, by="supply")


# --- the strip ------------------------------------------------------------------------------------------------------


def _figures() -> Iterator[Figure]:
    states = _states()
    days = COMPLETENESS.get()
    yield _yesterday(days)
    yield _today(days)
    yield from _read_figures(states)
    yield _sessions(LAST_HOUR.get())
    yield _processes()


def _states() -> States:
    return CONTACTS.get().of(inventory.ids_of_end_devices(READ_ROUND), utc_now())


def _share(found: DayCompleteness) -> tuple[str, str]:
    """A day's share as value and unit; a fleet without meters has none."""
    return (percent(found.share).removesuffix(" %"), "%") if found.expected else ("–", "")


def _yesterday(days: list[DayCompleteness]) -> Figure:
    found = days[-2]
    value, unit = _share(found)
    trend = tuple(one.share * 100 if one.stored else None for one in days[:-1])
    return Figure(
        name="Yesterday complete",
        value=value,
        unit=unit,
        note=f"{found.day.day} {found.day:%b}, target {percent(TARGET, 0)}",
        level="2" if found.expected and found.share < TARGET else "",
        trend=trend,
        low=TARGET * 100,
        high=100.0,
    )


def _today(days: list[DayCompleteness]) -> Figure:
    found = days[-1]
    value, unit = _share(found)
    return Figure(
        name="Today so far",
        value=value,
        unit=unit,
        note=f"{number(found.stored)} of {number(found.expected)} quarters",
    )


def _read_figures(states: States) -> Iterator[Figure]:
    counts, total = states.counts(), len(states.end_device_id)
    meters = reverse("console:meters")
    read = counts[ReadState.READ] + counts[ReadState.FAILING]
    note = f"of {number(total)} meters, {percent(read / total)}" if total else "no meter is known yet"
    yield Figure("Read in 24 h", number(read), note, href=meters)
    yield Figure(
        name="Failing",
        value=number(counts[ReadState.FAILING]),
        note="newest session failed",
        href=f"{meters}?read=failing",
        level="3" if total and counts[ReadState.FAILING] > 0.02 * total else "",
    )
    silent, never = counts[ReadState.SILENT], counts[ReadState.NEVER]
    yield Figure(
        name="Silent",
        value=number(silent),
        note=f"over 24 h; {number(never)} never read",
        href=f"{meters}?read=silent" if silent else f"{meters}?read=never",
        level="2" if total and silent > 0.02 * total else "",
    )


def _sessions(buckets: list[SessionBucket]) -> Figure:
    good, bad = sum(one.succeeded for one in buckets), sum(one.failed for one in buckets)
    note = f"{percent(good / (good + bad))} read" if good + bad else "none in the last hour"
    return Figure(
        name="Sessions, last hour",
        value=number(good + bad),
        note=note,
        href=reverse("console:sessions"),
        trend=tuple(float(one.succeeded + one.failed) for one in buckets),
    )


def _processes() -> Figure:
    now = utc_now()
    known = beats.list_processes()
    alive = [one for one in known if now - one.beat_at < beats.ALIVE_FOR]
    workers = sum(one.role == "worker" for one in alive)
    gone = len(known) - len(alive)
    if not workers:
        last = max((one.beat_at for one in known if one.role == "worker"), default=None)
        since = f"last heard of {span(now - last)} ago" if last else "nothing is read"
        return Figure("Head-end workers", "0", since, level="1")
    note = f"{gone} {'process' if gone == 1 else 'processes'} silent" if gone else f"{len(alive)} processes alive"
    return Figure("Head-end workers", number(workers), note, level="2" if gone else "")


# --- what needs a look ----------------------------------------------------------------------------------------------


def _look() -> list[Look]:
    """The areas and faults with the most meters first."""
    devices = inventory.columns_of_end_devices(["transformer_id", "route_id"], READ_ROUND)
    states = CONTACTS.get().of(devices["id"], utc_now())
    found = [
        *_silent_areas(devices, states, "route_id", "Route silent"),
        *_silent_areas(devices, states, "transformer_id", "Transformer area silent"),
        *_faults(),
        *_drifting(),
        *_disagreements(),
    ]
    return sorted(found, key=lambda one: (one.mark, -one.count))[:LOOK_ROWS]


def _silent_areas(devices: dict[str, npt.NDArray[Any]], states: States, column: str, what: str) -> Iterator[Look]:
    """Areas where at least half of three or more meters that were read once no longer are, or whose newest session failed."""
    mute = (states.state == ReadState.SILENT) | (states.state == ReadState.FAILING)
    areas, place = np.unique(devices[column], return_inverse=True)
    total = np.bincount(place, minlength=len(areas))
    quiet = np.bincount(place, weights=mute, minlength=len(areas)).astype(int)
    chosen = [int(i) for i in np.flatnonzero((quiet >= SMALLEST_AREA) & (quiet * 2 >= total) & (areas != 0))]
    chosen = sorted(chosen, key=lambda i: -int(quiet[i]))[:LOOK_ROWS]
    items = inventory.list_items([int(areas[i]) for i in chosen])
    for i in chosen:
        item = items.get(int(areas[i]))
        if item is None:
            continue
        newest = int(states.read_at[place == i].max(initial=0))
        of_grid = column == "transformer_id"
        yield Look(
            key=f"{column}-{item.id}",
            mark="2" if quiet[i] == total[i] else "3",
            what=what,
            place=item.title,
            href=reverse("console:one-line", args=[item.id])
            if of_grid
            else f"{reverse('console:meters')}?under={item.mrid}",
            count=int(quiet[i]),
            total=int(total[i]),
            at=from_epoch(newest) if newest else None,
        )


FAULTS = {
    ErrorClass.AUTHENTICATION: ("2", "Authentication fails", "keys or passwords do not fit"),
    ErrorClass.COUNTER: ("3", "Invocation counter refused", "the meter expects a higher counter"),
    ErrorClass.PROTOCOL: ("3", "Answers break the protocol", "malformed, replayed or with a bad tag"),
    ErrorClass.INTERNAL: ("2", "Faults of the head-end", "see the sessions for the sentence"),
}


def _faults() -> Iterator[Look]:
    """Meters whose newest session ended in a class that a person has to deal with."""
    contacts = CONTACTS.get()
    recent = contacts.tried_at >= int(utc_now().timestamp()) - 86_400
    for error, (mark, what, place) in FAULTS.items():
        these = recent & (contacts.error == str(error))
        if these.any():
            newest = from_epoch(int(contacts.tried_at[these].max()))
            href = f"{reverse('console:meters')}?error={error}"
            yield Look(f"error-{error}", mark, what, place, href, int(these.sum()), None, newest)


def _drifting() -> Iterator[Look]:
    contacts = CONTACTS.get()
    these = contacts.is_off()
    if these.any():
        worst = float(np.abs(contacts.drift_ms[these]).max()) / 1000
        newest = from_epoch(int(contacts.tried_at[these].max()))
        href = f"{reverse('console:meters')}?clock=off"
        yield Look(
            "drift", "3", "Clock off by more than 30 s", f"worst {span(worst)}", href, int(these.sum()), None, newest
        )


def _disagreements() -> Iterator[Look]:
    count = inventory.count_disagreements()
    if count:
        href = reverse("console:disagreements")
        yield Look(
            "disagreements", "3", "Sources disagree", "inventory, waiting for a decision", href, count, None, None
        )
