"""What is wrong with a frame that can still be read: refused on a line, told beside the content of a capture."""

from __future__ import annotations

from meterops.protocols.dlms.errors import DecodeError


def expect(holds: bool, what: str, offset: int, damage: list[str] | None) -> None:
    """Unless it holds, raise a `DecodeError`, or tell it in `damage` when there is a list."""
    if holds:
        return
    if damage is None:
        raise DecodeError(what, offset)
    damage.append(f"{what} at octet {offset}")
