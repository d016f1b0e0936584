"""House rules as tests."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "meterops"


def test_imports_point_down_only() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run([str(program), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_nobody_hides_in_a_room_without_a_name() -> None:
    nameless = {"utils", "util", "helpers", "helper", "common", "misc", "lib"}
    assert not [path for path in SOURCE.rglob("*") if path.stem in nameless]


PACKAGES = sorted(p.parent for layer in ("fleet", "practices") for p in SOURCE.glob(f"{layer}/*/models.py"))


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: folder.name)
def test_a_package_says_what_it_is_for(folder: Path) -> None:
    assert len((folder / "README.md").read_text()) > 200
    assert "__all__" in (folder / "api.py").read_text()


@pytest.mark.django_db
def test_migrations_say_what_the_models_say(settings: object) -> None:
    from django.core.management import call_command

    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
