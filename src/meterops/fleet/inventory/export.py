"""Writes the inventory as the files that import reads: importing an export changes nothing."""

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TextIO

from django.db.models import OuterRef, Subquery

from meterops.fleet.inventory.csv_columns import DEVICE_COLUMNS, NODE_COLUMNS, Column, write_cell
from meterops.fleet.inventory.kinds import ItemKind, Tree
from meterops.fleet.inventory.lifecycle import ItemState
from meterops.fleet.inventory.models import ConfigurationItem, EndDevice, Link

NODES_FILE: Final = "nodes.csv"
DEVICES_FILE: Final = "devices.csv"
_BATCH: Final = 5000
_TREES: Final = {"electrical_parent": Tree.ELECTRICAL, "communication_parent": Tree.COMMUNICATION}


def export_to(folder: Path) -> dict[str, int]:
    """Write both files into a folder and return how many rows each has. Takes memory for some thousand rows only."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = {}
    for name, write in ((NODES_FILE, write_nodes), (DEVICES_FILE, write_devices)):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            counts[name] = write(file)
    return counts


def export_files() -> dict[str, bytes]:
    """Both files as octets, for a download."""
    files = {}
    writers: tuple[tuple[str, Callable[[TextIO], int]], ...] = (
        (NODES_FILE, write_nodes),
        (DEVICES_FILE, write_devices),
    )
    for name, write in writers:
        text = io.StringIO(newline="")
        write(text)
        files[name] = text.getvalue().encode()
    return files


def write_nodes(file: TextIO) -> int:
    """The nodes of both trees, by mrid. A column `state` is there where a node is not in service."""
    nodes = ConfigurationItem.objects.exclude(kind=ItemKind.END_DEVICE).order_by("mrid")
    has_states = nodes.exclude(state=ItemState.ACTIVE).exists()
    columns = [column for column in NODE_COLUMNS if not column.optional_in_export or has_states]
    rows = nodes.annotate(**{name: _parent("pk", tree) for name, tree in _TREES.items()})
    return _write(file, columns, rows.values_list(*(column.attribute for column in columns)).iterator(_BATCH))


def write_devices(file: TextIO) -> int:
    """The meters, by serial. A column `attributes_json` is there where a meter has any."""
    devices = EndDevice.objects.order_by("serial")
    has_attributes = ConfigurationItem.objects.filter(kind=ItemKind.END_DEVICE).exclude(attributes={}).exists()
    columns = [column for column in DEVICE_COLUMNS if not column.optional_in_export or has_attributes]
    names = ["item__attributes" if column.attribute == "attributes" else column.attribute for column in columns]
    rows = devices.annotate(**{name: _parent("item_id", tree) for name, tree in _TREES.items()})
    return _write(file, columns, rows.values_list(*names).iterator(_BATCH))


def _parent(child: str, tree: Tree) -> Subquery:
    held = Link.objects.filter(child_id=OuterRef(child), tree=tree, ends_at__isnull=True)
    return Subquery(held.values("parent__mrid")[:1])


def _write(file: TextIO, columns: list[Column], rows: Iterator[tuple[Any, ...]]) -> int:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(column.name for column in columns)
    count = 0
    for row in rows:
        writer.writerow(map(write_cell, row))
        count += 1
    return count
