"""`meterops power-check`: ask meters whether they have supply, and watch the answers come in."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from meterops.interfaces.cli.output import (
    EXIT_FAILED,
    EXIT_USAGE,
    AsJson,
    answers_refusals,
    print_json,
    print_table,
    refuse,
)
from meterops.interfaces.cli.state import open_state, shell_actor

if TYPE_CHECKING:
    from meterops.fleet.headend.api import PowerCheckAnswers, PowerCheckView

POLL_S = 0.5
_LISTED = 200
WORDS = {
    "ON": "on",
    "OFF": "off",
    "UNKNOWN": "unknown",
    "NO_CONTACT": "no contact",
    "UNKNOWN_ID": "unknown id",
}


def register(app: typer.Typer) -> None:
    """Hang the command into the main program."""
    app.command("power-check")(power_check)


@answers_refusals
def power_check(
    meters: Annotated[list[str] | None, typer.Argument(help="Serial numbers, mRIDs or ids of end devices.")] = None,
    node: Annotated[
        list[str] | None, typer.Option(help="mRID of a transformer, feeder, route ...: every meter below it.")
    ] = None,
    incident: Annotated[int | None, typer.Option(help="Number of an incident: every meter in its scope.")] = None,
    reason: Annotated[str, typer.Option(help="Why, for the audit log.")] = "",
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for answers; 0 returns at once with the operation.")
    ] = 960.0,
    as_json: AsJson = False,
) -> None:
    """Ask meters whether they have supply, ahead of scheduled work.

    Answers: on, off, unknown, no contact, unknown id. Exit code 1 when not every meter is on.
    """
    if sum((bool(meters), bool(node), incident is not None)) != 1:
        refuse("Say which meters: by serial numbers, by --node, or by --incident; one of the three.", EXIT_USAGE)
    open_state()
    operation = _request(meters or [], node or [], incident, reason)
    if wait <= 0:
        print_json({"operation": str(operation)}) if as_json else typer.echo(f"Operation {operation} is in line.")
        return
    answers = _wait_for(operation, wait, quiet=as_json)
    _print(answers, as_json)
    if not answers.view.is_all_on:
        raise typer.Exit(EXIT_FAILED)


def _request(meters: list[str], nodes: list[str], incident: int | None, reason: str) -> UUID:
    from meterops.fleet.headend import api as headend
    from meterops.fleet.inventory import api as inventory
    from meterops.kernel.clock import utc_now

    actor, now = shell_actor(), utc_now()
    if incident is not None:
        from meterops.practices.incidents import api as incidents

        return incidents.check_power(number=incident, actor=actor, at=now)
    unknown: list[str] = []
    ids: list[int] = []
    if nodes:
        below = inventory.EndDeviceFilter(under=tuple(nodes)).checked()
        ids = inventory.ids_of_end_devices(below).tolist()
        if not ids:
            refuse(f"No meter hangs below {', '.join(nodes)}.")
    for name in meters:
        device = inventory.find_end_device(name)
        if device is None:
            unknown.append(name)
        else:
            ids.append(device.id)
    if not ids:
        refuse(f"No end device is known as {', '.join(unknown)}.")
    return headend.request_power_check(end_device_ids=ids, unknown=unknown, actor=actor, at=now, reason=reason)


def _wait_for(operation: UUID, wait: float, *, quiet: bool) -> "PowerCheckAnswers":
    from meterops.fleet.headend import api as headend
    from meterops.kernel.clock import utc_now

    until = time.monotonic() + wait
    with _shown(quiet=quiet) as show:
        while True:
            answers = headend.power_check_answers(operation, now=utc_now())
            show(answers.view)
            if answers.view.is_over or not answers.view.pending or time.monotonic() > until:
                return answers
            time.sleep(POLL_S)


@contextmanager
def _shown(*, quiet: bool) -> Iterator["Callable[[PowerCheckView], None]"]:
    """A bar on stderr with the answers so far; nothing, and nothing loaded for it, where `quiet`."""
    if quiet:
        yield lambda view: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("Asking"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[said]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("ask", total=None, said="")

        def show(view: "PowerCheckView") -> None:
            said = ", ".join(f"{count:,} {WORDS[name]}" for name, count in view.counts.items() if count)
            progress.update(bar, total=view.asked, completed=view.asked - view.pending, said=said)

        yield show


def _print(answers: "PowerCheckAnswers", as_json: bool) -> None:
    from meterops.fleet.headend.api import ANSWERS
    from meterops.fleet.inventory import api as inventory

    view = answers.view
    serials = inventory.serials_of(answers.end_device_id.tolist())
    rows = [
        (
            serials.get(i, str(i)),
            "pending" if code < 0 else str(ANSWERS[code]),
            volts if volts == volts else None,
            error,
        )
        for i, code, volts, error in zip(
            answers.end_device_id.tolist(),
            answers.answer.tolist(),
            answers.voltage.tolist(),
            answers.error.tolist(),
            strict=True,
        )
    ] + [(name, "UNKNOWN_ID", None, "") for name in view.unknown]
    if as_json:
        listed = [{"meter": m, "answer": a, "voltage_v": v, "error": e} for m, a, v, e in rows]
        print_json(
            {
                "operation": str(view.operation_id),
                "state": view.state,
                "asked": view.asked,
                "pending": view.pending,
                "counts": {str(name): count for name, count in view.counts.items()},
                "answers": listed,
            }
        )
        return
    said = ", ".join(f"{count:,} {WORDS[name]}" for name, count in view.counts.items() if count)
    late = f", {view.pending:,} not asked yet" if view.pending else ""
    typer.echo(f"{view.asked:,} meters: {said or 'no answer'}{late}.")
    not_on = [row for row in rows if row[1] != "ON"]
    if not_on:
        print_table(
            ("Meter", "Answer", "Volts", "Why"),
            [(m, WORDS.get(a, a), v, e) for m, a, v, e in not_on[:_LISTED]],
        )
        if len(not_on) > _LISTED:
            typer.echo(f"and {len(not_on) - _LISTED:,} more; --json lists all.")
