"""A state of a benchmark's own: a data folder that is gone afterwards."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def own_state(name: str) -> Iterator[Path]:
    """The folder, which this process takes for its data from here on."""
    with tempfile.TemporaryDirectory(prefix=f"{name}-", ignore_cleanup_errors=True) as folder:
        os.environ["METEROPS_DATA_DIR"] = folder
        yield Path(folder)
