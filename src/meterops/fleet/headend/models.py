"""Tables of the head-end: schedules, fleet operations and their jobs per route."""

from django.db import models
from django.db.models import Q

from meterops.fleet.headend.lifecycle import OperationState


class Schedule(models.Model):
    """When which contents are read from which meters."""

    name = models.CharField(max_length=80, unique=True)
    enabled = models.BooleanField(default=True)
    contents = models.JSONField()
    selection = models.JSONField(default=dict)
    period_s = models.PositiveIntegerField()
    offset_s = models.PositiveIntegerField(default=0)
    in_local_time = models.BooleanField(default=False)
    window_s = models.PositiveIntegerField()
    lookback_s = models.PositiveIntegerField()
    lane = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField()
    last_slot_at = models.DateTimeField()

    class Meta:
        ordering = ("name",)
        permissions = [("manage_schedules", "May change, pause and resume schedules")]


class FleetOperation(models.Model):
    """A selection of meters times something to do, split into one job per route."""

    id = models.UUIDField(primary_key=True)
    schedule = models.ForeignKey(Schedule, null=True, on_delete=models.SET_NULL, related_name="operations")
    title = models.CharField(max_length=120)
    contents = models.JSONField()
    lane = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=10, choices=[(s.value, s.value) for s in OperationState])
    first_slot_at = models.DateTimeField(null=True)
    slot_at = models.DateTimeField(null=True)
    lookback_s = models.PositiveIntegerField()
    requested_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    deadline_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    result = models.JSONField(null=True)

    class Meta:
        ordering = ("-created_at",)
        indexes = [
            models.Index(fields=["-created_at"], name="operation_newest"),
            models.Index(fields=["deadline_at"], condition=Q(state="RUNNING"), name="operation_running"),
        ]
        permissions = [("read_on_demand", "May read meters on demand"), ("cancel_operations", "May cancel operations")]


class RouteJob(models.Model):
    """The part of an operation that runs over one route. Each meter's outcome is a row in the lake, not here."""

    operation = models.ForeignKey(FleetOperation, on_delete=models.CASCADE, related_name="route_jobs")
    route_id = models.BigIntegerField()
    outstanding = models.BinaryField(null=True)
    """The meters not yet done (`meter_sets.pack`); null until a worker first looks which meters the route has."""
    total = models.PositiveIntegerField(default=0)
    succeeded = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    errors = models.JSONField(default=dict)
    """How many meters ended in which error class."""
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["operation", "route_id"], name="one_job_per_route")]
        indexes = [models.Index(fields=["route_id", "-id"], name="route_job_route")]


class PowerCheck(models.Model):
    """Which meters a power check asks; what each answered is derived from the lake, so nothing here grows with answers."""

    operation = models.OneToOneField(
        FleetOperation, on_delete=models.CASCADE, primary_key=True, related_name="power_check"
    )
    meters = models.BinaryField()
    """Everybody asked, those without a route too (`meter_sets.pack`)."""
    without_route = models.BinaryField()
    """Those of them that no route leads to."""
    unknown = models.JSONField(default=list)
    """Names and ids that no end device has."""

    class Meta:
        permissions = [("check_power", "May ask meters whether they have supply")]


class RouteProgress(models.Model):
    """How far each meter of a route has been read: the end of its stored load profile and event log (`pack_moments`)."""

    route_id = models.BigIntegerField(primary_key=True)
    profile_read_until = models.BinaryField(default=bytes)
    events_read_until = models.BinaryField(default=bytes)
    updated_at = models.DateTimeField()
