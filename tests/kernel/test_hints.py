"""Hints: told in order, with the change or not at all, and none is passed by that became visible late."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction

from meterops.kernel import hints
from meterops.kernel.clock import utc_now
from meterops.kernel.models import Hint


def references(found: list[hints.HintRecord]) -> list[str]:
    return [hint.reference for hint in found]


def test_hints_are_read_in_order_from_where_one_stopped(db: None) -> None:
    start = hints.last_id()
    for number in range(5):
        hints.publish("reading", str(number))
    found = hints.after(start, limit=3)
    assert references(found) == ["0", "1", "2"]
    assert references(hints.after(found[-1].id)) == ["3", "4"]
    assert hints.after(hints.last_id()) == []


def test_a_change_that_is_undone_hints_at_nothing(db: None) -> None:
    start = hints.last_id()
    with transaction.atomic():
        hints.publish("reading")
        transaction.set_rollback(True)
    assert hints.after(start) == []


def test_a_tail_reads_each_hint_once_and_none_from_before(db: None) -> None:
    hints.publish("reading", "before")
    tail = hints.Tail()
    hints.publish("reading", "one")
    hints.publish("reading", "two")
    assert references(tail.read()) == ["one", "two"]
    assert tail.read() == []


def test_a_tail_finds_a_hint_whose_transaction_ended_after_a_later_one(db: None) -> None:
    tail = hints.Tail()
    number = hints.last_id() + 10
    Hint.objects.create(id=number + 1, topic="reading", reference="early")
    assert references(tail.read()) == ["early"]
    Hint.objects.create(id=number, topic="reading", reference="late")
    assert references(tail.read()) == ["late"]
    assert tail.read() == []


def test_a_tail_catches_up_in_parts(db: None) -> None:
    tail = hints.Tail()
    many = hints.LOOK_BACK * 2 + 7
    Hint.objects.bulk_create(Hint(topic="reading", reference=str(number)) for number in range(many))
    told: list[str] = []
    while part := references(tail.read(limit=50)):
        assert len(part) <= 50
        told += part
    assert told == [str(number) for number in range(many)]


def test_old_hints_are_forgotten(db: None) -> None:
    hints.publish("reading", "old")
    Hint.objects.update(at=utc_now() - timedelta(hours=1))
    hints.publish("reading", "young")
    assert hints.prune(now=utc_now()) == 1
    assert references(hints.after(0)) == ["young"]
