"""Django's view of this package."""

from django.apps import AppConfig


class RestConfig(AppConfig):
    """The REST interface and its tokens."""

    name = "meterops.interfaces.rest"
    label = "rest"
    default_auto_field = "django.db.models.BigAutoField"
