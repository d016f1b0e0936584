"""Processes that say they live: one line each, gone with a farewell, and kept for a while without one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from meterops.kernel import beats

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def beat(process: str, at: datetime = NOW, **status: int) -> None:
    beats.beat(process=process, role=process[:-1], started_at=NOW, now=at, status=status)


def test_the_last_word_of_each_process_counts(db: None) -> None:
    beat("worker1", sessions=3)
    beat("engine1")
    beat("worker1", NOW + timedelta(seconds=2), sessions=7)
    found = beats.list_processes()
    assert [(one.role, one.process) for one in found] == [("engine", "engine1"), ("worker", "worker1")]
    assert (found[1].status, found[1].started_at, found[1].beat_at) == (
        {"sessions": 7}, NOW, NOW + timedelta(seconds=2),
    )  # fmt: skip


def test_who_ends_in_order_is_forgotten_and_who_died_is_seen_for_an_hour(db: None) -> None:
    beat("worker1")
    beat("worker2")
    beats.farewell(process="worker1")
    beats.farewell(process="never seen")
    beats.prune(now=NOW + timedelta(hours=1))
    assert [one.process for one in beats.list_processes()] == ["worker2"]
    beats.prune(now=NOW + timedelta(hours=1, seconds=1))
    assert beats.list_processes() == []
