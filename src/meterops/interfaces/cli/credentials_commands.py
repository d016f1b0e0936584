"""`meterops keys`: the master key, and key shipments. No command ever prints a key."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meterops.interfaces.cli.output import EXIT_FAILED, AsJson, answers_refusals, print_json, print_table, refuse
from meterops.interfaces.cli.state import open_state, shell_actor

if TYPE_CHECKING:
    from meterops.fleet.credentials.api import ShipmentPreview

keys_app = typer.Typer(no_args_is_help=True, help="The master key and the meters' keys. Nothing here prints a key.")

SHOWN_ERRORS = 50


def register(app: typer.Typer) -> None:
    """Hang the group into the main program."""
    app.add_typer(keys_app, name="keys")


@keys_app.command("init")
@answers_refusals
def init() -> None:
    """Draw a master key into its file, readable by its owner only. Refused when there is one already."""
    open_state()
    from meterops.fleet.credentials import api as credentials

    file = credentials.create_master_key()
    typer.echo(f"A master key is in {file}. Keep a copy elsewhere: without it no stored key opens.")


@keys_app.command("import")
@answers_refusals
def import_keys(
    shipment: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV of keys, plain or sealed.")],
    transport_key: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="File with the hexadecimal key that opens a sealed shipment."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be stored and store nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Import a key shipment, every row or none. Exit code 1 when rows are wrong."""
    open_state()
    from meterops.fleet.credentials import api as credentials
    from meterops.kernel.clock import utc_now

    opened = None if transport_key is None else _transport_key(transport_key)
    preview = credentials.preview_shipment(shipment, transport_key=opened)
    applied = not preview.errors and not dry_run
    if applied:
        preview = credentials.import_shipment(shipment, actor=shell_actor(), at=utc_now(), transport_key=opened)
    if as_json:
        print_json({"applied": applied, **asdict(preview)})
    else:
        _print_preview(preview, applied=applied)
    if preview.errors:
        raise typer.Exit(EXIT_FAILED)


def _transport_key(file: Path) -> bytes:
    try:
        return bytes.fromhex(file.read_text().strip())
    except (ValueError, UnicodeDecodeError):
        refuse(f"{file} does not hold a key in hexadecimal.")


def _print_preview(preview: "ShipmentPreview", *, applied: bool) -> None:
    for error in preview.errors[:SHOWN_ERRORS]:
        typer.echo(f"row {error.row}, {error.column}: {error.what}", err=True)
    if preview.errors:
        typer.echo(f"{len(preview.errors):,} errors. Nothing is stored.", err=True)
        return
    typer.echo(f"{preview.rows:,} meters: {preview.new:,} with new keys, {preview.unchanged:,} unchanged.")
    if applied and preview.new:
        typer.echo("The keys are stored under the master key. Destroy the shipment file.")
    elif not applied:
        typer.echo("Nothing is stored: this was a dry run.")


@keys_app.command("status")
@answers_refusals
def status(as_json: AsJson = False) -> None:
    """How many keys of which kind are stored, and whether they open. Exit code 1 when something is wrong."""
    open_state()
    from meterops.fleet.credentials import api as credentials

    counts = credentials.count_keys()
    findings = credentials.check()
    if as_json:
        print_json({"keys": counts, "findings": [{"ok": ok, "text": text} for ok, text in findings]})
    else:
        print_table(
            ("Kind", "State", "Master key", "Keys"),
            [(one.kind.replace("_", " "), one.state, one.master_key_id, one.count) for one in counts],
            empty="No key is stored yet. Import a shipment: meterops keys import FILE",
        )
        for ok, text in findings:
            typer.echo(("" if ok else "WRONG: ") + text)
    if not all(ok for ok, _ in findings):
        raise typer.Exit(EXIT_FAILED)
