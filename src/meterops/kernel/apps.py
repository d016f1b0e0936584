"""Django's view of this package."""

from django.apps import AppConfig


class KernelConfig(AppConfig):
    """The kernel's tables: audit, facts, jobs."""

    name = "meterops.kernel"
    label = "kernel"
    default_auto_field = "django.db.models.BigAutoField"
