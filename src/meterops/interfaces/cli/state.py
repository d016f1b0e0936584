"""Makes the state store ready before a command that needs it; commands that need none start without it, and so at once."""

import getpass
import os
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from meterops.kernel.actor import Actor


def open_state() -> None:
    """Set Django up and see to it that the tables are there.

    On the embedded default missing tables are made without asking. A PostgreSQL is somebody's production: there the command
    stops with exit code 4 and says what to run.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "meterops.site.settings")
    import django

    django.setup()
    if not _is_behind():
        return
    from django.conf import settings
    from django.core.management import call_command

    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        call_command("migrate", verbosity=0, interactive=False)
        return
    typer.echo("The database's tables are missing or older than this version. Run: meterops migrate", err=True)
    raise typer.Exit(4)


def _is_behind() -> bool:
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def shell_actor() -> "Actor":
    """Who acts from a command line: the account of the operating system."""
    from meterops.kernel.actor import Actor

    return Actor(f"{getpass.getuser()} (command line)")
