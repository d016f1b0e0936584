"""`meterops correlate`: the correlator alone, on files. No database, no lake."""

import csv
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from meterops.interfaces.cli.output import AsJson, print_json, print_table, refuse

_EVENT_COLUMNS = ("meter", "evidence", "at")
_NODE_COLUMNS = ("node", "kind", "electrical_parent", "communication_parent")
_METER = "METER"


class FileRefused(ValueError):
    """A file cannot be used; says file, row and column."""


def register(program: typer.Typer) -> None:
    """Hang the command into the main program."""
    program.command("correlate")(correlate)


def correlate(
    events: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Parquet with meter, evidence, at.")],
    topology: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV of nodes and meters.")],
    tick: Annotated[float, typer.Option(min=0.1, help="Seconds of event time between two looks.")] = 1.0,
    after: Annotated[float, typer.Option(min=0, help="Seconds to go on after the last event.")] = 120.0,
    as_json: AsJson = False,
) -> None:
    """Find the roots that explain events, from files alone, and print every situation with its changes.

    EVENTS is Parquet with the columns meter (text), evidence (DOWN, UP, ANSWERED, SILENT; or L1_LOST, L1_BACK and
    the same of L2 and L3, for phases) and at (timestamp, or epoch seconds).
    TOPOLOGY is CSV with the columns node, kind (METER for meters, anything else for nodes above), electrical_parent,
    communication_parent (empty for none), and optionally confidence (0 to 1, of the electrical link) and delivery (0 to 1, the
    share of a meter's last gasps that can be expected). Rows may stand in any order. Exit code 3 for a file that cannot be used.
    """
    try:
        names, made = read_topology(topology)
        meters, evidence, times, unknown = read_events(events, names)
    except FileRefused as error:
        refuse(str(error))
    told = _replay(made, meters, evidence, times, tick, after)
    labels = sorted(names, key=lambda name: names[name])
    situations = _summed(told, labels)
    if as_json:
        changes = [_plain(change, labels) for change in told if change.change != "CHANGED"]
        print_json({"events": len(times), "unknown_meters": unknown, "situations": situations, "changes": changes})
        return
    print_table(
        ("Root", "Tree", "Kind", "State", "Started", "Opened after", "Heard", "Silent", "Of", "Power", "Confidence"),
        [
            (
                s["node"], s["tree"].lower(), s["kind"].lower(), s["state"].lower(), f"{s['started_at']:.1f}",
                f"{s['opened_after_s']:.1f} s", s["heard"], s["silent"], s["expected"], f"{s['power_score']:.0%}",
                f"{s['confidence']:.0%}",
            )
            for s in situations
        ],
        empty="No situation: nothing needs more than single meters to explain it.",
    )  # fmt: skip
    if unknown:
        typer.echo(f"{unknown:,} events of meters that the topology does not have", err=True)


def _replay(made: Any, meters: Any, evidence: Any, times: Any, tick: float, after: float) -> list[Any]:
    from meterops.practices.events.correlation import Correlator

    correlator = Correlator(made)
    if not len(times):
        return []
    told = []
    edges = np.arange(float(times[0]), float(times[-1]) + after + tick, tick) + tick
    cuts = np.searchsorted(times, edges, side="left")
    first = 0
    for edge, cut in zip(edges.tolist(), cuts.tolist(), strict=True):
        correlator.feed(meters[first:cut], evidence[first:cut], times[first:cut])
        first = cut
        told += correlator.advance(edge)
    return told


def read_topology(path: Path) -> tuple[dict[str, int], Any]:
    """Names with their numbers, and the topology.

    Raises:
        FileRefused: naming file, line and column.
    """
    from meterops.practices.events.correlation import Topology

    rows = _csv_rows(path)
    numbers: dict[str, int] = {}
    for line, row in rows:
        if not row["node"]:
            raise FileRefused(f"{path.name}, line {line}, column node: it is empty")
        if row["node"] in numbers:
            raise FileRefused(f"{path.name}, line {line}, column node: {row['node'][:60]!r} stands there twice")
        numbers[row["node"]] = len(numbers)
    columns: dict[str, list[Any]] = {name: [] for name in ("electrical", "communication", "confidence", "delivery")}
    for line, row in rows:
        for tree in ("electrical", "communication"):
            columns[tree].append(_parent(row, f"{tree}_parent", numbers, f"{path.name}, line {line}"))
        for share in ("confidence", "delivery"):
            columns[share].append(_share(row.get(share), f"{path.name}, line {line}, column {share}"))
    return numbers, Topology(
        np.arange(len(numbers), dtype=np.int64),
        np.array(columns["electrical"], np.int32),
        np.array(columns["communication"], np.int32),
        np.array([row["kind"].upper() == _METER for _, row in rows], bool),
        np.array(columns["confidence"], np.float32),
        np.array(columns["delivery"], np.float32),
    )


def _csv_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _NODE_COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise FileRefused(f"{path.name}: the column {missing[0]} is missing")
            return [(reader.line_num, {k: (v or "").strip() for k, v in row.items() if k}) for row in reader]
    except UnicodeDecodeError as error:
        raise FileRefused(f"{path.name}: the text is not UTF-8 (octet {error.start})") from None
    except csv.Error as error:
        raise FileRefused(f"{path.name}: {error}") from None


def _parent(row: dict[str, str], column: str, numbers: dict[str, int], where: str) -> int:
    name = row[column]
    if not name:
        return -1
    if name not in numbers or name == row["node"]:
        raise FileRefused(f"{where}, column {column}: {name[:60]!r} is no other node of this file")
    return numbers[name]


def _share(text: str | None, where: str) -> float:
    if not text:
        return 1.0
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise FileRefused(f"{where}: {text[:20]!r} is no number from 0 to 1")
    return value


def read_events(path: Path, names: dict[str, int]) -> tuple[Any, Any, Any, int]:
    """Meters' numbers, evidence and epoch seconds in the order of time, and how many were of unknown meters.

    Raises:
        FileRefused: naming file, row (from 1) and column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from meterops.practices.events.correlation import Evidence

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise FileRefused(f"{path.name}: this is no Parquet: {str(error).splitlines()[0]}") from None
    missing = [name for name in _EVENT_COLUMNS if name not in table.column_names]
    if missing:
        raise FileRefused(f"{path.name}: the column {missing[0]} is missing")
    for name in _EVENT_COLUMNS:
        if table.column(name).null_count:
            row = table.column(name).to_pylist().index(None) + 1
            raise FileRefused(f"{path.name}, row {row}, column {name}: it is empty")
    words = [str(word).upper() for word in table.column("evidence").to_pylist()]
    codes = {one.name: int(one) for one in Evidence}
    for row, word in enumerate(words, 1):
        if word not in codes:
            raise FileRefused(f"{path.name}, row {row}, column evidence: {word[:20]!r} is none of {', '.join(codes)}")
    times = _times(table.column("at"), path.name)
    meters = np.array([names.get(str(name), -1) for name in table.column("meter").to_pylist()], np.int64)
    order = np.argsort(times, kind="stable")
    evidence = np.array([codes[word] for word in words], np.int8)
    return meters[order], evidence[order], times[order], int((meters < 0).sum())


def _times(column: Any, name: str) -> Any:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()).to_numpy() / 1e6
    try:
        times = column.cast(pa.float64()).to_numpy()
    except pa.ArrowException:
        raise FileRefused(f"{name}, column at: timestamps or epoch seconds are expected, not {column.type}") from None
    if not np.isfinite(times).all():
        raise FileRefused(f"{name}, row {int(np.flatnonzero(~np.isfinite(times))[0]) + 1}, column at: it is no time")
    return times


def _summed(told: list[Any], labels: list[str]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for change in told:
        one = found.setdefault(
            change.situation_id, {"opened_at": change.at, "opened_after_s": change.at - change.started_at, "moves": 0}
        )
        one["moves"] += change.change == "MOVED"
        state = "OPEN" if change.change in ("OPENED", "CHANGED", "MOVED") else str(change.change)
        one.update({**_plain(change, labels), "state": state})
        one.pop("change")
    return list(found.values())


def _plain(change: Any, labels: list[str]) -> dict[str, Any]:
    from dataclasses import asdict

    plain: dict[str, Any] = {
        name: str(value) if isinstance(value, str) else value for name, value in asdict(change).items()
    }
    plain["node"] = labels[plain.pop("node_id")]
    previous = plain.pop("previous_node_id")
    return {**plain, "previous_node": None if previous is None else labels[previous]}
