"""The named answers "no" of incidents."""

from meterops.kernel.refusal import Refusal


class IncidentUnknown(Refusal):
    """There is no such incident."""


class StateNotReachable(Refusal):
    """An incident cannot go from its state to that one."""


class IncidentIsAcknowledged(Refusal):
    """The incident is acknowledged already."""


class NoteIsEmpty(Refusal):
    """A note says something."""


class ReasonIsMissing(Refusal):
    """This needs a reason."""


class RestorationNotProved(Refusal):
    """Too few meters have answered since the clear to call supply restored."""


class MergeNotValid(Refusal):
    """These incidents cannot be merged so."""


class SplitNotValid(Refusal):
    """The incident cannot be split so."""


class ScopeIsEmpty(Refusal):
    """No meter hangs below the incident's node, so nobody can be asked."""


class ChannelUnknown(Refusal):
    """There is no such channel."""


class ChannelNotValid(Refusal):
    """The channel's settings do not fit together."""


class PolicyNotValid(Refusal):
    """The escalation policy does not fit together."""


class TemplateNotValid(Refusal):
    """The template cannot be used."""


class WorkOrderUnknown(Refusal):
    """There is no such work order."""


class WorkOrderNotValid(Refusal):
    """The work order does not fit together."""


class SettingsNotValid(Refusal):
    """The settings of incidents do not fit together."""
