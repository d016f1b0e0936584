"""`column__prefix="abc"`: begins with, answered from an ordinary index on both databases.

Django's `startswith` cannot use one on SQLite (LIKE ignores case there). On PostgreSQL it can, through the
pattern index that Django adds to an indexed text column.
"""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CharField, Lookup
from django.db.models.lookups import StartsWith
from django.db.models.sql.compiler import SQLCompiler

_LAST = "\U0010ffff"


@CharField.register_lookup
class Prefix(Lookup):
    """Begins with the text, letter by letter."""

    lookup_name = "prefix"
    prepare_rhs = False

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        """A range of the index."""
        column, parameters = self.process_lhs(compiler, connection)
        text = str(self.rhs)
        return f"({column} >= %s AND {column} < %s)", (*parameters, text, *parameters, text + _LAST)

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, Any]:
        """LIKE with its wildcards escaped, which the pattern index answers."""
        return StartsWith(self.lhs, str(self.rhs)).as_sql(compiler, connection)
