"""Runs the processes of one host: starts them, starts one again that died, and ends all of them in order on Ctrl-C."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

RESTART_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
GRACE_S = 12.0


@dataclass(slots=True)
class Child:
    """A process to be kept running; `arguments` follow `python -m meterops.site.main`."""

    name: str
    arguments: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0
    restart_at: float = 0.0


@dataclass(slots=True)
class Supervisor:
    """Keeps children running. Their stderr goes to `<log folder>/<name>.log`."""

    logs: Path
    children: list[Child] = field(default_factory=list)
    _stopping: bool = False

    def add(self, name: str, *arguments: str) -> None:
        """Have a child run, from the next `start` on."""
        self.children.append(Child(name, arguments))

    def start(self) -> None:
        """Start every child that does not run. A console's Ctrl-C reaches only this process, which ends the others itself."""
        self.logs.mkdir(parents=True, exist_ok=True)
        for child in self.children:
            if child.process is None:
                self._start(child)

    def run(self) -> int:
        """Watch until SIGINT or SIGTERM, then stop all. Returns 0."""
        previous = {number: signal.signal(number, self._ask_to_stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while not self._stopping:
                self._watch()
                time.sleep(0.2)
        finally:
            self.stop()
            for number, handler in previous.items():
                signal.signal(number, handler)
        return 0

    def stop(self) -> None:
        """Ask all to end, in the reverse of their order, wait, and kill what does not."""
        for child in reversed(self.children):
            if child.process is not None and child.process.poll() is None:
                child.process.terminate()
        until = time.monotonic() + GRACE_S
        for child in reversed(self.children):
            if child.process is None:
                continue
            try:
                child.process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _watch(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if child.process is not None and child.process.poll() is not None:
                self._note_end(child, now)
            elif child.process is None and now >= child.restart_at:
                self._start(child)

    def _note_end(self, child: Child, now: float) -> None:
        code = child.process.returncode if child.process else 0
        child.failures = 0 if now - child.started_at > LONGEST_PAUSE_S else child.failures + 1
        pause = min(LONGEST_PAUSE_S, RESTART_PAUSE_S * 2 ** max(0, child.failures - 1))
        child.process, child.restart_at = None, now + pause
        log = self.logs / f"{child.name}.log"
        print(f"{child.name} ended with code {code}; it starts again in {pause:.0f} s (see {log})", file=sys.stderr)

    def _start(self, child: Child) -> None:
        with (self.logs / f"{child.name}.log").open("ab") as log:
            child.process = subprocess.Popen(
                [sys.executable, "-m", "meterops.site.main", *child.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_detach,  # noqa: PLW1509  this process has no threads
            )
        child.started_at = time.monotonic()


def _detach() -> None:
    """In the child: out of the terminal's group, so that Ctrl-C is the supervisor's, and gone when the supervisor is."""
    os.setpgrp()
    with contextlib.suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG, Linux only
