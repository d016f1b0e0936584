"""Django's view of this package."""

from django.apps import AppConfig


class SiteConfig(AppConfig):
    """The composition root."""

    name = "meterops.site"
    label = "site"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """A command has no subscribers, but what it does concerns those of the engine."""
        from meterops.kernel import facts
        from meterops.site.wiring import HEARD

        facts.keep(HEARD)
