"""Looking after the lake: small files become large ones, old snapshots and old days go, and what is wrong is named."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from meterops.fleet.telemetry.columns import TABLES
from meterops.fleet.telemetry.lake import Lake

SNAPSHOTS_KEPT = timedelta(hours=6)
FILES_KEPT = timedelta(hours=1)
ORPHANS_OLDER_THAN = timedelta(hours=24)
MERGE_LIMIT = 500


@dataclass(frozen=True, slots=True)
class LakeFinding:
    """What one check of the lake found."""

    check: str
    ok: bool
    text: str


def maintain(lake: Lake, *, now: datetime) -> None:
    """Merge adjacent files, expire snapshots nobody reads any more, and delete old files.

    Lakes made before kept commits of a few rows in the catalog itself: those are written to files first.
    Each step takes the write lock by itself, so that workers get their turn in between.
    """
    expire = _stamp(now - SNAPSHOTS_KEPT)
    steps = (
        "CALL ducklake_flush_inlined_data('lake')",
        f"CALL ducklake_merge_adjacent_files('lake', max_compacted_files => {MERGE_LIMIT})",
        f"CALL ducklake_expire_snapshots('lake', older_than => TIMESTAMP '{expire}')",
        f"CALL ducklake_cleanup_old_files('lake', older_than => TIMESTAMP '{_stamp(now - FILES_KEPT)}')",
    )
    for step in steps:
        with lake.write_lock():
            lake.retried(lambda step=step: lake.query(step).fetchall())  # type: ignore[misc]


def drop_days_before(lake: Lake, *, table: str, first_kept: datetime) -> int:
    """Retention: forget whole days (UTC) of a table. Returns the rows that went.

    Raises:
        KeyError: when there is no such table.
    """
    name = TABLES[table].name
    with lake.write_lock():
        day = first_kept.astimezone(UTC).date()
        row = lake.retried(lambda: lake.query(f"DELETE FROM lake.{name} WHERE day < ?", [day]).fetchone())  # noqa: S608
    return int(row[0]) if row else 0


def delete_orphans(lake: Lake, *, now: datetime) -> list[str]:
    """Delete files that a killed writer left and no snapshot knows. Returns their paths."""
    with lake.write_lock():
        rows = lake.query(
            f"CALL ducklake_delete_orphaned_files('lake', older_than => TIMESTAMP '{_stamp(now - ORPHANS_OLDER_THAN)}')"
        ).fetchall()
    return [str(row[0]) for row in rows]


def check(lake: Lake, *, now: datetime) -> Iterator[LakeFinding]:
    """Look whether the catalog answers, its files are there, and nothing was left lying about."""
    for name in TABLES:
        row = lake.query(f"SELECT count(*) FROM lake.{name}").fetchone()  # noqa: S608  names from our own table
        yield LakeFinding(name, True, f"{int(row[0]) if row else 0:,} rows")
    yield _files(lake)
    yield _orphans(lake, now)


def _files(lake: Lake) -> LakeFinding:
    missing, count = [], 0
    for name in TABLES:
        for row in lake.query("SELECT data_file FROM ducklake_list_files('lake', ?)", [name]).fetchall():
            count += 1
            if "://" not in row[0] and not Path(row[0]).is_file():
                missing.append(row[0])
    if missing:
        return LakeFinding("files", False, f"{len(missing)} of {count} files are missing, the first is {missing[0]}")
    return LakeFinding("files", True, f"all {count} files are there")


def _orphans(lake: Lake, now: datetime) -> LakeFinding:
    rows = lake.query(
        "CALL ducklake_delete_orphaned_files('lake', dry_run => true, "
        f"older_than => TIMESTAMP '{_stamp(now - ORPHANS_OLDER_THAN)}')"
    ).fetchall()
    if rows:
        return LakeFinding("orphans", False, f"{len(rows)} files belong to no snapshot, the first is {rows[0][0]}")
    return LakeFinding("orphans", True, "no file is older than a day and belongs to no snapshot")


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
