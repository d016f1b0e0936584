"""Everything that can go wrong when DLMS/COSEM is spoken, as types.

A decoder raises `DecodeError` and nothing else, whatever octets it is given.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class DlmsError(Exception):
    """Root of every error this package raises on purpose."""


class DecodeError(DlmsError):
    """Octets that are not what they should be: `what` names the field, `offset` the octet it was looked for at."""

    def __init__(self, what: str, offset: int | None = None) -> None:
        super().__init__(what, offset)
        self.what = what
        self.offset = offset

    def __str__(self) -> str:
        return self.what if self.offset is None else f"{self.what} at octet {self.offset}"


class EncodeError(DlmsError):
    """A value that the encoding cannot carry: out of range, of the wrong type, too long."""


class ProtocolError(DlmsError):
    """A well-formed APDU that has no place here: wrong service, wrong invoke id, wrong block number, wrong state."""


class SecurityFault(StrEnum):
    """Why a protected APDU was refused."""

    BAD_TAG = "bad-tag"
    BAD_SIGNATURE = "bad-signature"
    REPLAY = "replay"
    WEAKER_PROTECTION = "weaker-protection"
    TITLE_MISMATCH = "title-mismatch"
    REFLECTED_CHALLENGE = "reflected-challenge"
    BAD_CHALLENGE_ANSWER = "bad-challenge-answer"
    NO_KEY = "no-key"
    COUNTER_EXHAUSTED = "counter-exhausted"
    UNSUPPORTED = "unsupported"


class SecurityError(DlmsError):
    """Protection that does not hold; `reason` says which check failed. The message never contains key material."""

    def __init__(self, what: str, reason: SecurityFault) -> None:
        super().__init__(what, reason)
        self.what = what
        self.reason = reason

    def __str__(self) -> str:
        return self.what


class ServiceRefused(DlmsError):  # a refusal is named as a clause
    """The server answered a GET, SET or ACTION with a result other than success."""

    def __init__(self, result: IntEnum, what: str = "") -> None:
        super().__init__(result, what)
        self.result = result
        self.what = what

    def __str__(self) -> str:
        name = self.result.name.lower().replace("_", " ")
        return f"{self.what}: {name}" if self.what else name


class AssociationRefused(DlmsError):  # a refusal is named as a clause
    """The server did not open the association: result and diagnostic of the AARE, or what the xDLMS layer said
    instead.
    """

    def __init__(self, result: int, diagnostic: int | None = None, what: str = "") -> None:
        super().__init__(result, diagnostic, what)
        self.result = result
        self.diagnostic = diagnostic
        self.what = what

    def __str__(self) -> str:
        said = f": {self.what}" if self.what else ""
        return f"association refused (result {int(self.result)}, diagnostic {self._diagnostic_text()}){said}"

    def _diagnostic_text(self) -> str:
        return "none" if self.diagnostic is None else str(int(self.diagnostic))


class PeerException(DlmsError):  # a refusal is named as a clause
    """The server sent an ExceptionResponse; `invocation_counter` is the one it expects, when it says so (service
    error 6).
    """

    def __init__(self, state_error: int, service_error: int, invocation_counter: int | None = None) -> None:
        super().__init__(state_error, service_error, invocation_counter)
        self.state_error = state_error
        self.service_error = service_error
        self.invocation_counter = invocation_counter

    def __str__(self) -> str:
        counter = "" if self.invocation_counter is None else f", expected invocation counter {self.invocation_counter}"
        where = f"state error {int(self.state_error)}, service error {int(self.service_error)}"
        return f"exception response ({where}{counter})"
