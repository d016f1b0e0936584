"""The head-end's named answers "no"."""

from meterops.kernel.refusal import Refusal


class OperationUnknown(Refusal):
    """There is no such operation."""


class OperationHasEnded(Refusal):
    """The operation has ended already."""


class ScheduleUnknown(Refusal):
    """There is no such schedule."""


class OutcomeNotValid(Refusal):
    """Nothing that is pushed has such an outcome."""


class ScheduleIsRunning(Refusal):
    """Operations of the schedule are under way."""


class ScheduleNotValid(Refusal):
    """The schedule's settings do not fit together."""


class NothingSelected(Refusal):
    """The selection holds no meter that can be reached over a route."""


class EndDeviceHasNoRoute(Refusal):
    """The meter has no route, so there is no way to reach it."""
