"""A small fleet with a past, made the way an operator gets one: imported files, rows of a lake, schedules, people.

Not at random: which meters are silent, failing or never read follows from their numbers, so tests can count on it.
"""

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from django.contrib.auth.models import Permission, User

from meterops.fleet.headend import api as headend
from meterops.fleet.headend.models import FleetOperation, RouteJob
from meterops.fleet.inventory import api as inventory
from meterops.fleet.telemetry import api as telemetry
from meterops.kernel import beats
from meterops.kernel.actor import process_actor

SEEDER = process_actor("seed")
PASSWORD = "quiet-grey-ground"
QUARTER = 900
NODE_COLUMNS = [
    "mrid",
    "kind",
    "name",
    "parent_electrical",
    "parent_communication",
    "latitude",
    "longitude",
    "rated_kva",
    "nominal_voltage",
    "address",
    "attributes_json",
]
DEVICE_COLUMNS = [
    "serial",
    "manufacturer",
    "model",
    "hardware_version",
    "firmware_version",
    "profile",
    "logical_device_name",
    "system_title",
    "usage_point",
    "route",
    "host",
    "port",
    "transport",
    "server_sap",
    "state",
    "installed_at",
]
STREETS = ("Mill Lane", "Harbour Road", "Station Street", "Orchard Way", "Chapel Hill", "Weir Street")
MODELS = (
    ("Kiwa", "E450", "3.1.6"),
    ("Kiwa", "E450", "3.1.7"),
    ("Sagitta", "S34", "2.0.4"),
    ("Ferro", "F-210", "1.9.0"),
)
OPERATOR_MAY = (
    "read_on_demand",
    "manage_schedules",
    "cancel_operations",
    "import_inventory",
    "acknowledge_incidents",
    "work_incidents",
    "merge_incidents",
    "declare_major",
    "manage_work_orders",
    "shelve_alarms",
    "plan_work",
    "check_power",
)

SILENT_TRANSFORMER = 2
"""Every meter below this one was last read two days ago."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What was made: meter ids in the order of their numbers, by transformer."""

    serials: list[str]
    ids: list[int]
    transformers: list[str]
    per_transformer: int


def make(folder: Path, *, transformers: int = 4, per_transformer: int = 12, now: datetime) -> Fleet:
    """Import the inventory and make schedules and people. The lake is `fill_lake`'s."""
    fleet = make_inventory(folder, transformers=transformers, per_transformer=per_transformer, now=now)
    make_people()
    make_schedules(now)
    return fleet


# --- inventory ------------------------------------------------------------------------------------------------------


def make_inventory(folder: Path, *, transformers: int, per_transformer: int, now: datetime) -> Fleet:
    """Write nodes.csv and devices.csv and import them."""
    nodes: list[dict[str, Any]] = [
        {"mrid": "HES", "kind": "HEAD_END", "name": "Head-end"},
        {"mrid": "SS-1", "kind": "SUBSTATION", "name": "Northmoor", "latitude": 52.05, "longitude": 5.1},
        {"mrid": "FD-1", "kind": "FEEDER", "name": "Northmoor 10 kV east", "parent_electrical": "SS-1"},
    ]
    devices: list[dict[str, Any]] = []
    names = []
    for t in range(transformers):
        names.append(f"TR-{t:04d}")
        nodes += _transformer(t)
        for m in range(per_transformer):
            point, device = _meter(t, m, t * per_transformer + m, now)
            nodes.append(point)
            devices.append(device)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "nodes.csv", NODE_COLUMNS, nodes)
    _write(folder / "devices.csv", DEVICE_COLUMNS, devices)
    inventory.import_files([folder / "nodes.csv", folder / "devices.csv"], actor=SEEDER, at=now - timedelta(days=30))
    serials = [device["serial"] for device in devices]
    ids = inventory.ids_by_serial(serials)
    return Fleet(serials, [ids[serial] for serial in serials], names, per_transformer)


def _transformer(t: int) -> list[dict[str, Any]]:
    name = f"TR-{t:04d}"
    latitude, longitude = _place(t)
    feeders = [
        {
            "mrid": f"{name}/F{f}",
            "kind": "LV_FEEDER",
            "name": f"{name} F{f}",
            "parent_electrical": name if f < 4 else f"{name}/F1",
        }
        for f in range(1, 5)
    ]
    return [
        {
            "mrid": name,
            "kind": "POWER_TRANSFORMER",
            "name": name,
            "parent_electrical": "FD-1",
            "latitude": latitude,
            "longitude": longitude,
            "rated_kva": (250, 400, 630)[t % 3],
            "nominal_voltage": 400,
        },
        *feeders,
        {
            "mrid": f"RT-{t:04d}",
            "kind": "ROUTE",
            "name": f"Route {t:04d}",
            "parent_communication": "HES",
            "attributes_json": json.dumps({"session_limit": 8}),
        },
    ]


def _place(t: int) -> tuple[float, float]:
    angle, far = t * 2.4, 0.004 * math.sqrt(t + 1)
    return round(52.05 + far * math.sin(angle), 6), round(5.1 + far * 1.6 * math.cos(angle), 6)


def _meter(t: int, m: int, n: int, now: datetime) -> tuple[dict[str, Any], dict[str, Any]]:
    latitude, longitude = _place(t)
    feeder = m % 4 + 1
    angle, far = feeder * 1.57 + t, 0.00035 + 0.00014 * (m // 4)
    manufacturer, model, firmware = MODELS[n % len(MODELS)]
    point = {
        "mrid": f"UP-{n:06d}",
        "kind": "USAGE_POINT",
        "parent_electrical": f"TR-{t:04d}/F{feeder}",
        "latitude": round(latitude + far * math.sin(angle), 6),
        "longitude": round(longitude + far * 1.6 * math.cos(angle), 6),
        "address": f"{STREETS[t % len(STREETS)]} {m + 1}, Northmoor",
        "attributes_json": json.dumps({"phases": ("L1", "L2", "L3", "L123")[m % 4], "critical": m == 5}),
    }
    device = {
        "serial": f"M{n:08d}",
        "manufacturer": manufacturer,
        "model": model,
        "hardware_version": "B",
        "firmware_version": firmware,
        "profile": "idis2",
        "logical_device_name": f"KWA{n:013d}",
        "system_title": f"4B5741{n:010X}",
        "usage_point": point["mrid"],
        "route": f"RT-{t:04d}",
        "host": f"127.{1 + n // 65536}.{n // 256 % 256}.{n % 256}",
        "port": 4059,
        "transport": "WRAPPER",
        "server_sap": 1,
        "state": "ACTIVE",
        "installed_at": (now - timedelta(days=400 + n % 200)).date().isoformat(),
    }
    return point, device


def _write(file: Path, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as target:
        writer = csv.DictWriter(target, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


# --- people, schedules, operations ----------------------------------------------------------------------------------


def make_people() -> None:
    """An administrator, an operator, and somebody who may only look; all with PASSWORD."""
    User.objects.create_superuser("admin", password=PASSWORD, first_name="M.", last_name="Nowak")
    User.objects.create_user("viewer", password=PASSWORD)
    operator = User.objects.create_user("operator", password=PASSWORD, first_name="J.", last_name="Ortiz")
    operator.user_permissions.set(Permission.objects.filter(codename__in=OPERATOR_MAY))


def make_schedules(now: datetime) -> None:
    """A quarter-hourly schedule with a round under way and one that is through, and a nightly one."""
    every = headend.in_session_order(headend.Content)
    for wanted in (
        headend.ScheduleSettings("Quarter-hourly", every, QUARTER, offset_s=60, window_s=840),
        headend.ScheduleSettings("Nightly", every, 86_400, offset_s=900, in_local_time=True, window_s=9 * 3600),
    ):
        headend.save_schedule(wanted=wanted, actor=SEEDER, at=now - timedelta(days=2))
    earlier = headend.run_schedule_now(name="Nightly", actor=SEEDER, at=now - timedelta(hours=11))
    running = headend.run_schedule_now(name="Quarter-hourly", actor=SEEDER, at=now - timedelta(minutes=4))
    for place, job in enumerate(RouteJob.objects.filter(operation_id=earlier).order_by("route_id")):
        failed = 2 if place == SILENT_TRANSFORMER else place % 2
        job.total, job.succeeded, job.failed = 12, 12 - failed, failed
        job.errors = {"timeout": failed} if failed else {}
        job.started_at, job.finished_at = now - timedelta(hours=11), now - timedelta(hours=10, minutes=50 - place % 30)
        job.save()
    FleetOperation.objects.filter(id=earlier).update(state="COMPLETED", finished_at=now - timedelta(hours=10))
    for place, job in enumerate(RouteJob.objects.filter(operation_id=running).order_by("route_id")):
        if place % 3 == 0:
            job.total, job.succeeded, job.failed = 12, 9, 1
            job.errors = {"unreachable": 1}
            job.started_at = now - timedelta(minutes=3)
            job.save()


def beat(now: datetime) -> None:
    """Let a worker, the listener and the engine be alive."""
    for role in ("worker", "listener", "engine"):
        beats.beat(process=f"{role}-1", role=role, started_at=now - timedelta(hours=5), now=now, status={})


# --- the lake -------------------------------------------------------------------------------------------------------


def fill_lake(lake: telemetry.Lake, fleet: Fleet, *, days: int = 2, now: datetime) -> None:
    """A past of `days` for every meter: load profile, registers, sessions, events."""
    lake.append(readings=_readings(fleet, days, now), sessions=_sessions(fleet, days, now), events=_events(fleet, now))


def is_never(n: int) -> bool:
    """Whether the meter with this number was never read."""
    return n % 29 == 28


def is_failing(n: int) -> bool:
    """Whether the newest session with this meter failed."""
    return n % 17 == 3


def last_read(fleet: Fleet, n: int, now: datetime) -> datetime | None:
    """When meter number n was last read."""
    if is_never(n):
        return None
    if n // fleet.per_transformer == SILENT_TRANSFORMER:
        return now - timedelta(hours=50)
    return now - timedelta(minutes=6 + n % 5, seconds=n % 60)


def _readings(fleet: Fleet, days: int, now: datetime) -> dict[str, Any]:
    end = int(now.timestamp()) // QUARTER * QUARTER
    columns: dict[str, list[np.ndarray[Any, Any]]] = {"id": [], "type": [], "ts": [], "value": [], "quality": []}

    def add(device: int, kind: int, at: np.ndarray[Any, Any], value: np.ndarray[Any, Any], quality: Any = 0) -> None:
        columns["id"].append(np.full(len(at), device, np.int32))
        columns["type"].append(np.full(len(at), kind, np.int16))
        columns["ts"].append(at.astype("datetime64[s]").astype("datetime64[us]"))
        columns["value"].append(value.astype(np.int64))
        columns["quality"].append(np.broadcast_to(np.asarray(quality, np.int16), len(at)))

    for n, device in enumerate(fleet.ids):
        read = last_read(fleet, n, now)
        if read is None:
            continue
        at = np.arange(end - days * 86_400, min(end, int(read.timestamp())) + 1, QUARTER)
        at = at[(at // QUARTER + n) % 61 > 2]  # three quarters missing now and then
        if not len(at):
            continue
        hour = (at % 86_400) / 3600
        power = 90 + 260 * np.exp(-((hour - 18.5) ** 2) / 6) + 120 * np.exp(-((hour - 7.5) ** 2) / 3)
        counted = 4_000_000 + n * 1000 + np.cumsum(power * (0.6 + (n % 7) / 8))
        quality = np.where((at // QUARTER) % 97 == 5, 2, 0)
        add(device, 101, at, counted * 1000, quality)
        add(device, 111, at, (231 + 4 * np.sin(at / 9000 + n) - 30 * (n % 23 == 7)) * 1000)
        add(device, 1, at[-1:], counted[-1:] * 1000)
        add(device, 2, at[-1:], np.array([1_250_000]))
        add(device, 11, at[-1:], np.array([(202 if n % 23 == 7 else 231) * 1000]))
        add(device, 21, at[-1:], np.array([1340]))
        add(device, 31, at[-1:], np.array([308_000]))
    names = ("end_device_id", "reading_type", "ts", "value", "quality")
    return {name: np.concatenate(parts) for name, parts in zip(names, columns.values(), strict=True)}


def _sessions(fleet: Fleet, days: int, now: datetime) -> dict[str, Any]:
    rows: list[tuple[Any, ...]] = []
    routes = {item.mrid: item.id for item in inventory.list_nodes(inventory.ItemKind.ROUTE)}
    for n, device in enumerate(fleet.ids):
        route = routes[f"RT-{n // fleet.per_transformer:04d}"]
        read = last_read(fleet, n, now)
        drift = 45_000 if n % 31 == 9 else (n * 37) % 900 - 450
        for back in range(days * 4 if read else 0):
            at = (read or now) - timedelta(hours=6 * back)
            rows.append((device, route, 50, at, 420 + n % 300, 1840, 9200 + n, 24, 12, 0, "", "", 105, 1, drift))
        silent = read is None or now - read > timedelta(hours=24)
        if silent or is_failing(n):
            error, detail = ("unreachable", "no connection within 10 s") if silent else _fault(n)
            at = now - timedelta(minutes=3, seconds=n % 60)
            rows.append((device, route, 50, at, 10_002, 240, 0, 2, 1, 1, error, detail, 0, 3, None))
    names = [
        "end_device_id",
        "route_id",
        "lane",
        "started_at",
        "duration_ms",
        "bytes_sent",
        "bytes_received",
        "apdus",
        "round_trips",
        "outcome",
        "error_class",
        "error_detail",
        "readings",
        "attempt",
        "clock_drift_ms",
    ]
    columns = {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
    columns["operation_id"] = ["" for _ in rows]
    columns["started_at"] = [at.astimezone(UTC).replace(tzinfo=None, microsecond=0) for at in columns["started_at"]]
    return columns


def _fault(n: int) -> tuple[str, str]:
    if n % 2:
        return "authentication", "the meter refused the association: authentication failure"
    return "timeout", "no answer to GET-Request within 15 s"


def _events(fleet: Fleet, now: datetime) -> dict[str, Any]:
    rows = []
    for n, device in enumerate(fleet.ids):
        if n % 4 == 0:
            at = now.astimezone(UTC).replace(tzinfo=None, microsecond=0)
            rows.append((device, 0, 1, at - timedelta(hours=9, minutes=n % 60), at - timedelta(hours=6)))
            rows.append((device, 0, 2, at - timedelta(hours=8, minutes=n % 60), at - timedelta(hours=6)))
            rows.append((device, 1, 40, at - timedelta(hours=30), at - timedelta(hours=29)))
    names = ("end_device_id", "log", "code", "occurred_at", "received_at")
    columns: dict[str, Any] = {n: list(v) for n, v in zip(names, zip(*rows, strict=True), strict=True)}
    return {**columns, "identity": [""] * len(rows), "origin": [0] * len(rows), "detail": [""] * len(rows)}
