"""The lake: DuckLake tables of readings, events, sessions and notifications, append-only and shared by every process.

One connection per process, one cursor per thread. With the SQLite catalog there is one writer at a time: every write and every
maintenance call goes under a file lock. With a PostgreSQL catalog commits that collide are tried again.
"""

import contextlib
import fcntl
import importlib.util
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from meterops.fleet.telemetry.columns import TABLES, ColumnsNotValid, arrow_table

T = TypeVar("T")
BUSY_TIMEOUT_MS = 20_000
COMMIT_ATTEMPTS = 12

__all__ = ["ColumnsNotValid", "Lake", "LakeConfig"]


@dataclass(frozen=True, slots=True)
class LakeConfig:
    """Where the lake is. `folder` holds the Parquet files (a path or s3://...); an empty `catalog` is a SQLite file in it."""

    folder: str
    catalog: str = ""
    threads: int = 2
    memory: str = "1GB"

    @property
    def is_embedded(self) -> bool:
        """Whether the catalog is a SQLite file, which takes one writer at a time."""
        return not self.catalog


class Lake:
    """An attached lake. Thread-safe; not to be carried over a fork."""

    def __init__(self, config: LakeConfig) -> None:
        """Attach, creating the catalog and its tables where there are none."""
        self.config = config
        self._local = threading.local()
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "threads": config.threads,
                "memory_limit": config.memory,
            },
        )
        _load_extensions(self._connection, config)
        if config.is_embedded:
            Path(config.folder).mkdir(parents=True, exist_ok=True)
        with self.write_lock():
            self._attach()
            _create_tables(self._connection)

    def _attach(self) -> None:
        # Every commit is a file: rows kept in the catalog are missed by who reads while they are flushed from there to a file.
        options = f"DATA_PATH '{_quoted(self.config.folder)}/data/', DATA_INLINING_ROW_LIMIT 0"
        if self.config.is_embedded:
            catalog = f"ducklake:sqlite:{self.config.folder}/catalog.sqlite"
            options += f", META_JOURNAL_MODE 'WAL', META_BUSY_TIMEOUT {BUSY_TIMEOUT_MS}"
        else:
            catalog = f"ducklake:postgres:{self.config.catalog}"
            self._connection.execute("SET ducklake_max_retry_count = 100")
            self._connection.execute("SET ducklake_retry_wait_ms = 20")
            self._connection.execute("SET ducklake_retry_backoff = 1.3")
        self._connection.execute(f"ATTACH '{_quoted(catalog)}' AS lake ({options})")

    @property
    def cursor(self) -> duckdb.DuckDBPyConnection:
        """This thread's cursor."""
        cursor = getattr(self._local, "cursor", None)
        if cursor is None:
            cursor = self._local.cursor = self._connection.cursor()
        return cursor

    def query(self, sql: str, parameters: Any = None) -> duckdb.DuckDBPyConnection:
        """Run a query on this thread's cursor."""
        return self.cursor.execute(sql, parameters if parameters is not None else [])

    @contextlib.contextmanager
    def write_lock(self) -> Iterator[None]:
        """Hold the lake's only pen; with a PostgreSQL catalog nothing needs to be held."""
        if not self.config.is_embedded:
            yield
            return
        with Path(self.config.folder, "write.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)

    def append(
        self,
        *,
        readings: Mapping[str, Any] | pa.Table | None = None,
        events: Mapping[str, Any] | pa.Table | None = None,
        sessions: Mapping[str, Any] | pa.Table | None = None,
        notifications: Mapping[str, Any] | pa.Table | None = None,
        recorded_at: datetime | None = None,
    ) -> int:
        """Append columns to any of the four tables in one transaction; durable when it returns. Returns the rows stored.

        Columns are those of `columns.TABLES`, without `day` and `recorded_at`, which are added here.

        Raises:
            ColumnsNotValid: when a column is missing, unknown, of another length or out of range. Nothing is stored then.
        """
        given = {"readings": readings, "events": events, "sessions": sessions, "notifications": notifications}
        tables = {name: arrow_table(name, columns) for name, columns in given.items() if columns is not None}
        tables = {name: table for name, table in tables.items() if table.num_rows}
        if not tables:
            return 0
        now = (recorded_at or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None)
        with self.write_lock():
            self.retried(lambda: self._insert(tables, now))
        return sum(table.num_rows for table in tables.values())

    def _insert(self, tables: Mapping[str, pa.Table], now: datetime) -> None:
        cursor = self._connection.cursor()
        try:
            cursor.execute("BEGIN")
            for name, table in tables.items():
                cursor.register("batch", table)
                cursor.execute(TABLES[name].insert, [now])
                cursor.unregister("batch")
            cursor.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(duckdb.Error):
                cursor.execute("ROLLBACK")
            raise
        finally:
            cursor.close()

    def retried(self, call: Callable[[], T]) -> T:
        """Run a write, again where its commit collided with another one's."""
        for attempt in range(COMMIT_ATTEMPTS):
            try:
                return call()
            except duckdb.Error as error:
                if attempt == COMMIT_ATTEMPTS - 1 or not _is_collision(error):
                    raise
                time.sleep(0.02 * 1.6**attempt * (0.5 + random.random()))
        raise AssertionError("unreachable")

    def snapshot(self) -> int:
        """The newest snapshot's number: it rises with every commit, so an unchanged one means unchanged data."""
        row = self.query("SELECT max(snapshot_id) FROM ducklake_snapshots('lake')").fetchone()
        return int(row[0]) if row and row[0] is not None else 0

    def close(self) -> None:
        """Detach. The lake itself needs no goodbye."""
        self._connection.close()


def _load_extensions(connection: duckdb.DuckDBPyConnection, config: LakeConfig) -> None:
    names = ["ducklake", "sqlite_scanner" if config.is_embedded else "postgres_scanner"]
    if config.folder.startswith("s3://"):
        names.append("httpfs")
    for name in names:
        connection.load_extension(str(_extension_file(name)))
    if config.folder.startswith("s3://"):
        connection.execute(_s3_secret())


def _extension_file(name: str) -> Path:
    """The extension's file from its PyPI package; DuckDB checks its signature when it loads it."""
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or spec.origin is None:
        raise RuntimeError(f"the package duckdb-extension-{name.replace('_', '-')} is not installed")
    return next(Path(spec.origin).parent.rglob("*.duckdb_extension"))


def _s3_secret() -> str:
    parts = ["TYPE s3", "PROVIDER config"]
    for option, variable in (
        ("KEY_ID", "AWS_ACCESS_KEY_ID"),
        ("SECRET", "AWS_SECRET_ACCESS_KEY"),
        ("REGION", "AWS_REGION"),
        ("ENDPOINT", "METEROPS_S3_ENDPOINT"),
    ):
        if value := os.environ.get(variable):
            parts.append(f"{option} '{_quoted(value)}'")
    if os.environ.get("METEROPS_S3_ENDPOINT"):
        parts += ["URL_STYLE 'path'", f"USE_SSL {'false' if os.environ.get('METEROPS_S3_PLAIN') == '1' else 'true'}"]
    return f"CREATE SECRET lake_s3 ({', '.join(parts)})"


def _create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    existing = {
        row[0]
        for row in connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_catalog = 'lake'"
        ).fetchall()
    }
    missing = [table for name, table in TABLES.items() if name not in existing]
    if not missing:
        _leave_logs_unsorted(connection)
        return
    connection.execute("BEGIN")
    for table in missing:
        connection.execute(table.create)
        connection.execute(f"ALTER TABLE lake.{table.name} SET PARTITIONED BY (day)")
        if not table.is_log:
            connection.execute(f"ALTER TABLE lake.{table.name} SET SORTED BY ({', '.join(table.sorted_by)})")
    connection.execute("COMMIT")
    connection.execute("CALL lake.set_option('parquet_compression', 'zstd')")


def _leave_logs_unsorted(connection: duckdb.DuckDBPyConnection) -> None:
    """In lakes made before, merging sorted the rows of a log and gave them other numbers: who read on from a place missed some."""
    names = connection.execute(
        "SELECT t.table_name FROM __ducklake_metadata_lake.ducklake_sort_info s "
        "JOIN __ducklake_metadata_lake.ducklake_table t USING (table_id) "
        "WHERE s.end_snapshot IS NULL AND t.end_snapshot IS NULL"
    ).fetchall()
    for name in {row[0] for row in names} & {table.name for table in TABLES.values() if table.is_log}:
        connection.execute(f"ALTER TABLE lake.{name} RESET SORTED BY")


def _is_collision(error: duckdb.Error) -> bool:
    text = str(error).lower()
    return any(word in text for word in ("conflict", "database is locked", "serialize", "retry", "deadlock"))


def _quoted(text: str) -> str:
    return text.replace("'", "''")
