"""The door of the head-end.

What only the long-lived processes need (the worker, the listener: sockets, ciphers, the lake's engine) is loaded when it is first
named, so that a command that asks one question does not wait for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from meterops.fleet.headend import meter_sets
from meterops.fleet.headend.contents import ALL_CONTENTS, Content, in_session_order
from meterops.fleet.headend.errors import ErrorClass
from meterops.fleet.headend.events import FleetOperationEnded
from meterops.fleet.headend.jobs import end_operations, forget_old_operations, start_due_schedules
from meterops.fleet.headend.lanes import Lane
from meterops.fleet.headend.lifecycle import OperationState
from meterops.fleet.headend.operations import (
    ScheduleSettings,
    cancel_operation,
    delete_schedule,
    request_read,
    run_schedule_now,
    save_schedule,
    set_schedule_enabled,
    start_operation,
)
from meterops.fleet.headend.queries import (
    OperationResult,
    OperationView,
    RouteJobView,
    ScheduleView,
    error_counts,
    find_inconsistent_jobs,
    get_operation,
    get_schedule,
    list_operations,
    list_route_jobs,
    list_schedules,
    operation_result,
    overdue_slots,
    profile_read_until,
)
from meterops.fleet.headend.refusals import (
    EndDeviceHasNoRoute,
    NothingSelected,
    OperationHasEnded,
    OperationUnknown,
    OutcomeNotValid,
    ScheduleIsRunning,
    ScheduleNotValid,
    ScheduleUnknown,
)

if TYPE_CHECKING:
    from meterops.fleet.headend.listener import Listener, ListenerSettings
    from meterops.fleet.headend.power_check import (
        PowerCheckAnswers,
        PowerCheckView,
        get_power_check,
        power_check_answers,
        request_power_check,
    )
    from meterops.fleet.headend.push_report import ListenerView, PushOutcomeView, PushReport, check_outcome, push_report
    from meterops.fleet.headend.supply import (
        ANSWERS,
        PENDING,
        POWER_FAILURE_EVENTS,
        SupplyAnswer,
        supply_answers,
    )
    from meterops.fleet.headend.worker import Worker, WorkerSettings

__all__ = [
    "ALL_CONTENTS",
    "ANSWERS",
    "PENDING",
    "POWER_FAILURE_EVENTS",
    "Content",
    "EndDeviceHasNoRoute",
    "ErrorClass",
    "FleetOperationEnded",
    "Lane",
    "Listener",
    "ListenerSettings",
    "ListenerView",
    "NothingSelected",
    "OperationHasEnded",
    "OperationResult",
    "OperationState",
    "OperationUnknown",
    "OperationView",
    "OutcomeNotValid",
    "PowerCheckAnswers",
    "PowerCheckView",
    "PushOutcomeView",
    "PushReport",
    "RouteJobView",
    "ScheduleIsRunning",
    "ScheduleNotValid",
    "ScheduleSettings",
    "ScheduleUnknown",
    "ScheduleView",
    "SupplyAnswer",
    "Worker",
    "WorkerSettings",
    "cancel_operation",
    "check_outcome",
    "delete_schedule",
    "end_operations",
    "error_counts",
    "find_inconsistent_jobs",
    "forget_old_operations",
    "get_operation",
    "get_power_check",
    "get_schedule",
    "in_session_order",
    "list_operations",
    "list_route_jobs",
    "list_schedules",
    "meter_sets",
    "operation_result",
    "overdue_slots",
    "power_check_answers",
    "profile_read_until",
    "push_report",
    "request_power_check",
    "request_read",
    "run_schedule_now",
    "save_schedule",
    "set_schedule_enabled",
    "start_due_schedules",
    "start_operation",
    "supply_answers",
]

_LOADED_LATE = {
    "Listener": "listener",
    "ListenerSettings": "listener",
    "Worker": "worker",
    "WorkerSettings": "worker",
    "ANSWERS": "supply",
    "PENDING": "supply",
    "POWER_FAILURE_EVENTS": "supply",
    "SupplyAnswer": "supply",
    "supply_answers": "supply",
    "PowerCheckAnswers": "power_check",
    "PowerCheckView": "power_check",
    "get_power_check": "power_check",
    "power_check_answers": "power_check",
    "request_power_check": "power_check",
    "ListenerView": "push_report",
    "PushOutcomeView": "push_report",
    "PushReport": "push_report",
    "check_outcome": "push_report",
    "push_report": "push_report",
}


def __getattr__(name: str) -> Any:
    if name not in _LOADED_LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"meterops.fleet.headend.{_LOADED_LATE[name]}"), name)
