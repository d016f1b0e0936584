"""Django's view of this package."""

from django.apps import AppConfig


class InventoryConfig(AppConfig):
    """The CMDB's tables."""

    name = "meterops.fleet.inventory"
    label = "inventory"
    default_auto_field = "django.db.models.BigAutoField"
