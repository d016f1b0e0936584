"""What inventory refuses, each case under its own name."""

from meterops.kernel.refusal import Refusal


class ItemUnknown(Refusal):
    """There is no such configuration item."""


class StateNotReachable(Refusal):
    """An item in that state cannot take that step."""


class ParentNotAllowed(Refusal):
    """An item of that kind cannot hang there."""


class LinkMakesCycle(Refusal):
    """An item cannot hang under itself."""


class MoveBeforeLastMove(Refusal):
    """A link is not changed at a time before it began."""


class AttributeUnknown(Refusal):
    """The item has no attribute of that name."""


class AttributeNotValid(Refusal):
    """The attribute cannot have that value."""


class ImportHasErrors(Refusal):
    """Nothing is imported, because rows have errors."""


class ImportChangedSincePreview(Refusal):
    """Nothing is imported: what it would do is no longer what the preview showed. Look at the preview again."""


class DisagreementIsSettled(Refusal):
    """That disagreement was settled before."""


class DisagreementUnknown(Refusal):
    """There is no such disagreement."""


class GroupUnknown(Refusal):
    """There is no saved group of that name."""


class FilterNotValid(Refusal):
    """The filter names something that cannot be filtered by."""
