"""A condition for fields whose values are among many: one parameter however many there are, where `__in` makes one of each."""

import json
from collections.abc import Iterable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, F, Lookup
from django.db.models.sql.compiler import SQLCompiler


class _Among(Lookup):
    """`field IN values`, the values sent as one array (PostgreSQL) or one JSON text (SQLite)."""

    lookup_name = "among"
    prepare_rhs = False
    output_field = BooleanField()

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        """The condition for SQLite."""
        sql, parameters = self.process_lhs(compiler, connection)
        return f"{sql} IN (SELECT value FROM json_each(%s))", [*parameters, json.dumps(self.rhs)]  # noqa: S608  the column of a field

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        """The condition for PostgreSQL."""
        sql, parameters = self.process_lhs(compiler, connection)
        return f"{sql} = ANY(%s)", [*parameters, self.rhs]


def among(field: str, values: Iterable[int] | Iterable[str]) -> _Among:
    """A condition for `filter`: the values of `field`, all whole numbers or all texts, are among these."""
    return _Among(F(field), list(values))
