"""Django's view of this package."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    """The console's pages."""

    name = "meterops.interfaces.console"
    label = "console"
    default_auto_field = "django.db.models.BigAutoField"
