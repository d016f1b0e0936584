"""Writes very many rows at once, inside the caller's transaction: `executemany` on SQLite, COPY on PostgreSQL.

Django's `bulk_create` puts at most 999 values into one SQLite statement and prepares each value by itself, which costs
ten times as long at a hundred thousand meters. Constraints and triggers of the tables hold here all the same.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from django.db import connection, models

_BATCH: Final = 5000
Row = Sequence[Any]


def new_keys(model: type[models.Model], count: int) -> range | list[int]:
    """`count` unused primary keys, ascending. The caller's transaction holds SQLite's write lock, or PostgreSQL's sequence."""
    table = table_of(model)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)", [table, count]
            )
            return sorted(row[0] for row in cursor.fetchall())
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
        last = (cursor.fetchone() or (0,))[0]
    return range(last + 1, last + 1 + count)


def insert_rows(model: type[models.Model], columns: Sequence[str], rows: Iterable[Row]) -> int:
    """Insert rows whose values follow `columns` (names of fields); other columns must have been named, or be automatic.

    Returns how many. Database errors are raised as Django raises them.
    """
    fields = [_field(model, name) for name in columns]
    prepared = _prepared(fields, rows)
    table = connection.ops.quote_name(table_of(model))
    names = ", ".join(connection.ops.quote_name(str(field.column)) for field in fields)
    insert = _copy if connection.vendor == "postgresql" else _executemany
    return insert(table, names, len(fields), prepared)


def update_rows(model: type[models.Model], column: str, values: Iterable[tuple[int, Any]]) -> None:
    """Set one column of many rows: (primary key, value) each."""
    field = _field(model, column)
    table, name = connection.ops.quote_name(table_of(model)), connection.ops.quote_name(str(field.column))
    prepared = ((value, key) for key, value in values)
    sql = f"UPDATE {table} SET {name} = %s WHERE id = %s"  # noqa: S608  names of our own tables
    with connection.cursor() as cursor:
        for batch in _batches(_prepared([field], prepared)):
            cursor.executemany(sql, batch)


def table_of(model: type[models.Model]) -> str:
    """The name of a model's table."""
    return model._meta.db_table  # noqa: SLF001  Django's documented way to it


def _field(model: type[models.Model], name: str) -> Any:
    return model._meta.get_field(name)  # noqa: SLF001


def _executemany(table: str, names: str, width: int, rows: Iterator[Row]) -> int:
    marks = ", ".join(["%s"] * width)
    count = 0
    with connection.cursor() as cursor:
        for batch in _batches(rows):
            cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", batch)  # noqa: S608
            count += len(batch)
    return count


def _copy(table: str, names: str, width: int, rows: Iterator[Row]) -> int:
    count = 0
    with connection.cursor() as cursor:
        # Rows are made before their COPY begins: making one may ask the database, and a COPY holds the connection.
        for batch in _batches(rows):
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in batch:
                    copy.write_row(row)
            count += len(batch)
    return count


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, _BATCH)):
        yield batch


def _prepared(fields: Sequence[Any], rows: Iterable[Row]) -> Iterator[Row]:
    """The rows as the driver wants them. Values are of the fields' own types already, so only three kinds are turned."""
    turn = [(i, how) for i, field in enumerate(fields) if (how := _conversion(field)) is not None]
    for row in rows:
        if not turn:
            yield row
            continue
        values = list(row)
        for i, how in turn:
            if values[i] is not None:
                values[i] = how(values[i])
        yield values


def _conversion(field: Any) -> Callable[[Any], Any] | None:
    if isinstance(field, models.ForeignKey):
        return _conversion(field.target_field)
    if isinstance(field, models.JSONField):
        return lambda value: json.dumps(value, ensure_ascii=False)
    if isinstance(field, models.DateTimeField):
        return _sqlite_moment if connection.vendor == "sqlite" else None
    if isinstance(field, models.UUIDField) and connection.vendor == "sqlite":
        return lambda value: value.hex
    if isinstance(field, models.CharField):
        return str
    return None


def _sqlite_moment(value: datetime) -> str:
    return str(value.astimezone(UTC).replace(tzinfo=None))
