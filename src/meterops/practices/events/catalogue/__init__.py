"""What meters' event codes mean, as data."""

from meterops.practices.events.catalogue.loader import (
    ALARM_REGISTER,
    CatalogueNotValid,
    EventClass,
    EventType,
    Severity,
    catalogue,
    family_of,
    parse_catalogue,
)

__all__ = [
    "ALARM_REGISTER",
    "CatalogueNotValid",
    "EventClass",
    "EventType",
    "Severity",
    "catalogue",
    "family_of",
    "parse_catalogue",
]
