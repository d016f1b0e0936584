"""Django's view of this package."""

from django.apps import AppConfig


class IncidentsConfig(AppConfig):
    """Incidents, their work orders and who is told."""

    name = "meterops.practices.incidents"
    label = "incidents"
    default_auto_field = "django.db.models.BigAutoField"
