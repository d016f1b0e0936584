"""A real Chromium against a real server process with a seeded fleet behind it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
PASSWORD = "quiet-grey-ground"
PATIENCE_MS = 30_000
"""How long a page may take on a busy machine; how long it does take, `benchmarks.live` measures."""
expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs a browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


def find_chromium() -> str:
    """The browser of the machine: $CHROMIUM, or the usual places; empty where there is none."""
    found = os.environ.get("CHROMIUM") or next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
    )
    return found if found and Path(found).exists() else ""


def chromium() -> str:
    """The browser of the machine. Missing, it is a failure where CI=true."""
    if found := find_chromium():
        return found
    words = "no Chromium on this machine: install it or name it in CHROMIUM"
    if os.environ.get("CI") == "true":
        pytest.fail(words)
    pytest.skip(words)


@dataclass(slots=True)
class Server:
    """A web process of its own, with its own state."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What its processes are told."""
        return {
            **os.environ,
            "METEROPS_DATA_DIR": str(self.folder),
            "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "meterops.site.settings"),
        }

    def run(self, script: str, *arguments: str) -> str:
        """Do something to its state from outside, as the head-end's other processes do."""
        command = [sys.executable, "-m", f"tests.browser.{script}", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "uvicorn", "meterops.site.asgi:application", "--port", str(self.port)]
        with (self.folder / "web.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--log-level", "warning", "--timeout-graceful-shutdown", "1"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(f"{self.address}/sign-in", timeout=5).close()
            except (URLError, OSError):
                assert self.process.poll() is None, (self.folder / "web.log").read_text()
                time.sleep(0.2)
            else:
                return
        pytest.fail(f"the web process does not answer: {(self.folder / 'web.log').read_text()}")

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End it."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(timeout=20)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="session")
def browser_binary() -> str:
    """The browser, or the test is skipped before anything is started for it."""
    return chromium()


@pytest.fixture(scope="session")
def server(browser_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A seeded console that answers."""
    found = Server(tmp_path_factory.mktemp("console"), free_port())
    found.run("act", "seed")
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope="session")
def ids(server: Server) -> dict[str, int]:
    """Which ids some things of the seeded fleet have."""
    found: dict[str, int] = json.loads(server.run("act", "ids"))
    return found


@pytest.fixture(scope="session")
def chrome(browser_binary: str) -> Iterator[Browser]:
    """The browser."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser_binary, headless=True, args=FLAGS.split())
        yield opened
        opened.close()


@dataclass(slots=True)
class Complaints:
    """What a page complained of: errors of scripts, violations of the content security policy, answers that failed."""

    found: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()

    def watch(self, page: Page) -> None:
        """Listen to a page."""
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.on("request", lambda request: self._leaves(page, request.url))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(words in text for words in self.expected):
            self.found.append(f"{kind}: {text}")

    def _leaves(self, page: Page, url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.found.append(f"a request leaves the machine: {url}")


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """Whatever a page complains of fails the test that opened it."""
    found = Complaints()
    yield found
    assert not found.found, "\n".join(found.found)


def open_context(chrome: Browser, server: Server, complaints: Complaints) -> BrowserContext:
    """A browser with nothing in common with the others."""
    opened = chrome.new_context(
        base_url=server.address, viewport={"width": 1366, "height": 768}, locale="en-GB", timezone_id="Europe/Amsterdam"
    )
    opened.set_default_timeout(PATIENCE_MS)
    opened.on("page", lambda page: complaints.watch(page))  # a method would be set an attribute of Playwright
    return opened


@pytest.fixture
def context(chrome: Browser, server: Server, complaints: Complaints) -> Iterator[BrowserContext]:
    """A browser that nobody has signed in with."""
    opened = open_context(chrome, server, complaints)
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A page of it."""
    return context.new_page()


def sign_in(page: Page, name: str = "operator") -> None:
    """Sign in by hand."""
    page.goto("/sign-in")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")
    ready(page)


def ready(page: Page) -> None:
    """Wait until a page's islands are done."""
    page.locator("html[data-ready]").wait_for(state="attached")


@pytest.fixture(scope="session")
def operator_cookies(chrome: Browser, server: Server) -> Any:
    """What a browser keeps of an operator's sign-in: a good password hash takes its time, so it is done once."""
    opened = chrome.new_context(base_url=server.address)
    sign_in(opened.new_page())
    cookies = [cookie for cookie in opened.cookies() if cookie["name"] != "meterops_theme"]
    opened.close()
    return cookies


@pytest.fixture
def operator_page(context: BrowserContext, operator_cookies: Any) -> Page:
    """An empty page in a browser in which an operator has signed in."""
    context.add_cookies(operator_cookies)
    return context.new_page()


@pytest.fixture
def signed_in(operator_page: Page) -> Page:
    """The overview as an operator sees it."""
    operator_page.goto("/")
    ready(operator_page)
    return operator_page


@pytest.fixture
def open_page(operator_page: Page) -> Callable[[str], Page]:
    """Opens an address and waits until it is ready."""

    def go(address: str) -> Page:
        operator_page.goto(address)
        ready(operator_page)
        return operator_page

    return go
