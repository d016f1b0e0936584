"""From an exception to the error class that retries follow, and the sentence a person reads."""

from meterops.fleet.headend.errors import ErrorClass
from meterops.fleet.headend.session import PeerClosed, PeerTimeout, Unreachable
from meterops.fleet.headend.sink import NotStorable
from meterops.protocols.dlms.errors import (
    AssociationRefused,
    DecodeError,
    PeerException,
    ProtocolError,
    SecurityError,
    SecurityFault,
    ServiceRefused,
)

COUNTER_ERROR = 6
"""service-error invocation-counter-error of an ExceptionResponse (IEC 62056-5-3)."""

_AUTHENTICATION_DIAGNOSTICS = frozenset({11, 12, 13, 14})
"""acse-service-user diagnostics: mechanism name not recognised or required, authentication failure or required."""
_SECURITY_CLASSES = {
    SecurityFault.BAD_CHALLENGE_ANSWER: ErrorClass.AUTHENTICATION,
    SecurityFault.NO_KEY: ErrorClass.AUTHENTICATION,
    SecurityFault.TITLE_MISMATCH: ErrorClass.AUTHENTICATION,
    SecurityFault.COUNTER_EXHAUSTED: ErrorClass.COUNTER,
}


def classify(error: BaseException) -> tuple[ErrorClass, str]:
    """The class of an exception that ended a session, and what happened in words."""
    return _class_of(error), str(error) or type(error).__name__


def _class_of(error: BaseException) -> ErrorClass:
    match error:
        case PeerTimeout() | TimeoutError():
            return ErrorClass.TIMEOUT
        case Unreachable() | PeerClosed() | OSError():
            return ErrorClass.UNREACHABLE
        case PeerException(service_error=service_error) if int(service_error) == COUNTER_ERROR:
            return ErrorClass.COUNTER
        case AssociationRefused(diagnostic=diagnostic):
            known = diagnostic is not None and int(diagnostic) in _AUTHENTICATION_DIAGNOSTICS
            return ErrorClass.AUTHENTICATION if known else ErrorClass.REFUSED
        case SecurityError(reason=reason):
            return _SECURITY_CLASSES.get(reason, ErrorClass.PROTOCOL)
        case ServiceRefused() | PeerException():
            return ErrorClass.REFUSED
        case DecodeError() | ProtocolError():
            return ErrorClass.PROTOCOL
        case LookupError() | NotStorable():
            return ErrorClass.DATA
        case _:
            return ErrorClass.INTERNAL
