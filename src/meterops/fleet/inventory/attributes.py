"""Where each attribute of an item is stored, and how its values look in the history. Pure."""

from datetime import datetime
from typing import Any, Final

from meterops.fleet.inventory.kinds import Tree

ITEM_ATTRIBUTES: Final = ("name", "latitude", "longitude", "rated_kva", "nominal_voltage", "address")
DEVICE_ATTRIBUTES: Final = (
    "manufacturer",
    "model",
    "hardware_version",
    "firmware_version",
    "profile",
    "logical_device_name",
    "system_title",
    "host",
    "port",
    "transport",
    "server_sap",
    "installed_at",
)
TREE_OF_ATTRIBUTE: Final = {"electrical_parent": Tree.ELECTRICAL, "communication_parent": Tree.COMMUNICATION}
ATTRIBUTE_OF_TREE: Final = {tree: attribute for attribute, tree in TREE_OF_ATTRIBUTE.items()}
EXTRA: Final = "attributes."
"""Before the name of a member of the JSON column `attributes`."""


def as_json(value: Any) -> Any:
    """A value as the history keeps it."""
    return value.isoformat() if isinstance(value, datetime) else value


def merged(present: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Members of `change` over those of `present`; a member that becomes None goes."""
    return {name: value for name, value in {**present, **change}.items() if value is not None}
