"""Chains: who is told, one after the other, while nobody acknowledges. And the check of them that trusts none of it."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from meterops.kernel import audit, facts
from meterops.kernel.actor import Actor, process_actor
from meterops.practices.incidents import messages, rules
from meterops.practices.incidents.events import EscalationStuck
from meterops.practices.incidents.lifecycle import OPEN_STATES, Priority
from meterops.practices.incidents.models import Channel, Escalation, EscalationPolicy, Incident
from meterops.practices.incidents.refusals import PolicyNotValid
from meterops.practices.incidents.timeline import EntryKind, note

log = logging.getLogger(__name__)
ESCALATOR = process_actor("escalation")
AUDITOR = process_actor("escalation audit")


@dataclass(frozen=True, slots=True)
class StuckEscalation:
    """A chain that should have gone on, or an incident that has none although a policy covers it."""

    number: int
    text: str
    next_eta: datetime | None


@transaction.atomic
def save_policy(
    *,
    name: str,
    priorities: list[int],
    steps: list[dict[str, Any]],
    actor: Actor,
    at: datetime,
    enabled: bool = True,
) -> None:
    """Create or change a policy: steps are {"after_s": seconds since the start, "channels": [names]}, in order.

    Chains under way keep the steps they started with.

    Raises:
        PolicyNotValid: with the sentence that says what does not fit.
    """
    if not name.strip() or not steps:
        raise PolicyNotValid("An escalation policy has a name and at least one step.")
    if not priorities or set(priorities) - {int(one) for one in Priority}:
        raise PolicyNotValid(f"The policy {name} is not saved: its priorities go from 1 to 4.")
    known = set(Channel.objects.values_list("name", flat=True))
    last = -1.0
    for number, step in enumerate(steps, 1):
        after, channels = step.get("after_s"), step.get("channels")
        if not isinstance(after, (int, float)) or after <= last:
            raise PolicyNotValid(f"The policy {name} is not saved: step {number} comes later than the one before it.")
        if not channels or not isinstance(channels, list):
            raise PolicyNotValid(f"The policy {name} is not saved: step {number} tells nobody.")
        if missing := sorted(set(channels) - known):
            raise PolicyNotValid(f"The policy {name} is not saved: there is no channel {missing[0]}.")
        last = after
    clean = [{"after_s": float(s["after_s"]), "channels": list(s["channels"])} for s in steps]
    values = {"priorities": sorted(set(priorities)), "steps": clean, "enabled": enabled}
    EscalationPolicy.objects.update_or_create(name=name, defaults=values)
    audit.record(actor=actor, action="save escalation policy", subject=f"policy {name}", after=values, at=at)


def policy_for(priority: int) -> EscalationPolicy | None:
    """The first enabled policy, by name, that covers a priority."""
    return next((one for one in EscalationPolicy.objects.filter(enabled=True) if priority in one.priorities), None)


def start(incident: Incident, *, at: datetime) -> bool:
    """Start the chain of an incident's priority with a copy of its steps, in the caller's transaction; anew where one had ended."""
    policy = policy_for(incident.priority)
    if policy is None or incident.is_planned:
        return False
    first = at + timedelta(seconds=policy.steps[0]["after_s"])
    Escalation.objects.update_or_create(
        incident=incident,
        defaults={
            "policy": policy.name,
            "steps": policy.steps,
            "taken": 0,
            "started_at": at,
            "next_eta": first,
            "ended_at": None,
            "ended_by": "",
        },
    )
    note(
        incident,
        EntryKind.ESCALATION,
        f"Escalation {policy.name} started: {len(policy.steps)} steps until somebody acknowledges.",
        actor=ESCALATOR,
        at=at,
        data={"steps": policy.steps},
    )
    return True


def has_chain(incident: Incident) -> bool:
    """Whether an incident has or had a chain."""
    return Escalation.objects.filter(pk=incident.pk).exists()


def end(incident: Incident, *, by: str, at: datetime) -> None:
    """End an incident's chain, if one is under way."""
    Escalation.objects.filter(incident=incident, ended_at__isnull=True).update(ended_at=at, ended_by=by, next_eta=None)


def take_due_steps(*, now: datetime, limit: int = 200) -> int:
    """Tell the next in every chain that is due. Returns how many steps were taken."""
    due = Escalation.objects.filter(ended_at__isnull=True, next_eta__lte=now).order_by("next_eta")
    taken = 0
    for pk in list(due.values_list("pk", flat=True)[:limit]):
        try:
            taken += _take(pk, now)
        except Exception:
            log.exception(
                "the chain of incident %s stands still; the others go on, and the check of chains will tell", pk
            )
    return taken


@transaction.atomic
def _take(pk: int, now: datetime) -> int:
    chain = Escalation.objects.select_for_update().select_related("incident").filter(pk=pk).first()
    if chain is None or chain.ended_at is not None or chain.next_eta is None or chain.next_eta > now:
        return 0
    incident, taken = chain.incident, 0
    while chain.taken < len(chain.steps) and _eta(chain, chain.taken) <= now:
        step = chain.steps[chain.taken]
        chain.taken += 1
        taken += 1
        told = messages.make_messages(
            incident,
            "ESCALATED",
            at=now,
            channels=step["channels"],
            again=f"{chain.started_at.isoformat()}#{chain.taken}",
            step=chain.taken,
            steps=len(chain.steps),
            waited_minutes=int((now - chain.started_at).total_seconds() // 60),
        )
        note(
            incident,
            EntryKind.ESCALATION,
            f"Step {chain.taken} of {len(chain.steps)}: {', '.join(step['channels'])} told."
            if told
            else f"Step {chain.taken} of {len(chain.steps)}: none of {', '.join(step['channels'])} can be told.",
            actor=ESCALATOR,
            at=now,
            unique_name=f"{incident.pk}:escalation:{chain.started_at.isoformat()}#{chain.taken}",
        )
    if chain.taken < len(chain.steps):
        chain.next_eta = _eta(chain, chain.taken)
    else:
        chain.next_eta, chain.ended_at, chain.ended_by = None, now, "last step"
    chain.save(update_fields=["taken", "next_eta", "ended_at", "ended_by"])
    return taken


def _eta(chain: Escalation, step: int) -> datetime:
    return chain.started_at + timedelta(seconds=chain.steps[step]["after_s"])


def find_stuck(*, now: datetime) -> list[StuckEscalation]:
    """The independent check. It computes when each chain should go on from its copy of the steps, not from what the chain says."""
    found = []
    for chain in Escalation.objects.filter(ended_at__isnull=True):
        due = _eta(chain, chain.taken) if chain.taken < len(chain.steps) else None
        if rules.is_stuck(chain.next_eta, True, now) or (due is not None and rules.is_stuck(due, True, now)):
            when = due or chain.next_eta
            said = f"{when:%Y-%m-%d %H:%M:%S}Z" if when else "never"
            text = (
                f"incident {chain.pk}: step {chain.taken + 1} of {len(chain.steps)} was due {said} and nobody was told"
            )
            found.append(StuckEscalation(chain.pk, text, when))
    covered = {p for policy in EscalationPolicy.objects.filter(enabled=True) for p in policy.priorities}
    forgotten = Incident.objects.filter(
        state__in=OPEN_STATES,
        priority__in=covered,
        acknowledged_at__isnull=True,
        is_planned=False,
        parent__isnull=True,
        escalation__isnull=True,
        opened_at__lt=now - rules.STUCK_AFTER,
    )
    for number, opened_at in forgotten.values_list("pk", "opened_at"):
        text = (
            f"incident {number}: open since {opened_at:%Y-%m-%d %H:%M:%S}Z, not acknowledged, and no chain was started"
        )
        found.append(StuckEscalation(number, text, None))
    return found


@transaction.atomic
def audit_escalations(*, now: datetime) -> int:
    """Tell of every stuck chain once, start chains that were forgotten, and let stuck ones go on. Returns how many were found."""
    found = find_stuck(now=now)
    for one in found:
        incident = Incident.objects.get(pk=one.number)
        eta = one.next_eta or incident.opened_at
        if note(
            incident,
            EntryKind.ESCALATION,
            f"The check of escalations found: {one.text}.",
            actor=AUDITOR,
            at=now,
            unique_name=f"{incident.pk}:stuck:{eta.isoformat()}",
        ):
            facts.publish(EscalationStuck(incident.pk, eta, now))
        if one.next_eta is None:
            start(incident, at=now)
        else:
            Escalation.objects.filter(pk=one.number, ended_at__isnull=True).update(next_eta=now)
    return len(found)
