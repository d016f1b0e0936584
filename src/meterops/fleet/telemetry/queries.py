"""What can be asked of the lake. Raw rows may repeat; every reader here takes the newest record of a reading.

Times in the lake are UTC without a zone; here they are aware. Values are in thousandths there and in units here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from meterops.fleet.telemetry.lake import Lake
from meterops.fleet.telemetry.reading_types import INTERVAL_OFFSET, READING_TYPES, ReadingType
from meterops.kernel.interval import Interval

QUARTER_S = 900
INTERVALS_PER_DAY = 96
DEFAULT_PROFILE_TYPES = (101, 102)
RECENT = timedelta(days=45)


@dataclass(frozen=True, slots=True)
class ProfileColumn:
    """One reading type over a period, n values as float64 with NaN where there is none.

    `registers` are values as captured; `intervals` what was counted in the quarter that ends at each time (NaN after a gap),
    given for cumulative types only. `quality` holds flags as int16.
    """

    reading_type: ReadingType
    registers: NDArray[np.float64]
    intervals: NDArray[np.float64] | None
    quality: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class LoadProfile:
    """A meter's load profile on a full grid of quarters: `at` holds each quarter's end in epoch seconds, int64 of shape (n,)."""

    at: NDArray[np.int64]
    columns: tuple[ProfileColumn, ...]

    @property
    def missing(self) -> int:
        """Quarters of the grid without any value."""
        if not self.columns:
            return len(self.at)
        return int(np.logical_and.reduce([np.isnan(column.registers) for column in self.columns]).sum())


@dataclass(frozen=True, slots=True)
class RegisterValue:
    """A register as last read."""

    reading_type: ReadingType
    value: float
    at: datetime


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session with one meter."""

    end_device_id: int
    route_id: int
    operation_id: str
    lane: int
    started_at: datetime
    duration_ms: int
    bytes_sent: int
    bytes_received: int
    apdus: int
    round_trips: int
    error_class: str
    error_detail: str
    readings: int
    attempt: int
    clock_drift_ms: int | None

    @property
    def succeeded(self) -> bool:
        """Whether it brought what was asked for."""
        return not self.error_class


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event of a device; `end_device_id` is 0 where nobody is known by `identity`."""

    end_device_id: int
    identity: str
    log: int
    code: int
    occurred_at: datetime
    received_at: datetime
    origin: int
    detail: str


@dataclass(frozen=True, slots=True)
class NotificationRow:
    """One pushed frame and what became of it."""

    end_device_id: int
    identity: str
    transport: str
    peer: str
    received_at: datetime
    outcome: str
    payload: bytes
    detail: str


@dataclass(frozen=True, slots=True)
class NotificationCount:
    """How many frames had an outcome, of how many senders, and when the last of them came (UTC)."""

    outcome: str
    frames: int
    senders: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class DayCompleteness:
    """A day (UTC) of the fleet: quarters expected of all devices and stored, and devices with every quarter."""

    day: date
    expected: int
    stored: int
    complete_devices: int
    devices: int

    @property
    def share(self) -> float:
        """Stored of expected, 0 to 1."""
        return self.stored / self.expected if self.expected else 0.0


@dataclass(frozen=True, slots=True)
class SessionBucket:
    """Sessions that started in [at, at + bucket): how many succeeded and failed, and the bytes they moved."""

    at: datetime
    succeeded: int
    failed: int
    bytes: int
    readings: int


@dataclass(frozen=True, slots=True)
class DeviceContact:
    """Per device, as columns of equal length: last success and last attempt in epoch seconds (0 never), last error, drift.

    `device_ids` ascend. `clock_drift_ms` is NaN where the clock was never read.
    """

    device_ids: NDArray[np.int32]
    last_success: NDArray[np.int64]
    last_attempt: NDArray[np.int64]
    last_error: NDArray[np.object_]
    clock_drift_ms: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Freshness:
    """How new the lake's content is, and its snapshot: two equal snapshots mean that nothing has changed."""

    snapshot: int
    newest_session_at: datetime | None
    newest_reading_at: datetime | None


def load_profile(
    lake: Lake, end_device_id: int, period: Interval, reading_types: Sequence[int] = DEFAULT_PROFILE_TYPES
) -> LoadProfile:
    """A meter's quarters that end in (starts_at, ends_at], gaps explicit."""
    first = -(-int(period.starts_at.timestamp() + 1) // QUARTER_S) * QUARTER_S
    grid = np.arange(first, int(period.ends_at.timestamp()) + 1, QUARTER_S, dtype=np.int64)
    wanted = [READING_TYPES[one] for one in reading_types]
    if not len(grid):
        return LoadProfile(grid, tuple(_empty_column(t, 0) for t in wanted))
    # One quarter more at the start: the first interval is counted from it.
    starts = first - QUARTER_S
    found = lake.query(
        """
        SELECT reading_type, epoch(ts)::BIGINT AS at, value, quality FROM lake.readings
        WHERE day BETWEEN ?::DATE AND ?::DATE AND end_device_id = ? AND ts BETWEEN ? AND ?
          AND list_contains(?, reading_type)
        QUALIFY row_number() OVER (PARTITION BY reading_type, ts ORDER BY recorded_at DESC) = 1
        """,
        [
            _naive_epoch(starts),
            _naive_epoch(int(grid[-1])),
            end_device_id,
            _naive_epoch(starts),
            _naive_epoch(int(grid[-1])),
            list(reading_types),
        ],
    ).fetchnumpy()
    return LoadProfile(grid, tuple(_column(t, grid, found) for t in wanted))


def _column(reading_type: ReadingType, grid: NDArray[np.int64], found: dict[str, Any]) -> ProfileColumn:
    mine = found["reading_type"] == reading_type.id
    slot = (np.asarray(found["at"][mine], dtype=np.int64) - (grid[0] - QUARTER_S)) // QUARTER_S
    on_grid = (np.asarray(found["at"][mine], dtype=np.int64) - grid[0]) % QUARTER_S == 0
    values = np.full(len(grid) + 1, np.nan)
    quality = np.zeros(len(grid) + 1, dtype=np.int16)
    values[slot[on_grid]] = np.asarray(found["value"][mine], dtype=np.float64)[on_grid] / 1000
    quality[slot[on_grid]] = np.asarray(found["quality"][mine], dtype=np.int16)[on_grid]
    intervals = np.diff(values) if reading_type.cumulative else None
    if intervals is not None:
        intervals[intervals < 0] = np.nan  # a register that went back was exchanged or reset; its quarter is unknown
    return ProfileColumn(reading_type, values[1:], intervals, quality[1:])


def _empty_column(reading_type: ReadingType, count: int) -> ProfileColumn:
    nothing = np.full(count, np.nan)
    return ProfileColumn(
        reading_type, nothing, nothing if reading_type.cumulative else None, np.zeros(count, dtype=np.int16)
    )


def as_plain(profile: LoadProfile) -> dict[str, Any]:
    """A load profile as lists for JSON: times in ISO 8601, gaps as None."""
    return {
        "at": [datetime.fromtimestamp(at, UTC).isoformat() for at in profile.at.tolist()],
        "missing": profile.missing,
        "columns": [
            {
                "reading_type": column.reading_type.id,
                "name": column.reading_type.name,
                "unit": column.reading_type.unit,
                "registers": _plain(column.registers),
                "intervals": None if column.intervals is None else _plain(column.intervals),
                "quality": column.quality.tolist(),
            }
            for column in profile.columns
        ],
    }


def _plain(values: NDArray[np.float64]) -> list[float | None]:
    return [None if value != value else round(value, 3) for value in values.tolist()]


def latest_registers(
    lake: Lake, end_device_id: int, *, now: datetime, within: timedelta = RECENT
) -> list[RegisterValue]:
    """Each register's newest value."""
    rows = lake.query(
        """
        SELECT reading_type, arg_max(value, (ts, recorded_at)), max(ts) FROM lake.readings
        WHERE day >= ?::DATE AND end_device_id = ? AND reading_type < ? GROUP BY reading_type ORDER BY reading_type
        """,
        [_naive(now - within), end_device_id, INTERVAL_OFFSET],
    ).fetchall()
    return [RegisterValue(READING_TYPES[t], value / 1000, _aware(at)) for t, value, at in rows if t in READING_TYPES]


_SESSION_COLUMNS = (
    "end_device_id, route_id, operation_id, lane, started_at, duration_ms, bytes_sent, bytes_received, apdus, "
    "round_trips, error_class, error_detail, readings, attempt, clock_drift_ms"
)


_LOOKS_BACK_DAYS: Final = (1, 7, None)
"""The newest sessions are looked for in the newest days first: mostly those suffice, and a meter's lie all over a day's files."""


def list_sessions(
    lake: Lake,
    *,
    end_device_id: int | None = None,
    route_id: int | None = None,
    operation_id: str = "",
    succeeded: bool | None = None,
    error_class: str = "",
    before: datetime | None = None,
    limit: int = 100,
) -> list[SessionRow]:
    """Sessions, newest first; `before` (a `started_at`) pages on. Repeated rows are given once."""
    where, parameters = ["TRUE"], []
    for condition, value in (
        ("end_device_id = ?", end_device_id),
        ("route_id = ?", route_id),
        ("operation_id = ?", operation_id or None),
        ("error_class = ?", error_class or None),
        ("started_at < ?", _naive(before) if before else None),
    ):
        if value is not None:
            where.append(condition)
            parameters.append(value)
    if succeeded is not None:
        where.append("outcome = 0" if succeeded else "outcome <> 0")
    rows: list[tuple[Any, ...]] = []
    newest = (before or datetime.now(UTC)).astimezone(UTC).date()
    for days in _LOOKS_BACK_DAYS:
        since = [] if days is None else [newest - timedelta(days=days)]
        sql = (
            f"SELECT DISTINCT {_SESSION_COLUMNS} FROM lake.sessions WHERE {' AND '.join(where)} "  # noqa: S608  constants
            f"{'AND day >= ? ' if since else ''}ORDER BY started_at DESC LIMIT ?"
        )
        rows = lake.query(sql, [*parameters, *since, limit]).fetchall()
        if len(rows) == limit:
            break
    return [SessionRow(*(_told(value) for value in row)) for row in rows]


def list_events(
    lake: Lake,
    *,
    end_device_id: int | None = None,
    code: int | None = None,
    period: Interval | None = None,
    limit: int = 100,
) -> list[EventRow]:
    """Events, newest first by the device's clock. Exact repetitions (device, log, code, occurred) are given once."""
    where, parameters = ["TRUE"], []
    for condition, value in (("end_device_id = ?", end_device_id), ("code = ?", code)):
        if value is not None:
            where.append(condition)
            parameters.append(value)
    if period is not None:
        where.append("occurred_at >= ? AND occurred_at < ?")
        parameters += [_naive(period.starts_at), _naive(period.ends_at)]  # type: ignore[list-item]
    sql = (
        "SELECT end_device_id, identity, log, code, occurred_at, min(received_at), any_value(origin), any_value(detail) "  # noqa: S608
        f"FROM lake.events WHERE {' AND '.join(where)} GROUP BY end_device_id, identity, log, code, occurred_at "
        "ORDER BY occurred_at DESC LIMIT ?"
    )
    rows = lake.query(sql, [*parameters, limit]).fetchall()
    return [EventRow(*(_told(value) for value in row)) for row in rows]


def notifications_between(lake: Lake, first: float, last: float) -> set[tuple[int, bytes]]:
    """Which frames were stored as received from one moment (epoch seconds) to another: microseconds since 1970, and octets."""
    begin, end = (datetime.fromtimestamp(at, UTC).replace(tzinfo=None) for at in (first, last))
    rows = lake.query(
        "SELECT epoch_us(received_at), payload FROM lake.notifications "
        "WHERE received_at BETWEEN ? AND ? AND day BETWEEN ?::DATE AND ?::DATE",
        [begin - timedelta(milliseconds=1), end + timedelta(milliseconds=1), begin, end],
    )
    return set(rows.fetchall())


def notification_counts(lake: Lake, *, since: datetime) -> list[NotificationCount]:
    """Frames received since a moment by what became of them, the commonest first."""
    begin = since.astimezone(UTC).replace(tzinfo=None)
    rows = lake.query(
        "SELECT outcome, count(*), count(DISTINCT identity), max(received_at) FROM lake.notifications "
        "WHERE received_at >= ? AND day >= ?::DATE GROUP BY outcome ORDER BY count(*) DESC, outcome",
        [begin, begin],
    ).fetchall()
    return [NotificationCount(*(_told(value) for value in row)) for row in rows]


def list_notifications(
    lake: Lake, *, end_device_id: int | None = None, outcome: str = "", limit: int = 100
) -> list[NotificationRow]:
    """Pushed frames, newest first."""
    where, parameters = ["TRUE"], []
    if end_device_id is not None:
        where.append("end_device_id = ?")
        parameters.append(end_device_id)
    if outcome:
        where.append("outcome = ?")
        parameters.append(outcome)  # type: ignore[arg-type]
    sql = (
        "SELECT end_device_id, identity, transport, peer, received_at, outcome, payload, detail FROM lake.notifications "  # noqa: S608
        f"WHERE {' AND '.join(where)} ORDER BY received_at DESC LIMIT ?"
    )
    rows = lake.query(sql, [*parameters, limit]).fetchall()
    return [NotificationRow(*(_told(value) for value in row)) for row in rows]


def fleet_completeness(lake: Lake, period: Interval, *, expected_devices: int, now: datetime) -> list[DayCompleteness]:
    """Per day (UTC) of the period: how much of the load profile is stored. Today counts up to now."""
    rows = lake.query(
        """
        SELECT day, sum(n), count(*) FILTER (n >= 96), count(*) FROM (
            SELECT day, end_device_id, count(DISTINCT ts) AS n FROM lake.readings
            WHERE day >= ?::DATE AND ts < ? AND reading_type = 101 GROUP BY day, end_device_id)
        GROUP BY day ORDER BY day
        """,
        [_naive(period.starts_at), _naive(period.ends_at)],
    ).fetchall()
    found = {row[0]: row for row in rows}
    days: list[DayCompleteness] = []
    day = period.starts_at.astimezone(UTC).date()
    last = (period.ends_at - timedelta(microseconds=1)).astimezone(UTC).date()
    while day <= last:
        _, stored, complete, devices = found.get(day, (day, 0, 0, 0))
        days.append(DayCompleteness(day, expected_devices * _quarters_until(day, now), int(stored), complete, devices))
        day += timedelta(days=1)
    return days


def _quarters_until(day: date, now: datetime) -> int:
    """Quarters of a day that are over: those whose start stamp lies before now."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return max(0, min(INTERVALS_PER_DAY, int((now - start).total_seconds() // QUARTER_S) + 1))


def day_completeness(lake: Lake, day: date) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """(device ids, quarters stored of that day (UTC)), for devices with at least one."""
    found = lake.query(
        """
        SELECT end_device_id, count(DISTINCT ts) AS n FROM lake.readings
        WHERE day = ?::DATE AND reading_type = 101 GROUP BY end_device_id ORDER BY end_device_id
        """,
        [day],
    ).fetchnumpy()
    return np.asarray(found["end_device_id"], dtype=np.int32), np.asarray(found["n"], dtype=np.int64)


def session_summary(lake: Lake, period: Interval, bucket_s: int = 60) -> list[SessionBucket]:
    """Sessions per bucket of time, empty buckets included."""
    rows = lake.query(
        """
        SELECT epoch(started_at)::BIGINT // ? * ? AS at, count(*) FILTER (outcome = 0), count(*) FILTER (outcome <> 0),
               sum(bytes_sent::BIGINT + bytes_received), sum(readings)
        FROM lake.sessions WHERE day >= ?::DATE AND started_at >= ? AND started_at < ? GROUP BY 1
        """,
        [bucket_s, bucket_s, _naive(period.starts_at), _naive(period.starts_at), _naive(period.ends_at)],
    ).fetchall()
    found = {row[0]: row[1:] for row in rows}
    first = int(period.starts_at.timestamp()) // bucket_s * bucket_s
    return [
        SessionBucket(datetime.fromtimestamp(at, UTC), *(int(n) for n in found.get(at, (0, 0, 0, 0))))
        for at in range(first, int(period.ends_at.timestamp()), bucket_s)
    ]


def error_summary(lake: Lake, period: Interval) -> dict[str, int]:
    """Devices by the error class of their newest session in the period; those that succeeded last are left out."""
    rows = lake.query(
        """
        SELECT error, count(*) FROM (
            SELECT end_device_id, arg_max(error_class, started_at) AS error FROM lake.sessions
            WHERE day >= ?::DATE AND started_at >= ? AND started_at < ? GROUP BY end_device_id)
        WHERE error <> '' GROUP BY error ORDER BY 2 DESC
        """,
        [_naive(period.starts_at), _naive(period.starts_at), _naive(period.ends_at)],
    ).fetchall()
    return {error: int(count) for error, count in rows}


def device_contacts(lake: Lake, *, now: datetime, within: timedelta = timedelta(days=14)) -> DeviceContact:
    """When each device was last reached and tried, what went wrong last, and how far its clock is off."""
    found = lake.query(
        """
        SELECT end_device_id, coalesce(max(epoch(started_at)) FILTER (outcome = 0), 0)::BIGINT AS good,
               max(epoch(started_at))::BIGINT AS tried, arg_max(error_class, started_at) AS error,
               arg_max(clock_drift_ms, started_at) FILTER (clock_drift_ms IS NOT NULL)::DOUBLE AS drift
        FROM lake.sessions WHERE day >= ?::DATE GROUP BY end_device_id ORDER BY end_device_id
        """,
        [_naive(now - within)],
    ).fetchnumpy()
    return DeviceContact(
        np.asarray(found["end_device_id"], dtype=np.int32),
        np.asarray(found["good"], dtype=np.int64),
        np.asarray(found["tried"], dtype=np.int64),
        np.asarray(found["error"], dtype=object),
        np.ma.filled(np.ma.asarray(found["drift"], dtype=np.float64), np.nan),
    )


def latest_voltages(lake: Lake, *, now: datetime) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]:
    """(device ids, lowest, highest phase voltage in V) by the newest registers of the last day; phases at 0 V do not count."""
    found = lake.query(
        """
        SELECT end_device_id, min(v) / 1000.0 AS low, max(v) / 1000.0 AS high FROM (
            SELECT end_device_id, reading_type, arg_max(value, ts) AS v FROM lake.readings
            WHERE day >= ?::DATE AND reading_type IN (11, 12, 13) GROUP BY end_device_id, reading_type)
        WHERE v > 0 GROUP BY end_device_id ORDER BY end_device_id
        """,
        [_naive(now - timedelta(days=1))],
    ).fetchnumpy()
    return (
        np.asarray(found["end_device_id"], dtype=np.int32),
        np.asarray(found["low"], dtype=np.float64),
        np.asarray(found["high"], dtype=np.float64),
    )


def freshness(lake: Lake, *, now: datetime) -> Freshness:
    """How new the newest session and the newest reading are, looking two days back."""
    since = _naive(now - timedelta(days=2))
    row = lake.query(
        "SELECT (SELECT max(started_at) FROM lake.sessions WHERE day >= ?::DATE), "
        "(SELECT max(ts) FROM lake.readings WHERE day >= ?::DATE)",
        [since, since],
    ).fetchone()
    session, reading = row or (None, None)
    return Freshness(lake.snapshot(), _aware(session) if session else None, _aware(reading) if reading else None)


def count_rows(lake: Lake) -> dict[str, int]:
    """Rows per table, from the catalog's statistics."""
    rows = {}
    for name in ("readings", "events", "sessions", "notifications"):
        found = lake.query(f"SELECT count(*) FROM lake.{name}").fetchone()  # noqa: S608  names from above
        rows[name] = int(found[0]) if found else 0
    return rows


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _naive_epoch(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def _told(value: Any) -> Any:
    """A cell as our rows hold it: times are aware."""
    return _aware(value) if isinstance(value, datetime) else value


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
