"""What meters' event codes mean, as data."""

from meterops.practices.events.catalogue.loader import (
    CatalogueNotValid,
    EventClass,
    EventType,
    Severity,
    catalogue,
    family_of,
    parse_catalogue,
)

__all__ = [
    "CatalogueNotValid",
    "EventClass",
    "EventType",
    "Severity",
    "catalogue",
    "family_of",
    "parse_catalogue",
]
