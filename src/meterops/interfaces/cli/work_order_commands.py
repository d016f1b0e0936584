"""`meterops work-orders`: somebody goes there."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from meterops.interfaces.cli.incident_commands import member_of
from meterops.interfaces.cli.output import AsJson, answers_refusals, print_json, print_table, refuse
from meterops.interfaces.cli.state import open_state, shell_actor

if TYPE_CHECKING:
    from meterops.practices.incidents.api import WorkOrderView

orders_app = typer.Typer(no_args_is_help=True, help="Work orders: somebody goes there.")


def register(program: typer.Typer) -> None:
    """Hang the group into the main program."""
    program.add_typer(orders_app, name="work-orders")


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise typer.BadParameter("a work order's id is expected, as meterops work-orders list shows it") from None


OrderId = Annotated[UUID, typer.Argument(parser=_uuid, help="Its id, as meterops work-orders list shows it.")]


@orders_app.command("list")
@answers_refusals
def list_orders(
    incident: Annotated[int | None, typer.Option(help="Only those of this incident.")] = None,
    state: Annotated[str, typer.Option(help="DRAFT, SENT, ACCEPTED ...")] = "",
    limit: Annotated[int, typer.Option(min=1, max=5000)] = 200,
    as_json: AsJson = False,
) -> None:
    """Work orders, newest first."""
    open_state()
    from meterops.practices.incidents import api as incidents

    wanted = member_of(incidents.WorkOrderState, state) if state else None
    rows = incidents.list_work_orders(incident=incident, state=wanted, limit=limit)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("Id", "Incident", "P", "State", "What", "Where", "Meters", "Crew", "Theirs", "Created"),
        [
            (
                str(r.id),
                str(r.incident),
                f"P{r.priority}",
                r.state.lower(),
                r.title,
                r.node_mrid,
                r.meter_count,
                r.crew or "–",
                r.external_id or "–",
                r.created_at,
            )
            for r in rows
        ],
        empty="No work order.",
    )


@orders_app.command("show")
@answers_refusals
def show_order(order: OrderId, as_json: AsJson = False) -> None:
    """One work order with the serial numbers of its meters."""
    open_state()
    from meterops.practices.incidents import api as incidents

    document = incidents.export_json(order)
    if as_json:
        print_json(document)
        return
    for name, value in document.items():
        typer.echo(f"{name.replace('_', ' ')}: {', '.join(value) if isinstance(value, list) else value}")


@orders_app.command("create")
@answers_refusals
def create_order(
    incident: Annotated[int, typer.Argument(help="The incident's number.")],
    title: Annotated[str, typer.Option(help="What is to be done.")],
    instructions: Annotated[str, typer.Option(help="What the crew has to know.")] = "",
    node: Annotated[str, typer.Option(help="mRID; the incident's node when not given.")] = "",
    crew: Annotated[str, typer.Option(help="Who goes.")] = "",
    draft: Annotated[bool, typer.Option("--draft", help="Do not send it yet.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a work order and send it to the systems that send crews."""
    open_state()
    from meterops.kernel.clock import utc_now
    from meterops.practices.incidents import api as incidents

    order = incidents.create_work_order(
        incident=incident,
        title=title,
        instructions=instructions,
        node=node,
        crew=crew,
        send=not draft,
        actor=shell_actor(),
        at=utc_now(),
    )
    _say_order(incidents.get_work_order(order), as_json)


@orders_app.command("send")
@answers_refusals
def send_order(order: OrderId, as_json: AsJson = False) -> None:
    """Send a draft, or one that was rejected."""
    open_state()
    from meterops.kernel.clock import utc_now
    from meterops.practices.incidents import api as incidents

    incidents.send_work_order(work_order_id=order, actor=shell_actor(), at=utc_now())
    _say_order(incidents.get_work_order(order), as_json)


@orders_app.command("update")
@answers_refusals
def update_order(
    order: OrderId,
    state: Annotated[str, typer.Option(help="ACCEPTED, EN_ROUTE, ON_SITE, DONE, REJECTED, CANCELLED.")] = "",
    crew: Annotated[str | None, typer.Option(help="Who goes.")] = None,
    external_id: Annotated[str | None, typer.Option(help="Its number in the system that does the work.")] = None,
    note: Annotated[str, typer.Option(help="What was found or done.")] = "",
    as_json: AsJson = False,
) -> None:
    """Say how a work order stands."""
    open_state()
    from meterops.kernel.clock import utc_now
    from meterops.practices.incidents import api as incidents

    incidents.update_work_order(
        work_order_id=order,
        state=member_of(incidents.WorkOrderState, state) if state else None,
        crew=crew,
        external_id=external_id,
        note_text=note,
        actor=shell_actor(),
        at=utc_now(),
    )
    _say_order(incidents.get_work_order(order), as_json)


@orders_app.command("export")
@answers_refusals
def export_orders(
    file: Annotated[Path, typer.Argument(help="A .csv or .json file; - for CSV on stdout.")],
    incident: Annotated[int | None, typer.Option(help="Only those of this incident.")] = None,
) -> None:
    """Write work orders to a file."""
    open_state()
    import json

    from meterops.practices.incidents import api as incidents

    rows = incidents.list_work_orders(incident=incident, limit=100_000)
    if file.suffix == ".json":
        text = json.dumps([incidents.export_json(row.id) for row in rows], indent=2, ensure_ascii=False) + "\n"
    else:
        text = incidents.export_csv(rows)
    if str(file) == "-":
        sys.stdout.write(text)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        refuse(f"{file} cannot be written: {(error.strerror or str(error)).lower()}.")
    typer.echo(f"{len(rows):,} work orders written to {file}.")


def _say_order(view: "WorkOrderView", as_json: bool) -> None:
    if as_json:
        print_json(view)
    else:
        typer.echo(f"Work order {view.id} of incident {view.incident} is {view.state.replace('_', ' ').lower()}.")
