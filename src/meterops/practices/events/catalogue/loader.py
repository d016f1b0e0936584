"""Reads the catalogue: which event a code in a log of a family of meters is. A wrong file is refused by line and column.

Columns: `family`; `log` (a number, or * for any log); `code`; `type`, our one name for it whatever the family; `severity`; `class`
(LOG_ONLY is kept and shown, ADVISORY also counted, ALARM somebody has to act on); `restores`, the types that it ends, with blanks;
`security` (yes or empty); `words` for people. Codes clash between families, so the code alone is never looked up.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

_FILE: Final = Path(__file__).with_name("events.csv")
_HEADER: Final = ("family", "log", "code", "type", "severity", "class", "restores", "security", "words")
ANY_LOG: Final = -1
ALARM_REGISTER: Final = 100
"""Under this log stand bits of alarm registers, which are numbered by themselves."""
_FAMILY_OF_PROFILE: Final = (
    ("dsmr-4", "dsmr"),
    ("dsmr-2", "dsmr"),
    ("dsmr", "smr"),
    ("smr", "smr"),
    ("is-15959", "is15959"),
)
DEFAULT_FAMILY: Final = "idis"
"""Meters whose profile names no family number their events as most do."""


class CatalogueNotValid(ValueError):
    """A catalogue cannot be used: says file, line, column and what would be right."""


class Severity(StrEnum):
    """How much an event matters by itself."""

    INFORMATIONAL = "INFORMATIONAL"
    WARNING = "WARNING"
    EXCEPTION = "EXCEPTION"


class EventClass(StrEnum):
    """What becomes of an event."""

    LOG_ONLY = "LOG_ONLY"
    ADVISORY = "ADVISORY"
    ALARM = "ALARM"


@dataclass(frozen=True, slots=True)
class EventType:
    """What an event is, whoever reports it."""

    type: str
    severity: Severity
    event_class: EventClass
    restores: tuple[str, ...]
    is_security: bool
    words: str
    family: str


class Catalogue:
    """Event types by family, log and code."""

    def __init__(self, types: Mapping[tuple[str, int, int], EventType]) -> None:
        self._types = dict(types)

    def find(self, family: str, log: int, code: int) -> EventType | None:
        """The event; None when the family does not know it."""
        found = self._types.get((family, log, code))
        return found if found is not None or log == ALARM_REGISTER else self._types.get((family, ANY_LOG, code))

    def by_type(self, name: str) -> EventType | None:
        """Any family's event of a type: its severity, class and words."""
        return self._by_type().get(name)

    def codes(self, *names: str) -> list[tuple[int, int]]:
        """The (log, code) pairs of types in any family; a log of -1 is any."""
        return sorted({(log, code) for (_, log, code), one in self._types.items() if one.type in names})

    def __len__(self) -> int:
        return len(self._types)

    def items(self) -> list[tuple[tuple[str, int, int], EventType]]:
        """Everything, by family, log and code."""
        return sorted(self._types.items())

    def _by_type(self) -> dict[str, EventType]:
        found: dict[str, EventType] = {}
        for one in self._types.values():
            found.setdefault(one.type, one)
        return found


def family_of(profile: str) -> str:
    """The family whose numbering a companion profile follows."""
    name = profile.lower()
    return next((family for prefix, family in _FAMILY_OF_PROFILE if name.startswith(prefix)), DEFAULT_FAMILY)


@cache
def catalogue() -> Catalogue:
    """The catalogue that is shipped."""
    return parse_catalogue(_FILE.read_text(encoding="utf-8"), _FILE.name)


def parse_catalogue(text: str, name: str) -> Catalogue:
    """Make a catalogue of a file's text.

    Raises:
        CatalogueNotValid: for the first line that is wrong.
    """
    lines = text.splitlines()
    rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    if not rows or tuple(_cells(rows[0][1], f"{name}, line {rows[0][0]}")) != _HEADER:
        raise CatalogueNotValid(f"{name}: the first row names the columns {', '.join(_HEADER)}")
    types: dict[tuple[str, int, int], EventType] = {}
    for number, line in rows[1:]:
        key, event = _row(_cells(line, f"{name}, line {number}"), f"{name}, line {number}")
        if key in types:
            raise CatalogueNotValid(f"{name}, line {number}, column code: {key[0]} has code {key[2]} already")
        types[key] = event
    known = {one.type for one in types.values()}
    for (family, _, code), one in types.items():
        for restored in one.restores:
            if restored not in known:
                raise CatalogueNotValid(f"{name}: {family} {code} restores {restored}, which is no event's type")
    return Catalogue(types)


def _cells(line: str, where: str) -> list[str]:
    try:
        return next(csv.reader([line]))
    except csv.Error as error:
        raise CatalogueNotValid(f"{where}: {error}") from None


def _row(cells: list[str], where: str) -> tuple[tuple[str, int, int], EventType]:
    if len(cells) != len(_HEADER):
        raise CatalogueNotValid(f"{where}: {len(cells)} columns stand there, not {len(_HEADER)}")
    row = dict(zip(_HEADER, cells, strict=True))
    for column in ("family", "type", "words"):
        if not row[column].strip():
            raise CatalogueNotValid(f"{where}, column {column}: it is empty")
    log = ANY_LOG if row["log"] == "*" else _number(row["log"], f"{where}, column log")
    key = (row["family"], log, _number(row["code"], f"{where}, column code"))
    return key, EventType(
        type=row["type"],
        severity=Severity(_one_of(row["severity"], Severity, f"{where}, column severity")),
        event_class=EventClass(_one_of(row["class"], EventClass, f"{where}, column class")),
        restores=tuple(row["restores"].split()),
        is_security=_one_of(row["security"], ("", "yes"), f"{where}, column security") == "yes",
        words=row["words"],
        family=row["family"],
    )


def _number(text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 0xFFFF):
        raise CatalogueNotValid(f"{where}: {text[:20]!r} is no number from 0 to 65535")
    return int(text)


def _one_of(text: str, allowed: object, where: str) -> str:
    words = [str(one) for one in allowed]  # type: ignore[attr-defined]
    if text not in words:
        raise CatalogueNotValid(f"{where}: {text[:30]!r} is none of {', '.join(word or 'nothing' for word in words)}")
    return text
