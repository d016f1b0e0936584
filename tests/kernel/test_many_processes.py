"""Several processes at the same moment, on SQLite or PostgreSQL as these tests run on: each thing happens once."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.kernel.workers import BATCH, HELD_FOR, ROUNDS

Crowd = tuple[list[list[str]], list[str]]
PROCESSES = 3
CHECK = """
from tests.kernel import workers
from meterops.kernel import audit, hints
print(audit.find_break())
print(len(audit.list_entries(limit=1000)))
print(*(hint.reference for hint in hints.after(0)))
"""


class Program:
    """Processes on a database of their own: a folder's SQLite, or the PostgreSQL that the environment names."""

    def __init__(self, folder: Path) -> None:
        self.environment = os.environ | {"METEROPS_DATA_DIR": str(folder)}
        self.started: list[subprocess.Popen[str]] = []

    def start(self, what: str, argument: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("workers.py")), what, argument],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def ask(self, code: str) -> list[str]:
        """The lines a short program prints."""
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=self.environment, check=True, stdout=subprocess.PIPE, text=True, timeout=60, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        return done.stdout.splitlines()


@pytest.fixture(scope="module")
def state_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture
def program(state_store: Path) -> Iterator[Program]:
    with _prepared(state_store) as program:
        yield program


@contextlib.contextmanager
def _prepared(folder: Path) -> Iterator[Program]:
    program = Program(folder)
    try:
        assert program.start("prepare", "60").wait(60) == 0
        yield program
    finally:
        for process in program.started:
            process.kill()
            process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    """The next line of a process."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_each_job_is_done_once_and_a_killed_worker_loses_none(program: Program) -> None:
    victim = program.start("hold", "victim")
    held = said(victim).split()
    assert len(held) == 3
    victim.send_signal(signal.SIGKILL)
    workers = [program.start("work", f"worker-{number}") for number in range(PROCESSES)]
    done = [key for worker in workers for key in worker.communicate(timeout=90)[0].split()]
    assert [worker.returncode for worker in workers] == [0] * PROCESSES
    assert sorted(done) == [f"R{number:03}" for number in range(60)]
    assert set(held) <= set(done)


def test_a_worker_that_comes_back_too_late_changes_nothing(program: Program) -> None:
    late = program.start("late", "late")
    assert said(late) == "ready"
    time.sleep(HELD_FOR.total_seconds())
    worker = program.start("work", "next")
    done = worker.communicate(timeout=60)[0].split()
    assert sorted(done) == [f"R{number:03}" for number in range(60)]
    answer, _ = late.communicate("\n", timeout=30)
    assert answer.split() == ["3", "0", "0", "0"]


@pytest.fixture(scope="module")
def crowd(state_store: Path) -> Iterator[Crowd]:
    """What the processes of a crowd printed, in words; and what was found afterwards."""
    with _prepared(state_store) as program:
        processes = [program.start("crowd", f"crowd-{number}") for number in range(PROCESSES)]
        assert [said(process) for process in processes] == ["ready"] * PROCESSES
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        lines = [line.split() for process in processes for line in process.communicate(timeout=90)[0].splitlines()]
        assert [process.returncode for process in processes] == [0] * PROCESSES
        yield lines, program.ask(CHECK)


def test_a_slot_is_taken_by_one_of_them(crowd: Crowd) -> None:
    assert sorted(int(words[1]) for words in crowd[0] if words[0] == "slot") == list(range(ROUNDS))


def test_no_two_are_given_the_same_counter(crowd: Crowd) -> None:
    given = Counter((words[1], value) for words in crowd[0] if words[0] == "counters" for value in words[2:])
    assert [one for one, times in given.items() if times > 1] == []
    assert len(given) == PROCESSES * ROUNDS * BATCH * 3


def test_the_audit_chain_holds_every_entry(crowd: Crowd) -> None:
    assert crowd[1][:2] == ["None", str(PROCESSES * ROUNDS)]


def test_a_chain_that_grows_while_it_is_checked_is_not_called_broken(crowd: Crowd) -> None:
    assert [words for words in crowd[0] if words[0] == "broken"] == []


def test_facts_are_delivered_in_order_and_by_one_of_them(crowd: Crowd) -> None:
    assert crowd[1][2].split() == [str(number) for number in range(ROUNDS)]
