"""`meterops import | export | meters | grid`: what exists and how it hangs together."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from meterops.interfaces.cli.output import (
    EXIT_FAILED,
    EXIT_USAGE,
    AsJson,
    answers_refusals,
    local_time,
    print_json,
    print_table,
    refuse,
)
from meterops.interfaces.cli.state import open_state, shell_actor

if TYPE_CHECKING:
    from meterops.fleet.inventory.api import EndDeviceFilter, EndDeviceView, GridNode, ImportFile, ImportPreview

meters_app = typer.Typer(no_args_is_help=True, help="The meters: find them, look at one, change its state.")

Meter = Annotated[str, typer.Argument(help="A serial number, mRID, system title or id.")]
SHOWN_ERRORS = 50


def register(app: typer.Typer) -> None:
    """Hang the commands into the main program."""
    app.command("import")(import_inventory)
    app.command("export")(export)
    app.add_typer(meters_app, name="meters")
    app.command("grid")(grid)


@answers_refusals
def import_inventory(
    paths: Annotated[
        list[Path], typer.Argument(exists=True, help="CSV files of nodes and devices, or a folder that holds them.")
    ],
    source: Annotated[
        str, typer.Option(help="Who says so: IMPORT, GIS, BILLING, WAREHOUSE, FIELD, HEAD_END, DISCOVERY.")
    ] = "IMPORT",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change and change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Import inventory from CSV, all rows or none.

    Exit code 1 when rows are wrong: every one is named with file, line and column, and nothing is stored.
    """
    open_state()
    from meterops.fleet.inventory import api as inventory
    from meterops.kernel.clock import utc_now

    try:
        of_source = inventory.Source(source.upper())
    except ValueError:
        refuse(f"{source} is no source; one of {', '.join(inventory.Source)} is.", EXIT_USAGE)
    files = list(_import_files(paths))
    if not files:
        refuse("There is no CSV file to import (nodes.csv, devices.csv).", EXIT_USAGE)
    applied = False
    if dry_run:
        preview = inventory.preview_import(files=files, source=of_source)
    else:
        try:
            done = inventory.apply_import(files=files, actor=shell_actor(), at=utc_now(), source=of_source)
        except inventory.ImportHasErrors as refusal:
            preview = cast("ImportPreview", refusal.details["preview"])
        else:
            preview, applied = done.preview, True
    if as_json:
        print_json({"applied": applied, **asdict(preview)})
    else:
        _print_preview(preview, applied=applied)
    if not preview.is_applicable:
        raise typer.Exit(EXIT_FAILED)


def _import_files(paths: list[Path]) -> "Iterator[ImportFile]":
    """The files named; of a folder its nodes.csv and devices.csv, never a key shipment lying beside them."""
    from meterops.fleet.inventory import api as inventory

    for path in paths:
        candidates = [path / name for name in ("nodes.csv", "devices.csv")] if path.is_dir() else [path]
        yield from (inventory.ImportFile.from_path(one) for one in candidates if one.is_file())


def _print_preview(preview: "ImportPreview", *, applied: bool) -> None:
    for error in preview.errors[:SHOWN_ERRORS]:
        typer.echo(str(error), err=True)
    if preview.error_count:
        more = preview.error_count - min(len(preview.errors), SHOWN_ERRORS)
        if more:
            typer.echo(f"... and {more:,} more; --json lists the first 1,000.", err=True)
        typer.echo(f"{preview.error_count:,} errors. Nothing is stored.", err=True)
        return
    print_table(
        ("Kind", "New", "Changed"),
        [
            (kind, preview.created.get(kind, 0), preview.updated.get(kind, 0))
            for kind in sorted({*preview.created, *preview.updated})
        ],
        empty="Nothing new and nothing changed.",
    )
    typer.echo(f"{preview.unchanged:,} unchanged, {preview.disagreement_count:,} disagreements with a better source.")
    if not applied:
        for change in preview.changes[:20]:
            typer.echo(f"  {change.item}: {change.attribute} {change.present!r} -> {change.proposed!r}")
        typer.echo("Nothing is stored: this was a dry run.")


@answers_refusals
def export(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="Where nodes.csv and devices.csv are written.")],
    as_json: AsJson = False,
) -> None:
    """Export the inventory as the files that `import` takes."""
    open_state()
    from meterops.fleet.inventory import api as inventory

    counts = inventory.export_to(folder)
    if as_json:
        print_json({"folder": str(folder), "rows": counts})
    else:
        typer.echo(", ".join(f"{folder / name}: {count:,} rows" for name, count in counts.items()))


@meters_app.command("list")
@answers_refusals
def list_meters(
    text: Annotated[str, typer.Argument(help="Beginning of a serial, system title, address or host.")] = "",
    *,
    model: Annotated[list[str] | None, typer.Option()] = None,
    firmware: Annotated[list[str] | None, typer.Option(help="Firmware version.")] = None,
    state: Annotated[list[str] | None, typer.Option(help="For example ACTIVE.")] = None,
    under: Annotated[list[str] | None, typer.Option(help="mRID of a transformer, feeder, route ...")] = None,
    sort: Annotated[str, typer.Option(help="serial, model, address ...; -serial for descending.")] = "serial",
    after: Annotated[str, typer.Option(help="`after` of the page before.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: AsJson = False,
) -> None:
    """List meters, a page at a time."""
    open_state()
    from meterops.fleet.inventory import api as inventory

    states = tuple(one.upper() for one in state or ())
    if unknown := [one for one in states if one not in set(inventory.ItemState)]:
        refuse(f"{', '.join(unknown)} is no state; one of {', '.join(inventory.ItemState)} is.", EXIT_USAGE)
    wanted = inventory.EndDeviceFilter(
        text=text,
        model=tuple(model or ()),
        firmware_version=tuple(firmware or ()),
        state=states,
        under=tuple(under or ()),
    )
    page = inventory.page_of_end_devices(wanted.checked(), sort=sort, after=after, limit=limit)
    if as_json:
        print_json({"meters": [asdict(row) for row in page.rows], "total": page.total, "after": page.after})
        return
    print_table(
        ("Serial", "State", "Model", "Firmware", "Address", "Transformer", "Route", "Host"),
        [
            (r.serial, r.state, r.model, r.firmware_version, r.address, r.transformer, r.route, r.host)
            for r in page.rows
        ],
        empty=_nothing_listed(wanted),
    )
    if page.rows:
        typer.echo(
            f"{len(page.rows):,} of {page.total:,}" + (f"; next page: --after {page.after}" if page.after else "")
        )


def _nothing_listed(wanted: "EndDeviceFilter") -> str:
    if wanted.as_dict():
        return "No meter fits."
    return "No meter yet. Import some (meterops import FOLDER) or start the demo (meterops demo)."


@meters_app.command("show")
@answers_refusals
def show(meter: Meter, as_json: AsJson = False) -> None:
    """One meter: what it is, where it hangs, what it last said."""
    open_state()
    from meterops.fleet.inventory import api as inventory
    from meterops.fleet.telemetry import api as telemetry
    from meterops.kernel.clock import utc_now

    device = inventory.get_end_device(meter)
    registers = telemetry.latest_registers(telemetry.lake(), device.id, now=utc_now())
    sessions = telemetry.list_sessions(telemetry.lake(), end_device_id=device.id, limit=1)
    if as_json:
        newest = asdict(sessions[0]) if sessions else None
        print_json({**asdict(device), "registers": registers, "last_session": newest})
        return
    print_table(("", ""), _facts_of(device))
    print_table(
        ("Register", "Value", "Unit", "At"),
        [(r.reading_type.name, r.value, r.reading_type.unit, r.at) for r in registers],
        empty="No register value yet.",
    )
    if sessions:
        last = sessions[0]
        typer.echo(f"Last session {local_time(last.started_at)}: {last.error_class or 'ok'} in {last.duration_ms} ms.")
    else:
        typer.echo(f"No session yet. Read it now: meterops read {device.serial}")


def _facts_of(device: "EndDeviceView") -> list[tuple[str, str]]:
    return [
        ("Serial", device.serial),
        ("State", device.item.state),
        ("Make", f"{device.manufacturer} {device.model}, hardware {device.hardware_version}"),
        ("Firmware", device.firmware_version),
        ("Profile", device.profile),
        ("System title", device.system_title),
        ("Address", f"{device.transport} {device.host}:{device.port}, server SAP {device.server_sap}"),
        ("Location", device.address or "–"),
        ("Grid", " < ".join(one.name or one.mrid for one in device.electrical) or "–"),
        ("Communication", " < ".join(one.name or one.mrid for one in device.communication) or "–"),
        ("Installed", local_time(device.installed_at)),
    ]


@meters_app.command("history")
@answers_refusals
def history(meter: Meter, limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50, as_json: AsJson = False) -> None:
    """Every change of a meter's attributes and places, newest first, with who said so."""
    open_state()
    from meterops.fleet.inventory import api as inventory

    entries = inventory.history_of(inventory.get_end_device(meter).id, limit=limit)
    if as_json:
        print_json(entries)
        return
    print_table(
        ("At", "Attribute", "Was", "Is", "Source", "By"),
        [(e.at, e.attribute, e.old, e.new, e.source, e.actor) for e in entries],
    )


@meters_app.command("state")
@answers_refusals
def change_state(
    meter: Meter,
    state: Annotated[str, typer.Argument(help="The next state, for example SUSPECT or RETIRED.")],
    reason: Annotated[str, typer.Option(help="Why, for the audit log.")] = "",
) -> None:
    """Take a meter one step further in its life. Refused where that step is not allowed."""
    open_state()
    from meterops.fleet.inventory import api as inventory
    from meterops.kernel.clock import utc_now

    device = inventory.get_end_device(meter)
    try:
        wanted = inventory.ItemState(state.upper())
    except ValueError:
        refuse(f"{state} is no state; one of {', '.join(inventory.ItemState)} is.", EXIT_USAGE)
    inventory.change_state(item_id=device.id, state=wanted, actor=shell_actor(), at=utc_now(), reason=reason)
    typer.echo(f"{device.serial} is {wanted}.")


@meters_app.command("events")
@answers_refusals
def events(
    meter: Annotated[str | None, typer.Argument(help="A meter; all when not given.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: AsJson = False,
) -> None:
    """Device events, newest first: read from event logs or pushed."""
    open_state()
    from meterops.fleet.inventory import api as inventory
    from meterops.fleet.telemetry import api as telemetry

    end_device_id = inventory.get_end_device(meter).id if meter else None
    rows = telemetry.list_events(telemetry.lake(), end_device_id=end_device_id, limit=limit)
    if as_json:
        print_json(rows)
        return
    serials = inventory.serials_of([row.end_device_id for row in rows])
    print_table(
        ("Occurred", "Received", "Meter", "Log", "Code", "Detail"),
        [
            (r.occurred_at, r.received_at, serials.get(r.end_device_id) or r.identity, r.log, r.code, r.detail)
            for r in rows
        ],
        empty="No event yet.",
    )


@meters_app.command("profile")
@answers_refusals
def profile(
    meter: Meter,
    day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="A day on the operator's clock; today by default.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=400, help="How many days from there.")] = 1,
    as_json: AsJson = False,
) -> None:
    """A meter's load profile: energy and voltages of every interval; a gap is a gap."""
    open_state()
    from meterops.fleet.inventory import api as inventory
    from meterops.fleet.telemetry import api as telemetry
    from meterops.kernel.interval import Interval

    device = inventory.get_end_device(meter)
    starts_at = _day_start(day)
    period = Interval(starts_at, starts_at + timedelta(days=days))
    found = telemetry.as_plain(telemetry.load_profile(telemetry.lake(), device.id, period))
    if as_json:
        print_json({"meter": device.serial, **found})
        return
    _print_profile(found)


def _day_start(day: datetime | None) -> datetime:
    from django.utils import timezone

    if day is None:
        return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    return day.replace(tzinfo=timezone.get_current_timezone())


def _print_profile(found: dict[str, Any]) -> None:
    columns = found["columns"]
    rows = [
        (at, *(_shown(column, number) for column in columns))
        for number, at in enumerate(found["at"])
        if any(_shown(column, number) is not None for column in columns)
    ]
    print_table(
        ("At", *(f"{column['name']} ({column['unit']})" for column in columns)),
        rows,
        empty="Nothing is stored for this period.",
    )


def _shown(column: dict[str, Any], number: int) -> float | None:
    values = column["intervals"] if column["intervals"] is not None else column["registers"]
    value: float | None = values[number]
    return value


@answers_refusals
def grid(
    node: Annotated[str | None, typer.Argument(help="mRID of a node; the transformers when not given.")] = None,
    communication: Annotated[
        bool, typer.Option("--communication", help="The communication tree instead of the grid.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most transformers or routes listed.")] = 100,
    as_json: AsJson = False,
) -> None:
    """What hangs where: the transformers (or routes) with their meters, or everything below one node."""
    open_state()
    from meterops.fleet.inventory import api as inventory

    tree = inventory.Tree.COMMUNICATION if communication else inventory.Tree.ELECTRICAL
    if node is not None:
        root = inventory.one_line(node, tree)
        print_json(asdict(root)) if as_json else _print_tree(root)
        return
    kind = inventory.ItemKind.ROUTE if communication else inventory.ItemKind.POWER_TRANSFORMER
    nodes = inventory.list_nodes(kind, limit=limit)
    if as_json:
        print_json(nodes)
        return
    print_table(
        ("mRID", "Name", "kVA", "Meters"),
        [(n.mrid, n.name, n.rated_kva, n.meter_count) for n in nodes],
        empty="Nothing yet. Import an inventory: meterops import FOLDER",
    )


def _print_tree(root: "GridNode") -> None:
    from rich.console import Console
    from rich.tree import Tree

    def branch(node: "GridNode", into: Tree) -> None:
        for child in node.children:
            branch(child, into.add(_called(child)))

    drawn = Tree(_called(root))
    branch(root, drawn)
    Console().print(drawn)


def _called(node: "GridNode") -> str:
    meters = f", {node.meter_count:,} meters" if node.children and node.meter_count > 1 else ""
    phases = f" {node.phases}" if node.phases else ""
    name = f" {node.name}" if node.name and node.name != node.mrid else ""
    return f"{node.kind.replace('_', ' ').lower()} {node.mrid}{name}{phases}{meters}"
