"""The kernel's tables: audit entries, facts on their way, hints for screens, jobs and the leases on them."""

from django.conf import settings
from django.db import models
from django.db.models import Q


class AuditEntry(models.Model):
    """Who did what to which subject, with what it was before and after; each entry carries the digest of the one before."""

    at = models.DateTimeField(db_index=True)
    actor = models.CharField(max_length=200, db_index=True)
    action = models.CharField(max_length=100, db_index=True)
    subject = models.CharField(max_length=200, db_index=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    reason = models.TextField(blank=True)
    previous_digest = models.CharField(max_length=64)
    digest = models.CharField(max_length=64, unique=True)

    class Meta:
        ordering = ("id",)


class AuditHead(models.Model):
    """One row: the digest of the newest audit entry. Locking it puts writers of the chain in line."""

    digest = models.CharField(max_length=64)


class OutboxFact(models.Model):
    """A fact written with the change it tells of, waiting to be delivered to its subscribers."""

    name = models.CharField(max_length=100)
    payload = models.JSONField()
    published_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.TextField(blank=True)

    class Meta:
        ordering = ("id",)
        indexes = [models.Index(fields=["id"], condition=Q(delivered_at__isnull=True), name="outbox_undelivered")]


class Hint(models.Model):
    """Tells open screens that something under a topic changed; carries no content, so it needs no permission."""

    topic = models.CharField(max_length=60)
    reference = models.CharField(max_length=100, blank=True)
    at = models.DateTimeField(auto_now_add=True)


class JobState(models.TextChoices):
    """Where a job stands; READY covers waiting, leased and due again."""

    READY = "READY"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class Job(models.Model):
    """A piece of durable work on `key`: one route or one batch, never one meter."""

    kind = models.CharField(max_length=60)
    key = models.CharField(max_length=120)
    lane = models.PositiveSmallIntegerField(default=50)
    payload = models.JSONField(default=dict)
    unique_name = models.CharField(max_length=200, null=True, unique=True)
    state = models.CharField(max_length=10, choices=JobState, default=JobState.READY)
    due_at = models.DateTimeField()
    deadline_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    outcome = models.TextField(blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["kind", "lane", "due_at"], condition=Q(state="READY"), name="job_ready"),
            models.Index(fields=["key"], condition=Q(state="READY"), name="job_ready_key"),
        ]


class Lease(models.Model):
    """Who may work on a key, and until when. A worker that died simply lets its leases run out."""

    key = models.CharField(max_length=120, primary_key=True)
    owner = models.CharField(max_length=120)
    leased_until = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["owner", "leased_until"], name="lease_owner")]


class Tick(models.Model):
    """A periodic schedule's slot that has been taken: unique, so however many engines run, each slot happens once."""

    schedule = models.CharField(max_length=120)
    slot_at = models.DateTimeField()
    taken_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["schedule", "slot_at"], name="tick_once")]


class Beat(models.Model):
    """A process says that it lives: what it is, since when, and what it last reported of itself."""

    process = models.CharField(max_length=120, primary_key=True)
    role = models.CharField(max_length=40)
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField()
    status = models.JSONField(default=dict)


class AccessToken(models.Model):
    """A program's right to act as a user. Only the digest of the token is kept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="access_tokens")
    purpose = models.CharField(max_length=200)
    digest = models.CharField(max_length=64, unique=True)
    prefix = models.CharField(max_length=12)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created_at",)
