"""Tables of incidents: the incident with its timeline and priority history, work orders, channels, messages, chains, ladders."""

from django.db import models
from django.db.models import Q

from meterops.practices.incidents.lifecycle import IncidentKind, IncidentState, WorkOrderState
from meterops.practices.incidents.rules import Rung

_CLOSED = str(IncidentState.CLOSED)


class Incident(models.Model):
    """Something wrong that is carried to a verified restoration. Its primary key is its number."""

    title = models.CharField(max_length=200)
    kind = models.CharField(max_length=15, choices=[(k.value, k.value) for k in IncidentKind])
    state = models.CharField(max_length=12, choices=[(s.value, s.value) for s in IncidentState])
    situation_id = models.CharField(max_length=36, null=True, unique=True)
    """The situation it was opened from. Unique for ever: a fact that is delivered again opens nothing."""
    situation_at = models.DateTimeField(null=True)
    """The newest change of the situation taken in; older ones that arrive late are not."""
    alarm_id = models.BigIntegerField(null=True, unique=True)
    flood_id = models.CharField(max_length=36, null=True, unique=True)
    """The flood of alarms it was opened from: its members are the flood's, wherever they hang, and `scope` is empty."""
    tree = models.CharField(max_length=15, blank=True)
    node_id = models.BigIntegerField()
    node_mrid = models.CharField(max_length=100)
    node_kind = models.CharField(max_length=20, blank=True)
    node_name = models.CharField(max_length=200, blank=True)
    area_id = models.BigIntegerField(default=0)
    """The substation above, or the route: what the queue is grouped by; 0 for none."""
    area_name = models.CharField(max_length=200, blank=True)

    impact = models.PositiveSmallIntegerField()
    urgency = models.PositiveSmallIntegerField()
    priority = models.PositiveSmallIntegerField()
    meters = models.PositiveIntegerField(default=0)
    premises = models.PositiveIntegerField(default=0)
    critical = models.PositiveIntegerField(default=0)
    unserved_kva = models.FloatField(default=0.0)
    unserved_kwh = models.FloatField(default=0.0)
    kwh_before_move = models.FloatField(default=0.0)
    """What was not served while the root was another one; the present scope counts from `moved_at` on."""
    moved_at = models.DateTimeField(null=True)
    reads_at_risk = models.PositiveIntegerField(default=0)
    expected = models.PositiveIntegerField(default=0)
    heard = models.PositiveIntegerField(default=0)
    silent = models.PositiveIntegerField(default=0)
    answered = models.PositiveIntegerField(default=0)
    power_score = models.FloatField(default=0.0)
    communication_score = models.FloatField(default=0.0)
    confidence = models.FloatField(default=1.0)
    assessed_at = models.DateTimeField()

    owner = models.CharField(max_length=200, blank=True)
    team = models.CharField(max_length=100, blank=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=200, blank=True)
    acknowledged_note = models.TextField(blank=True)
    pending_until = models.DateTimeField(null=True)
    is_planned = models.BooleanField(default=False)
    """Its node is under planned work, so it waits behind the others."""
    planned_until = models.DateTimeField(null=True)
    is_major = models.BooleanField(default=False)
    parent = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="children")
    """The incident it was merged into; it keeps its record and follows its parent."""
    split_from = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="split_into")

    started_at = models.DateTimeField()
    """When it began in the grid; `opened_at` is when the incident was made."""
    opened_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True)
    """When the situation or the alarm cleared: from here on answers prove the restoration."""
    next_look_at = models.DateTimeField(null=True)
    """When to look next whether enough meters answer; null where nothing is to be proved."""
    restored_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    resolution = models.TextField(blank=True)
    restored_meters = models.PositiveIntegerField(default=0)
    restored_of = models.PositiveIntegerField(default=0)
    nested = models.JSONField(default=list)
    """Nodes that stayed dark when the rest came back: {"node_id", "mrid", "meters"}."""

    scope = models.JSONField(default=dict)
    """The query that gives the members (`EndDeviceFilter.as_dict`)."""
    members_at_open = models.BinaryField()
    members_moved = models.BinaryField(null=True)
    """Who hung below the root when it last moved: these have to answer, not those of the root before."""
    members_at_close = models.BinaryField(null=True)
    """Who hung there then (`meter_sets.pack`): what is counted later does not move with the grid."""

    class Meta:
        indexes = [
            models.Index(
                fields=["priority", "acknowledged_at", "opened_at"], condition=~Q(state=_CLOSED), name="incident_queue"
            ),
            models.Index(fields=["state", "-opened_at"], name="incident_state"),
            models.Index(fields=["node_id", "-opened_at"], name="incident_node"),
            models.Index(fields=["next_look_at"], condition=Q(next_look_at__isnull=False), name="incident_look"),
            models.Index(fields=["owner"], condition=~Q(state=_CLOSED), name="incident_owner"),
        ]
        permissions = [
            ("acknowledge_incidents", "May acknowledge incidents and write notes"),
            ("work_incidents", "May assign, resolve, close and reopen incidents"),
            ("merge_incidents", "May merge and split incidents"),
            ("declare_major", "May declare a major incident"),
            ("manage_notifications", "May change channels, templates, escalation and the rules of incidents"),
        ]

    def __str__(self) -> str:
        return f"incident {self.pk}"

    @property
    def members_to_prove(self) -> bytes | memoryview:
        """The packed meters whose answers prove the restoration."""
        return self.members_at_open if self.members_moved is None else self.members_moved


class IncidentEntry(models.Model):
    """One line of an incident's timeline. The ids rise, so a page that knows the newest one knows what it has seen."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="entries")
    at = models.DateTimeField()
    kind = models.CharField(max_length=20)
    actor = models.CharField(max_length=200)
    text = models.TextField()
    data = models.JSONField(default=dict)
    unique_name = models.CharField(max_length=200, null=True, unique=True)
    """Set where the line follows from something that may be told twice."""

    class Meta:
        ordering = ("id",)
        indexes = [models.Index(fields=["incident", "id"], name="entry_incident")]


class PriorityChange(models.Model):
    """What an incident's priority was and on which figures, from one moment on."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="priorities")
    at = models.DateTimeField()
    impact = models.PositiveSmallIntegerField()
    urgency = models.PositiveSmallIntegerField()
    priority = models.PositiveSmallIntegerField()
    premises = models.PositiveIntegerField()
    critical = models.PositiveIntegerField()
    unserved_kva = models.FloatField()
    unserved_kwh = models.FloatField()
    reads_at_risk = models.PositiveIntegerField()

    class Meta:
        ordering = ("id",)


class IncidentCheck(models.Model):
    """A power check of an incident's meters, and what it came to."""

    operation_id = models.UUIDField(primary_key=True)
    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="checks")
    requested_at = models.DateTimeField()
    requested_by = models.CharField(max_length=200)
    asked = models.PositiveIntegerField()
    finished_at = models.DateTimeField(null=True)
    counts = models.JSONField(default=dict)


class Ladder(models.Model):
    """What is being tried for the meters that stayed silent after an incident's clear."""

    incident = models.OneToOneField(Incident, on_delete=models.CASCADE, primary_key=True, related_name="ladder")
    rung = models.CharField(max_length=12, choices=[(r.value, r.value) for r in Rung])
    silent = models.BinaryField()
    since = models.DateTimeField()
    """Answers from here on count."""
    next_at = models.DateTimeField(null=True)
    """When to look again; null once it has ended."""

    class Meta:
        indexes = [models.Index(fields=["next_at"], condition=Q(next_at__isnull=False), name="ladder_due")]


class WorkOrder(models.Model):
    """Somebody goes there. A simple record of our own, told to and updated by whatever system sends the crew."""

    id = models.UUIDField(primary_key=True)
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="work_orders")
    title = models.CharField(max_length=200)
    instructions = models.TextField(blank=True)
    node_mrid = models.CharField(max_length=100)
    meters = models.BinaryField()
    """The meters concerned (`meter_sets.pack`)."""
    meter_count = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=[(s.value, s.value) for s in WorkOrderState])
    priority = models.PositiveSmallIntegerField()
    crew = models.CharField(max_length=200, blank=True)
    due_at = models.DateTimeField(null=True)
    external_id = models.CharField(max_length=120, blank=True)
    """Its number in the system that does the work."""
    external_url = models.URLField(max_length=500, blank=True)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)
    updated_at = models.DateTimeField()
    version = models.PositiveIntegerField(default=1)
    """Rises with every change; webhooks carry it, so a receiver can drop what came out of order."""
    unique_name = models.CharField(max_length=120, null=True, unique=True)

    class Meta:
        ordering = ("-created_at",)
        permissions = [("manage_work_orders", "May create work orders and change their status")]


class Channel(models.Model):
    """Where messages go: an address of the notification library, sealed, because it may hold a password."""

    name = models.CharField(max_length=80, unique=True)
    sort = models.CharField(max_length=12)
    enabled = models.BooleanField(default=True)
    address = models.BinaryField()
    secret = models.BinaryField(default=bytes)
    """Sealed key that signs webhooks; none for other sorts."""
    priorities = models.JSONField(default=list)
    """Told of incidents of these priorities when they open, resolve and close; empty for none but escalations."""
    quiet_from = models.TimeField(null=True)
    quiet_until = models.TimeField(null=True)
    quiet_through = models.PositiveSmallIntegerField(default=1)
    failures = models.PositiveIntegerField(default=0)
    """In a row."""
    last_error = models.TextField(blank=True)
    last_sent_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("name",)


class MessageTemplate(models.Model):
    """The words for an occasion, in Django's template language without tags that reach outside."""

    occasion = models.CharField(max_length=20, primary_key=True)
    subject = models.CharField(max_length=300)
    body = models.TextField()


class Message(models.Model):
    """One message to one channel. Made once for an occasion, however often that is told."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="messages")
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="messages")
    occasion = models.CharField(max_length=20)
    unique_name = models.CharField(max_length=160, unique=True)
    subject = models.CharField(max_length=300)
    body = models.TextField()
    document = models.JSONField(default=dict)
    state = models.CharField(max_length=10, default="WAITING")
    """WAITING, SENT or FAILED."""
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.TextField(blank=True)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)


class EscalationPolicy(models.Model):
    """Who is told, one after the other, while nobody acknowledges: [{"after_s": 300, "channels": ["..."]}, ...]."""

    name = models.CharField(max_length=80, unique=True)
    priorities = models.JSONField()
    steps = models.JSONField()
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ("name",)


class Escalation(models.Model):
    """A chain under way. `steps` is the policy as it was at the start: who changes the policy does not change this."""

    incident = models.OneToOneField(Incident, on_delete=models.CASCADE, primary_key=True, related_name="escalation")
    policy = models.CharField(max_length=80)
    steps = models.JSONField()
    taken = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField()
    next_eta = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=200, blank=True)

    class Meta:
        indexes = [models.Index(fields=["next_eta"], condition=Q(ended_at__isnull=True), name="escalation_due")]


class IncidentSettings(models.Model):
    """What an installation decides otherwise than the rules' defaults; one row."""

    values = models.JSONField(default=dict)
