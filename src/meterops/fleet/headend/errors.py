"""Why a session failed, in six classes that decide what to do next."""

from enum import StrEnum


class ErrorClass(StrEnum):
    """The typed reasons that retries follow."""

    UNREACHABLE = "unreachable"
    """No connection, or the connection went away: try again, the address resolved anew."""
    TIMEOUT = "timeout"
    """Connected, but no (complete) answer in time."""
    REFUSED = "refused"
    """The meter answered that it will not: another try brings the same answer."""
    AUTHENTICATION = "authentication"
    """Keys or password do not fit; too many tries may lock the meter."""
    COUNTER = "counter"
    """The meter expects a higher invocation counter: learn it, then try once more."""
    PROTOCOL = "protocol"
    """The answer breaks the protocol: malformed, replayed or with a bad tag."""
    DATA = "data"
    """The answer is well formed but is not what was asked for."""
    INTERNAL = "internal"
    """A fault of ours; the sentence says which."""
