"""How a server says no to a whole APDU: ExceptionResponse (0xD8) and ConfirmedServiceError (0x0E)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from meterops.protocols.dlms.apdu.base import Apdu
from meterops.protocols.dlms.apdu.enums import ConfirmedService, ErrorClass, ServiceError, StateError
from meterops.protocols.dlms.apdu.reader import Reader
from meterops.protocols.dlms.errors import EncodeError

EXCEPTION_RESPONSE: Final = 0xD8
CONFIRMED_SERVICE_ERROR: Final = 0x0E


@dataclass(slots=True)
class ExceptionResponse(Apdu):
    """The APDU was not processed; `invocation_counter` is the one expected next (with INVOCATION_COUNTER_ERROR)."""

    state_error: StateError
    service_error: ServiceError
    invocation_counter: int | None = None

    def encode(self) -> bytes:
        head = bytes((EXCEPTION_RESPONSE, self.state_error, self.service_error))
        if self.invocation_counter is None:
            return head
        if not 0 <= self.invocation_counter <= 0xFFFF_FFFF:
            raise EncodeError(f"invocation counter {self.invocation_counter} does not fit 32 bits")
        return head + self.invocation_counter.to_bytes(4, "big")


@dataclass(slots=True)
class ConfirmedServiceError(Apdu):
    """A service failed: which one, the class of the error and its value within the class."""

    service: ConfirmedService
    error_class: ErrorClass
    value: int

    def encode(self) -> bytes:
        try:
            return bytes((CONFIRMED_SERVICE_ERROR, self.service, self.error_class, self.value))
        except ValueError:
            raise EncodeError(f"error value {self.value} does not fit 8 bits") from None


def decode_exception_response(buf: bytes) -> ExceptionResponse:
    """Read an ExceptionResponse; the counter may be left out."""
    reader = Reader(buf, 1)
    state = StateError(reader.uint8("state-error"))
    service = ServiceError(reader.uint8("service-error"))
    counter = None
    if service is ServiceError.INVOCATION_COUNTER_ERROR and not reader.at_end():
        counter = reader.uint32("invocation counter")
    return ExceptionResponse(state, service, counter)


def decode_confirmed_service_error(buf: bytes) -> ConfirmedServiceError:
    """Read a ConfirmedServiceError."""
    reader = Reader(buf, 1)
    service = ConfirmedService(reader.uint8("service in error"))
    return ConfirmedServiceError(service, ErrorClass(reader.uint8("error class")), reader.uint8("error value"))
