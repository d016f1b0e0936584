"""What a client must know to open an association with a logical device."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final

from meterops.protocols.dlms.apdu.enums import Conformance
from meterops.protocols.dlms.association.quirks import Quirks
from meterops.protocols.dlms.errors import SecurityError, SecurityFault
from meterops.protocols.dlms.security import AUTHENTICATED, ENCRYPTED, CounterRange, KeyRing, SecuritySuite
from meterops.protocols.dlms.security.gcm import TITLE_LENGTH

PUBLIC_CLIENT: Final = 16
"""The client SAP that may read the clock, the device name and the invocation counter without any security."""

MANAGEMENT_DEVICE: Final = 1
"""The server SAP of the management logical device."""

PROPOSED: Final = (
    Conformance.GENERAL_PROTECTION
    | Conformance.GENERAL_BLOCK_TRANSFER
    | Conformance.ATTRIBUTE_0_WITH_GET
    | Conformance.PRIORITY_MANAGEMENT
    | Conformance.BLOCK_TRANSFER_WITH_GET
    | Conformance.BLOCK_TRANSFER_WITH_SET
    | Conformance.BLOCK_TRANSFER_WITH_ACTION
    | Conformance.MULTIPLE_REFERENCES
    | Conformance.DATA_NOTIFICATION
    | Conformance.GET
    | Conformance.SET
    | Conformance.SELECTIVE_ACCESS
    | Conformance.EVENT_NOTIFICATION
    | Conformance.ACTION
)
"""Everything this client can do."""


class Authentication(IntEnum):
    """Authentication mechanisms by their number in the mechanism name (IEC 62056-5-3, 5.2.2.2)."""

    NONE = 0
    LLS = 1
    HLS2_MANUFACTURER = 2
    HLS3_MD5 = 3
    HLS4_SHA1 = 4
    HLS5_GMAC = 5
    HLS6_SHA256 = 6
    HLS7_ECDSA = 7

    @property
    def is_high(self) -> bool:
        """Whether both sides must answer a challenge."""
        return self > Authentication.LLS


class Ciphering(StrEnum):
    """How APDUs are protected once the association is asked for."""

    NONE = "none"
    GLO = "glo"
    GENERAL_GLO = "general-glo"
    DEDICATED = "dedicated"
    GENERAL_DEDICATED = "general-dedicated"

    @property
    def is_general(self) -> bool:
        """Whether the general- envelopes are used, which name the sender."""
        return self in (Ciphering.GENERAL_GLO, Ciphering.GENERAL_DEDICATED)

    @property
    def is_dedicated(self) -> bool:
        """Whether services use a key of this association only."""
        return self in (Ciphering.DEDICATED, Ciphering.GENERAL_DEDICATED)


@dataclass(frozen=True, slots=True)
class ClientParameters:
    """How to talk to one logical device; checked when made.

    `system_title` is our own (8 octets), `meter_system_title` the one the meter must show, or None to take the one it
    shows first. `counter` gives every invocation counter used for sending. `protection` is what we apply and the least
    we accept: authenticated, encrypted or both. `received_counter` is the last counter seen from this meter under these
    keys, -1 when none is known. `max_pdu_size` (octets, 0 no limit) is the largest APDU we take.
    `signs_requests` puts every request into a general-signing APDU.
    """

    client_sap: int = PUBLIC_CLIENT
    server_sap: int = MANAGEMENT_DEVICE
    authentication: Authentication = Authentication.NONE
    password: bytes = field(default=b"", repr=False)
    system_title: bytes = b""
    meter_system_title: bytes | None = None
    keys: KeyRing | None = None
    suite: SecuritySuite = SecuritySuite.SUITE_0
    ciphering: Ciphering = Ciphering.NONE
    counter: CounterRange | None = None
    protection: int = AUTHENTICATED | ENCRYPTED
    received_counter: int = -1
    max_pdu_size: int = 0xFFFF
    conformance: Conformance = PROPOSED
    signs_requests: bool = False
    challenge: bytes | None = field(default=None, repr=False)
    quirks: Quirks = field(default_factory=Quirks)

    def __post_init__(self) -> None:
        """Refuse parameters that cannot work, with a `SecurityError` that says what is missing."""
        if self.authentication.is_high and self.authentication not in _SUPPORTED_HLS:
            raise SecurityError(
                f"authentication {self.authentication.name} is not supported", SecurityFault.UNSUPPORTED
            )
        if self.needs_title and len(self.system_title) != TITLE_LENGTH:
            raise SecurityError("a system title of 8 octets is needed", SecurityFault.TITLE_MISMATCH)
        if self.needs_keys and self.keys is None:
            raise SecurityError("ciphering and high-level authentication need keys", SecurityFault.NO_KEY)
        if self.needs_counter and self.counter is None:
            raise SecurityError("reserved invocation counters are needed", SecurityFault.COUNTER_EXHAUSTED)
        if self.is_ciphered and not self.protection & (AUTHENTICATED | ENCRYPTED):
            raise SecurityError("ciphering must authenticate or encrypt", SecurityFault.WEAKER_PROTECTION)
        self._check_keys()

    @property
    def is_ciphered(self) -> bool:
        """Whether APDUs are protected."""
        return self.ciphering is not Ciphering.NONE

    @property
    def needs_title(self) -> bool:
        """Whether our system title takes part."""
        return self.is_ciphered or self.authentication.is_high

    @property
    def needs_keys(self) -> bool:
        """Whether a key ring takes part."""
        return self.is_ciphered or self.authentication.is_high

    @property
    def needs_counter(self) -> bool:
        """Whether invocation counters are used up."""
        return self.is_ciphered or self.authentication is Authentication.HLS5_GMAC

    @property
    def control(self) -> int:
        """The security control octet of what we send."""
        return int(self.suite) | self.protection

    def _check_keys(self) -> None:
        if self.keys is None:
            return
        if self.signs_requests and self.keys.signing is None:
            raise SecurityError("signing requests needs our signing key", SecurityFault.NO_KEY)
        if self.authentication is Authentication.HLS7_ECDSA and not (self.keys.signing and self.keys.verification):
            raise SecurityError("HLS7 needs our signing key and the meter's public key", SecurityFault.NO_KEY)
        if self.needs_counter and len(self.keys.encryption) != self.suite.key_length:
            raise SecurityError(
                f"keys of suite {int(self.suite)} have {self.suite.key_length} octets", SecurityFault.NO_KEY
            )


_SUPPORTED_HLS: Final = (Authentication.HLS5_GMAC, Authentication.HLS7_ECDSA)
