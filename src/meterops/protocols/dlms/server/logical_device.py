"""What a meter has to offer for a `ServerAssociation` to speak for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from meterops.protocols.dlms.apdu.enums import Conformance, Mechanism
from meterops.protocols.dlms.security import KeyRing, SecuritySuite
from meterops.protocols.dlms.server.object_table import ObjectView

DEFAULT_CONFORMANCE = (
    Conformance.GENERAL_PROTECTION
    | Conformance.GENERAL_BLOCK_TRANSFER
    | Conformance.BLOCK_TRANSFER_WITH_GET
    | Conformance.BLOCK_TRANSFER_WITH_SET
    | Conformance.BLOCK_TRANSFER_WITH_ACTION
    | Conformance.MULTIPLE_REFERENCES
    | Conformance.DATA_NOTIFICATION
    | Conformance.GET
    | Conformance.SET
    | Conformance.SELECTIVE_ACCESS
    | Conformance.ACTION
)
"""What a meter offers when nothing else is said."""


class Notice(StrEnum):
    """What a server association tells its device about its clients."""

    ASSOCIATED = "associated"
    AUTHENTICATION_FAILED = "authentication-failed"
    DECIPHERING_FAILED = "deciphering-failed"
    REPLAYED = "replayed"


@dataclass(frozen=True, slots=True)
class AssociationRule:
    """One association a client may open: who, how, with what protection, and what it then sees.

    `protection` holds the bits (`AUTHENTICATED`, `ENCRYPTED`) that every request must carry at least; 0 allows plain
    ones. `instance` is E of the object 0.0.40.0.E.255. `max_pdu_size` is what the meter can receive.
    """

    instance: int
    client_sap: int
    mechanism: Mechanism
    view: ObjectView
    protection: int = 0
    conformance: Conformance = DEFAULT_CONFORMANCE
    max_pdu_size: int = 1024
    signed: bool = False


class LogicalDevice(Protocol):
    """A meter as a server association sees it. Its objects are in the views of its association rules."""

    @property
    def system_title(self) -> bytes:
        """8 octets."""
        ...

    @property
    def suite(self) -> SecuritySuite:
        """The active security suite."""
        ...

    @property
    def keys(self) -> KeyRing:
        """The keys in force; signing is the meter's own, verification the client's."""
        ...

    @property
    def password(self) -> bytes:
        """The secret of low-level security."""
        ...

    @property
    def last_client_counter(self) -> int:
        """The highest invocation counter accepted under the present encryption key, -1 before the first."""
        ...

    def rule_for(self, client_sap: int) -> AssociationRule | None:
        """The association that a client may open, if any."""
        ...

    def take_counter(self) -> int:
        """Give one value of the meter's own invocation counter, never to be used again."""
        ...

    def accept_client_counter(self, counter: int) -> None:
        """Remember a verified counter that rises above the last."""
        ...

    def noticed(self, notice: Notice) -> None:
        """Hear of a client's attempt."""
        ...

    def answered(self) -> None:
        """Hear that an answer was made: what waited for it takes effect."""
        ...
