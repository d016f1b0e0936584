"""Every command group, in the order in which help lists them."""

import typer

from meterops.interfaces.cli import (
    credentials_commands,
    dlms,
    dlms_client,
    inventory_commands,
    reading_commands,
    simulate,
    user_commands,
)


def register(app: typer.Typer) -> None:
    """Hang all groups into the main program."""
    reading_commands.register(app)
    inventory_commands.register(app)
    credentials_commands.register(app)
    user_commands.register(app)
    dlms_client.register(dlms.app)
    app.add_typer(dlms.app, name="dlms")
    app.add_typer(simulate.app, name="simulate")
