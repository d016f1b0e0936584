"""Stores what the correlator says of situations, and tells it on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from meterops.fleet.inventory import api as inventory
from meterops.kernel import facts
from meterops.practices.events.alarms import count_shown
from meterops.practices.events.correlation import Change, SituationChange, SituationKind
from meterops.practices.events.events import SituationChanged, SituationCleared, SituationMerged, SituationOpened
from meterops.practices.events.models import Situation, SituationState

_FIGURES = (
    "expected",
    "heard",
    "silent",
    "answered",
    "restored",
    "power_score",
    "communication_score",
    "confidence",
    "phases",
)


def store(changes: Iterable[SituationChange], *, now: datetime) -> None:
    """Write changes and publish their facts, in the caller's transaction. The same change twice is one."""
    told = list(changes)
    nodes = inventory.list_items({change.node_id for change in told})
    for change in told:
        node = nodes.get(change.node_id)
        if node is None:
            continue
        _write(change, node, now)
        _publish(change, node)
        if change.change is Change.OPENED:
            count_shown(2 if change.kind is SituationKind.COMMUNICATION else 1, 1, now)


def _write(change: SituationChange, node: inventory.ItemView, now: datetime) -> None:
    values: dict[str, Any] = {
        "kind": change.kind,
        "tree": change.tree,
        "node_id": change.node_id,
        "node_mrid": node.mrid,
        "node_name": node.name,
        "changed_at": now,
        **{name: getattr(change, name) for name in _FIGURES},
    }
    if change.change is Change.CLEARED:
        values |= {"state": SituationState.CLEARED, "cleared_at": now, "reason": change.reason}
    elif change.change is Change.MERGED:
        values |= {"state": SituationState.MERGED, "cleared_at": now, "into_id": UUID(change.into_id)}
    else:
        values["state"] = SituationState.OPEN
    opening = {**values, "started_at": datetime.fromtimestamp(change.started_at, UTC), "opened_at": now}
    Situation.objects.update_or_create(id=UUID(change.situation_id), defaults=values, create_defaults=opening)


def _publish(change: SituationChange, node: inventory.ItemView) -> None:
    at = datetime.fromtimestamp(change.at, UTC)
    if change.change is Change.CLEARED:
        facts.publish(SituationCleared(change.situation_id, at, change.reason))
    elif change.change is Change.MERGED:
        facts.publish(SituationMerged(change.situation_id, change.into_id, at))
    else:
        said: dict[str, Any] = {
            "situation_id": change.situation_id,
            "kind": str(change.kind),
            "tree": str(change.tree),
            "node_id": change.node_id,
            "node_mrid": node.mrid,
            "started_at": datetime.fromtimestamp(change.started_at, UTC),
            "at": at,
            **{name: getattr(change, name) for name in _FIGURES if name != "restored"},
        }
        if change.change is Change.OPENED:
            facts.publish(SituationOpened(**said))
        else:
            facts.publish(SituationChanged(**said, previous_node_id=change.previous_node_id or 0))
