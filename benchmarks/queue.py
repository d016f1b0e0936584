# ruff: noqa: A005  a benchmark is named for what it measures, and nobody imports it bare
"""How fast the control room's questions are answered: pages of a full queue, and what a whole substation amounts to.

    .venv/bin/python -m benchmarks.queue [--meters 30000] [--incidents 2000] [--alarms 100000] --json

Everything is the real thing on the embedded store: an imported grid with one substation, incidents with timelines, filters as
people combine them, and sessions in the lake for the power check. Times are those of one process, in milliseconds.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import random
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import finish, progress
from benchmarks.state import own_state

PER_TRANSFORMER = 400
PER_ROUTE = 500
ROUNDS = 60
STORM = 200
ALARM_TYPES = ("SILENT_METER", "POWER_FAILURE", "VOLTAGE_SAG_L1", "METER_COVER_REMOVED", "FIRMWARE_FAILED")


def main() -> None:
    """Measure once and print."""
    options = _options()
    with own_state("queue") as folder:
        result = measure(folder, options.meters, options.incidents, options.alarms)
    finish("queue", result, json_only=options.json)


def measure(folder: Path, meters: int, incidents: int, alarms: int) -> dict[str, Any]:
    """Set up a substation and a full queue in `folder`, and ask."""
    from meterops.interfaces.cli.state import open_state

    open_state()
    from meterops.kernel.clock import utc_now

    now = utc_now()
    progress(f"a substation with {meters:,} meters")
    _import_grid(folder, meters, now)
    progress(f"{incidents:,} incidents with timelines")
    _fill_queue(incidents, now)
    progress(f"{alarms:,} active alarms")
    _fill_alarms(alarms, now)
    progress("asking")
    return {
        "meters": meters,
        "incidents": incidents,
        "alarms": alarms,
        **_measure_impact(now),
        **_measure_queue(),
        **_measure_alarms(now),
        **_measure_opening(now),
        **_measure_power_check(folder, now),
    }


# --- what is measured -----------------------------------------------------------------------------------------------


def _measure_impact(now: datetime) -> dict[str, Any]:
    from meterops.practices.incidents import api as incidents

    times = [_timed(lambda: incidents.impact_of_node("SS-1", now=now)) for _ in range(10)]
    found = incidents.impact_of_node("SS-1", now=now)
    return {"impact_ms_p95": _p95(times), "impact_premises": found.premises, "impact_critical": found.critical}


def _measure_queue() -> dict[str, Any]:
    from meterops.practices.incidents import api as incidents

    pages = list(itertools.islice(_questions(), ROUNDS))
    times = [_timed(question) for question in pages]
    counts = [_timed(incidents.incident_counts) for _ in range(10)]
    cursor = incidents.queue_cursor() - 40
    changes = [_timed(lambda: incidents.queue_changes_since(cursor)) for _ in range(10)]
    one = [_timed(lambda n=n: incidents.get_incident(n)) for n in range(1, 11)]  # type: ignore[misc]
    return {
        "queue_page_ms_p95": _p95(times),
        "queue_counts_ms_p95": _p95(counts),
        "queue_changes_ms_p95": _p95(changes),
        "incident_page_ms_p95": _p95(one),
    }


def _measure_alarms(now: datetime) -> dict[str, Any]:
    """Pages of alarms down to the tenth, for filters as people combine them; counts by type; the load of alarms."""
    from meterops.practices.events import api as events

    times, rarest = [], []
    for wanted in _alarm_filters():
        after = ""
        for _ in range(10):
            started = time.perf_counter()
            page = events.list_alarms(wanted, after=after)
            times.append((time.perf_counter() - started) * 1000)
            if not (after := page.after):
                break
        rarest.append(max(times[-10:]))
    counts = [_timed(events.alarm_counts) for _ in range(10)]
    health = [_timed(lambda: events.alarm_health(now=now)) for _ in range(10)]
    noisy = [_timed(lambda: events.noisy_devices(since=now - timedelta(days=1))) for _ in range(5)]
    return {
        "alarm_page_ms_p95": _p95(times),
        "alarm_page_ms_max": round(max(rarest), 1),
        "alarm_counts_ms_p95": _p95(counts),
        "alarm_health_ms_p95": _p95(health),
        "noisy_devices_ms_p95": _p95(noisy),
    }


def _alarm_filters() -> list[Any]:
    from meterops.fleet.inventory import api as inventory
    from meterops.practices.events import api as events

    transformer = inventory.list_nodes(inventory.ItemKind.POWER_TRANSFORMER)[3].id
    meter = int(inventory.ids_of_end_devices()[7])
    return [
        events.AlarmFilter(),
        events.AlarmFilter(severity="WARNING"),
        events.AlarmFilter(event_type=ALARM_TYPES[0]),
        events.AlarmFilter(event_type=ALARM_TYPES[-1], severity="EXCEPTION"),
        events.AlarmFilter(is_security=True),
        events.AlarmFilter(acknowledged=True),
        events.AlarmFilter(acknowledged=False, severity="EXCEPTION"),
        events.AlarmFilter(shelved=True),
        events.AlarmFilter(transformer_id=transformer),
        events.AlarmFilter(end_device_id=meter, shelved=None),
        events.AlarmFilter(unknown_only=True),
        events.AlarmFilter(severity="INFORMATIONAL", is_security=True),
    ]


def _measure_opening(now: datetime) -> dict[str, Any]:
    """Situations become incidents: figures, members, chain and message, each in a transaction of its own."""
    from meterops.fleet.inventory import api as inventory
    from meterops.kernel import facts
    from meterops.practices.events.events import SituationOpened
    from meterops.site.wiring import wire

    wire()
    nodes = inventory.list_nodes(inventory.ItemKind.POWER_TRANSFORMER)
    facts.publish(
        *(
            SituationOpened(
                situation_id=f"storm{n:031d}",
                kind="OUTAGE",
                tree="ELECTRICAL",
                node_id=nodes[n % len(nodes)].id,
                node_mrid=nodes[n % len(nodes)].mrid,
                started_at=now,
                at=now,
                expected=PER_TRANSFORMER,
                heard=300,
                silent=100,
                answered=0,
                power_score=0.9,
                communication_score=0.1,
                confidence=0.9,
            )
            for n in range(STORM)
        )
    )
    started = time.perf_counter()
    delivered = facts.deliver(now=now)
    return {"incidents_opened_per_s": round(delivered / (time.perf_counter() - started), 1)}


def _questions() -> Iterator[Callable[[], Any]]:
    """Pages as people look at them: filters, orders and depths in turn."""
    from meterops.practices.incidents import api as incidents

    kinds = tuple(incidents.IncidentKind)
    filters = (
        incidents.QueueFilter(),
        incidents.QueueFilter(priorities=(1, 2)),
        incidents.QueueFilter(acknowledged=False),
        incidents.QueueFilter(owner=""),
        incidents.QueueFilter(owner="operator 3", priorities=(3,)),
        incidents.QueueFilter(kinds=kinds[:1], acknowledged=False),
        incidents.QueueFilter(text="TR-0007"),
        incidents.QueueFilter(states=(incidents.IncidentState.RESOLVED,)),
        incidents.QueueFilter(is_major=True),
    )
    for round_number in itertools.count():
        for wanted, sort in itertools.product(filters, incidents.SORTS):
            yield lambda w=wanted, s=sort, p=1 + round_number % 5: incidents.incident_queue(w, sort=s, page=p)  # type: ignore[misc]


def _measure_power_check(folder: Path, now: datetime) -> dict[str, Any]:
    from meterops.fleet.headend import api as headend
    from meterops.fleet.inventory import api as inventory
    from meterops.fleet.telemetry import api as telemetry
    from meterops.kernel.actor import process_actor

    ids = inventory.ids_of_end_devices()
    started = time.perf_counter()
    operation = headend.request_power_check(end_device_ids=ids, actor=process_actor("benchmark"), at=now)
    requested = time.perf_counter() - started
    lake = telemetry.Lake(telemetry.LakeConfig(str(folder / "answers")))
    _answer(lake, ids, now)
    times = [
        _timed(lambda: headend.power_check_answers(operation, now=now + timedelta(minutes=1), lake=lake))
        for _ in range(10)
    ]
    view = headend.get_power_check(operation, now=now + timedelta(minutes=1), lake=lake)
    lake.close()
    return {
        "power_check_request_ms": round(requested * 1000, 1),
        "power_check_answers_ms_p95": _p95(times),
        "power_check_on": view.counts[headend.SupplyAnswer.ON],
        "power_check_off": view.counts[headend.SupplyAnswer.OFF],
    }


# --- what is there --------------------------------------------------------------------------------------------------


def _import_grid(folder: Path, meters: int, now: datetime) -> None:
    from meterops.fleet.headend import api as headend
    from meterops.fleet.headend.models import RouteProgress
    from meterops.fleet.inventory import api as inventory
    from meterops.kernel.actor import process_actor

    nodes: list[dict[str, Any]] = [
        {"mrid": "HES", "kind": "HEAD_END"},
        {"mrid": "SS-1", "kind": "SUBSTATION", "name": "Northmoor"},
        *({"mrid": f"FD-{f}", "kind": "FEEDER", "parent_electrical": "SS-1"} for f in range(10)),
    ]
    transformers = -(-meters // PER_TRANSFORMER)
    nodes += [
        {"mrid": f"TR-{t:04d}", "kind": "POWER_TRANSFORMER", "parent_electrical": f"FD-{t % 10}"}
        for t in range(transformers)
    ]
    nodes += [
        {"mrid": f"RT-{r:04d}", "kind": "ROUTE", "parent_communication": "HES"} for r in range(-(-meters // PER_ROUTE))
    ]
    devices = []
    for n in range(meters):
        critical = json.dumps({"critical": n % 1000 == 5})
        nodes.append(
            {
                "mrid": f"UP-{n}",
                "kind": "USAGE_POINT",
                "parent_electrical": f"TR-{n // PER_TRANSFORMER:04d}",
                "attributes_json": critical,
            }
        )
        devices.append(
            {
                "serial": f"M{n:08d}",
                "usage_point": f"UP-{n}",
                "route": f"RT-{n // PER_ROUTE:04d}",
                "host": f"127.{1 + n // 65536}.{n // 256 % 256}.{n % 256}",
                "port": 4059,
                "profile": "dsmr5",
                "state": "ACTIVE",
            }
        )
    files = [_write(folder / "nodes.csv", nodes), _write(folder / "devices.csv", devices)]
    inventory.import_files(files, actor=process_actor("benchmark"), at=now - timedelta(days=30))
    columns = inventory.columns_of_end_devices(("route_id",))
    for route in np.unique(columns["route_id"]):
        here = columns["id"][columns["route_id"] == route].tolist()
        read_until = {meter: int(now.timestamp()) - 900 * (meter % 200) for meter in here}
        RouteProgress.objects.create(
            route_id=int(route), profile_read_until=headend.meter_sets.pack_moments(read_until), updated_at=now
        )


def _write(file: Path, rows: list[dict[str, Any]]) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with file.open("w", newline="", encoding="utf-8") as target:
        writer = csv.DictWriter(target, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return file


def _fill_queue(count: int, now: datetime) -> None:
    from meterops.fleet.headend.api import meter_sets
    from meterops.fleet.inventory import api as inventory
    from meterops.practices.incidents import api as incidents
    from meterops.practices.incidents.models import Incident, IncidentEntry

    dice = random.Random(7)
    nodes = inventory.list_nodes(inventory.ItemKind.POWER_TRANSFORMER)
    members = meter_sets.pack(inventory.ids_of_end_devices()[:PER_TRANSFORMER].astype(np.int32))
    rows = []
    for n in range(count):
        node = nodes[n % len(nodes)]
        opened = now - timedelta(minutes=dice.randrange(60 * 48))
        state = dice.choices(tuple(incidents.IncidentState)[:5], (5, 3, 3, 1, 2))[0]
        rows.append(
            Incident(
                title=f"Transformer without supply, {node.mrid}",
                kind=dice.choice(tuple(incidents.IncidentKind)),
                state=state,
                situation_id=f"{n:036d}",
                tree="ELECTRICAL",
                node_id=node.id,
                node_mrid=node.mrid,
                node_name=node.mrid,
                node_kind=node.kind,
                area_name=f"Area {n % 20}",
                area_id=n % 20,
                impact=dice.randrange(1, 5),
                urgency=dice.randrange(1, 5),
                priority=dice.choices((1, 2, 3, 4), (1, 4, 15, 80))[0],
                meters=PER_TRANSFORMER,
                premises=PER_TRANSFORMER,
                assessed_at=now,
                owner=f"operator {n % 8}" if n % 3 else "",
                acknowledged_at=opened if n % 2 else None,
                is_major=n % 400 == 0,
                started_at=opened,
                opened_at=opened,
                scope={"under": [node.mrid]},
                members_at_open=members,
            )
        )
    made = Incident.objects.bulk_create(rows, batch_size=500)
    lines = [
        IncidentEntry(incident=row, at=now, kind="OPENED" if k == 0 else "NOTE", actor="benchmark", text=f"Line {k}.")
        for row in made
        for k in range(12)
    ]
    IncidentEntry.objects.bulk_create(lines, batch_size=2000)


def _fill_alarms(count: int, now: datetime) -> None:
    from meterops.fleet.inventory import api as inventory
    from meterops.practices.events.models import Alarm, AlarmMinute
    from meterops.practices.events.rules import reduction_key

    dice = random.Random(11)
    columns = inventory.columns_of_end_devices(("transformer_id",))
    ids, transformers = columns["id"].tolist(), columns["transformer_id"].tolist()
    rows = []
    for n in range(count):
        place, at = n % len(ids), now - timedelta(seconds=dice.randrange(48 * 3600))
        kind = ALARM_TYPES[n // len(ids) % len(ALARM_TYPES)] if n % 500 else ALARM_TYPES[-1]
        device, shelved = (ids[place] if n % 5000 else 0), n % 97 == 0
        rows.append(
            Alarm(
                reduction_key=reduction_key(kind, device, f"{n:016x}") + ("" if n % 500 else f":{n}"),
                event_type=kind,
                severity=dice.choices(("EXCEPTION", "WARNING"), (1, 4))[0],
                is_security=n % 9 == 0,
                end_device_id=device,
                identity="" if device else f"{n:016x}",
                transformer_id=transformers[place],
                first_at=at,
                last_at=at,
                raised_at=at,
                occurrences=dice.randrange(1, 9),
                acknowledged_at=at if n % 50 == 0 else None,
                shelved_at=at if shelved else None,
                shelved_until=now + timedelta(hours=1) if shelved else None,
            )
        )
    Alarm.objects.bulk_create(rows, batch_size=2000)
    minute = now.replace(second=0, microsecond=0)
    AlarmMinute.objects.bulk_create(
        AlarmMinute(minute_at=minute - timedelta(minutes=m), priority=p, shown=m % 7)
        for m in range(24 * 60)
        for p in (1, 2, 3, 4)
    )


def _answer(lake: Any, ids: Any, now: datetime) -> None:
    """Nine in ten meters answer with a voltage, one gasped before and does not."""
    at, count = now + timedelta(seconds=20), len(ids)
    silent = np.arange(count) % 10 == 0
    zeros = np.zeros(count, np.int32)
    columns = _routes()
    lake.append(
        sessions={
            "end_device_id": ids.astype(np.int32),
            "route_id": columns.astype(np.int32),
            "operation_id": [""] * count,
            "lane": np.full(count, 30, np.int16),
            "started_at": np.full(count, at.replace(tzinfo=None), "datetime64[ms]"),
            **dict.fromkeys(("duration_ms", "bytes_sent", "bytes_received", "apdus", "round_trips", "readings"), zeros),
            "outcome": silent.astype(np.int16),
            "error_class": np.where(silent, "timeout", "").tolist(),
            "error_detail": [""] * count,
            "attempt": np.ones(count, np.int16),
            "clock_drift_ms": [None] * count,
        },
        readings={
            "end_device_id": ids[~silent].astype(np.int32),
            "reading_type": np.full(int((~silent).sum()), 11, np.int16),
            "ts": np.full(int((~silent).sum()), at.replace(tzinfo=None), "datetime64[us]"),
            "value": np.full(int((~silent).sum()), 230_000, np.int64),
            "quality": np.zeros(int((~silent).sum()), np.int16),
        },
    )
    before = np.full(int(silent.sum()), (now - timedelta(minutes=2)).replace(tzinfo=None), "datetime64[us]")
    lake.append(
        events={
            "end_device_id": ids[silent].astype(np.int32),
            "identity": [""] * int(silent.sum()),
            "log": np.zeros(int(silent.sum()), np.int16),
            "code": np.ones(int(silent.sum()), np.int32),
            "occurred_at": before,
            "received_at": before,
            "origin": np.full(int(silent.sum()), 2, np.int16),
            "detail": [""] * int(silent.sum()),
        }
    )


def _routes() -> Any:
    """Every meter's route, by ascending id of the meter."""
    from meterops.fleet.inventory import api as inventory

    return inventory.columns_of_end_devices(("route_id",))["route_id"]


# --- clocks ---------------------------------------------------------------------------------------------------------


def _timed(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


def _p95(times: list[float]) -> float:
    return round(float(np.percentile(times, 95)), 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meters", type=int, default=30_000)
    parser.add_argument("--incidents", type=int, default=2_000)
    parser.add_argument("--alarms", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="print only the JSON object")
    return parser.parse_args()


if __name__ == "__main__":
    main()
