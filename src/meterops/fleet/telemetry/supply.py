"""What the lake says of the supply of many meters at once: who answered, at what voltage, who gasped."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from meterops.fleet.telemetry.lake import Lake
from meterops.fleet.telemetry.reading_types import VOLTAGE_TYPES

GASPS_WITHIN = timedelta(days=2)
"""How far back a last gasp and the contact before it are looked for."""


@dataclass(frozen=True, slots=True)
class SupplyEvidence:
    """Columns of one length n, ascending by `end_device_id`; times in epoch seconds, 0 for never.

    `answered_at`, `tried_at`, `error` and `voltage` are of the period asked about: the newest session that succeeded, the newest
    session, its error class ("" where it succeeded or there was none), and the highest phase voltage read (V, NaN for none).
    `contact_at` and `gasp_at` look two days further back: the newest success, and when the newest power failure was received.
    """

    end_device_id: NDArray[np.int64]
    answered_at: NDArray[np.float64]
    tried_at: NDArray[np.float64]
    error: NDArray[np.object_]
    voltage: NDArray[np.float64]
    contact_at: NDArray[np.float64]
    gasp_at: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.end_device_id)


def supply_evidence(
    lake: Lake,
    end_device_ids: Iterable[int] | NDArray[np.int64],
    *,
    since: datetime,
    until: datetime,
    power_failures: Sequence[tuple[int, int]],
) -> SupplyEvidence:
    """The evidence for each of the meters in [since, until), in three scans whatever their number.

    `power_failures` are the (log, code) pairs that mean a meter lost its supply.
    """
    ids = np.unique(np.asarray(list(end_device_ids) if not isinstance(end_device_ids, np.ndarray) else end_device_ids))
    ids = ids.astype(np.int64)
    size = len(ids)
    answered, tried, contact, gasp = (np.zeros(size) for _ in range(4))
    error: NDArray[np.object_] = np.full(size, "", dtype=object)
    voltage = np.full(size, np.nan)
    with _wanted(lake, ids):
        for row_id, good, newest, said, last_good in _sessions(lake, ids, since, until):
            answered[row_id], tried[row_id], error[row_id], contact[row_id] = good, newest, said, last_good
        for row_id, value in _voltages(lake, ids, since, until):
            voltage[row_id] = value / 1000
        for row_id, received in _gasps(lake, ids, since, until, power_failures):
            gasp[row_id] = received
    return SupplyEvidence(ids, answered, tried, error, voltage, contact, gasp)


@contextmanager
def _wanted(lake: Lake, ids: NDArray[np.int64]) -> Iterator[None]:
    """The meters as a table of this thread's cursor: as a parameter, a list of 30,000 takes seconds to be understood."""
    lake.cursor.register("wanted_devices", pa.table({"id": pa.array(ids.astype(np.int32))}))
    try:
        yield
    finally:
        lake.cursor.unregister("wanted_devices")


def _sessions(
    lake: Lake, ids: NDArray[np.int64], since: datetime, until: datetime
) -> Iterable[tuple[int, float, float, str, float]]:
    rows = lake.query(
        """
        SELECT end_device_id,
               coalesce(max(epoch(started_at)) FILTER (outcome = 0 AND started_at >= $since), 0),
               coalesce(max(epoch(started_at)) FILTER (started_at >= $since), 0),
               coalesce(arg_max(error_class, started_at) FILTER (started_at >= $since), ''),
               coalesce(max(epoch(started_at)) FILTER (outcome = 0), 0)
        FROM lake.sessions
        WHERE day >= $far::DATE AND started_at < $until
              AND end_device_id IN (SELECT id FROM wanted_devices) GROUP BY end_device_id
        """,
        _parameters(since, until, "far"),
    ).fetchall()
    for end_device_id, *values in rows:
        yield int(np.searchsorted(ids, end_device_id)), *values


def _voltages(lake: Lake, ids: NDArray[np.int64], since: datetime, until: datetime) -> Iterable[tuple[int, float]]:
    # A register's time is that of its session in whole seconds.
    rows = lake.query(
        f"""
        SELECT end_device_id, arg_max(value, (date_trunc('second', ts), value)) FROM lake.readings
        WHERE day >= $since::DATE AND ts >= date_trunc('second', $since::TIMESTAMP) AND ts < $until
              AND reading_type IN {VOLTAGE_TYPES!r} AND end_device_id IN (SELECT id FROM wanted_devices)
        GROUP BY end_device_id
        """,  # noqa: S608  numbers of this module
        _parameters(since, until),
    ).fetchall()
    for end_device_id, value in rows:
        yield int(np.searchsorted(ids, end_device_id)), value


def _gasps(
    lake: Lake, ids: NDArray[np.int64], since: datetime, until: datetime, power_failures: Sequence[tuple[int, int]]
) -> Iterable[tuple[int, float]]:
    pairs = ", ".join(f"({int(log)}, {int(code)})" for log, code in power_failures)
    if not pairs:
        return
    rows = lake.query(
        f"""
        SELECT end_device_id, max(epoch(received_at)) FROM lake.events
        WHERE day >= $far::DATE AND received_at < $until AND (log, code) IN ({pairs})
              AND end_device_id IN (SELECT id FROM wanted_devices)
        GROUP BY end_device_id
        """,  # noqa: S608  whole numbers
        {name: value for name, value in _parameters(since, until, "far").items() if name != "since"},
    ).fetchall()
    for end_device_id, received in rows:
        yield int(np.searchsorted(ids, end_device_id)), received


def devices_answered_on_routes(
    lake: Lake, route_ids: Iterable[int], *, since: datetime, until: datetime
) -> NDArray[np.int64]:
    """The meters whose session over one of the routes succeeded in [since, until): paths that are proven to be up."""
    routes = sorted(set(route_ids))
    rows = lake.query(
        """
        SELECT DISTINCT end_device_id FROM lake.sessions
        WHERE day >= $since::DATE AND started_at >= $since AND started_at < $until AND outcome = 0
              AND route_id IN (SELECT unnest($routes::INTEGER[])) ORDER BY end_device_id
        """,
        {"since": _naive(since), "until": _naive(until), "routes": routes},
    ).fetchall()
    return np.array([row[0] for row in rows], dtype=np.int64)


def _parameters(since: datetime, until: datetime, *more: str) -> dict[str, Any]:
    known = {"since": _naive(since), "until": _naive(until)}
    return known | ({"far": _naive(since - GASPS_WITHIN)} if "far" in more else {})


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
