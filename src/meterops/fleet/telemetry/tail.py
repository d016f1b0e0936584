"""The lake as a log: what was appended after a place, for consumers that keep their own place.

A row's number rises in the order of commits and survives the merging of files, for logs are not sorted anew then: a place is one
number a table.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pyarrow as pa

from meterops.fleet.telemetry.columns import TABLES
from meterops.fleet.telemetry.lake import Lake

MAX_ROWS: Final = 200_000
_COLUMNS: Final = {
    "events": "end_device_id, identity, log, code, occurred_at, received_at, origin",
    "sessions": "end_device_id, route_id, lane, attempt, started_at, duration_ms, outcome, error_class",
}


@dataclass(frozen=True, slots=True)
class Tail:
    """Rows after a place, in the order of commits; `place` is where the next call goes on."""

    place: int
    rows: pa.Table


def rows_after(lake: Lake, table: str, place: int, *, since: datetime | None = None, limit: int = MAX_ROWS) -> Tail:
    """Up to `limit` rows of `events` or `sessions` after `place` (-1: from the beginning).

    `since` spares looking at files recorded before it: give a time when the rows up to `place` were certainly there. Where
    nothing was appended no file is looked at.
    """
    until = min(last_place(lake, table), place + limit)
    if until <= place:
        return Tail(place, _no_rows(table))
    where = "rowid > ? AND rowid <= ?"
    parameters: list[int | datetime] = [place, until]
    if since is not None:
        where += " AND recorded_at >= ?"
        parameters.append(since.replace(tzinfo=None))
    sql = (
        f"SELECT rowid AS row_id, {_COLUMNS[table]} FROM lake.{table} WHERE {where} "  # noqa: S608  names of our own tables
        "ORDER BY rowid"
    )
    return Tail(until, lake.query(sql, parameters).to_arrow_table())


def last_place(lake: Lake, table: str) -> int:
    """The place after everything that a table holds now; -1 where it holds nothing."""
    row = lake.query(
        "SELECT s.next_row_id FROM __ducklake_metadata_lake.ducklake_table_stats s "
        "JOIN __ducklake_metadata_lake.ducklake_table t USING (table_id) "
        "WHERE t.table_name = ? AND t.end_snapshot IS NULL",
        [table],
    ).fetchone()
    return int(row[0]) - 1 if row else -1


def _no_rows(table: str) -> pa.Table:
    types = dict(TABLES[table].columns) | {"row_id": pa.int64()}
    names = ["row_id", *_COLUMNS[table].split(", ")]
    return pa.table({name: pa.array([], types[name]) for name in names})


def repeated(lake: Lake, rows: pa.Table, place: int, *, since: datetime) -> set[int]:
    """Which rows of a batch (their numbers) are exact repetitions: of one another, or of a row up to `place`.

    Exact is the same device, identity, log, code and time by the meter's clock. Rows received before `since` are not looked at.
    """
    if not rows.num_rows:
        return set()
    cursor = lake.cursor
    cursor.register("arrived", rows)
    try:
        found = cursor.execute(
            "WITH numbered AS (SELECT row_id, row_number() OVER (PARTITION BY end_device_id, identity, log, code, occurred_at "
            "ORDER BY row_id) AS n FROM arrived) SELECT row_id FROM numbered WHERE n > 1 UNION "
            "SELECT a.row_id FROM arrived a SEMI JOIN (SELECT * FROM lake.events WHERE rowid <= ? AND received_at >= ? "
            "AND day >= ?::DATE) e USING (end_device_id, identity, log, code, occurred_at)",
            [place, since.replace(tzinfo=None), since.replace(tzinfo=None)],
        ).fetchall()
    finally:
        cursor.unregister("arrived")
    return {int(row[0]) for row in found}
