"""The program as a whole: what it says of itself, and what it does not load before it must."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from meterops import __version__
from meterops.interfaces.cli import commands


@pytest.fixture
def program() -> typer.Typer:
    made = typer.Typer(cls=commands.Program)
    commands.register(made)
    return made


def test_it_says_its_version() -> None:
    command = [sys.executable, "-m", "meterops.site.main", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, f"meterops {__version__}\n")


def test_help_lists_the_late_groups_last(program: typer.Typer) -> None:
    said = CliRunner().invoke(program, ["--help"]).output
    assert said.index("operations") < said.index("DLMS/COSEM by hand") < said.index("Simulated meters")


def test_a_late_group_runs_its_commands(program: typer.Typer) -> None:
    done = CliRunner().invoke(program, ["dlms", "classes", "3"])
    assert done.exit_code == 0
    assert "Register" in done.output


def test_a_wrong_word_is_refused(program: typer.Typer) -> None:
    done = CliRunner().invoke(program, ["frobnicate"])
    assert done.exit_code == 2
    assert "No such command 'frobnicate'" in done.output


def test_asking_a_question_loads_neither_the_simulator_nor_a_worker(tmp_path: Path) -> None:
    """Every module more is time that `meterops read` takes before it asks."""
    code = (
        "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'meterops.site.settings'\n"
        "from meterops.site import main\n"
        "import django; django.setup()\n"
        "from meterops.fleet.headend import api\n"
        "late = 'meterops.simulator meterops.fleet.headend.worker meterops.fleet.headend.listener duckdb'.split()\n"
        "print([name for name in late if name in sys.modules], api.Worker.__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "METEROPS_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "[] Worker"
