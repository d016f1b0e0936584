"""The states of an incident and of a work order. Pure."""

from enum import IntEnum, StrEnum
from typing import Final


class IncidentState(StrEnum):
    """Where an incident stands."""

    NEW = "NEW"
    ASSIGNED = "ASSIGNED"
    IN_PROGRESS = "IN_PROGRESS"
    PENDING = "PENDING"
    """Waits for something outside: a part, a permit, daylight."""
    RESOLVED = "RESOLVED"
    """Supply is proved to be back, or the cause is gone; it can still be reopened without a trace lost."""
    CLOSED = "CLOSED"
    REOPENED = "REOPENED"


TRANSITIONS: Final[dict[IncidentState, frozenset[IncidentState]]] = {
    IncidentState.NEW: frozenset(
        {
            IncidentState.ASSIGNED,
            IncidentState.IN_PROGRESS,
            IncidentState.PENDING,
            IncidentState.RESOLVED,
            IncidentState.CLOSED,
        }
    ),
    IncidentState.ASSIGNED: frozenset(
        {
            IncidentState.NEW,
            IncidentState.IN_PROGRESS,
            IncidentState.PENDING,
            IncidentState.RESOLVED,
            IncidentState.CLOSED,
        }
    ),
    IncidentState.IN_PROGRESS: frozenset(
        {IncidentState.ASSIGNED, IncidentState.PENDING, IncidentState.RESOLVED, IncidentState.CLOSED}
    ),
    IncidentState.PENDING: frozenset(
        {IncidentState.ASSIGNED, IncidentState.IN_PROGRESS, IncidentState.RESOLVED, IncidentState.CLOSED}
    ),
    IncidentState.RESOLVED: frozenset({IncidentState.CLOSED, IncidentState.REOPENED}),
    IncidentState.CLOSED: frozenset({IncidentState.REOPENED}),
    IncidentState.REOPENED: frozenset(
        {
            IncidentState.ASSIGNED,
            IncidentState.IN_PROGRESS,
            IncidentState.PENDING,
            IncidentState.RESOLVED,
            IncidentState.CLOSED,
        }
    ),
}

OPEN_STATES: Final = tuple(s for s in IncidentState if s not in {IncidentState.RESOLVED, IncidentState.CLOSED})
"""States in which somebody still has to do something."""


class IncidentKind(StrEnum):
    """What is wrong, in one word."""

    OUTAGE = "OUTAGE"
    COMMUNICATION = "COMMUNICATION"
    PHASE = "PHASE"
    SAFETY = "SAFETY"


class Impact(IntEnum):
    """How much of the fleet is concerned; a lower number is worse."""

    EXTENSIVE = 1
    SIGNIFICANT = 2
    MODERATE = 3
    MINOR = 4


class Urgency(IntEnum):
    """How soon something has to happen; a lower number is sooner."""

    CRITICAL = 1
    HIGH = 2
    MEDIUM = 3
    LOW = 4


class Priority(IntEnum):
    """What is worked on first."""

    P1 = 1
    P2 = 2
    P3 = 3
    P4 = 4


class WorkOrderState(StrEnum):
    """Where a work order stands, here or in the system that does the work."""

    DRAFT = "DRAFT"
    SENT = "SENT"
    ACCEPTED = "ACCEPTED"
    EN_ROUTE = "EN_ROUTE"
    ON_SITE = "ON_SITE"
    DONE = "DONE"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"


_UNDER_WAY = frozenset(
    {
        WorkOrderState.ACCEPTED,
        WorkOrderState.EN_ROUTE,
        WorkOrderState.ON_SITE,
        WorkOrderState.DONE,
        WorkOrderState.REJECTED,
        WorkOrderState.CANCELLED,
    }
)

WORK_ORDER_TRANSITIONS: Final[dict[WorkOrderState, frozenset[WorkOrderState]]] = {
    WorkOrderState.DRAFT: _UNDER_WAY | {WorkOrderState.SENT},
    WorkOrderState.SENT: _UNDER_WAY,
    WorkOrderState.ACCEPTED: _UNDER_WAY - {WorkOrderState.ACCEPTED},
    WorkOrderState.EN_ROUTE: _UNDER_WAY - {WorkOrderState.ACCEPTED, WorkOrderState.EN_ROUTE},
    WorkOrderState.ON_SITE: frozenset({WorkOrderState.DONE, WorkOrderState.REJECTED, WorkOrderState.CANCELLED}),
    WorkOrderState.DONE: frozenset(),
    WorkOrderState.REJECTED: frozenset({WorkOrderState.SENT, WorkOrderState.CANCELLED}),
    WorkOrderState.CANCELLED: frozenset(),
}
