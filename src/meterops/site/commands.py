"""The commands that start processes or look after an installation."""

import os
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meterops.interfaces.cli.output import EXIT_FAILED, AsJson, answers_refusals, print_json, print_table, refuse
from meterops.interfaces.cli.state import open_state

if TYPE_CHECKING:
    from meterops.site.supervisor import Supervisor

Host = Annotated[str, typer.Option(help="Address to listen on.")]


def register(app: typer.Typer) -> None:
    """Hang the commands into the main program."""
    app.command("demo")(demo)
    app.command("up")(up)
    app.command("serve")(serve)
    app.command("work")(work)
    app.command("listen")(listen)
    app.command("engine")(engine)
    app.command("doctor")(doctor)
    app.command("migrate")(migrate)


@answers_refusals
def demo(
    meters: Annotated[int, typer.Option(min=10, max=200_000, help="How many meters the simulated grid has.")] = 1200,
    seed: Annotated[int, typer.Option(help="Another seed is another region.")] = 7,
    scenario: Annotated[str, typer.Option(help="A shipped scenario's name or a TOML file.")] = "morning",
    data: Annotated[Path, typer.Option(help="Where the demo keeps everything; a second start continues there.")] = Path(
        "data/demo"
    ),
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of the console.")] = 8000,
    meter_port: Annotated[
        int, typer.Option(min=1, max=65_535, help="Port of the simulated meters (127.x.y.z).")
    ] = 4059,
    listen_port: Annotated[int, typer.Option(min=1, max=65_535, help="Port that takes what meters push.")] = 4060,
) -> None:
    """Start a simulated low-voltage grid, read its meters over ciphered DLMS/COSEM, and show them in the console."""
    from meterops.site.demo import Demo

    raise typer.Exit(
        Demo(
            folder=data,
            meters=meters,
            seed=seed,
            scenario=scenario,
            host=host,
            port=port,
            meter_port=meter_port,
            listen_port=listen_port,
        ).run()
    )


@answers_refusals
def up(
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of the console.")] = 8000,
    listen_host: Annotated[str, typer.Option(help="Address that takes what meters push.")] = "127.0.0.1",
    listen_port: Annotated[int, typer.Option(min=1, max=65_535, help="Port that takes what meters push.")] = 4060,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
) -> None:
    """Run web, engine, listener and workers on this host until Ctrl-C."""
    open_state()
    from django.conf import settings

    from meterops.site.supervisor import Supervisor

    supervisor = Supervisor(settings.DATA_DIR / "logs")
    add_processes(supervisor, host=host, port=port, listen_host=listen_host, listen_port=listen_port, workers=workers)
    supervisor.start()
    typer.echo(f"Console at http://{host}:{port}; logs in {supervisor.logs}. Ctrl-C stops everything.")
    raise typer.Exit(supervisor.run())


def add_processes(
    supervisor: "Supervisor",
    *,
    host: str,
    port: int,
    listen_host: str,
    listen_port: int,
    workers: int,
) -> None:
    """The processes of a whole installation, in the order in which they start."""
    supervisor.add("web", "serve", "--host", host, "--port", str(port))
    supervisor.add("engine", "engine")
    supervisor.add("listener", "listen", "--host", listen_host, "--port", str(listen_port))
    for number in range(workers):
        supervisor.add(f"worker-{number + 1}", "work")


@answers_refusals
def serve(host: Host = "127.0.0.1", port: Annotated[int, typer.Option(min=1, max=65_535, help="Port.")] = 8000) -> None:
    """Run the web process: console and REST interface."""
    open_state()
    from meterops.site.processes import run_web

    run_web(host, port)


@answers_refusals
def work(
    sessions: Annotated[int, typer.Option(min=1, max=5000, help="Sessions with meters at once.")] = 200,
) -> None:
    """Run a worker: it leases routes and holds sessions with their meters. Start as many as you like."""
    open_state()
    from meterops.site.processes import run_worker

    run_worker(sessions)


@answers_refusals
def listen(
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="TCP and UDP port.")] = 4060,
) -> None:
    """Run the listener: it takes what meters push, over TCP and UDP, wrapper or HDLC, plain or ciphered."""
    open_state()
    from meterops.site.processes import run_listener

    try:
        run_listener(host, port)
    except OSError as error:
        if error.errno not in (EADDRINUSE, EADDRNOTAVAIL, EACCES):
            raise
        refuse(f"{host}:{port} cannot be listened on: {os.strerror(error.errno).lower()}.")


@answers_refusals
def engine() -> None:
    """Run the engine: schedules, ends of operations, facts, maintenance."""
    open_state()
    from meterops.site.processes import run_engine

    run_engine()


@answers_refusals
def doctor(as_json: AsJson = False) -> None:
    """Check the installation: stores, processes, schedules, audit chain. Exit code 1 when something is wrong."""
    open_state()
    from meterops.site.doctor import examine

    findings = examine()
    bad = [finding for finding in findings if not finding.ok]
    if as_json:
        print_json({"clean": not bad, "findings": findings})
    else:
        print_table(("Check", "State", "What"), [(f.check, "ok" if f.ok else "WRONG", f.text) for f in findings])
        typer.echo("Clean." if not bad else f"{len(bad)} of {len(findings)} checks found something.")
    if bad:
        raise typer.Exit(EXIT_FAILED)


def migrate() -> None:
    """Make or update the tables of the state store."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "meterops.site.settings")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=1, interactive=False)
