"""The states of a fleet operation."""

from enum import StrEnum


class OperationState(StrEnum):
    """RUNNING until every route is through (COMPLETED), the deadline passes (EXPIRED) or somebody cancels it."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"


TRANSITIONS: dict[OperationState, frozenset[OperationState]] = {
    OperationState.RUNNING: frozenset({OperationState.COMPLETED, OperationState.EXPIRED, OperationState.CANCELLED}),
    OperationState.COMPLETED: frozenset(),
    OperationState.EXPIRED: frozenset(),
    OperationState.CANCELLED: frozenset(),
}
