"""The door of telemetry."""

import threading
from datetime import UTC, datetime

from django.conf import settings

from meterops.fleet.telemetry import maintenance, queries
from meterops.fleet.telemetry.columns import ColumnsNotValid
from meterops.fleet.telemetry.lake import Lake, LakeConfig
from meterops.fleet.telemetry.maintenance import LakeFinding, delete_orphans, drop_days_before, maintain
from meterops.fleet.telemetry.queries import (
    DayCompleteness,
    DeviceContact,
    EventRow,
    Freshness,
    LoadProfile,
    NotificationCount,
    NotificationRow,
    ProfileColumn,
    RegisterValue,
    SessionBucket,
    SessionRow,
    as_plain,
    count_rows,
    day_completeness,
    device_contacts,
    error_summary,
    fleet_completeness,
    freshness,
    latest_registers,
    latest_voltages,
    list_events,
    list_notifications,
    list_sessions,
    load_profile,
    notification_counts,
    notifications_between,
    session_summary,
)
from meterops.fleet.telemetry.reading_types import (
    INTERVAL_OFFSET,
    READING_TYPES,
    VOLTAGE_TYPES,
    QualityFlag,
    ReadingType,
    quality_of_status,
)
from meterops.fleet.telemetry.supply import SupplyEvidence, devices_answered_on_routes, supply_evidence
from meterops.fleet.telemetry.tail import Tail, last_place, repeated, rows_after

_opening = threading.Lock()
_lake: Lake | None = None


def lake() -> Lake:
    """This process's lake, attached on first use: attaching costs half a second, so nothing else opens one."""
    global _lake  # noqa: PLW0603  one per process is the point
    with _opening:
        if _lake is None or _lake.config.folder != settings.METEROPS_LAKE:
            _lake = Lake(LakeConfig(folder=settings.METEROPS_LAKE, catalog=settings.METEROPS_LAKE_CATALOG))
        return _lake


def check(opened: Lake) -> list[LakeFinding]:
    """What `meterops doctor` says of the lake."""
    return list(maintenance.check(opened, now=datetime.now(UTC)))


__all__ = [
    "INTERVAL_OFFSET",
    "READING_TYPES",
    "VOLTAGE_TYPES",
    "ColumnsNotValid",
    "DayCompleteness",
    "DeviceContact",
    "EventRow",
    "Freshness",
    "Lake",
    "LakeConfig",
    "LakeFinding",
    "LoadProfile",
    "NotificationCount",
    "NotificationRow",
    "ProfileColumn",
    "QualityFlag",
    "ReadingType",
    "RegisterValue",
    "SessionBucket",
    "SessionRow",
    "SupplyEvidence",
    "Tail",
    "as_plain",
    "check",
    "count_rows",
    "day_completeness",
    "delete_orphans",
    "device_contacts",
    "devices_answered_on_routes",
    "drop_days_before",
    "error_summary",
    "fleet_completeness",
    "freshness",
    "lake",
    "last_place",
    "latest_registers",
    "latest_voltages",
    "list_events",
    "list_notifications",
    "list_sessions",
    "load_profile",
    "maintain",
    "notification_counts",
    "notifications_between",
    "quality_of_status",
    "queries",
    "repeated",
    "rows_after",
    "session_summary",
    "supply_evidence",
]
