"""What the operator of a simulated region is sent: its records (nodes, meters) and the shipment of keys, as CSV files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from meterops.simulator.fleet_models import PROFILE
from meterops.simulator.region import (
    CELL_SESSIONS,
    CONCENTRATOR_SESSIONS,
    Addressing,
    Region,
    address_of,
    cell_mrid,
    concentrator_mrid,
    point_mrid,
    transformer_mrid,
    usual_addressing,
)
from meterops.simulator.towns import latitude, longitude, postal_code, street_name, town_name

HEAD_END: Final = "HES-1"
INSTALLED_AT: Final = "2024-03-01T09:00:00Z"

NODE_HEADER: Final = (
    "mrid", "kind", "name", "parent_electrical", "parent_communication", "latitude", "longitude",
    "rated_kva", "nominal_voltage", "address", "attributes_json",
)  # fmt: skip
DEVICE_HEADER: Final = (
    "serial", "manufacturer", "model", "hardware_version", "firmware_version", "profile", "logical_device_name",
    "system_title", "usage_point", "route", "host", "port", "transport", "server_sap", "state", "installed_at",
)  # fmt: skip
KEY_HEADER: Final = ("system_title", "serial", "encryption_key", "authentication_key", "master_key")

Row = tuple[Any, ...]


def write_shipment(
    region: Region, folder: Path, *, port: int = 4059, addressing: Addressing | None = None
) -> tuple[Path, Path, Path]:
    """Write nodes.csv, devices.csv and keys.csv (mode 0600) into a folder, and give their paths.

    The addresses are those at which `serve_fleet` with the same port and addressing serves the region.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = addressing or usual_addressing()
    nodes, devices, keys = folder / "nodes.csv", folder / "devices.csv", folder / "keys.csv"
    _write(nodes, NODE_HEADER, _nodes(region))
    _write(devices, DEVICE_HEADER, _devices(region, port, chosen))
    keys.unlink(missing_ok=True)
    keys.touch(mode=0o600)
    _write(keys, KEY_HEADER, _keys(region))
    return nodes, devices, keys


def _write(path: Path, header: Row, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def _attributes(**members: Any) -> str:
    return json.dumps(members, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _nodes(region: Region) -> Iterator[Row]:
    yield (HEAD_END, "HEAD_END", "Head-end", "", "", "", "", "", "", "", "")
    yield from _medium_voltage(region)
    yield from _low_voltage(region)
    yield from _communication(region)
    yield from _points(region)


def _medium_voltage(region: Region) -> Iterator[Row]:
    grid = region.grid
    north, east = latitude(grid.substation_y).tolist(), longitude(grid.substation_x).tolist()
    for number, town in enumerate(grid.substation_town.tolist()):
        name = f"Substation {town_name(town)}"
        yield (f"SS-{number + 1:02}", "SUBSTATION", name, "", "", north[number], east[number], "", 10_000, "", "")
    for number, substation in enumerate(grid.feeder_substation.tolist()):
        name = f"MV feeder {number + 1}"
        yield (f"MV-{number + 1:04}", "FEEDER", name, f"SS-{substation + 1:02}", "", "", "", "", 10_000, "", "")


def _low_voltage(region: Region) -> Iterator[Row]:
    grid = region.grid
    north, east = latitude(grid.transformer_y).tolist(), longitude(grid.transformer_x).tolist()
    first_street = dict(zip(grid.lv_transformer[::-1].tolist(), grid.lv_street[::-1].tolist(), strict=True))
    for number in range(grid.transformers):
        town = int(grid.transformer_town[number])
        name = f"Transformer {street_name(town, first_street[number])}"
        above = f"MV-{int(grid.transformer_feeder[number]) + 1:04}"
        kva = int(grid.transformer_kva[number])
        mrid = transformer_mrid(number)
        yield (mrid, "POWER_TRANSFORMER", name, above, "", north[number], east[number], kva, 400, town_name(town), "")
    for transformer, number, street in zip(grid.lv_transformer, grid.lv_number, grid.lv_street, strict=True):
        mrid, above = _lv_mrid(int(transformer), int(number)), transformer_mrid(int(transformer))
        name = f"LV feeder {street_name(int(grid.transformer_town[transformer]), int(street))}"
        yield (mrid, "LV_FEEDER", name, above, "", "", "", "", 400, "", "")


def _lv_mrid(transformer: int, number: int) -> str:
    return f"LV-{transformer + 1:05}-{number + 1}"


def _communication(region: Region) -> Iterator[Row]:
    grid = region.grid
    north, east = latitude(grid.transformer_y).tolist(), longitude(grid.transformer_x).tolist()
    limits = _attributes(connect_rate_per_s=20, session_limit=CONCENTRATOR_SESSIONS, technology="PLC")
    for number in range(grid.transformers):
        route, mrid = f"RT-{number + 1:05}", concentrator_mrid(number)
        yield (route, "ROUTE", f"Concentrator path {number + 1}", "", HEAD_END, "", "", "", "", "", limits)
        name, above = f"Concentrator {number + 1}", transformer_mrid(number)
        yield (mrid, "DATA_CONCENTRATOR", name, above, route, north[number], east[number], "", "", "", "")
    limits = _attributes(connect_rate_per_s=50, session_limit=CELL_SESSIONS, technology="CELLULAR")
    for number in range(region.cells):
        yield (cell_mrid(number), "ROUTE", f"Cell {number + 1}", "", HEAD_END, "", "", "", "", "", limits)


def _points(region: Region) -> Iterator[Row]:
    grid = region.grid
    north, east = latitude(grid.customer_y).tolist(), longitude(grid.customer_x).tolist()
    phases, business = region.customers.phase.tolist(), region.customers.is_business.tolist()
    streets = _street_addresses(region)
    numbers, feeders = grid.customer_number.tolist(), grid.customer_lv.tolist()
    transformers, lv_numbers = grid.lv_transformer.tolist(), grid.lv_number.tolist()
    for point in range(grid.customers):
        feeder = feeders[point]
        street, rest = streets[feeder]
        extra = _attributes(critical=is_critical(region, point), phases=f"L{phases[point] or 123}")
        above = _lv_mrid(transformers[feeder], lv_numbers[feeder])
        address = f"{street} {numbers[point]}, {rest}"
        name = "Shop" if business[point] else "Home"
        yield (
            point_mrid(region, point), "USAGE_POINT", f"{name} {street} {numbers[point]}", above, "", north[point],
            east[point], "", 400 if not phases[point] else 230, address, extra,
        )  # fmt: skip
    yield from _sum_points(region)


def _sum_points(region: Region) -> Iterator[Row]:
    grid = region.grid
    north, east = latitude(grid.transformer_y).tolist(), longitude(grid.transformer_x).tolist()
    extra = _attributes(critical=False, phases="L123", role="transformer sum")
    for number in range(region.sum_meters):
        mrid, above = point_mrid(region, grid.customers + number), transformer_mrid(number)
        name = f"Sum of {above}"
        yield (mrid, "USAGE_POINT", name, above, "", north[number], east[number], "", 400, "", extra)


def _street_addresses(region: Region) -> list[tuple[str, str]]:
    """The street of each LV feeder, and postal code and town."""
    grid = region.grid
    towns = grid.transformer_town[grid.lv_transformer].tolist()
    return [
        (street_name(town, street), f"{postal_code(town, street)} {town_name(town)}")
        for town, street in zip(towns, grid.lv_street.tolist(), strict=True)
    ]


def is_critical(region: Region, point: int) -> bool:
    """Whether somebody's life or work depends on this supply: about one customer in two hundred."""
    return (point * 2_654_435_761 + region.seed * 40_503) % 4_294_967_296 < 21_500_000


def _devices(region: Region, port: int, addressing: Addressing) -> Iterator[Row]:
    for meter in range(region.meters):
        model, address, title = region.model(meter), address_of(meter, port, addressing), region.system_title(meter)
        serial = region.serial(meter)
        yield (
            serial, model.manufacturer, model.name, model.hardware, region.firmware(meter), PROFILE,
            region.logical_device_name(meter), title.hex().upper(), point_mrid(region, meter),
            region.route_mrid(meter), address.host, address.port, "WRAPPER", address.server_sap, "ACTIVE", INSTALLED_AT,
        )  # fmt: skip


def _keys(region: Region) -> Iterator[Row]:
    for meter in range(region.meters):
        ring = region.keys(meter)
        master = ring.master or b""
        yield (
            region.system_title(meter).hex().upper(), region.serial(meter), ring.encryption.hex(),
            ring.authentication.hex(), master.hex(),
        )  # fmt: skip
