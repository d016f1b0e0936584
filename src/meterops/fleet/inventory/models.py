"""The CMDB's tables. What may hang under what and who may write what is decided in `kinds` and `rules`."""

from django.db import models
from django.db.models import F, Q

from meterops.fleet.inventory import lookups  # noqa: F401  registers `prefix`
from meterops.fleet.inventory.kinds import ItemKind, Source, Transport, Tree
from meterops.fleet.inventory.lifecycle import ItemState


def _choices(
    kind: type[ItemKind] | type[Tree] | type[Source] | type[Transport] | type[ItemState],
) -> list[tuple[str, str]]:
    return [(str(member), str(member)) for member in kind]


class ConfigurationItem(models.Model):
    """Anything that exists, in the grid or in the communication network."""

    mrid = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=20, choices=_choices(ItemKind))
    name = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=10, choices=_choices(ItemState), default=ItemState.ACTIVE)
    latitude = models.FloatField(null=True)
    longitude = models.FloatField(null=True)
    rated_kva = models.FloatField(null=True)
    nominal_voltage = models.FloatField(null=True)
    address = models.CharField(max_length=300, blank=True)
    attributes = models.JSONField(default=dict)
    source = models.CharField(max_length=10, choices=_choices(Source))
    """Who first told of the item: the source of every attribute that `attribute_sources` does not name."""
    attribute_sources = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)
    search_mrid = models.CharField(max_length=100, db_index=True)
    """`mrid`, `name` and `address` as `search` compares them (`rules.search_form`)."""
    search_name = models.CharField(max_length=200, blank=True)
    search_address = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["kind", "mrid"], name="item_kind"),
            models.Index(fields=["search_name"], condition=~Q(search_name=""), name="item_name"),
            models.Index(fields=["search_address"], condition=~Q(search_address=""), name="item_address"),
        ]
        permissions = [
            ("import_inventory", "May import inventory files"),
            ("move_items", "May move items in the trees"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.mrid}"


def _derived(related: str = "+") -> "models.ForeignKey[ConfigurationItem | None, ConfigurationItem | None]":
    # Derived from Link, whose own constraint holds the target; a second check per column would only slow imports down.
    return models.ForeignKey(
        ConfigurationItem, null=True, on_delete=models.PROTECT, related_name=related, db_constraint=False
    )


class EndDevice(models.Model):
    """A meter: the part of its item that only meters have, and where it hangs now (derived from its links)."""

    item = models.OneToOneField(
        ConfigurationItem, on_delete=models.PROTECT, primary_key=True, related_name="end_device", db_column="id"
    )
    serial = models.CharField(max_length=64, unique=True)
    manufacturer = models.CharField(max_length=64, blank=True)
    model = models.CharField(max_length=64, blank=True)
    hardware_version = models.CharField(max_length=64, blank=True)
    firmware_version = models.CharField(max_length=64, blank=True)
    profile = models.CharField(max_length=64, blank=True)
    logical_device_name = models.CharField(max_length=64, blank=True)
    system_title = models.CharField(max_length=16, blank=True)
    """Sixteen hexadecimal digits in upper case, or empty."""
    host = models.CharField(max_length=255, blank=True)
    port = models.PositiveIntegerField(default=4059)
    transport = models.CharField(max_length=10, choices=_choices(Transport), default=Transport.WRAPPER)
    server_sap = models.PositiveIntegerField(default=1)
    installed_at = models.DateTimeField(null=True)

    state = models.CharField(max_length=10, choices=_choices(ItemState), default=ItemState.ACTIVE)
    """The item's state again, so that a list of meters reads one table."""
    search_address = models.CharField(max_length=300, blank=True)
    usage_point = _derived()
    service_node = _derived()
    """The node that the usage point hangs under: an LV feeder or a transformer."""
    lv_feeder = _derived()
    transformer = _derived()
    feeder = _derived()
    substation = _derived()
    concentrator = _derived()
    route = _derived()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["system_title"], condition=~Q(system_title=""), name="one_title_per_meter"),
        ]
        indexes = [
            models.Index(fields=["manufacturer", "model", "firmware_version"], name="device_model"),
            models.Index(fields=["firmware_version"], name="device_firmware"),
            models.Index(fields=["model"], name="device_by_model"),
            models.Index(fields=["state"], name="device_state"),
            models.Index(fields=["installed_at"], name="device_installed"),
            models.Index(fields=["search_address"], name="device_address"),
            models.Index(fields=["host"], name="device_host"),
        ]

    def __str__(self) -> str:
        return f"meter {self.serial}"


class Link(models.Model):
    """A child hung under a parent in one tree during [starts_at, ends_at); open where `ends_at` is null.

    No two periods of a child in a tree overlap: triggers of the first migration refuse it on either database.
    """

    tree = models.CharField(max_length=15, choices=_choices(Tree))
    child = models.ForeignKey(ConfigurationItem, on_delete=models.PROTECT, related_name="links_up", db_index=False)
    parent = models.ForeignKey(ConfigurationItem, on_delete=models.PROTECT, related_name="links_down", db_index=False)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    confidence = models.FloatField(default=1.0)
    """0 to 1: how sure the source is; drawn as a dashed line below 0.8."""
    source = models.CharField(max_length=10, choices=_choices(Source))

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")), name="link_period"
            ),
            models.CheckConstraint(condition=~Q(child=F("parent")), name="link_not_to_itself"),
            models.CheckConstraint(condition=Q(confidence__gte=0, confidence__lte=1), name="link_confidence"),
            models.UniqueConstraint(fields=["tree", "child"], condition=Q(ends_at__isnull=True), name="one_parent_now"),
            models.UniqueConstraint(fields=["child", "tree", "starts_at"], name="link_start"),
        ]
        indexes = [models.Index(fields=["parent", "tree"], name="link_parent")]

    def __str__(self) -> str:
        return f"{self.tree} {self.child_id} under {self.parent_id}"


class ImportRun(models.Model):
    """One import that was applied: which files, by whom, and what it did."""

    id = models.UUIDField(primary_key=True)
    at = models.DateTimeField(db_index=True)
    actor = models.CharField(max_length=200)
    source = models.CharField(max_length=10, choices=_choices(Source))
    files = models.JSONField()
    counts = models.JSONField()


class AttributeChange(models.Model):
    """An attribute of an item changed: the trace that lets anybody see, and put back, what was before."""

    item = models.ForeignKey(ConfigurationItem, on_delete=models.PROTECT, related_name="changes", db_index=False)
    attribute = models.CharField(max_length=100)
    old = models.JSONField(null=True)
    new = models.JSONField(null=True)
    source = models.CharField(max_length=10, choices=_choices(Source))
    at = models.DateTimeField()
    actor = models.CharField(max_length=200)
    import_run = models.ForeignKey(ImportRun, null=True, on_delete=models.PROTECT, related_name="changes")

    class Meta:
        indexes = [models.Index(fields=["item", "-at"], name="change_item")]


class SourcePrecedence(models.Model):
    """Which sources may write an attribute, the owner first. Replaces the default of `rules` for that attribute."""

    attribute = models.CharField(max_length=100, primary_key=True)
    sources = models.JSONField()


class DisagreementState(models.TextChoices):
    """Where a disagreement stands."""

    OPEN = "OPEN"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"


class Disagreement(models.Model):
    """A source of lower precedence said something else than what stands. A person decides; nothing is overwritten."""

    item = models.ForeignKey(ConfigurationItem, on_delete=models.PROTECT, related_name="disagreements", db_index=False)
    attribute = models.CharField(max_length=100)
    present = models.JSONField(null=True)
    present_source = models.CharField(max_length=10, choices=_choices(Source))
    proposed = models.JSONField(null=True)
    proposed_key = models.CharField(max_length=64)
    """Digest of `proposed`: the same disagreement is not queued twice, nor again after it was rejected."""
    source = models.CharField(max_length=10, choices=_choices(Source))
    state = models.CharField(max_length=10, choices=DisagreementState, default=DisagreementState.OPEN)
    noticed_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)
    settled_by = models.CharField(max_length=200, blank=True)
    reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item", "attribute", "source", "proposed_key"],
                condition=~Q(state="ACCEPTED"),
                name="disagreement_once",
            ),
        ]
        indexes = [models.Index(fields=["noticed_at"], condition=Q(state="OPEN"), name="disagreement_open")]


class EndDeviceGroup(models.Model):
    """A saved filter under a name: its members are whoever fits when it is used."""

    name = models.CharField(max_length=100, unique=True)
    filter = models.JSONField()
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)

    class Meta:
        ordering = ("name",)
