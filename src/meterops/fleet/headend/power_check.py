"""Power checks: ask many meters at once whether they have supply, ahead of scheduled work, and say what each answered.

A check is a fleet operation in the lane OUTAGE_CHECK. Each meter's outcome is a session row in the lake like any other, so a
session that another job held meanwhile counts as well, and nothing is stored twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from meterops.fleet.headend import meter_sets
from meterops.fleet.headend.contents import Content
from meterops.fleet.headend.lanes import Lane
from meterops.fleet.headend.lifecycle import OperationState
from meterops.fleet.headend.models import PowerCheck
from meterops.fleet.headend.operations import start_operation
from meterops.fleet.headend.refusals import EndDeviceHasNoRoute, NothingSelected, OperationUnknown
from meterops.fleet.headend.supply import (
    ANSWERS,
    PENDING,
    POWER_FAILURE_EVENTS,
    SupplyAnswer,
    paths_up,
    supply_answers,
)
from meterops.fleet.inventory import api as inventory
from meterops.fleet.telemetry import api as telemetry
from meterops.kernel import audit
from meterops.kernel.actor import Actor

SHORTEST_WINDOW: Final = timedelta(seconds=45)
LONGEST_WINDOW: Final = timedelta(minutes=15)
WINDOW_PER_METER: Final = timedelta(seconds=1)
"""For each meter of the longest route part: two tries of a silent one, eight at a time, take that long."""
ARRIVES_WITHIN: Final = timedelta(seconds=1)
WITNESSES_PER_PATH: Final = 2
_CHUNK: Final = 5000
_KEPT_NAMES: Final = 1000


@dataclass(frozen=True, slots=True)
class PowerCheckView:
    """How a power check stands. `asked` counts names that nobody has; `counts` has every answer, zeros included."""

    operation_id: UUID
    state: OperationState
    requested_by: str
    requested_at: datetime
    deadline_at: datetime
    finished_at: datetime | None
    asked: int
    pending: int
    counts: dict[SupplyAnswer, int]
    unknown: tuple[str, ...]

    @property
    def is_over(self) -> bool:
        """Whether no further answer comes."""
        return self.state is not OperationState.RUNNING

    @property
    def is_all_on(self) -> bool:
        """Whether everybody asked has supply."""
        return self.counts[SupplyAnswer.ON] == self.asked


@dataclass(frozen=True, slots=True)
class PowerCheckAnswers:
    """What each meter answered, in columns of one length, ascending by `end_device_id`.

    `answer` holds places in `ANSWERS` (int8), `PENDING` for none yet. `answered_at` in epoch seconds, 0 for never; `voltage` is the
    highest phase in V, NaN for none; `error` is the class of the newest session, "" where it succeeded.
    """

    view: PowerCheckView
    end_device_id: NDArray[np.int64]
    answer: NDArray[np.int8]
    answered_at: NDArray[np.float64]
    voltage: NDArray[np.float64]
    error: NDArray[np.object_]

    def ids_with(self, answer: SupplyAnswer) -> NDArray[np.int64]:
        """The meters with one answer."""
        found: NDArray[np.int64] = self.end_device_id[self.answer == ANSWERS.index(answer)]
        return found

    def of(self, end_device_id: int) -> SupplyAnswer | None:
        """One meter's answer, None while there is none.

        Raises:
            KeyError: when the meter was not asked.
        """
        place = int(np.searchsorted(self.end_device_id, end_device_id))
        if place >= len(self.end_device_id) or self.end_device_id[place] != end_device_id:
            raise KeyError(end_device_id)
        code = int(self.answer[place])
        return None if code == PENDING else ANSWERS[code]


@transaction.atomic
def request_power_check(
    *,
    end_device_ids: Iterable[int] | NDArray[np.int64],
    actor: Actor,
    at: datetime,
    unknown: Sequence[str] = (),
    reason: str = "",
) -> UUID:
    """Ask meters whether they have supply, ahead of scheduled work. Returns the operation that does it.

    On each path a few other meters are asked along as witnesses: where one answers, the path is up, and silence says something.

    `unknown` are names that the caller could not resolve; like ids of no end device they are answered with UNKNOWN_ID.

    Raises:
        EndDeviceHasNoRoute: when none of the meters can be reached.
    """
    wanted = np.unique(np.fromiter((int(i) for i in end_device_ids), dtype=np.int64))
    places = _places(wanted)
    known = places["id"]
    strangers = [str(i) for i in np.setdiff1d(wanted, known).tolist()]
    reachable = inventory.addresses_of(known.tolist())
    routed = reachable.end_device_id[reachable.route_id > 0]
    witnesses = _witnesses(known, routed)
    longest = int(np.bincount(np.unique(reachable.route_id, return_inverse=True)[1]).max()) if len(routed) else 0
    window = min(LONGEST_WINDOW, SHORTEST_WINDOW + WINDOW_PER_METER * longest)
    try:
        operation = start_operation(
            title="Power check of a meter" if len(wanted) == 1 else f"Power check of {len(wanted):,} meters",
            contents=(Content.CLOCK, Content.VOLTAGE),
            lane=Lane.OUTAGE_CHECK,
            deadline_at=at + window,
            actor=actor,
            at=at,
            selection={"end_devices": [*routed.tolist(), *witnesses]},
        )
    except NothingSelected as error:
        raise EndDeviceHasNoRoute("None of these meters has a route, so nobody can be asked.") from error
    PowerCheck.objects.create(
        operation_id=operation,
        meters=meter_sets.pack(known.astype(np.int32)),
        without_route=meter_sets.pack(np.setdiff1d(known, routed).astype(np.int32)),
        unknown=[*unknown, *strangers][:_KEPT_NAMES],
    )
    audit.record(
        actor=actor,
        action="check power",
        subject=f"operation {operation}",
        after={"meters": len(known), "unknown": len(unknown) + len(strangers), "first": known[:100].tolist()},
        reason=reason,
        at=at,
    )
    return operation


def get_power_check(operation_id: UUID, *, now: datetime, lake: telemetry.Lake | None = None) -> PowerCheckView:
    """How a power check stands.

    Raises:
        OperationUnknown: when there is no power check of that id.
    """
    return power_check_answers(operation_id, now=now, lake=lake).view


def power_check_answers(operation_id: UUID, *, now: datetime, lake: telemetry.Lake | None = None) -> PowerCheckAnswers:
    """What every meter answered so far; a few queries whatever their number.

    Raises:
        OperationUnknown: when there is no power check of that id.
    """
    row = PowerCheck.objects.select_related("operation").filter(pk=operation_id).first()
    if row is None:
        raise OperationUnknown(f"There is no power check {operation_id}.")
    operation = row.operation
    is_over = operation.state != OperationState.RUNNING
    since = operation.created_at
    until = (operation.finished_at or now) + ARRIVES_WITHIN
    lake = lake or telemetry.lake()
    meters = meter_sets.unpack(row.meters).astype(np.int64)
    evidence = telemetry.supply_evidence(lake, meters, since=since, until=until, power_failures=POWER_FAILURE_EVENTS)
    answer = supply_answers(evidence, _path_is_up(lake, evidence, since, until), is_over=is_over)
    answer[(answer == PENDING) & np.isin(meters, meter_sets.unpack(row.without_route))] = ANSWERS.index(
        SupplyAnswer.NO_CONTACT
    )
    counts = {name: int((answer == code).sum()) for code, name in enumerate(ANSWERS)}
    counts[SupplyAnswer.UNKNOWN_ID] = len(row.unknown)
    view = PowerCheckView(
        operation_id=operation_id,
        state=OperationState(operation.state),
        requested_by=operation.requested_by,
        requested_at=operation.created_at,
        deadline_at=operation.deadline_at,
        finished_at=operation.finished_at,
        asked=len(meters) + len(row.unknown),
        pending=int((answer == PENDING).sum()),
        counts=counts,
        unknown=tuple(row.unknown),
    )
    return PowerCheckAnswers(view, meters, answer, evidence.answered_at, evidence.voltage, evidence.error)


def _witnesses(asked: NDArray[np.int64], routed: NDArray[np.int64]) -> list[int]:
    """Up to two meters of each path that are not asked themselves, those below other transformers first."""
    silent = _places(routed)
    routes = inventory.list_items(np.unique(silent["route_id"]).tolist())
    if not routes:
        return []
    names = ("route_id", "concentrator_id", "transformer_id")
    around = inventory.columns_of_end_devices(
        names,
        inventory.EndDeviceFilter(
            under=tuple(item.mrid for item in routes.values()), state=tuple(str(s) for s in inventory.READABLE_STATES)
        ),
    )
    near = _places(asked, ("transformer_id",))["transformer_id"]
    paths = _path(around)
    free = ~np.isin(around["id"], asked) & np.isin(paths, _path(silent))
    order = np.lexsort((np.isin(around["transformer_id"][free], near), paths[free]))
    ids, ordered = around["id"][free][order], paths[free][order]
    _, first = np.unique(ordered, return_index=True)
    rank = np.arange(len(ordered)) - np.repeat(first, np.diff(np.append(first, len(ordered))))
    found: list[int] = ids[rank < WITNESSES_PER_PATH].tolist()
    return found


def _path_is_up(
    lake: telemetry.Lake, evidence: telemetry.SupplyEvidence, since: datetime, until: datetime
) -> NDArray[np.bool_]:
    """For meters that gasped and are silent: whether a neighbor on their concentrator, or else their route, answered."""
    doubtful = (evidence.gasp_at > evidence.contact_at) & (evidence.answered_at == 0)
    answer = np.zeros(len(evidence), dtype=np.bool_)
    if not doubtful.any():
        return answer
    silent = _places(evidence.end_device_id[doubtful])
    reached = telemetry.devices_answered_on_routes(lake, set(silent["route_id"].tolist()), since=since, until=until)
    neighbors = _places(reached)
    up = paths_up(_path(neighbors), neighbors["id"], reached)
    is_up = np.isin(_path(silent), np.fromiter(up, dtype=np.int64))
    answer[np.isin(evidence.end_device_id, silent["id"][is_up])] = True
    return answer


def _path(places: dict[str, NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.where(places["concentrator_id"] > 0, places["concentrator_id"], places["route_id"])


def _places(
    ids: NDArray[np.int64], names: tuple[str, ...] = ("route_id", "concentrator_id")
) -> dict[str, NDArray[np.int64]]:
    """Which of the ids exist, with some columns of each (0 for none), ascending; usually the route and the concentrator."""
    parts = [
        inventory.columns_of_end_devices(names, inventory.EndDeviceFilter(ids=tuple(ids[i : i + _CHUNK].tolist())))
        for i in range(0, len(ids), _CHUNK)
    ]
    empty = np.zeros(0, dtype=np.int64)
    return {name: np.concatenate([part[name] for part in parts]) if parts else empty for name in ("id", *names)}
