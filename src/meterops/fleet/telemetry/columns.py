"""The lake's tables, and the one place where columns are checked before anything is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

_US = pa.timestamp("us")
_MS = pa.timestamp("ms")


class ColumnsNotValid(ValueError):
    """Columns that do not fit the table: says which column and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class LakeTable:
    """A table: its columns as given (name, Arrow type), what its day is taken from, and how the rows of a commit are sorted."""

    name: str
    columns: tuple[tuple[str, pa.DataType], ...]
    day_from: str
    sorted_by: tuple[str, ...]
    optional: frozenset[str] = frozenset()
    is_log: bool = False
    """Read row after row by `tail`: merging its files must leave the rows' numbers alone, so it does not sort them anew."""

    @property
    def create(self) -> str:
        """The statement that creates it."""
        typed = ", ".join(f"{name} {_SQL_TYPES[str(kind)]}" for name, kind in self.columns)
        return f"CREATE TABLE lake.{self.name} (day DATE, {typed}, recorded_at TIMESTAMP)"

    @property
    def insert(self) -> str:
        """The statement that takes the registered Arrow table `batch`, sorted as its files are; one parameter, the time."""
        names = ", ".join(name for name, _ in self.columns)
        return (
            f"INSERT INTO lake.{self.name} SELECT {self.day_from}::DATE, {names}, ?::TIMESTAMP FROM batch "  # noqa: S608
            f"ORDER BY {', '.join(self.sorted_by)}"
        )


_SQL_TYPES = {
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "string": "VARCHAR",
    "binary": "BLOB",
    "timestamp[us]": "TIMESTAMP",
    "timestamp[ms]": "TIMESTAMP",
}

TABLES: dict[str, LakeTable] = {
    table.name: table
    for table in (
        LakeTable(
            "readings",
            (
                ("end_device_id", pa.int32()),
                ("reading_type", pa.int16()),
                ("ts", _US),
                ("value", pa.int64()),
                ("quality", pa.int16()),
            ),
            day_from="ts",
            sorted_by=("end_device_id", "reading_type", "ts"),
        ),
        LakeTable(
            "events",
            (
                ("end_device_id", pa.int32()),
                ("identity", pa.string()),
                ("log", pa.int16()),
                ("code", pa.int32()),
                ("occurred_at", _US),
                ("received_at", _US),
                ("origin", pa.int16()),
                ("detail", pa.string()),
            ),
            day_from="received_at",
            sorted_by=("end_device_id", "occurred_at"),
            is_log=True,
        ),
        LakeTable(
            "sessions",
            (
                ("end_device_id", pa.int32()),
                ("route_id", pa.int32()),
                ("operation_id", pa.string()),
                ("lane", pa.int16()),
                ("started_at", _MS),
                ("duration_ms", pa.int32()),
                ("bytes_sent", pa.int32()),
                ("bytes_received", pa.int32()),
                ("apdus", pa.int32()),
                ("round_trips", pa.int32()),
                ("outcome", pa.int16()),
                ("error_class", pa.string()),
                ("error_detail", pa.string()),
                ("readings", pa.int32()),
                ("attempt", pa.int16()),
                ("clock_drift_ms", pa.int64()),
            ),
            day_from="started_at",
            sorted_by=("end_device_id", "started_at"),
            optional=frozenset({"clock_drift_ms"}),
            is_log=True,
        ),
        LakeTable(
            "notifications",
            (
                ("end_device_id", pa.int32()),
                ("identity", pa.string()),
                ("transport", pa.string()),
                ("peer", pa.string()),
                ("received_at", _US),
                ("outcome", pa.string()),
                ("payload", pa.binary()),
                ("detail", pa.string()),
            ),
            day_from="received_at",
            sorted_by=("end_device_id", "received_at"),
        ),
    )
}


def arrow_table(name: str, given: Mapping[str, Any] | pa.Table) -> pa.Table:
    """Check columns against a table and return them as Arrow in its order and types.

    Raises:
        ColumnsNotValid: when one is missing, unknown, null, of another length, or does not fit its type.
    """
    table = TABLES[name]
    source = {key: given.column(key) for key in given.column_names} if isinstance(given, pa.Table) else dict(given)
    wanted = [column for column, _ in table.columns]
    if problems := [f"{c} is missing" for c in wanted if c not in source] + [
        f"{c} is unknown" for c in source if c not in wanted
    ]:
        raise ColumnsNotValid(f"{name}: {', '.join(problems)}")
    lengths = {column: len(source[column]) for column in wanted}
    if len(set(lengths.values())) > 1:
        raise ColumnsNotValid(f"{name}: columns of different lengths: {lengths}")
    arrays = [_arrow(table, column, kind, source[column]) for column, kind in table.columns]
    return pa.table(arrays, names=wanted)


def _arrow(table: LakeTable, column: str, kind: pa.DataType, values: Any) -> pa.Array:
    try:
        if isinstance(values, np.ndarray):
            array = pa.array(values)
        elif isinstance(values, pa.Array | pa.ChunkedArray):
            array = values
        else:
            array = pa.array(values, type=kind)
        array = array.cast(kind, safe=True)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise ColumnsNotValid(f"{table.name}.{column}: {error}") from error
    if array.null_count and column not in table.optional:
        raise ColumnsNotValid(f"{table.name}.{column}: {array.null_count} values are missing")
    return array
