"""Facts go out with the change or not at all, in order, and at least once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.db import transaction

from meterops.kernel import facts
from meterops.kernel.models import OutboxFact

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@facts.fact
@dataclasses.dataclass(frozen=True)
class KettleBoiled:
    """A fact of these tests."""

    kettle: int
    at: datetime
    cups: tuple[int, ...] = ()


@pytest.fixture
def heard() -> Iterator[list[KettleBoiled]]:
    told: list[KettleBoiled] = []
    facts.subscribe(KettleBoiled, told.append)
    yield told
    facts._subscribers["KettleBoiled"].clear()


def test_a_fact_arrives_as_it_was_published(db: None, heard: list[KettleBoiled]) -> None:
    facts.publish(KettleBoiled(1, NOW, (2, 3)))
    assert heard == []
    assert facts.deliver(now=NOW) == 1
    assert heard == [KettleBoiled(1, NOW, (2, 3))]
    assert facts.deliver(now=NOW) == 0


def test_a_change_that_is_undone_tells_nobody(db: None, heard: list[KettleBoiled]) -> None:
    with transaction.atomic():
        facts.publish(KettleBoiled(1, NOW))
        transaction.set_rollback(True)
    facts.deliver(now=NOW)
    assert heard == []


def test_a_subscriber_that_fails_gets_the_fact_again_and_no_later_one_before_it(
    db: None, heard: list[KettleBoiled], caplog: pytest.LogCaptureFixture
) -> None:
    broken = True

    def sometimes(fact: KettleBoiled) -> None:
        if broken and fact.kettle == 2:
            raise RuntimeError("no water")

    facts.subscribe(KettleBoiled, sometimes)
    facts.publish(*(KettleBoiled(number, NOW) for number in (1, 2, 3)))
    assert facts.deliver(now=NOW) == 1
    assert "no water" in OutboxFact.objects.get(payload__kettle=2).last_error
    assert not OutboxFact.objects.filter(payload__kettle=3, delivered_at__isnull=False).exists()
    broken = False
    assert facts.deliver(now=NOW) == 2
    assert [fact.kettle for fact in heard] == [1, 2, 2, 3]


def test_what_a_failing_subscriber_wrote_is_undone(db: None) -> None:
    def writes_and_fails(_fact: KettleBoiled) -> None:
        OutboxFact.objects.create(name="Stray", payload={}, published_at=NOW)
        raise RuntimeError("after writing")

    facts.subscribe(KettleBoiled, writes_and_fails)
    try:
        facts.publish(KettleBoiled(1, NOW))
        facts.deliver(now=NOW)
        assert not OutboxFact.objects.filter(name="Stray").exists()
    finally:
        facts._subscribers["KettleBoiled"].clear()


def test_facts_that_nobody_listens_to_are_not_kept(db: None) -> None:
    facts.publish(KettleBoiled(1, NOW))
    assert not OutboxFact.objects.exists()


def test_only_frozen_dataclasses_of_their_own_name_are_facts() -> None:
    with pytest.raises(TypeError, match="must be a frozen dataclass"):
        facts.fact(dataclasses.make_dataclass("Thawed", ["x"]))
    with pytest.raises(TypeError, match="two facts are called KettleBoiled"):
        facts.fact(dataclasses.make_dataclass("KettleBoiled", ["x"], frozen=True))
