"""Django's view of this package."""

from django.apps import AppConfig


class SiteConfig(AppConfig):
    """The composition root."""

    name = "meterops.site"
    label = "site"
    default_auto_field = "django.db.models.BigAutoField"
