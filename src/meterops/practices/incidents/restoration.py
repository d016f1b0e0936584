"""Is supply back? Proved by meters that answer after the clear, with what stayed dark, and what is tried for the silent ones."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from meterops.fleet.headend import api as headend
from meterops.fleet.headend.api import meter_sets
from meterops.fleet.inventory import api as inventory
from meterops.fleet.telemetry import api as telemetry
from meterops.kernel.clock import from_epoch
from meterops.practices.incidents import rules
from meterops.practices.incidents.configuration import IncidentConfiguration, configuration
from meterops.practices.incidents.lifecycle import OPEN_STATES, IncidentKind, IncidentState
from meterops.practices.incidents.models import Incident, IncidentCheck, Ladder
from meterops.practices.incidents.opening import ENGINE, open_part
from meterops.practices.incidents.operations import ask_meters, resolve
from meterops.practices.incidents.rules import LadderRule, Restoration, Rung
from meterops.practices.incidents.timeline import EntryKind, note
from meterops.practices.incidents.work_orders import draft_for_silent

log = logging.getLogger(__name__)
_BACK_WORDS = {
    IncidentKind.OUTAGE: "Supply",
    IncidentKind.SAFETY: "Supply",
    IncidentKind.COMMUNICATION: "Contact",
    IncidentKind.PHASE: "The phase",
}
TRY_AGAIN_AFTER = timedelta(minutes=5)
_LOOKS_AHEAD = timedelta(seconds=1)
_CHUNK = 5000
_LEVELS = {
    str(inventory.Tree.ELECTRICAL): ("feeder_id", "transformer_id", "lv_feeder_id"),
    str(inventory.Tree.COMMUNICATION): ("concentrator_id",),
}
"""Where a nested outage may sit, from wide to narrow, by the tree of the incident."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Which of an incident's members have answered, in columns of one length; `at` in epoch seconds, 0 for never."""

    meters: NDArray[np.int64]
    answered: NDArray[np.bool_]
    at: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Dark:
    """A node all of whose meters are silent while others of the incident answer."""

    node_id: int
    mrid: str
    meters: NDArray[np.int64]


def answers_since(meters: NDArray[np.int64], since: datetime, now: datetime, lake: telemetry.Lake) -> Answers:
    """Who of the meters has answered since a moment. Who answers and measures no voltage has no supply."""
    evidence = telemetry.supply_evidence(lake, meters, since=since, until=now + _LOOKS_AHEAD, power_failures=())
    codes = headend.supply_answers(evidence, np.zeros(len(evidence), dtype=np.bool_), is_over=True)
    off = codes == headend.ANSWERS.index(headend.SupplyAnswer.OFF)
    answered = (evidence.answered_at > 0) & ~off
    return Answers(evidence.end_device_id, answered, evidence.answered_at)


def look_at_restorations(*, now: datetime, lake: telemetry.Lake | None = None, limit: int = 50) -> int:
    """Look at every cleared incident that is due. Returns how many were proved to be over."""
    due = Incident.objects.filter(next_look_at__lte=now, state__in=OPEN_STATES, parent__isnull=True)
    config = configuration()
    found = list(due.order_by("next_look_at")[:limit])
    proved = 0
    for incident in found:
        # The lake is asked before the transaction begins: while it answers nobody waits for the state store's pen.
        pk, since = incident.pk, incident.cleared_at or incident.opened_at
        try:
            meters = meter_sets.unpack(incident.members_to_prove).astype(np.int64)
            answers = answers_since(meters, since, now, lake or telemetry.lake())
            proved += _look(pk, answers, since, now, config)
        except Exception:
            log.exception("incident %s could not be looked at; it is tried again later, the others go on", pk)
            Incident.objects.filter(pk=pk).update(next_look_at=now + config.restoration.look_every)
    return proved


@transaction.atomic
def _look(pk: int, answers: Answers, since: datetime, now: datetime, config: IncidentConfiguration) -> bool:
    incident = Incident.objects.select_for_update().get(pk=pk)
    if incident.state not in OPEN_STATES or (incident.cleared_at or incident.opened_at) != since:
        return False
    checks = incident.checks.filter(requested_at__gte=since)
    was_asked = checks.filter(finished_at__isnull=False).exists()
    dark = _dark_nodes(incident, answers) if was_asked else []
    _open_nested(incident, dark, now)
    rest = (
        ~np.isin(answers.meters, np.concatenate([d.meters for d in dark])) if dark else np.ones_like(answers.answered)
    )
    members, answered = int(rest.sum()), int((rest & answers.answered).sum())
    incident.restored_meters, incident.restored_of = answered, members
    silent = answers.meters[rest & ~answers.answered]
    verdict = rules.judge_restoration(members, answered, 0, config.restoration)
    if verdict is Restoration.PROVED:
        incident.save(update_fields=["restored_meters", "restored_of"])
        _prove(incident, answers.at[rest & answers.answered], silent, now, config)
        return True
    incident.next_look_at = _next_look(since, now, config)
    incident.save(update_fields=["restored_meters", "restored_of", "next_look_at"])
    if config.checks_power and not checks.exists() and len(silent):
        _ask(incident, silent.tolist(), now)
    elif was_asked and len(silent):
        start_ladder(incident, silent.tolist(), now)
    return False


def _next_look(since: datetime, now: datetime, config: IncidentConfiguration) -> datetime:
    """Often at first, less so after a day: a proof may still come, for example with the next morning's reads."""
    rule = config.restoration
    return now + (rule.look_every if now - since < rule.give_up_after else rule.look_every * 12)


def _prove(
    incident: Incident,
    answered_at: NDArray[np.float64],
    silent: NDArray[np.int64],
    now: datetime,
    config: IncidentConfiguration,
) -> None:
    need = rules.needed(incident.restored_of, config.restoration)
    restored_at = max(from_epoch(float(np.sort(answered_at)[need - 1])), incident.cleared_at or incident.opened_at)
    text = (
        f"{_BACK_WORDS[IncidentKind(incident.kind)]} is back: {incident.restored_meters:,} "
        f"of {incident.restored_of:,} meters have answered since the clear."
    )
    note(
        incident,
        EntryKind.RESTORATION,
        text,
        actor=ENGINE,
        at=now,
        data={"answered": incident.restored_meters, "of": incident.restored_of, "needed": need},
    )
    resolve(incident, text, actor=ENGINE, at=now, restored_at=restored_at)
    if len(silent):
        start_ladder(incident, silent.tolist(), now)


def _ask(incident: Incident, silent: list[int], now: datetime) -> None:
    try:
        with transaction.atomic():
            ask_meters(incident, silent, actor=ENGINE, at=now)
    except headend.EndDeviceHasNoRoute:
        note(
            incident,
            EntryKind.POWER_CHECK,
            f"None of {len(silent):,} silent meters has a route, so nobody can be asked.",
            actor=ENGINE,
            at=now,
            unique_name=f"{incident.pk}:no route",
        )


# --- nested outages -------------------------------------------------------------------------------------------------


def _dark_nodes(incident: Incident, answers: Answers) -> list[Dark]:
    """Nodes below the incident's that stayed dark, the widest of each branch."""
    if not answers.answered.any() or answers.answered.all():
        return []
    levels = _LEVELS.get(incident.tree, ())
    places = columns_of(answers.meters, levels)
    known = np.isin(answers.meters, places["id"])
    meters, answered = answers.meters[known], answers.answered[known]
    left = np.ones(len(meters), dtype=np.bool_)
    found: list[tuple[int, NDArray[np.int64]]] = []
    for level in levels:
        nodes = np.where(left, places[level], 0)
        for node, _ in rules.nested_nodes(nodes, answered):
            if node != incident.node_id:
                here = nodes == node
                found.append((node, meters[here]))
                left &= ~here
    names = inventory.list_items([node for node, _ in found])
    return [Dark(node, names[node].mrid, members) for node, members in found if node in names]


def _open_nested(incident: Incident, dark: list[Dark], now: datetime) -> None:
    """Show what stayed dark, and have each such node carried by an incident of its own."""
    told = [{"node_id": one.node_id, "mrid": one.mrid, "meters": len(one.meters)} for one in dark]
    if told == incident.nested:
        return
    incident.nested = told
    incident.save(update_fields=["nested"])
    for one in dark:
        if Incident.objects.filter(node_id=one.node_id, kind=incident.kind, state__in=OPEN_STATES).exists():
            continue
        part = open_part(
            incident, node_id=one.node_id, node_mrid=one.mrid, meters=one.meters.tolist(), at=now, actor=ENGINE
        )
        note(
            incident,
            EntryKind.NESTED,
            f"{one.mrid} stayed dark with {len(one.meters):,} meters: incident {part.pk} carries it.",
            actor=ENGINE,
            at=now,
            data={"incident": part.pk, "node": one.mrid, "meters": len(one.meters)},
            unique_name=f"{incident.pk}:nested:{one.node_id}:{part.pk}",
        )


# --- checks that have ended -----------------------------------------------------------------------------------------


def collect_checks(*, now: datetime, lake: telemetry.Lake | None = None, limit: int = 50) -> int:
    """Write down what finished power checks came to. Returns how many."""
    finished = IncidentCheck.objects.filter(finished_at__isnull=False, counts={})
    done = 0
    for operation_id in list(finished.values_list("pk", flat=True)[:limit]):
        try:
            view = headend.get_power_check(operation_id, now=now, lake=lake)
            counts = {str(answer): count for answer, count in view.counts.items()}
        except headend.OperationUnknown:
            counts = {"forgotten": 1}
        done += _keep_check(operation_id, counts, now)
    return done


@transaction.atomic
def _keep_check(operation_id: UUID, counts: dict[str, int], now: datetime) -> int:
    check = IncidentCheck.objects.select_for_update().select_related("incident").get(pk=operation_id)
    if check.counts:
        return 0
    check.counts = counts
    check.save(update_fields=["counts"])
    incident = check.incident
    said = ", ".join(f"{count:,} {name.replace('_', ' ').lower()}" for name, count in counts.items() if count)
    note(
        incident,
        EntryKind.POWER_CHECK,
        f"Power check of {check.asked:,} meters: {said}.",
        actor=ENGINE,
        at=now,
        data={"operation": str(operation_id), "counts": counts},
        unique_name=f"check:{operation_id}",
    )
    Incident.objects.filter(pk=incident.pk, next_look_at__isnull=False).update(next_look_at=now)
    return 1


# --- the silent-meter ladder ----------------------------------------------------------------------------------------


def start_ladder(incident: Incident, silent: list[int], now: datetime) -> None:
    """Begin, in the caller's transaction, with the first rung for meters that stayed silent; one ladder per incident."""
    Ladder.objects.get_or_create(
        incident=incident,
        defaults={"rung": "", "silent": meter_sets.pack(silent), "since": incident.cleared_at or now, "next_at": now},
    )


def climb_ladders(
    *, now: datetime, lake: telemetry.Lake | None = None, rule: LadderRule | None = None, limit: int = 50
) -> int:
    """Take the next rung of every ladder that is due. Returns how many rungs were taken."""
    due = Ladder.objects.filter(next_at__lte=now).order_by("next_at")
    taken = 0
    for pk, packed, since in list(due.values_list("pk", "silent", "since")[:limit]):
        try:
            meters = meter_sets.unpack(packed).astype(np.int64)
            answers = answers_since(meters, since, now, lake or telemetry.lake())
            silent = answers.meters[~answers.answered]
            alone = _alone(silent, since, now, lake or telemetry.lake()) if len(silent) else silent
            taken += _climb(pk, silent, alone, now, rule or LadderRule())
        except Exception:
            log.exception("the ladder of incident %s stands still; it is tried again later, the others go on", pk)
            Ladder.objects.filter(pk=pk).update(next_at=now + TRY_AGAIN_AFTER)
    return taken


def _alone(silent: NDArray[np.int64], since: datetime, now: datetime, lake: telemetry.Lake) -> NDArray[np.int64]:
    """The silent meters on LV feeders (or transformers, where there is none) on which nobody answers."""
    places = columns_of(silent, ("lv_feeder_id", "transformer_id"))
    nodes = np.where(places["lv_feeder_id"] > 0, places["lv_feeder_id"], places["transformer_id"])
    mrids = tuple(item.mrid for item in inventory.list_items(np.unique(nodes[nodes > 0]).tolist()).values())
    if not mrids:
        return silent
    around = inventory.ids_of_end_devices(inventory.EndDeviceFilter(under=mrids))
    answers = answers_since(around, since, now, lake)
    near = columns_of(answers.meters[answers.answered], ("lv_feeder_id", "transformer_id"))
    lit = np.where(near["lv_feeder_id"] > 0, near["lv_feeder_id"], near["transformer_id"])
    return places["id"][~np.isin(nodes, lit)]


@transaction.atomic
def _climb(pk: int, silent: NDArray[np.int64], alone: NDArray[np.int64], now: datetime, rule: LadderRule) -> int:
    ladder = Ladder.objects.select_for_update().select_related("incident").get(pk=pk)
    if ladder.next_at is None or ladder.next_at > now:
        return 0
    incident = ladder.incident
    step = rules.next_step(Rung(ladder.rung) if ladder.rung else None, len(silent), len(alone), rule)
    ladder.rung, ladder.silent = step.rung, meter_sets.pack(silent.tolist())
    ladder.next_at = None if step.look_again_after is None else now + step.look_again_after
    ladder.save(update_fields=["rung", "silent", "next_at"])
    if step.rung in {Rung.RETRY, Rung.PING}:
        _ask(incident, silent.tolist(), now)
    if step.rung is Rung.WORK_ORDER:
        draft_for_silent(incident, silent.tolist(), actor=ENGINE, at=now)
    note(
        incident,
        EntryKind.LADDER,
        _ladder_words(step.rung, len(silent), len(alone)),
        actor=ENGINE,
        at=now,
        data={"rung": str(step.rung), "silent": len(silent), "alone": len(alone)},
        unique_name=f"{incident.pk}:ladder:{ladder.since.isoformat()}:{step.rung}",
    )
    return 1


def _ladder_words(rung: Rung, silent: int, alone: int) -> str:
    who = f"{silent:,} meters" if silent != 1 else "One meter"
    return {
        Rung.RETRY: f"{who} still silent: asked again.",
        Rung.PING: f"{who} still silent: asked once more.",
        Rung.NEIGHBORS: f"{who} still silent; for {alone:,} of them nobody beside them answers either.",
        Rung.CLEAN_UP: f"{who} put on the clean-up list.",
        Rung.WORK_ORDER: f"{who} still silent: work orders drafted.",
        Rung.DONE: "No silent meter is left." if not silent else f"{who} left to the work orders.",
    }[rung]


def columns_of(meters: NDArray[np.int64], names: Iterable[str]) -> dict[str, NDArray[np.int64]]:
    """Columns of some meters, ascending by `id`; those that are gone are left out."""
    names = tuple(names)
    parts = [
        inventory.columns_of_end_devices(names, inventory.EndDeviceFilter(ids=tuple(meters[i : i + _CHUNK].tolist())))
        for i in range(0, len(meters), _CHUNK)
    ]
    empty = np.zeros(0, dtype=np.int64)
    return {name: np.concatenate([part[name] for part in parts]) if parts else empty for name in ("id", *names)}


def close_what_is_done(*, now: datetime, limit: int = 100) -> int:
    """Close incidents that have been resolved for long and have nothing left to do. Returns how many."""
    from meterops.practices.incidents.operations import close

    config = configuration()
    if not config.close_after_s:
        return 0
    old = Incident.objects.filter(
        state=IncidentState.RESOLVED,
        resolved_at__lt=now - timedelta(seconds=config.close_after_s),
        parent__isnull=True,
        is_major=False,
    ).exclude(ladder__next_at__isnull=False)
    closed = 0
    for pk in list(old.order_by("resolved_at").values_list("pk", flat=True)[:limit]):
        with transaction.atomic():
            incident = Incident.objects.select_for_update().get(pk=pk)
            if incident.state == IncidentState.RESOLVED:
                close(incident, "resolved and nothing left to do.", actor=ENGINE, at=now)
                closed += 1
    return closed
