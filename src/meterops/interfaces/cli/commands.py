"""Every command group, in the order in which help lists them."""

from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from meterops.interfaces.cli import (
    channel_commands,
    correlate,
    credentials_commands,
    event_commands,
    incident_commands,
    inventory_commands,
    power_check_commands,
    reading_commands,
    user_commands,
    work_order_commands,
)


def _dlms() -> typer.Typer:
    from meterops.interfaces.cli import dlms, dlms_client

    dlms_client.register(dlms.app)
    return dlms.app


def _simulate() -> typer.Typer:
    from meterops.interfaces.cli import simulate

    return simulate.app


LATE_GROUPS = {"dlms": _dlms, "simulate": _simulate}
"""Groups that need the whole DLMS stack or the simulator."""


class Program(TyperGroup):
    """The main program. Late groups are loaded when one of their commands runs or help lists them.

    Who runs `meterops read` waits for Python modules longer than for the meter; what it does not need is not loaded.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands, the late groups last."""
        return [*(name for name in super().list_commands(ctx) if name not in LATE_GROUPS), *LATE_GROUPS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name, None where there is none."""
        if cmd_name in LATE_GROUPS and cmd_name not in self.commands:
            group = get_group(LATE_GROUPS[cmd_name]())
            group.name = cmd_name
            self.commands[cmd_name] = group
        return super().get_command(ctx, cmd_name)


def register(app: typer.Typer) -> None:
    """Hang all groups into the main program, which is of the class `Program`."""
    reading_commands.register(app)
    power_check_commands.register(app)
    event_commands.register(app)
    incident_commands.register(app)
    work_order_commands.register(app)
    channel_commands.register(app)
    correlate.register(app)
    inventory_commands.register(app)
    credentials_commands.register(app)
    user_commands.register(app)
