"""`meterops read | sessions | schedule | operations`: reading meters and seeing how it goes."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

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
    from meterops.fleet.headend.api import OperationResult, OperationView

schedule_app = typer.Typer(no_args_is_help=True, help="When which contents are read from which meters.")
operations_app = typer.Typer(no_args_is_help=True, help="Fleet operations: what is being done, and how far it is.")


_SPAN = re.compile(r"(\d+)\s*(s|min|m|h|d)?")
_UNITS = {"": 1, "s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400}


def _seconds(text: str) -> int:
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter("a span such as 90s, 15min, 1h or 1d is expected")
    return int(found[1]) * _UNITS[found[2] or ""]


def _operation_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise typer.BadParameter("an operation's id is expected, as meterops operations list shows them") from None


OperationId = Annotated[
    UUID, typer.Argument(parser=_operation_id, help="Its id, as meterops operations list shows it.")
]


def register(app: typer.Typer) -> None:
    """Hang the commands into the main program."""
    app.command("read")(read)
    app.command("sessions")(sessions)
    app.add_typer(schedule_app, name="schedule")
    app.add_typer(operations_app, name="operations")


@answers_refusals
def read(
    meters: Annotated[list[str], typer.Argument(help="Serial numbers, mRIDs or ids of end devices.")],
    content: Annotated[
        list[str] | None,
        typer.Option("--content", "-c", help="clock, alarms, registers, load_profile, events. All when not given."),
    ] = None,
    wait: Annotated[
        float, typer.Option(help="Seconds to wait for answers; 0 returns at once with the operation.")
    ] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Read meters now, ahead of scheduled work, and print what they answer. Exit code 1 when one did not."""
    open_state()
    from meterops.fleet.headend import api as headend
    from meterops.fleet.inventory import api as inventory
    from meterops.kernel.clock import utc_now

    found = {name: inventory.find_end_device(name) for name in meters}
    if missing := [name for name, device in found.items() if device is None]:
        refuse(f"No end device is known as {', '.join(missing)}.")
    devices = {device.id: device for device in found.values() if device is not None}
    try:
        contents = headend.in_session_order(content or [str(one) for one in headend.ALL_CONTENTS])
    except ValueError as error:
        refuse(f"{error}: a content is one of {', '.join(headend.Content)}.", EXIT_USAGE)
    operation = headend.request_read(end_device_ids=list(devices), actor=shell_actor(), at=utc_now(), contents=contents)
    if wait <= 0:
        print_json({"operation": str(operation)}) if as_json else typer.echo(f"Operation {operation} is in line.")
        return
    result = _wait_for(operation, wait, len(devices), quiet=as_json)
    failed = [i for i in devices if not result.results.get(str(i), {}).get("ok")]
    if as_json:
        named = {devices[int(key)].serial: value for key, value in result.results.items()}
        print_json({"operation": str(operation), "state": result.state, "results": named})
    else:
        _print_results(result, {i: device.serial for i, device in devices.items()})
    if failed:
        raise typer.Exit(EXIT_FAILED)


def _wait_for(operation: UUID, wait: float, count: int, *, quiet: bool) -> "OperationResult":
    from meterops.fleet.headend import api as headend

    until = time.monotonic() + wait
    with _shown_progress(count, quiet=quiet or count == 1) as show:
        while True:
            result = headend.operation_result(operation)
            show(len(result.results))
            over = result.state is not headend.OperationState.RUNNING
            if over or len(result.results) >= count or time.monotonic() > until:
                return result
            time.sleep(0.02)


@contextmanager
def _shown_progress(count: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar on stderr that is told how many are done; nothing, and nothing loaded for it, where `quiet`."""
    if quiet:
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("Reading"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("read", total=count)
        yield lambda done: progress.update(bar, completed=done)


def _print_results(result: "OperationResult", serials: dict[int, str]) -> None:
    for end_device_id, serial in serials.items():
        answer = result.results.get(str(end_device_id))
        if answer is None:
            typer.echo(f"{serial}: {_why_unanswered(result)}")
            continue
        state = "read" if answer["ok"] else f"not read, {answer['error']}: {answer['detail']};"
        typer.echo(f"{serial}: {state} in {answer['duration_ms']} ms, {answer['round_trips']} round trips")
        rows = [(r["name"], r["value"], r["unit"]) for r in answer.get("registers", [])]
        if rows:
            print_table(("Register", "Value", "Unit"), rows)
        if answer.get("clock_drift_ms") is not None:
            typer.echo(f"clock drift {answer['clock_drift_ms'] / 1000:+.1f} s")
        if answer.get("profile_rows"):
            until = local_time(datetime.fromisoformat(answer["profile_until"])) if answer["profile_until"] else "–"
            typer.echo(f"load profile: {answer['profile_rows']} rows up to {until}")


def _why_unanswered(result: "OperationResult") -> str:
    from meterops.kernel import beats
    from meterops.kernel.clock import utc_now

    more = f"(meterops operations show {result.id})"
    if result.state != "RUNNING":
        return f"the operation ended, {result.state.lower()}, without its answer {more}"
    now = utc_now()
    if not any(one.role == "worker" and now - one.beat_at < beats.ALIVE_FOR for one in beats.list_processes()):
        return f"no answer yet, and no worker is running: start one with meterops work {more}"
    return f"no answer yet; it is still in line or its meter does not answer {more}"


@answers_refusals
def sessions(
    meter: Annotated[
        str | None, typer.Argument(help="A serial number, mRID or id; every meter when not given.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only sessions that failed.")] = False,
    error: Annotated[str, typer.Option(help="Only this error class, for example timeout.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 20,
    as_json: AsJson = False,
) -> None:
    """Show sessions, newest first: bytes, APDUs, round trips, outcome."""
    open_state()
    from meterops.fleet.headend import api as headend
    from meterops.fleet.inventory import api as inventory
    from meterops.fleet.telemetry import api as telemetry

    if error and error not in set(headend.ErrorClass):
        refuse(f"{error} is no error class; one of {', '.join(headend.ErrorClass)} is.", EXIT_USAGE)
    end_device_id = None
    if meter is not None:
        device = inventory.find_end_device(meter)
        if device is None:
            refuse(f"No end device is known as {meter}.")
        end_device_id = device.id
    rows = telemetry.list_sessions(
        telemetry.lake(),
        end_device_id=end_device_id,
        succeeded=False if failed else None,
        error_class=error,
        limit=limit,
    )
    if as_json:
        print_json(rows)
        return
    serials = inventory.serials_of([row.end_device_id for row in rows])
    print_table(
        ("Started", "Meter", "Outcome", "ms", "Sent", "Received", "APDUs", "Round trips", "Readings", "Detail"),
        [
            (
                row.started_at,
                serials.get(row.end_device_id, str(row.end_device_id)),
                row.error_class or "ok",
                row.duration_ms,
                row.bytes_sent,
                row.bytes_received,
                row.apdus,
                row.round_trips,
                row.readings,
                row.error_detail[:60],
            )
            for row in rows
        ],
        empty="No session matches."
        if meter is not None or failed or error
        else "No session yet. Is a schedule enabled (meterops schedule list) and a worker running (meterops doctor)?",
    )


@schedule_app.command("list")
@answers_refusals
def list_schedules(as_json: AsJson = False) -> None:
    """Every schedule, its next slot and how the last one went."""
    open_state()
    from meterops.fleet.headend import api as headend
    from meterops.kernel.clock import utc_now

    rows = headend.list_schedules(now=utc_now())
    if as_json:
        print_json(rows)
        return
    print_table(
        ("Schedule", "State", "Reads", "Every", "Next slot", "Last slot", "Read", "Failed", "Of"),
        [
            (
                row.name,
                "on" if row.enabled else "paused",
                ", ".join(row.contents),
                _span(row.period_s),
                row.next_slot_at,
                row.last_operation.slot_at if row.last_operation else None,
                row.last_operation.succeeded if row.last_operation else None,
                row.last_operation.failed if row.last_operation else None,
                row.last_operation.total if row.last_operation else None,
            )
            for row in rows
        ],
        empty="No schedule yet. Make one: meterops schedule set NAME --every 15min",
    )


@schedule_app.command("set")
@answers_refusals
def set_schedule(
    name: Annotated[str, typer.Argument(help="The schedule's name; an existing one is changed.")],
    every: Annotated[int, typer.Option(parser=_seconds, metavar="SPAN", help="Period: 15min, 1h, 1d, or seconds.")],
    content: Annotated[
        list[str] | None, typer.Option("--content", "-c", help="What to read; all when not given.")
    ] = None,
    offset: Annotated[
        int, typer.Option(parser=_seconds, metavar="SPAN", help="How long after the period's start.")
    ] = "0",  # type: ignore[assignment]  # Typer parses the default too
    local: Annotated[bool, typer.Option("--local", help="A daily schedule follows the clock on the wall.")] = False,
    window: Annotated[
        int, typer.Option(parser=_seconds, metavar="SPAN", help="After this, what is not read has failed.")
    ] = "1h",  # type: ignore[assignment]  # Typer parses the default too
    lookback: Annotated[
        int, typer.Option(parser=_seconds, metavar="SPAN", help="Load profile to fetch from a meter never read before.")
    ] = "3d",  # type: ignore[assignment]  # Typer parses the default too
    as_json: AsJson = False,
) -> None:
    """Create or change a schedule."""
    open_state()
    from meterops.fleet.headend import api as headend
    from meterops.kernel.clock import utc_now

    try:
        contents = headend.in_session_order(content or [str(one) for one in headend.ALL_CONTENTS])
    except ValueError as error:
        refuse(f"{error}: a content is one of {', '.join(headend.Content)}.", EXIT_USAGE)
    wanted = headend.ScheduleSettings(
        name=name,
        contents=contents,
        period_s=every,
        offset_s=offset,
        in_local_time=local,
        window_s=window,
        lookback_s=lookback,
    )
    headend.save_schedule(wanted=wanted, actor=shell_actor(), at=utc_now())
    view = headend.get_schedule(name, now=utc_now())
    if as_json:
        print_json(view)
    else:
        typer.echo(f"Schedule {name} is saved; its next slot is {local_time(view.next_slot_at)}.")


@schedule_app.command("show")
@answers_refusals
def show_schedule(name: str, as_json: AsJson = False) -> None:
    """One schedule, its next slot and its newest operations."""
    open_state()
    from meterops.fleet.headend import api as headend
    from meterops.kernel.clock import utc_now

    view = headend.get_schedule(name, now=utc_now())
    newest = headend.list_operations(schedule=name, limit=10)
    if as_json:
        print_json({"schedule": view, "operations": newest})
        return
    state = "on" if view.enabled else "paused"
    typer.echo(f"{view.name} ({state}): {', '.join(view.contents)} every {_span(view.period_s)}")
    typer.echo(f"next slot {local_time(view.next_slot_at)}, last slot {local_time(view.last_slot_at)}")
    _print_operations(newest)


@schedule_app.command("run")
@answers_refusals
def run_schedule(name: str, as_json: AsJson = False) -> None:
    """Start a schedule's operation now, besides its slots."""
    open_state()
    from meterops.fleet.headend import api as headend
    from meterops.kernel.clock import utc_now

    operation = headend.run_schedule_now(name=name, actor=shell_actor(), at=utc_now())
    if as_json:
        print_json({"operation": str(operation)})
    else:
        typer.echo(f"Operation {operation} is in line; watch it: meterops operations show {operation}")


@schedule_app.command("pause")
@answers_refusals
def pause(
    name: str, reason: Annotated[str, typer.Option(help="Why, for the audit log.")] = "", as_json: AsJson = False
) -> None:
    """Stop a schedule from starting operations; what runs, runs on."""
    _enable(name, False, reason, as_json)


@schedule_app.command("resume")
@answers_refusals
def resume(
    name: str, reason: Annotated[str, typer.Option(help="Why, for the audit log.")] = "", as_json: AsJson = False
) -> None:
    """Let a paused schedule start again with its next slot."""
    _enable(name, True, reason, as_json)


@schedule_app.command("delete")
@answers_refusals
def delete_schedule(
    name: str,
    reason: Annotated[str, typer.Option(help="Why, for the audit log.")] = "",
    while_running: Annotated[
        bool, typer.Option("--while-running", help="Even while operations of it run; they run on.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove a schedule for good; what it has read stays."""
    open_state()
    from meterops.fleet.headend import api as headend
    from meterops.kernel.clock import utc_now

    running = headend.delete_schedule(
        name=name,
        actor=shell_actor(),
        at=utc_now(),
        reason=reason,
        while_running=while_running,
        dry_run=dry_run,
    )
    if as_json:
        print_json({"schedule": name, "deleted": not dry_run, "operations_running": running})
        return
    typer.echo(f"Schedule {name} would be deleted." if dry_run else f"Schedule {name} is deleted.")
    if running:
        typer.echo(f"{running:,} operations of it run on.")


def _enable(name: str, enabled: bool, reason: str, as_json: bool) -> None:
    open_state()
    from meterops.fleet.headend import api as headend
    from meterops.kernel.clock import utc_now

    headend.set_schedule_enabled(name=name, enabled=enabled, actor=shell_actor(), at=utc_now(), reason=reason)
    if as_json:
        print_json(headend.get_schedule(name, now=utc_now()))
    else:
        typer.echo(f"Schedule {name} is {'on' if enabled else 'paused'}.")


@operations_app.command("list")
@answers_refusals
def list_operations(
    schedule: Annotated[str, typer.Option(help="Only those of this schedule.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: AsJson = False,
) -> None:
    """Operations, newest first."""
    open_state()
    from meterops.fleet.headend import api as headend

    rows = headend.list_operations(schedule=schedule, limit=limit)
    if as_json:
        print_json(rows)
        return
    _print_operations(rows)


def _print_operations(rows: "list[OperationView]") -> None:
    print_table(
        ("Created", "Operation", "Id", "State", "Routes done", "Routes", "Read", "Failed", "Of"),
        [
            (r.created_at, r.title, str(r.id), r.state, r.routes_done, r.routes, r.succeeded, r.failed, r.total)
            for r in rows
        ],
        empty="No operation yet.",
    )


@operations_app.command("show")
@answers_refusals
def show_operation(operation: OperationId, as_json: AsJson = False) -> None:
    """One operation with its routes and why meters failed."""
    open_state()
    from meterops.fleet.headend import api as headend

    view = headend.get_operation(operation)
    errors = headend.error_counts(operation)
    routes = headend.list_route_jobs(operation)
    if as_json:
        print_json({"operation": view, "errors": errors, "routes": routes})
        return
    typer.echo(f"{view.title} ({view.state}): {view.succeeded:,} read, {view.failed:,} failed of {view.total:,} meters")
    for name, count in errors.items():
        typer.echo(f"  {name}: {count:,}")
    print_table(
        ("Route", "Read", "Failed", "Of", "Started", "Finished"),
        [(r.route_id, r.succeeded, r.failed, r.total, r.started_at, r.finished_at) for r in routes],
    )


@operations_app.command("cancel")
@answers_refusals
def cancel(
    operation: OperationId,
    reason: Annotated[str, typer.Option(help="Why, for the audit log.")] = "",
    as_json: AsJson = False,
) -> None:
    """End an operation: no further session begins."""
    open_state()
    from meterops.fleet.headend import api as headend
    from meterops.kernel.clock import utc_now

    headend.cancel_operation(operation_id=operation, actor=shell_actor(), at=utc_now(), reason=reason)
    if as_json:
        print_json(headend.get_operation(operation))
    else:
        typer.echo(f"Operation {operation} is cancelled.")


def _span(seconds: int) -> str:
    span = timedelta(seconds=seconds)
    if seconds % 86_400 == 0:
        return f"{span.days} d"
    if seconds % 3600 == 0:
        return f"{seconds // 3600} h"
    return f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} s"
