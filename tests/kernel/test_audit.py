"""The audit chain: every entry follows from the one before it, and whoever changes one is found."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from meterops.kernel import audit
from meterops.kernel.actor import Actor, process_actor
from meterops.kernel.models import AuditEntry

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def chain(db: None) -> None:
    for number in range(5):
        audit.record(
            actor=Actor("maria") if number % 2 else process_actor("scheduler"),
            action="change state",
            subject=f"M{number}",
            before={"state": "PLANNED"},
            after={"state": "ACTIVE", "at": NOW},
            at=NOW + timedelta(minutes=number),
            reason="installed",
        )


def test_an_untouched_chain_holds(chain: None) -> None:
    assert audit.find_break() is None


@pytest.mark.parametrize(
    "change",
    [
        lambda e: e.update(reason="something else"),
        lambda e: e.update(actor="nobody"),
        lambda e: e.update(after={"state": "RETIRED"}),
        lambda e: e.update(at=NOW),
        lambda e: e.delete(),
    ],
    ids=["reason", "actor", "after", "at", "deleted"],
)
def test_a_changed_or_missing_entry_is_found(chain: None, change: Callable[..., object]) -> None:
    change(AuditEntry.objects.filter(subject="M2"))
    assert "does not follow" in (audit.find_break() or "")


def test_missing_newest_entries_are_found(chain: None) -> None:
    AuditEntry.objects.filter(subject="M4").delete()
    assert "newest audit entries are missing" in (audit.find_break() or "")


def test_an_act_that_is_undone_leaves_no_entry(chain: None) -> None:
    with transaction.atomic():
        audit.record(actor=Actor("maria"), action="x", subject="y", at=NOW)
        transaction.set_rollback(True)
    assert AuditEntry.objects.count() == 5
    assert audit.find_break() is None


def test_entries_are_found_by_person_act_and_subject(chain: None) -> None:
    assert [entry.subject for entry in audit.list_entries(actor="MARIA")] == ["M3", "M1"]
    assert [entry.subject for entry in audit.list_entries(subject="M2", action="change")] == ["M2"]
    first = audit.list_entries(limit=2)
    assert [e.subject for e in audit.list_entries(before_id=first[-1].id, limit=2)] == ["M2", "M1"]
