"""What every link has in common, so that flows neither know nor care what carries their APDUs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(slots=True)
class LinkResult:
    """What octets from the peer led to: whole APDUs, octets to send back at once, and changes of the link's state."""

    apdus: list[bytes] = field(default_factory=list)
    reply: bytes = b""
    opened: bool = False
    closed: bool = False


class Link(Protocol):
    """A framing without a socket. Octets in, APDUs out, and the other way round.

    `feed` raises `DecodeError` when the peer breaks the framing beyond repair.
    """

    def open(self) -> bytes:
        """Octets that open the link; empty where there is nothing to open."""
        ...

    def send(self, apdu: bytes) -> bytes:
        """Octets that carry an APDU, or its first part."""
        ...

    def feed(self, data: bytes) -> LinkResult:
        """Take octets from the peer."""
        ...

    def close(self) -> bytes:
        """Octets that close the link; empty where there is nothing to close."""
        ...
