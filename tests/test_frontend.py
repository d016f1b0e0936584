"""The console's scripts, of which the build checks no types."""

import shutil
import subprocess
from pathlib import Path

import pytest

FRONTEND = Path(__file__).parents[1] / "frontend"


@pytest.mark.skipif(
    not shutil.which("npm"), reason="no npm on this machine; the types of the console's scripts are not checked"
)
def test_the_scripts_types_agree(tmp_path: Path) -> None:
    copy = tmp_path / "frontend"
    shutil.copytree(FRONTEND, copy, ignore=shutil.ignore_patterns("node_modules"))
    _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=copy)
    _run("node", "node_modules/typescript/bin/tsc", "--noEmit", folder=copy)


def _run(*command: str, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
