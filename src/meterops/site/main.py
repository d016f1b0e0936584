"""The program `meterops`: the interfaces' commands, and those that start processes."""

import gc
import sys
from typing import Annotated

import typer

from meterops import __version__
from meterops.interfaces.cli import commands
from meterops.site import commands as process_commands

app = typer.Typer(
    name="meterops",
    cls=commands.Program,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Run a smart-meter fleet: read it over DLMS/COSEM, know what hangs where, see how it does.",
    epilog="Every command answers --help; those that show something answer --json. Start with: meterops demo",
)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"meterops {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """Answer --version; everything else is a command."""


def settle_memory() -> None:
    """Look for garbage seldom: a start makes some hundred thousand objects that stay, and batches make many that soon go."""
    gc.set_threshold(20_000)


def run() -> None:
    """Entry point of the console script."""
    settle_memory()
    process_commands.register(app)
    commands.register(app)
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    run()
