"""A plugin for a second run on another state store: only the tests that use it, for the others would say the same again."""

from __future__ import annotations

import pytest

STATE = {"db", "transactional_db", "state_store"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what asks for no database."""
    wanted = [item for item in items if item.get_closest_marker("django_db") or STATE & set(item.fixturenames)]  # type: ignore[attr-defined]
    config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
    items[:] = wanted
