"""What every test stands on: a data folder of its own, so that no run touches an installation or another worker's run."""

import os
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_FOLDER = tempfile.TemporaryDirectory(prefix="meterops-tests-")
os.environ["METEROPS_DATA_DIR"] = _FOLDER.name
for name in ("METEROPS_LAKE", "METEROPS_LAKE_CATALOG", "METEROPS_MASTER_KEY", "METEROPS_MASTER_KEY_FILE"):
    os.environ.pop(name, None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: Playwright keeps an event loop running in its thread, and no other loop could start there."""
    items.sort(key=lambda item: ROOT / "tests" / "browser" in item.path.parents)


def missing(what: str) -> None:
    """Skip a test that this machine cannot run, plainly; where CI=true it fails instead, so that nothing is lost unseen."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{what} (with CI=true nothing is skipped)")
    pytest.skip(what)
