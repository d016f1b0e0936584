"""The states of a configuration item and the steps between them."""

from enum import StrEnum
from typing import Final


class ItemState(StrEnum):
    """Where an item is in its life."""

    PLANNED = "PLANNED"
    IN_STOCK = "IN_STOCK"
    INSTALLED = "INSTALLED"
    """In its place, not yet taken into service."""
    ACTIVE = "ACTIVE"
    """In service: it is read, and its silence means something."""
    INACTIVE = "INACTIVE"
    """In its place, taken out of service for now."""
    RETIRED = "RETIRED"


TRANSITIONS: Final[dict[ItemState, tuple[ItemState, ...]]] = {
    ItemState.PLANNED: (ItemState.IN_STOCK, ItemState.INSTALLED, ItemState.ACTIVE, ItemState.RETIRED),
    ItemState.IN_STOCK: (ItemState.PLANNED, ItemState.INSTALLED, ItemState.ACTIVE, ItemState.RETIRED),
    ItemState.INSTALLED: (ItemState.ACTIVE, ItemState.INACTIVE, ItemState.IN_STOCK, ItemState.RETIRED),
    ItemState.ACTIVE: (ItemState.INACTIVE, ItemState.IN_STOCK, ItemState.RETIRED),
    ItemState.INACTIVE: (ItemState.ACTIVE, ItemState.IN_STOCK, ItemState.RETIRED),
    ItemState.RETIRED: (),
}

READABLE_STATES: Final = (ItemState.INSTALLED, ItemState.ACTIVE)
"""Meters in these states are on the head-end's rounds."""


def is_allowed(before: ItemState, after: ItemState) -> bool:
    """Whether the step may be taken; staying is always allowed."""
    return before == after or after in TRANSITIONS[before]
