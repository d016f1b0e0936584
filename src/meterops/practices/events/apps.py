"""Django's view of this package."""

from django.apps import AppConfig


class EventsConfig(AppConfig):
    """Alarms, situations, planned work and what intake has come to."""

    name = "meterops.practices.events"
    label = "events"
    default_auto_field = "django.db.models.BigAutoField"
