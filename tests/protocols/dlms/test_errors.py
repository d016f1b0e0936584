from __future__ import annotations

import pytest

from meterops.protocols.dlms.apdu import DataAccessResult
from meterops.protocols.dlms.errors import (
    AssociationRefused,
    DecodeError,
    DlmsError,
    PeerException,
    SecurityError,
    SecurityFault,
    ServiceRefused,
)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (DecodeError("UINT32: cut short", 7), "UINT32: cut short at octet 7"),
        (DecodeError("profile: empty"), "profile: empty"),
        (SecurityError("the tag does not fit", SecurityFault.BAD_TAG), "the tag does not fit"),
        (ServiceRefused(DataAccessResult.READ_WRITE_DENIED), "read write denied"),
        (ServiceRefused(DataAccessResult(249), "3/1.0.1.8.0.255/2"), "3/1.0.1.8.0.255/2: unknown 249"),
        (AssociationRefused(1, 13), "association refused (result 1, diagnostic 13)"),
        (
            AssociationRefused(1, None, "PDU too short"),
            "association refused (result 1, diagnostic none): PDU too short",
        ),
        (PeerException(1, 2), "exception response (state error 1, service error 2)"),
        (
            PeerException(2, 6, 1234),
            "exception response (state error 2, service error 6, expected invocation counter 1234)",
        ),
    ],
)
def test_every_error_reads_as_a_sentence(error: DlmsError, text: str) -> None:
    assert str(error) == text
