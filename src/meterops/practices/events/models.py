"""Tables of events: alarms, situations, planned work, counters, and how far intake has come."""

from django.db import models
from django.db.models import Q


class AlarmState(models.TextChoices):
    """Where an alarm stands."""

    ACTIVE = "ACTIVE"
    CLEARED = "CLEARED"


class AlarmFlood(models.Model):
    """Safety alarms of one type that come too many for anybody to look at each: one thing that happens to many meters.

    It goes on as long as no ten minutes pass without one.
    """

    id = models.UUIDField(primary_key=True)
    event_type = models.CharField(max_length=60)
    severity = models.CharField(max_length=15)
    started_at = models.DateTimeField()
    last_at = models.DateTimeField()
    """When intake took the newest alarm in."""
    alarms = models.PositiveIntegerField(default=0)
    cleared = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["-last_at"], name="flood_newest")]

    def __str__(self) -> str:
        return f"flood of {self.event_type}"


class Alarm(models.Model):
    """What is wrong with one device, however often it says so: events of one reduction key in one stretch of time."""

    reduction_key = models.CharField(max_length=160)
    """Type and device (or identity): one active alarm of a key."""
    event_type = models.CharField(max_length=60)
    severity = models.CharField(max_length=15)
    is_security = models.BooleanField(default=False)
    end_device_id = models.BigIntegerField(default=0)
    """0 for a device nobody knows; `identity` then names it."""
    identity = models.CharField(max_length=64, blank=True)
    transformer_id = models.BigIntegerField(default=0)
    state = models.CharField(max_length=8, choices=AlarmState, default=AlarmState.ACTIVE)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    raised_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True)
    occurrences = models.PositiveIntegerField(default=1)
    changes = models.JSONField(default=list)
    """Epoch seconds of its last raisings and clearings, newest last: chattering shows there."""
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=200, blank=True)
    shelved_until = models.DateTimeField(null=True)
    shelved_at = models.DateTimeField(null=True)
    shelved_by = models.CharField(max_length=200, blank=True)
    shelve_reason = models.CharField(max_length=300, blank=True)
    flood = models.ForeignKey(AlarmFlood, null=True, on_delete=models.SET_NULL, related_name="members", db_index=False)
    """The flood it came in, which is told of in its place."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reduction_key"], condition=Q(state="ACTIVE"), name="one_active_alarm"),
        ]
        indexes = [
            models.Index(fields=["-raised_at", "-id"], condition=Q(state="ACTIVE"), name="alarm_active_newest"),
            models.Index(fields=["event_type", "-raised_at"], condition=Q(state="ACTIVE"), name="alarm_active_type"),
            models.Index(fields=["severity", "-raised_at"], condition=Q(state="ACTIVE"), name="alarm_active_severity"),
            models.Index(fields=["end_device_id", "-raised_at"], name="alarm_device"),
            models.Index(fields=["shelved_until"], condition=Q(shelved_until__isnull=False), name="alarm_shelved"),
            models.Index(fields=["reduction_key", "-id"], name="alarm_key"),
            models.Index(fields=["flood"], condition=Q(flood__isnull=False), name="alarm_flood"),
            models.Index(
                fields=["event_type", "-raised_at"], condition=Q(is_security=True), name="alarm_safety_newest"
            ),
        ]
        permissions = [
            ("acknowledge_alarms", "May acknowledge alarms"),
            ("shelve_alarms", "May shelve alarms"),
            ("plan_work", "May plan work on the grid"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} of {self.end_device_id or self.identity}"


class SituationState(models.TextChoices):
    """Where a situation stands."""

    OPEN = "OPEN"
    CLEARED = "CLEARED"
    MERGED = "MERGED"


class Situation(models.Model):
    """One cause that explains what many meters said or did not say. Times are UTC, counts meters."""

    id = models.UUIDField(primary_key=True)
    kind = models.CharField(max_length=15)
    tree = models.CharField(max_length=15)
    state = models.CharField(max_length=8, choices=SituationState, default=SituationState.OPEN)
    node_id = models.BigIntegerField()
    node_mrid = models.CharField(max_length=100)
    node_name = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField()
    opened_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=40, blank=True)
    into_id = models.UUIDField(null=True)
    expected = models.PositiveIntegerField(default=0)
    heard = models.PositiveIntegerField(default=0)
    silent = models.PositiveIntegerField(default=0)
    answered = models.PositiveIntegerField(default=0)
    restored = models.PositiveIntegerField(default=0)
    power_score = models.FloatField(default=0)
    communication_score = models.FloatField(default=0)
    confidence = models.FloatField(default=0)
    phases = models.CharField(max_length=8, blank=True)

    class Meta:
        indexes = [models.Index(fields=["state", "-opened_at"], name="situation_state")]

    def __str__(self) -> str:
        return f"{self.kind} at {self.node_mrid}"


class PlannedWork(models.Model):
    """Work on a node that the control room knows of: nothing is opened below it while it lasts."""

    node_id = models.BigIntegerField()
    node_mrid = models.CharField(max_length=100)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=300)
    planned_by = models.CharField(max_length=200)
    planned_at = models.DateTimeField()
    cancelled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(ends_at__gt=models.F("starts_at")), name="planned_period")]
        indexes = [models.Index(fields=["ends_at"], name="planned_end")]


class DailyCounter(models.Model):
    """How many events of a type were received on a day (UTC), and how many of them were repetitions."""

    day = models.DateField()
    event_type = models.CharField(max_length=60)
    received = models.PositiveBigIntegerField(default=0)
    repeated = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["day", "event_type"], name="one_counter_a_day")]


class AlarmMinute(models.Model):
    """How many alarms operators were shown in a minute, by priority; what alarm health is measured on."""

    minute_at = models.DateTimeField()
    priority = models.PositiveSmallIntegerField()
    shown = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["minute_at", "priority"], name="one_minute_a_priority")]


class IntakeState(models.Model):
    """One row: how far the lake was read, and the correlator as it was then."""

    events_place = models.BigIntegerField(default=-1)
    sessions_place = models.BigIntegerField(default=-1)
    correlator = models.BinaryField(default=bytes)
    outline = models.TextField(blank=True)
    """Its situations and what is about to be one, as of the last step."""
    correlator_events_place = models.BigIntegerField(default=-1)
    correlator_sessions_place = models.BigIntegerField(default=-1)
    """How far the lake was read when the correlator was stored."""
    read_at = models.DateTimeField()
    is_storm = models.BooleanField(default=False)
