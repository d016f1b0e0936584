"""Reads inventory files into rows of values, and says of every cell that is wrong where it is and what is allowed. Pure.

A file is a table of nodes (`mrid` among its columns) or of meters (`serial`). Columns may be left out and stand in any
order; a column that is there means what it says, so an empty cell empties the attribute.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from meterops.fleet.inventory.csv_columns import DEVICE_COLUMNS, NODE_COLUMNS, CellRefused, Column

KEPT_ERRORS: Final = 1000
"""Errors beyond these are counted, not kept: a wrong file may have one per cell."""
_MARKS: Final = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"PK\x03\x04": "a spreadsheet or ZIP archive"}


@dataclass(frozen=True, slots=True)
class ImportFile:
    """A file as it came: its name, for messages, and its octets."""

    name: str
    data: bytes

    @classmethod
    def from_path(cls, path: Path) -> "ImportFile":
        """Read a file from disk."""
        return cls(path.name, path.read_bytes())


@dataclass(frozen=True, slots=True)
class RowError:
    """What is wrong, where (line 1 is the header), and what is allowed there."""

    file: str
    line: int
    column: str
    what: str
    allowed: str = ""

    def __str__(self) -> str:
        place = f"{self.file}, line {self.line}" + (f", column {self.column}" if self.column else "")
        return f"{place}: {self.what}" + (f" (allowed: {self.allowed})" if self.allowed else "")


@dataclass(slots=True)
class ErrorList:
    """Errors found so far: the first `KEPT_ERRORS` and how many there are in all."""

    kept: list[RowError] = field(default_factory=list)
    count: int = 0

    def add(self, file: str, line: int, column: str, what: str, allowed: str = "") -> None:
        """Take note of one."""
        self.count += 1
        if len(self.kept) < KEPT_ERRORS:
            self.kept.append(RowError(file, line, column, what, allowed))


@dataclass(slots=True)
class Table:
    """A file's rows: `lines[i]` is where `rows[i]` stands, whose values follow `columns`."""

    file: str
    columns: tuple[Column, ...]
    lines: list[int] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    names_with_errors: set[str] = field(default_factory=set)
    """What the rows that were left out are called, so that nobody is told twice that they are missing."""

    @property
    def is_of_devices(self) -> bool:
        """Whether it lists meters, not nodes."""
        return any(column.name == "serial" for column in self.columns)

    def index(self, attribute: str) -> int | None:
        """Where an attribute stands in a row; None where the file does not have it."""
        return next((i for i, column in enumerate(self.columns) if column.attribute == attribute), None)


class _NotText(Exception):
    """A line is no UTF-8."""


def read_table(file: ImportFile, errors: ErrorList) -> Table | None:
    """A file's rows without those that have errors; None where not even its header can be read."""
    for mark, what in _MARKS.items():
        if file.data.startswith(mark):
            errors.add(file.name, 1, "", f"the file is {what}, not CSV", "CSV in UTF-8, separated by commas")
            return None
    lines = _Lines(file.data)
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, [])
        columns = _columns(file.name, header, errors)
        if columns is None:
            return None
        table = Table(file.name, columns)
        _read_rows(table, reader, errors)
    except csv.Error as error:
        errors.add(
            file.name, reader.line_num, "", f"this is no CSV: {error}", "quotes closed and doubled inside quotes"
        )
    except _NotText:
        errors.add(file.name, lines.number, "", "the text is not UTF-8", "save the file as CSV UTF-8")
    else:
        return table
    return None


class _Lines:
    """Decodes line by line, so that a wrong octet is reported at its line and the text is never held twice."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data.removeprefix(b"\xef\xbb\xbf"))
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raw = self._stream.readline()
        if not raw:
            raise StopIteration
        self.number += 1
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise _NotText from error


def _columns(file: str, header: Sequence[str], errors: ErrorList) -> tuple[Column, ...] | None:
    names = [name.strip().lower() for name in header]
    if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
        errors.add(file, 1, "", "the columns are not separated by commas", "a comma between columns")
        return None
    known = DEVICE_COLUMNS if "serial" in names else NODE_COLUMNS
    by_name = {column.name: column for column in known}
    if known[0].name not in names:
        errors.add(
            file, 1, "", "neither a column mrid nor a column serial is there", _listed(NODE_COLUMNS, DEVICE_COLUMNS)
        )
        return None
    wrong = [name for name in names if name not in by_name]
    for name in wrong[:20]:
        errors.add(file, 1, name[:60], "no such column is known", _listed(known))
    doubled = {name for name in names if names.count(name) > 1} if len(names) < 100 else set()
    for name in sorted(doubled - set(wrong)):
        errors.add(file, 1, name, "the column is there more than once", "each column once")
    return None if wrong or doubled else tuple(by_name[name] for name in names)


def _listed(*columns: Sequence[Column]) -> str:
    return " or ".join(", ".join(column.name for column in some) for some in columns)


def _read_rows(table: Table, reader: Any, errors: ErrorList) -> None:
    columns, width = table.columns, len(table.columns)
    parsers = [column.parse for column in columns]
    key = next(i for i, column in enumerate(columns) if column.attribute in ("mrid", "serial"))
    seen: dict[str, int] = {}
    line = reader.line_num + 1
    for cells in reader:
        at, line = line, reader.line_num + 1
        if not cells:
            continue
        if len(cells) != width:
            errors.add(table.file, at, "", f"the row has {len(cells)} cells", f"{width}, one for each column")
            continue
        row = _parse_row(table, at, cells, parsers, errors)
        if row is None:
            table.names_with_errors.add(cells[key].strip())
            continue
        name = row[key]
        if not name:
            errors.add(table.file, at, columns[key].name, "the cell is empty", "the name of the item")
        elif (first := seen.setdefault(name, at)) != at:
            errors.add(table.file, at, columns[key].name, f"{name!r} stands in line {first} already", "each item once")
        else:
            table.lines.append(at)
            table.rows.append(row)


def _parse_row(
    table: Table, line: int, cells: Sequence[str], parsers: Sequence[Any], errors: ErrorList
) -> tuple[Any, ...] | None:
    try:
        return tuple([parse(cell) for parse, cell in zip(parsers, cells, strict=True)])
    except CellRefused:
        pass
    for column, cell in zip(table.columns, cells, strict=True):
        try:
            column.parse(cell)
        except CellRefused as error:
            errors.add(table.file, line, column.name, error.what, error.allowed)
    return None
