"""What inventory tells others."""

from dataclasses import dataclass
from datetime import datetime

from meterops.kernel.facts import fact


@fact
@dataclass(frozen=True, slots=True)
class InventoryImported:
    """Files were imported, as one whole."""

    import_id: str
    created: int
    updated: int
    disagreements: int
    imported_at: datetime


@fact
@dataclass(frozen=True, slots=True)
class ConfigurationItemMoved:
    """An item hangs under another parent since `moved_at`; parents are 0 where there was or is none."""

    item_id: int
    tree: str
    old_parent_id: int
    new_parent_id: int
    moved_at: datetime


@fact
@dataclass(frozen=True, slots=True)
class ConfigurationItemStateChanged:
    """An item took a step in its life."""

    item_id: int
    kind: str
    before: str
    after: str
    changed_at: datetime


@fact
@dataclass(frozen=True, slots=True)
class EndDeviceInstalled:
    """A meter was put in its place or taken into service for the first time."""

    end_device_id: int
    serial: str
    installed_at: datetime


@fact
@dataclass(frozen=True, slots=True)
class AttributesChanged:
    """Attributes of an item changed; the values are in its history."""

    item_id: int
    attributes: tuple[str, ...]
    source: str
    changed_at: datetime


@fact
@dataclass(frozen=True, slots=True)
class SourcesDisagreed:
    """A source said something that a source of higher precedence contradicts; it waits in the queue."""

    disagreement_id: int
    item_id: int
    attribute: str
    source: str
    noticed_at: datetime
