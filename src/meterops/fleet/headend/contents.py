"""What a session may be asked to fetch; everything due for a meter is fetched in one association."""

from collections.abc import Iterable
from enum import StrEnum


class Content(StrEnum):
    """One thing to read from a meter. The order here is the order within a session."""

    CLOCK = "clock"
    ALARMS = "alarms"
    REGISTERS = "registers"
    LOAD_PROFILE = "load_profile"
    EVENTS = "events"
    VOLTAGE = "voltage"
    """The phase voltages alone: what a power check asks for. Registers bring them too."""


ALL_CONTENTS = tuple(content for content in Content if content is not Content.VOLTAGE)
"""What a read fetches where nobody says what."""


def in_session_order(contents: Iterable[str]) -> tuple[Content, ...]:
    """The contents without repetition, cheap ones first: where a session breaks off, the most is saved.

    Raises:
        ValueError: for a name that is no content.
    """
    wanted = {Content(name) for name in contents}
    return tuple(content for content in Content if content in wanted)
