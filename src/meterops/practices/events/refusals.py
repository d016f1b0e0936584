"""What events refuses, each case under its own name."""

from meterops.kernel.refusal import Refusal


class AlarmUnknown(Refusal):
    """There is no such active alarm."""


class WordNotValid(Refusal):
    """A list is asked for by a word that nothing has; a misspelled one is no empty list."""


class AlarmPageNotValid(Refusal):
    """A page of alarms is asked for by what the page before it answered."""


class SituationUnknown(Refusal):
    """There is no such situation."""


class ShelvingNotValid(Refusal):
    """Shelving has an end, within a week, and a reason."""


class PlannedWorkNotValid(Refusal):
    """Planned work has a node, a period that is not over, and a reason."""


class PlannedWorkUnknown(Refusal):
    """There is no such planned work that could be cancelled."""
