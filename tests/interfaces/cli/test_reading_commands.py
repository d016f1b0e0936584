"""Schedules and lists of meters from the command line: output, exit codes, what is refused."""

from __future__ import annotations

import json

import pytest
import typer
from tests.fleet.inventory.conftest import street  # noqa: F401  a fixture
from typer.testing import CliRunner, Result

from meterops.fleet.headend import api as headend
from meterops.interfaces.cli import inventory_commands, power_check_commands, reading_commands
from meterops.kernel.clock import utc_now

pytestmark = pytest.mark.django_db
program = typer.Typer()
for group in (inventory_commands, power_check_commands, reading_commands):
    group.register(program)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(program, arguments)


def test_a_schedule_is_deleted_after_a_dry_run_and_not_while_it_reads(street: dict[str, int]) -> None:  # noqa: F811
    assert run("schedule", "set", "hourly", "--every", "1h").exit_code == 0
    assert "would be deleted" in run("schedule", "delete", "hourly", "--dry-run").stdout
    assert run("schedule", "run", "hourly").exit_code == 0
    refused = run("schedule", "delete", "hourly")
    assert (refused.exit_code, "An operation of schedule hourly is under way" in refused.output) == (3, True)
    done = run("schedule", "delete", "hourly", "--while-running", "--json")
    assert json.loads(done.stdout) == {"schedule": "hourly", "deleted": True, "operations_running": 1}
    assert run("schedule", "delete", "hourly").exit_code == 3
    (operation,) = headend.list_operations()
    assert (operation.schedule, operation.state) == ("", headend.OperationState.RUNNING)
    assert headend.start_due_schedules(now=utc_now()) == 0


@pytest.mark.parametrize("command", [("meters", "list", "--under"), ("power-check", "--node")])
def test_a_node_that_nobody_knows_is_refused_by_name(street: dict[str, int], command: tuple[str, ...]) -> None:  # noqa: F811
    refused = run(*command, "NOPE")
    assert (refused.exit_code, refused.stderr) == (3, "There is no item NOPE.\n")


def test_meters_below_a_node_are_listed(street: dict[str, int]) -> None:  # noqa: F811
    assert json.loads(run("meters", "list", "--under", "T1", "--json").stdout)["total"] == 4
