"""`meterops channels` and `meterops escalation`: who is told of incidents, how, and when the next one is."""

from pathlib import Path
from typing import Annotated, Any

import typer

from meterops.interfaces.cli.incident_commands import Yes, confirm
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

channels_app = typer.Typer(no_args_is_help=True, help="Channels: who is told of incidents, and how.")
escalation_app = typer.Typer(
    no_args_is_help=True, help="Escalation: who is told, one after the other, while nobody acknowledges."
)


def register(program: typer.Typer) -> None:
    """Hang the groups into the main program."""
    program.add_typer(channels_app, name="channels")
    program.add_typer(escalation_app, name="escalation")


@channels_app.command("list")
@answers_refusals
def list_channels(as_json: AsJson = False) -> None:
    """Who is told, and how the channels do; never their addresses."""
    open_state()
    from meterops.practices.incidents import api as incidents

    rows = incidents.list_channels()
    if as_json:
        print_json(rows)
        return
    print_table(
        ("Channel", "Sort", "State", "Priorities", "Quiet", "Waiting", "Failures", "Last error"),
        [
            (
                r.name,
                r.sort.replace("_", " ").lower(),
                "on" if r.enabled else "off",
                ", ".join(f"P{p}" for p in r.priorities) or "–",
                f"{r.quiet_from}–{r.quiet_until}" if r.quiet_from else "–",
                r.waiting,
                r.failures,
                r.last_error[:60] or "–",
            )
            for r in rows
        ],
        empty="No channel yet. Make one: meterops channels set NAME --sort EMAIL --address-file FILE",
    )


@channels_app.command("set")
@answers_refusals
def set_channel(
    name: Annotated[str, typer.Argument(help="The channel's name; an existing one is changed.")],
    sort: Annotated[str, typer.Option(help="EMAIL, CHAT, WEBHOOK or WORK_ORDERS.")],
    address_file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A file with the address, which may hold a password."),
    ] = None,
    secret_file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A file with the key that signs webhooks.")
    ] = None,
    priority: Annotated[list[int] | None, typer.Option(min=1, max=4, help="Told of these; all when not given.")] = None,
    quiet: Annotated[str, typer.Option(help="Quiet hours on the wall, for example 22:00-07:00; P1 goes through.")] = "",
    off: Annotated[bool, typer.Option("--off", help="Keep it, but tell it nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Create or change a channel. Addresses come from a file, so that no password stands in a command line."""
    open_state()
    from meterops.kernel.clock import utc_now
    from meterops.practices.incidents import api as incidents

    incidents.save_channel(
        name=name,
        sort=sort.upper().replace("-", "_"),
        address=address_file.read_text().strip() if address_file else "",
        secret=secret_file.read_text().strip() if secret_file else "",
        priorities=priority or [1, 2, 3, 4],
        quiet=_quiet(quiet),
        enabled=not off,
        actor=shell_actor(),
        at=utc_now(),
    )
    view = next(one for one in incidents.list_channels() if one.name == name)
    print_json(view) if as_json else typer.echo(f"Channel {name} is saved; try it: meterops channels test {name}")


def _quiet(text: str) -> Any:
    if not text:
        return None
    from datetime import time

    try:
        starts, ends = (time.fromisoformat(part.strip()) for part in text.split("-"))
    except ValueError:
        refuse(f"{text} are no quiet hours; 22:00-07:00 are.", EXIT_USAGE)
    return starts, ends


@channels_app.command("test")
@answers_refusals
def try_channel(name: str, as_json: AsJson = False) -> None:
    """Send a test message at once. Exit code 1 when the sink did not take it."""
    open_state()
    from meterops.practices.incidents import api as incidents

    error = incidents.test_channel(name=name, actor=shell_actor())
    if as_json:
        print_json({"sent": not error, "error": error})
    else:
        typer.echo(f"{name} did not take it: {error}" if error else f"{name} took the test message.", err=bool(error))
    if error:
        raise typer.Exit(EXIT_FAILED)


@channels_app.command("delete")
@answers_refusals
def delete_channel(name: str, yes: Yes = False) -> None:
    """Remove a channel with its messages."""
    open_state()
    from meterops.kernel.clock import utc_now
    from meterops.practices.incidents import api as incidents

    if not yes:
        confirm(f"Remove the channel {name} with its messages?")
    incidents.delete_channel(name=name, actor=shell_actor(), at=utc_now())
    typer.echo(f"Channel {name} is removed.")


@escalation_app.command("list")
@answers_refusals
def list_policies(as_json: AsJson = False) -> None:
    """Policies with their steps."""
    open_state()
    from meterops.practices.incidents import api as incidents

    rows = incidents.list_policies()
    if as_json:
        print_json(rows)
        return
    print_table(
        ("Policy", "State", "Priorities", "After", "Told"),
        [
            (
                row.name,
                "on" if row.enabled else "off",
                ", ".join(f"P{p}" for p in row.priorities),
                f"{step['after_s'] / 60:g} min",
                ", ".join(step["channels"]),
            )
            for row in rows
            for step in row.steps
        ],
        empty="No policy yet. Make one: meterops escalation set NAME --priority 1 --step 0=Duty --step 5=Lead",
    )


@escalation_app.command("set")
@answers_refusals
def set_policy(
    name: Annotated[str, typer.Argument(help="The policy's name; an existing one is changed.")],
    priority: Annotated[list[int], typer.Option(min=1, max=4, help="For incidents of these.")],
    step: Annotated[list[str], typer.Option(help="MINUTES=CHANNEL[,CHANNEL]: who is told after so long, in order.")],
    off: Annotated[bool, typer.Option("--off", help="Keep it, but start no chain by it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Create or change a policy. Chains under way keep the steps they started with."""
    open_state()
    from meterops.kernel.clock import utc_now
    from meterops.practices.incidents import api as incidents

    incidents.save_policy(
        name=name,
        priorities=priority,
        steps=[_step(one) for one in step],
        enabled=not off,
        actor=shell_actor(),
        at=utc_now(),
    )
    view = next(one for one in incidents.list_policies() if one.name == name)
    print_json(view) if as_json else typer.echo(f"Policy {name} is saved with {len(view.steps)} steps.")


def _step(text: str) -> dict[str, Any]:
    minutes, found, channels = text.partition("=")
    try:
        after_s = float(minutes) * 60
    except ValueError:
        found = ""
    if not found or not channels.strip():
        refuse(f"{text} is no step; 5=Duty or 15=Lead,Head are.", EXIT_USAGE)
    return {"after_s": after_s, "channels": [one.strip() for one in channels.split(",")]}
