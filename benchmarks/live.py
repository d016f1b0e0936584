"""How soon a browser shows what happened elsewhere: an acknowledgement in another browser, and a server that is gone.

    .venv/bin/python -m benchmarks.live --times 20 --json

Two Chromium contexts look at the queue of incidents of a real server, one acknowledges, and the time until the other one's row
names who did is taken; the same beside eight more open tabs. Then the server is killed, and the time until a page says so is taken.
The peer in the same run is a reload of the page: what somebody pays who has no live page, every time he looks.
"""

from __future__ import annotations

import argparse
import json
import signal
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.browser.conftest import FLAGS, Server, find_chromium, free_port, ready, sign_in

from benchmarks.report import finish, progress

TABS: Final = ("/", "/grid", "/meters", "/events", "/alarms", "/reading", "/incidents", "/grid/transformers")
LONGEST_MS: Final = 60_000


def measure(times: int) -> dict[str, Any]:
    """Everything, in one browser against one server."""
    binary = find_chromium()
    if not binary:
        raise SystemExit("no Chromium on this machine: install it or name it in CHROMIUM")
    with tempfile.TemporaryDirectory(prefix="live-") as folder, sync_playwright() as playwright:
        server = Server(Path(folder), free_port())
        progress("seeding a fleet")
        server.run("act", "seed")
        numbers = json.loads(server.run("act", "outages", "0", str(2 * times + 1)))
        server.start()
        browser = playwright.chromium.launch(executable_path=binary, headless=True, args=FLAGS.split())
        try:
            return _measure(browser, server, numbers)
        finally:
            browser.close()
            server.stop(signal.SIGKILL)


def _measure(browser: Browser, server: Server, numbers: list[int]) -> dict[str, Any]:
    mine = _page(browser, server, "operator")
    theirs = _page(browser, server, "viewer")
    _seen_s(mine, theirs, numbers[0])  # the first one is slower: the server has done nothing of this yet
    half = len(numbers) // 2
    alone = [_seen_s(mine, theirs, number) for number in numbers[1 : half + 1]]
    progress(f"alone: {max(alone):.2f} s at most")
    for address in TABS:
        tab = theirs.context.new_page()
        tab.goto(address)
        ready(tab)
    theirs.bring_to_front()
    beside = [_seen_s(mine, theirs, number) for number in numbers[half + 1 :]]
    progress(f"beside {len(TABS)} tabs: {max(beside):.2f} s at most")
    reloads = [_reload_s(theirs) for _ in range(5)]
    lost = _lost_s(theirs, server)
    return {
        "times": len(alone),
        **_figures("ack_seen_s", alone),
        **_figures("ack_seen_s_nine_tabs", beside),
        **_figures("reload_s", reloads),
        "lost_said_s": lost,
    }


def _page(browser: Browser, server: Server, name: str) -> Page:
    context = browser.new_context(base_url=server.address)
    context.set_default_timeout(LONGEST_MS)
    page = context.new_page()
    sign_in(page, name)
    page.goto("/incidents?sort=oldest")
    ready(page)
    expect(page.locator("[data-link-state]")).to_have_attribute("data-state", "live")
    return page


def _seen_s(mine: Page, theirs: Page, number: int) -> float:
    """Acknowledge the next incident; seconds until the other page says by whom."""
    mine.keyboard.press("j")
    began = time.perf_counter()
    mine.keyboard.press("a")
    theirs.wait_for_function(
        "number => document.querySelector(`#incident-${number} td:last-child`)?.textContent.trim() === 'operator'",
        arg=number,
        polling=20,
    )
    return time.perf_counter() - began


def _reload_s(page: Page) -> float:
    began = time.perf_counter()
    page.reload()
    ready(page)
    return time.perf_counter() - began


def _lost_s(page: Page, server: Server) -> float:
    expect(page.locator("[data-link-state]")).to_have_attribute("data-state", "live")
    server.stop(signal.SIGKILL)
    began = time.perf_counter()
    page.locator(".lost-bar").wait_for(state="visible", timeout=LONGEST_MS)
    return time.perf_counter() - began


def _figures(name: str, seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {f"{name}_p50": ordered[len(ordered) // 2], f"{name}_max": ordered[-1]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10, help="acknowledgements in each of the two settings")
    parser.add_argument("--json", action="store_true", help="only the JSON line on stdout")
    asked = parser.parse_args()
    finish("live", measure(asked.times), json_only=asked.json)


if __name__ == "__main__":
    main()
