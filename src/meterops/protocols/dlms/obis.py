"""OBIS codes: the logical names of COSEM objects (IEC 62056-61)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from meterops.protocols.dlms.errors import DecodeError

_DOTTED: Final = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})", re.ASCII)
_READABLE: Final = re.compile(
    r"(?:(\d{1,3})-(\d{1,3}):)(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?(?:[*&.](\d{1,3}))?", re.ASCII
)


class Obis:
    """Six octets A to F that name an object. Compare, hash and sort by the octets; `str()` gives `1.0.1.8.0.255`."""

    __slots__ = ("_hash", "_octets")

    _octets: bytes
    _hash: int

    def __init__(self, octets: bytes) -> None:
        """Make an OBIS code from exactly six octets; anything else is a `DecodeError`."""
        if len(octets) != 6:
            raise DecodeError(f"an OBIS code has 6 octets, not {len(octets)}")
        self._octets = bytes(octets)
        self._hash = hash(self._octets)

    @staticmethod
    def parse(text: str) -> Obis:
        """Read `1.0.1.8.0.255`, `1-0:1.8.0*255` or `1-0:1.8.0` (F is then 255); anything else is a `DecodeError`."""
        return _parse(text)

    @staticmethod
    def of(octets: bytes) -> Obis:
        """Give the (cached) code of six octets."""
        return _of(octets)

    @property
    def octets(self) -> bytes:
        """The six octets as they travel."""
        return self._octets

    def __str__(self) -> str:
        return ".".join(map(str, self._octets))

    def __repr__(self) -> str:
        return f"Obis({str(self)!r})"

    def __bytes__(self) -> bytes:
        return self._octets

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Obis) and self._octets == other._octets)

    def __lt__(self, other: Obis) -> bool:
        return self._octets < other._octets

    def __reduce__(self) -> tuple[type[Obis], tuple[bytes]]:
        return Obis, (self._octets,)


@lru_cache(maxsize=4096)
def _of(octets: bytes) -> Obis:
    return Obis(octets)


@lru_cache(maxsize=4096)
def _parse(text: str) -> Obis:
    stripped = text.strip()
    match = _DOTTED.fullmatch(stripped) or _READABLE.fullmatch(stripped)
    if match is None:
        raise DecodeError(f"{text[:40]!r} is not an OBIS code such as 1.0.1.8.0.255 or 1-0:1.8.0*255")
    values = [255 if group is None else int(group) for group in match.groups()]
    if max(values) > 255:
        raise DecodeError(f"{text[:40]!r} has a group above 255")
    return _of(bytes(values))
