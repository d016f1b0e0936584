"""Where real captures and opponents lie when they are present beside the checkout."""

from pathlib import Path

import pytest

_FOLDER = Path(__file__).resolve().parents[2] / "shared"
SHARED: Path | None = _FOLDER if _FOLDER.is_dir() else None

needs_shared = pytest.mark.skipif(SHARED is None, reason=f"no shared data at {_FOLDER}")
