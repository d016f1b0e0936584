"""The audit trail: append-only, each entry bound to the one before it by its digest."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction

from meterops.kernel.actor import Actor
from meterops.kernel.models import AuditEntry, AuditHead

_FIRST = "0" * 64


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An audit entry as readers see it."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    before: Any
    after: Any
    reason: str
    digest: str


@transaction.atomic
def record(
    *, actor: Actor, action: str, subject: str, at: datetime, before: Any = None, after: Any = None, reason: str = ""
) -> None:
    """Append an entry in the caller's transaction, so that an act and its trace are stored together or not at all."""
    head, _ = AuditHead.objects.select_for_update().get_or_create(id=1, defaults={"digest": _FIRST})
    content = _plain({"actor": str(actor), "action": action, "subject": subject, "before": before, "after": after})
    digest = _digest(head.digest, at, content, reason)
    AuditEntry.objects.create(at=at, reason=reason, previous_digest=head.digest, digest=digest, **content)
    head.digest = digest
    head.save(update_fields=["digest"])


def find_break() -> str | None:
    """The first place where the chain does not hold, in words; None where every digest follows from the one before.

    Others may append meanwhile: the head is read before the entries, and where it has moved since, what was added is read too.
    """
    previous, last_id, head = _FIRST, 0, _head()
    while True:
        for entry in AuditEntry.objects.filter(id__gt=last_id).order_by("id").iterator(chunk_size=2000):
            content = {name: getattr(entry, name) for name in ("actor", "action", "subject", "before", "after")}
            if entry.previous_digest != previous or entry.digest != _digest(previous, entry.at, content, entry.reason):
                return (
                    f"audit entry {entry.id} ({entry.action} of {entry.subject}) does not follow from the one before it"
                )
            previous, last_id = entry.digest, entry.id
        if head == previous:
            return None
        before, head = head, _head()
        if head == before:
            return "the newest audit entries are missing: the head's digest is not the last entry's"


def _head() -> str:
    """The digest of the newest entry."""
    return AuditHead.objects.filter(id=1).values_list("digest", flat=True).first() or _FIRST


def list_entries(
    *, subject: str = "", actor: str = "", action: str = "", before_id: int | None = None, limit: int = 100
) -> list[AuditRecord]:
    """Entries, newest first, that match every filter given; `before_id` pages on."""
    found = AuditEntry.objects.order_by("-id")
    if subject:
        found = found.filter(subject__icontains=subject)
    if actor:
        found = found.filter(actor__icontains=actor)
    if action:
        found = found.filter(action__icontains=action)
    if before_id is not None:
        found = found.filter(id__lt=before_id)
    return list(_records(found[:limit].iterator()))


def _records(entries: Iterator[AuditEntry]) -> Iterator[AuditRecord]:
    for e in entries:
        yield AuditRecord(e.id, e.at, e.actor, e.action, e.subject, e.before, e.after, e.reason, e.digest)


def _plain(content: dict[str, Any]) -> dict[str, Any]:
    """The content as JSON gives it back, so that a digest made now and one made from the table agree."""
    return dict(json.loads(json.dumps(content, cls=DjangoJSONEncoder)))


def _digest(previous: str, at: datetime, content: dict[str, Any], reason: str) -> str:
    moment = at.astimezone(UTC).isoformat(timespec="microseconds")
    text = json.dumps([previous, moment, content, reason], sort_keys=True, separators=(",", ":"), cls=DjangoJSONEncoder)
    return hashlib.sha256(text.encode()).hexdigest()
