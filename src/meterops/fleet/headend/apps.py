"""Django's view of this package."""

from django.apps import AppConfig


class HeadendConfig(AppConfig):
    """The head-end's tables."""

    name = "meterops.fleet.headend"
    label = "headend"
    default_auto_field = "django.db.models.BigAutoField"
