"""A whole installation in a folder: the simulated fleet and every process, each started and killed like any other program."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = (sys.executable, "-m", "meterops.site.main")


def free_port() -> int:
    """A port that nobody listens on, on any loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Installation:
    """The folder, its processes by name, and commands run in it."""

    folder: Path
    meters: int = 60
    seed: int = 11
    meter_port: int = field(default_factory=free_port)
    listen_port: int = field(default_factory=free_port)
    web_port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What every process of it is given."""
        return os.environ | {"METEROPS_DATA_DIR": str(self.folder), "METEROPS_DATABASE_URL": ""}

    def run(self, *arguments: object, check: bool = True) -> str:
        """Run a command to its end and give what it printed."""
        done = subprocess.run(
            [*PROGRAM, *map(str, arguments)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def json(self, *arguments: object, check: bool = True) -> Any:
        """Run a command with --json and give the parsed answer."""
        return json.loads(self.run(*arguments, "--json", check=check))

    def prepare(self) -> None:
        """Tables, inventory and keys of a simulated grid, imported with the commands an operator has."""
        script = (
            "from meterops.interfaces.cli.state import open_state; open_state()\n"
            "from pathlib import Path; import sys\n"
            "from meterops.site.demo_setup import apply_shipment, make_shipment\n"
            "meters, seed, port = map(int, sys.argv[2:])\n"
            "apply_shipment(make_shipment(Path(sys.argv[1]), meters=meters, seed=seed, port=port))\n"
        )
        command = [
            sys.executable,
            "-c",
            script,
            str(self.folder),
            str(self.meters),
            str(self.seed),
            str(self.meter_port),
        ]
        subprocess.run(command, env=self.environment, check=True, timeout=120)

    def start(self, name: str) -> None:
        """Start one of simulator, worker, listener, engine, web."""
        commands: dict[str, tuple[object, ...]] = {
            "simulator": (
                "simulate", "fleet", "--meters", self.meters, "--seed", self.seed, "--port", self.meter_port,
                "--state", self.folder / "simulator", "--scenario", "healthy", "--listener", f"127.0.0.1:{self.listen_port}",
            ),
            "worker": ("work", "--sessions", 20),
            "listener": ("listen", "--port", self.listen_port),
            "engine": ("engine",),
            "engine-2": ("engine",),
            "web": ("serve", "--port", self.web_port),
        }  # fmt: skip
        log = (self.folder / f"{name}.log").open("ab")
        with log:
            self.processes[name] = subprocess.Popen(
                [*PROGRAM, *map(str, commands[name])], env=self.environment, stdout=log, stderr=log
            )
        if name == "simulator":
            self.until(lambda: _answers(self.meter_port), "the meters answer")
        if name == "listener":
            self.until(lambda: _answers(self.listen_port), "the listener answers")

    def kill(self, name: str) -> None:
        """Kill -9: no handler runs, nothing is flushed."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    def stop(self) -> None:
        """End what still runs."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
        self.processes.clear()

    def until(self, condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
        """Wait for something to become true; on failure show the logs."""
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            if answer := condition():
                return answer
            time.sleep(0.1)
        raise AssertionError(f"not within {seconds:g} s: {what}\n{self.logs()}")

    def logs(self) -> str:
        """What the processes said."""
        files = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-3000:]}" for file in files)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def installation(folder: Path, **settings: Any) -> Iterator[Installation]:
    """A prepared installation whose processes end with the block."""
    one = Installation(folder, **settings)
    one.prepare()
    try:
        yield one
    finally:
        one.stop()
