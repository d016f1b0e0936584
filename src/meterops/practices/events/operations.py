"""What people do with alarms and planned work. Time and actor are passed in; a refusal has a name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from meterops.fleet.inventory import api as inventory
from meterops.kernel import audit, hints
from meterops.kernel.actor import Actor
from meterops.practices.events.models import Alarm, AlarmState, PlannedWork
from meterops.practices.events.refusals import (
    AlarmUnknown,
    PlannedWorkNotValid,
    PlannedWorkUnknown,
    ShelvingNotValid,
)
from meterops.practices.events.rules import MAX_SHELVED

_CHUNK = 500


@transaction.atomic
def acknowledge_alarms(*, alarm_ids: Sequence[int], actor: Actor, at: datetime) -> int:
    """Say that somebody has seen these. Returns how many were not acknowledged before.

    Raises:
        AlarmUnknown: when one of them is not there.
    """
    _check_known(alarm_ids)
    done = 0
    for chunk in _chunks(alarm_ids):
        rows = Alarm.objects.filter(pk__in=chunk, acknowledged_at=None)
        done += rows.update(acknowledged_at=at, acknowledged_by=str(actor))
    if done:
        _record("acknowledge alarms", alarm_ids, actor, at)
    return done


@transaction.atomic
def shelve_alarms(*, alarm_ids: Sequence[int], until: datetime, reason: str, actor: Actor, at: datetime) -> int:
    """Take active alarms out of the line until a time, at most a week away. Returns how many.

    Raises:
        AlarmUnknown: when one of them is not there.
        ShelvingNotValid: without a reason, or with an end that is past or too far away.
    """
    if not reason.strip():
        raise ShelvingNotValid("A reason is needed to shelve an alarm.")
    if until.tzinfo is None:
        raise ShelvingNotValid("The end of shelving has a time zone.")
    if not at < until <= at + MAX_SHELVED:
        raise ShelvingNotValid(f"Shelving ends after it begins and within {MAX_SHELVED.days} days.")
    _check_known(alarm_ids)
    done = 0
    for chunk in _chunks(alarm_ids):
        rows = Alarm.objects.filter(pk__in=chunk, state=AlarmState.ACTIVE)
        done += rows.update(shelved_until=until, shelved_at=at, shelved_by=str(actor), shelve_reason=reason[:300])
    _record("shelve alarms", alarm_ids, actor, at, reason=reason)
    return done


@transaction.atomic
def unshelve_alarms(*, alarm_ids: Sequence[int], actor: Actor, at: datetime) -> int:
    """Put shelved alarms back in line. Returns how many were shelved."""
    _check_known(alarm_ids)
    done = 0
    for chunk in _chunks(alarm_ids):
        rows = Alarm.objects.filter(pk__in=chunk, shelved_until__isnull=False)
        done += rows.update(shelved_until=None, shelved_at=None, shelved_by="", shelve_reason="")
    _record("unshelve alarms", alarm_ids, actor, at)
    return done


@transaction.atomic
def plan_work(
    *, node_mrid: str, starts_at: datetime, ends_at: datetime, reason: str, actor: Actor, at: datetime
) -> int:
    """Know of work on a node: nothing is opened below it during [starts_at, ends_at). Returns its number.

    Raises:
        ItemUnknown: when there is no such node.
        PlannedWorkNotValid: without a reason, or for a period that is over or ends before it begins.
    """
    if not reason.strip():
        raise PlannedWorkNotValid("A reason is needed to plan work.")
    if starts_at.tzinfo is None or ends_at.tzinfo is None:
        raise PlannedWorkNotValid("The period of planned work has a time zone.")
    if ends_at <= starts_at or ends_at <= at:
        raise PlannedWorkNotValid("Planned work ends after it begins, and is not over yet.")
    node = inventory.get_item(node_mrid)
    if node.kind in (inventory.ItemKind.END_DEVICE, inventory.ItemKind.HEAD_END):
        raise PlannedWorkNotValid(f"Work is planned on a node of the grid or a route, not on a {node.kind}.")
    work = PlannedWork.objects.create(
        node_id=node.id,
        node_mrid=node.mrid,
        starts_at=starts_at,
        ends_at=ends_at,
        reason=reason[:300],
        planned_by=str(actor),
        planned_at=at,
    )
    after = {"from": starts_at, "to": ends_at}
    audit.record(actor=actor, action="plan work", subject=node.mrid, after=after, reason=reason, at=at)
    hints.publish("situations")
    return int(work.pk)


@transaction.atomic
def cancel_planned_work(*, work_id: int, actor: Actor, at: datetime, reason: str = "") -> None:
    """Forget planned work from now on; what stands below its node is looked at.

    Raises:
        PlannedWorkUnknown: when there is none of that number, or it is over.
    """
    work = PlannedWork.objects.select_for_update().filter(pk=work_id, cancelled_at=None, ends_at__gt=at).first()
    if work is None:
        raise PlannedWorkUnknown
    work.cancelled_at = at
    work.save(update_fields=["cancelled_at"])
    audit.record(actor=actor, action="cancel planned work", subject=work.node_mrid, reason=reason, at=at)
    hints.publish("situations")


def _check_known(alarm_ids: Sequence[int]) -> None:
    wanted = set(alarm_ids)
    if not wanted:
        raise AlarmUnknown("No alarm is named.")
    found: set[int] = set()
    for chunk in _chunks(sorted(wanted)):
        found |= set(Alarm.objects.filter(pk__in=chunk).values_list("pk", flat=True))
    if wanted - found:
        raise AlarmUnknown(f"There is no alarm {min(wanted - found)}.")


def _chunks(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK)]


def _record(action: str, alarm_ids: Sequence[int], actor: Actor, at: datetime, *, reason: str = "") -> None:
    named = f"alarm {alarm_ids[0]}" if len(alarm_ids) == 1 else f"{len(alarm_ids)} alarms"
    audit.record(
        actor=actor, action=action, subject=named, after={"alarms": list(alarm_ids[:1000])}, reason=reason, at=at
    )
    hints.publish("alarms")
