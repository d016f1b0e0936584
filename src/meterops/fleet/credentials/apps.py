"""Django's view of this package."""

from django.apps import AppConfig


class CredentialsConfig(AppConfig):
    """The wrapped keys' tables."""

    name = "meterops.fleet.credentials"
    label = "credentials"
    default_auto_field = "django.db.models.BigAutoField"
