"""What every APDU has in common."""

from __future__ import annotations

from typing import Final

INVOKE: Final = 0xC1
"""Invoke-id-and-priority most clients start with: high priority, confirmed, invoke id 1."""

INVOKE_ID_MASK: Final = 0x0F
CONFIRMED: Final = 0x40
HIGH_PRIORITY: Final = 0x80


class Apdu:  # not an ABC: mypyc compiles no dataclass with a metaclass
    """One application protocol data unit; `encode()` gives its octets.

    Fields named `invoke` are the invoke-id-and-priority octet. COSEM values are kept as their A-XDR octets
    (`axdr.decode_plain` or `axdr.decode_all` reads them), so that a reading costs only the decoding its reader asks
    for.
    """

    __slots__ = ()

    def encode(self) -> bytes:
        """Write the APDU; a field that does not fit is an `EncodeError`."""
        raise NotImplementedError(type(self).__name__)
