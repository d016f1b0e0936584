"""The demo: a simulated grid, its shipment imported the way an operator would, schedules, a sign-in, and every process."""

import contextlib
import os
import secrets
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.panel import Panel

from meterops.kernel.refusal import Refusal

if TYPE_CHECKING:
    from meterops.site.supervisor import Supervisor

USER = "operator"
READY_WITHIN_S = 60.0


class PortIsTaken(Refusal):
    """A port that the demo needs is taken."""


class ScenarioNotValid(Refusal):
    """The demo cannot play this scenario."""


@dataclass(frozen=True, slots=True)
class Demo:
    """What `meterops demo` was asked for."""

    folder: Path
    meters: int
    seed: int
    scenario: str
    host: str
    port: int
    meter_port: int
    listen_port: int

    def run(self) -> int:
        """Set up what is missing, start everything, wait for Ctrl-C. Returns the exit code."""
        console = Console(stderr=True)
        self._check_ports()
        story = self._find_story()
        folder = self.folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["METEROPS_DATA_DIR"] = str(folder)
        from meterops.interfaces.cli.state import open_state

        with _step(console, "Preparing the state store"):
            open_state()
        password = self._prepare(console, folder)
        return self._start(console, folder, password, story)

    def _check_ports(self) -> None:
        for host, port, what in (
            (self.host, self.port, "--port"),
            ("127.1.0.1", self.meter_port, "--meter-port"),
            (self.host, self.listen_port, "--listen-port"),
        ):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((host, port))
                except OSError as error:
                    raise PortIsTaken(
                        f"Port {port} cannot be used ({error.strerror}); choose another with {what}."
                    ) from error

    def _prepare(self, console: Console, folder: Path) -> str:
        """Everything that a first start makes and a second one finds."""
        from meterops.site.demo_setup import apply_shipment, demo_password, make_schedules, make_shipment

        with _step(console, f"Generating a grid with {self.meters:,} meters"):
            shipment = make_shipment(folder, meters=self.meters, seed=self.seed, port=self.meter_port)
        with _step(console, "Importing its inventory and keys"):
            apply_shipment(shipment)
            make_schedules()
        return demo_password(folder, USER, draw=lambda: secrets.token_urlsafe(9))

    def _find_story(self) -> str:
        """What the scenario's file says of it; a misspelled one is refused before anything is set up."""
        from meterops.simulator import api as simulator

        try:
            return simulator.find_scenario(self.scenario).description
        except simulator.ScenarioRefused as error:
            raise ScenarioNotValid(str(error)) from error

    def _start(self, console: Console, folder: Path, password: str, story: str) -> int:
        from meterops.site.commands import add_processes
        from meterops.site.supervisor import Supervisor

        supervisor = Supervisor(folder / "logs")
        supervisor.add(
            "simulator", "simulate", "fleet",
            "--meters", str(self.meters), "--seed", str(self.seed), "--state", str(folder / "simulator"),
            "--port", str(self.meter_port), "--scenario", self.scenario,
            "--listener", f"{self.host}:{self.listen_port}",
        )  # fmt: skip
        add_processes(
            supervisor,
            host=self.host,
            port=self.port,
            listen_host=self.host,
            listen_port=self.listen_port,
            workers=1,
        )
        supervisor.start()
        address = f"http://{self.host}:{self.port}"
        try:
            with _step(console, "Starting the meters, the head-end and the console"):
                _wait_until_answers(f"{address}/sign-in", supervisor)
        except BaseException:
            supervisor.stop()
            raise
        console.print(_greeting(address, password, self.meters, folder, story))
        code = supervisor.run()
        console.print(f"Everything has stopped. `meterops demo --data {self.folder}` continues where it was.")
        return code


def _wait_until_answers(address: str, supervisor: "Supervisor") -> None:
    until = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < until:
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=2) as answer:  # noqa: S310  our own
            if answer.status == 200:
                return
        ended = [c.name for c in supervisor.children if c.process is not None and c.process.poll() not in (None, 0)]
        if ended:
            raise Refusal(f"{', '.join(ended)} did not start; see {supervisor.logs / ended[0]}.log.")
        time.sleep(0.1)
    raise Refusal(f"The console did not answer within {READY_WITHIN_S:.0f} s; see the logs in {supervisor.logs}.")


def _greeting(address: str, password: str, meters: int, folder: Path, story: str) -> Panel:
    return Panel(
        f"[bold]{address}[/bold]   sign in as [bold]{USER}[/bold] with [bold]{password}[/bold]\n\n"
        f"{meters:,} simulated meters are being read over DLMS/COSEM (HLS5-GMAC, AES-128-GCM).\n"
        f"What happens to them: {story}\n"
        f"In another terminal:\n  export METEROPS_DATA_DIR={_from_here(folder)}\n  {_from_here(Path(sys.argv[0]))} meters list\n"
        "Ctrl-C stops everything; the next start continues where it was.",
        title="Meterops demo",
        expand=False,
    )


def _from_here(path: Path) -> str:
    """A path as short as it can be typed: below the current folder without it."""
    path = path.absolute()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


@contextlib.contextmanager
def _step(console: Console, what: str) -> Iterator[None]:
    """Say what is being done while it is, and how long it took."""
    started = time.monotonic()
    with console.status(f"{what} …"):
        yield
    console.print(f"{what}: {timedelta(seconds=round(time.monotonic() - started, 1)).total_seconds():.1f} s")
