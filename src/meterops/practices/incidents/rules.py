"""Decisions about incidents: priority, restoration, what is done about silent meters, who is told when. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from meterops.practices.incidents.lifecycle import Impact, IncidentKind, Priority, Urgency

# --- impact ---------------------------------------------------------------------------------------------------------

TYPICAL_LOAD_KVA: Final = (
    0.45, 0.38, 0.34, 0.32, 0.33, 0.38, 0.55, 0.75, 0.72, 0.65, 0.62, 0.64,
    0.68, 0.64, 0.62, 0.66, 0.80, 1.05, 1.20, 1.15, 1.05, 0.92, 0.75, 0.58,
)  # fmt: skip
"""What a premise draws on average by the hour of the day on the wall, in kVA: a quiet night and an evening peak."""
POWER_FACTOR: Final = 0.95


@dataclass(frozen=True, slots=True)
class Scope:
    """What hangs below an incident's node, or is the one meter concerned."""

    meters: int
    premises: int
    critical: int
    reads_at_risk: int


@dataclass(frozen=True, slots=True)
class Figures:
    """How bad it is at one moment: counts, the load that is not served, and the energy not served since the start."""

    premises: int
    critical: int
    unserved_kva: float
    unserved_kwh: float
    reads_at_risk: int


@dataclass(frozen=True, slots=True)
class ImpactThresholds:
    """From how many on an impact is significant or extensive; one critical premise makes it at least significant."""

    extensive_premises: int = 500
    significant_premises: int = 50
    moderate_premises: int = 5
    extensive_critical: int = 3
    extensive_kwh: float = 2_000.0
    significant_kwh: float = 200.0
    extensive_reads: int = 5_000
    significant_reads: int = 500


@dataclass(frozen=True, slots=True)
class Assessment:
    """Impact, urgency and the priority that follows from the two."""

    impact: Impact
    urgency: Urgency

    @property
    def priority(self) -> Priority:
        """By the matrix `PRIORITIES`."""
        return PRIORITIES[self.impact][self.urgency]


_P1, _P2, _P3, _P4 = Priority
PRIORITIES: Final[dict[Impact, dict[Urgency, Priority]]] = {
    impact: dict(zip(Urgency, row, strict=True))
    for impact, row in zip(
        Impact,
        ((_P1, _P1, _P2, _P3), (_P1, _P2, _P3, _P3), (_P2, _P3, _P3, _P4), (_P3, _P4, _P4, _P4)),
        strict=True,
    )
}
"""Impact x urgency, as rows and columns from worst to least."""


def load_kva(premises: int, at: datetime, zone: ZoneInfo) -> float:
    """What so many premises draw at a moment, from the typical load of the hour."""
    return premises * TYPICAL_LOAD_KVA[at.astimezone(zone).hour]


def energy_kwh(premises: int, starts_at: datetime, ends_at: datetime, zone: ZoneInfo) -> float:
    """The energy that so many premises would have drawn in [starts_at, ends_at)."""
    if ends_at <= starts_at:
        return 0.0
    kva_hours, moment = 0.0, starts_at
    while moment < ends_at:
        wall = moment.astimezone(zone)
        to_next_hour = 3600 - wall.minute * 60 - wall.second - wall.microsecond / 1e6
        step = min(to_next_hour, (ends_at - moment).total_seconds())
        kva_hours += TYPICAL_LOAD_KVA[wall.hour] * step / 3600
        moment += timedelta(seconds=step)
    return premises * kva_hours * POWER_FACTOR


def figures_of(
    scope: Scope,
    kind: IncidentKind,
    *,
    started_at: datetime,
    now: datetime,
    ended_at: datetime | None,
    zone: ZoneInfo,
    kwh_before: float = 0.0,
) -> Figures:
    """An incident's figures at a moment. Where supply goes on (a communication fault) no energy is missing.

    `kwh_before` was not served before `started_at`, when the scope was another one.
    """
    without_supply = scope.premises if kind is IncidentKind.OUTAGE else 0
    until = min(now, ended_at) if ended_at else now
    return Figures(
        premises=scope.premises,
        critical=scope.critical,
        unserved_kva=0.0 if ended_at else round(load_kva(without_supply, now, zone), 1),
        unserved_kwh=round(kwh_before + energy_kwh(without_supply, started_at, until, zone), 1),
        reads_at_risk=scope.reads_at_risk,
    )


def impact_of(figures: Figures, kind: IncidentKind, thresholds: ImpactThresholds | None = None) -> Impact:
    """The impact that figures have. Premises that keep their supply weigh less: only their reads are at stake."""
    t = thresholds or ImpactThresholds()
    hit = figures.premises if kind is not IncidentKind.COMMUNICATION else figures.premises // 10
    critical = figures.critical if kind is not IncidentKind.COMMUNICATION else 0
    if (
        hit >= t.extensive_premises
        or critical >= t.extensive_critical
        or figures.unserved_kwh >= t.extensive_kwh
        or figures.reads_at_risk >= t.extensive_reads
    ):
        return Impact.EXTENSIVE
    if (
        hit >= t.significant_premises
        or critical
        or figures.unserved_kwh >= t.significant_kwh
        or figures.reads_at_risk >= t.significant_reads
    ):
        return Impact.SIGNIFICANT
    return Impact.MODERATE if hit >= t.moderate_premises else Impact.MINOR


def urgency_of(
    kind: IncidentKind, figures: Figures, *, confidence: float, to_deadline: timedelta, is_planned: bool, is_over: bool
) -> Urgency:
    """How soon: people without supply first; reads press as their deadline comes near; what is planned or over can wait."""
    if is_planned or is_over:
        return Urgency.LOW
    if kind is IncidentKind.SAFETY:
        return Urgency.HIGH
    if kind in {IncidentKind.OUTAGE, IncidentKind.PHASE}:
        if figures.critical:
            return Urgency.CRITICAL
        return Urgency.HIGH if confidence >= 0.5 else Urgency.MEDIUM
    if figures.reads_at_risk and to_deadline <= timedelta(hours=3):
        return Urgency.HIGH
    return Urgency.MEDIUM if figures.reads_at_risk else Urgency.LOW


READ_DEADLINE: Final = time(10)


def next_read_deadline(now: datetime, zone: ZoneInfo, wall: time = READ_DEADLINE) -> datetime:
    """The next moment at which the day's reads have to be there: 10:00 on the wall."""
    local = now.astimezone(zone)
    day = local.date() if local.time() < wall else local.date() + timedelta(days=1)
    return datetime.combine(day, wall, zone)


def day_to_be_read(now: datetime, zone: ZoneInfo) -> date:
    """The local day whose reads the next deadline is about: the one before it."""
    return next_read_deadline(now, zone).date() - timedelta(days=1)


def reads_at_risk(read_until: NDArray[np.int64], day: date, zone: ZoneInfo) -> int:
    """How many meters' profile (stored up to `read_until`, epoch seconds, 0 for never) does not reach the end of a local day."""
    ends_at = datetime.combine(day + timedelta(days=1), time(0), zone).timestamp()
    return int((read_until < ends_at).sum())


# --- restoration ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RestorationRule:
    """When supply counts as back: this share of the meters answered after the clear, and at least so many."""

    share: float = 0.95
    at_least: int = 1
    first_look_after: timedelta = timedelta(minutes=2)
    look_every: timedelta = timedelta(minutes=5)
    give_up_after: timedelta = timedelta(hours=24)


class Restoration(StrEnum):
    """What the answers since the clear say."""

    PROVED = "PROVED"
    NESTED_OUTAGE = "NESTED_OUTAGE"
    """Most are back, and below some node nobody is."""
    WAITING = "WAITING"


def needed(members: int, rule: RestorationRule) -> int:
    """How many meters have to answer."""
    return max(min(rule.at_least, members), int(np.ceil(members * rule.share - 1e-9)))


def judge_restoration(members: int, answered: int, nested: int, rule: RestorationRule) -> Restoration:
    """`nested`: nodes below the incident's whose meters are all silent while others answer."""
    if nested:
        return Restoration.NESTED_OUTAGE
    return Restoration.PROVED if members and answered >= needed(members, rule) else Restoration.WAITING


NESTED_SILENT_AT_LEAST: Final = 3


def nested_nodes(nodes: NDArray[np.int64], answered: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(node, silent meters) of nodes whose meters are all silent although others of the incident answer, largest first.

    `nodes` (n,) is the node each meter hangs on, 0 for none. Fewer than three meters are the silent-meter ladder's.
    """
    if not answered.any():
        return []
    ids, place = np.unique(nodes, return_inverse=True)
    total = np.bincount(place, minlength=len(ids))
    good = np.bincount(place, weights=answered, minlength=len(ids))
    dark = (ids > 0) & (good == 0) & (total >= NESTED_SILENT_AT_LEAST)
    found = sorted(zip(ids[dark].tolist(), total[dark].tolist(), strict=True), key=lambda one: (-one[1], one[0]))
    return [(int(node), int(count)) for node, count in found]


# --- the silent-meter ladder ----------------------------------------------------------------------------------------


class Rung(StrEnum):
    """What is tried for meters that stay silent after an outage is over, one after the other."""

    RETRY = "RETRY"
    """Ask again at once: some modems take minutes to be back on the network."""
    PING = "PING"
    """Ask once more after a while."""
    NEIGHBORS = "NEIGHBORS"
    """Compare with who hangs on the same point: is it the place, or the meter?"""
    CLEAN_UP = "CLEAN_UP"
    """Put what is left on a list for the day shift."""
    WORK_ORDER = "WORK_ORDER"
    """Somebody goes there."""
    DONE = "DONE"


@dataclass(frozen=True, slots=True)
class LadderRule:
    """How long each rung lasts before the next, and from how many silent meters on somebody is sent without a day's wait."""

    waits: tuple[tuple[Rung, timedelta], ...] = (
        (Rung.RETRY, timedelta(minutes=5)),
        (Rung.PING, timedelta(minutes=20)),
        (Rung.NEIGHBORS, timedelta(minutes=1)),
        (Rung.CLEAN_UP, timedelta(hours=12)),
        (Rung.WORK_ORDER, timedelta(0)),
    )
    send_at_once: int = 10

    def wait_of(self, rung: Rung) -> timedelta:
        """How long a rung lasts."""
        return dict(self.waits).get(rung, timedelta(0))


@dataclass(frozen=True, slots=True)
class LadderStep:
    """What to do now, and when to look again (None: the ladder ends)."""

    rung: Rung
    look_again_after: timedelta | None


_NEXT: Final = {
    None: Rung.RETRY,
    Rung.RETRY: Rung.PING,
    Rung.PING: Rung.NEIGHBORS,
    Rung.NEIGHBORS: Rung.CLEAN_UP,
    Rung.CLEAN_UP: Rung.WORK_ORDER,
    Rung.WORK_ORDER: Rung.DONE,
}


def next_step(rung: Rung | None, silent: int, alone: int, rule: LadderRule) -> LadderStep:
    """The rung after `rung` for `silent` meters, `alone` of them on points where nobody else answers either.

    Nobody silent: done. Many who have nobody answering beside them: a place is dark, so the clean-up list is skipped.
    """
    if not silent or rung in {Rung.WORK_ORDER, Rung.DONE}:
        return LadderStep(Rung.DONE, None)
    following = _NEXT[rung]
    if following is Rung.CLEAN_UP and alone >= rule.send_at_once:
        following = Rung.WORK_ORDER
    wait = None if following is Rung.WORK_ORDER else rule.wait_of(following)
    return LadderStep(following, wait)


# --- escalation -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EscalationStep:
    """After so long without an acknowledgement, these channels are told."""

    after: timedelta
    channels: tuple[str, ...]


DEFAULT_CHAIN: Final[dict[Priority, tuple[timedelta, ...]]] = {
    Priority.P1: (timedelta(0), timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=30)),
    Priority.P2: (timedelta(0), timedelta(minutes=15), timedelta(minutes=45)),
    Priority.P3: (timedelta(0), timedelta(hours=2)),
    Priority.P4: (timedelta(0),),
}
"""When a policy that names no times of its own tells the next; each channel of the policy is one step further up."""

STUCK_AFTER: Final = timedelta(minutes=5)


def step_due(steps: Sequence[EscalationStep], taken: int, started_at: datetime) -> datetime | None:
    """When the next step of a chain is due; None after the last."""
    return started_at + steps[taken].after if taken < len(steps) else None


def is_stuck(next_eta: datetime | None, is_running: bool, now: datetime) -> bool:
    """Whether a running chain should have gone on more than five minutes ago: nobody would ever be told."""
    return is_running and (next_eta is None or next_eta < now - STUCK_AFTER)


# --- quiet hours and retries ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From when to when on the wall a channel is left alone; may go over midnight. Priorities up to `through` go through."""

    starts: time
    ends: time
    through: Priority = Priority.P1

    def ends_after(self, now: datetime, zone: ZoneInfo) -> datetime | None:
        """When the quiet that holds at `now` ends; None where none holds."""
        local = now.astimezone(zone)
        wall = local.time().replace(tzinfo=None)
        over_midnight = self.starts > self.ends
        quiet = self.starts <= wall or wall < self.ends if over_midnight else self.starts <= wall < self.ends
        if not quiet or self.starts == self.ends:
            return None
        day = local.date() + timedelta(days=1) if over_midnight and wall >= self.starts else local.date()
        return datetime.combine(day, self.ends, zone)


def send_at(now: datetime, priority: Priority, quiet: QuietHours | None, zone: ZoneInfo) -> datetime:
    """When a message may go out."""
    if quiet is None or priority <= quiet.through:
        return now
    return quiet.ends_after(now, zone) or now


NOTIFY_ATTEMPTS: Final = 12
LONGEST_NOTIFY_PAUSE: Final = timedelta(minutes=30)


def notify_pause(attempts_made: int) -> timedelta:
    """How long a sink that did not take a message is left alone: five seconds, doubling up to half an hour."""
    return min(LONGEST_NOTIFY_PAUSE, timedelta(seconds=5 << min(attempts_made, 10)))


# --- likeness -------------------------------------------------------------------------------------------------------


def likeness(*, same_node: bool, same_kind: bool, shared: int, members: int, age: timedelta) -> float:
    """How much a past incident tells about this one, 0 to 1.

    The same place counts most, then the same meters; what is long ago counts less.
    """
    overlap = shared / members if members else 0.0
    freshness = max(0.2, 1 - age / timedelta(days=365))
    return round(min(1.0, (0.5 * same_node + 0.3 * overlap + 0.2 * same_kind)) * freshness, 3)
