"""Working the queue and an incident: by keyboard, beside others, and while more arrives."""

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from tests.browser.conftest import Complaints, Server, open_context, ready, sign_in

Go = Callable[[str], Page]
OPEN = 40


@pytest.fixture(scope="module")
def numbers(server: Server) -> list[int]:
    """The incidents of the six transformers, their feeders and some meters, the oldest first."""
    found: list[int] = json.loads(server.run("act", "outages", "0", str(OPEN)))
    return found


def row(page: Page, number: int) -> Locator:
    return page.locator(f"#incident-{number}")


def live(page: Page) -> None:
    expect(page.locator("[data-link-state]")).to_have_attribute("data-state", "live")


def top_of(place: Locator) -> float:
    box = place.bounding_box()
    assert box is not None
    return box["y"]


def test_what_one_acknowledges_the_other_sees_at_once_and_keeps_focus_and_place(
    chrome: Browser, server: Server, complaints: Complaints, open_page: Go, numbers: list[int]
) -> None:
    mine = open_page("/incidents?sort=oldest")
    theirs = open_context(chrome, server, complaints)
    try:
        other = theirs.new_page()
        sign_in(other, "viewer")
        other.goto("/incidents?sort=oldest")
        ready(other)
        live(other)
        link = row(other, numbers[30]).get_by_role("link")
        link.focus()
        other.locator("#incidents-rows .scroll").evaluate("place => place.scrollTop = 500")
        before = top_of(link)
        for number in numbers[:2]:
            mine.keyboard.press("j")
            mine.keyboard.press("a")
            expect(row(other, number).locator("td").last).to_have_text("operator")
        expect(link).to_be_focused()
        assert other.locator("#incidents-rows .scroll").evaluate("place => place.scrollTop") == 500
        assert top_of(link) == before
        expect(mine.locator("#act-result")).to_contain_text("1 acknowledged.")
        expect(row(mine, numbers[1]).locator("td").last).to_have_text("operator")
        expect(row(mine, numbers[1]).get_by_role("link")).to_be_focused()
    finally:
        theirs.close()


def test_what_arrives_waits_behind_a_bar_and_moves_nothing(open_page: Go, server: Server, numbers: list[int]) -> None:
    page = open_page("/incidents?sort=newest")
    live(page)
    for _ in range(4):
        page.keyboard.press("j")
    focused = page.locator("tbody tr a:focus")
    words, before = focused.inner_text(), top_of(focused)
    (fresh,) = json.loads(server.run("act", "outages", str(OPEN), "1"))
    bar = page.locator(".new-bar")
    expect(bar).to_have_text("1 new")
    expect(row(page, fresh)).to_have_count(0)
    assert (focused.inner_text(), top_of(focused)) == (words, before)
    page.keyboard.press("n")
    expect(page.locator("tbody tr").first).to_have_attribute("id", f"incident-{fresh}")
    expect(bar).to_have_count(0)


def test_the_queue_is_worked_with_keys_alone(open_page: Go, numbers: list[int]) -> None:
    page = open_page("/incidents?sort=oldest")
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    for words in ("acknowledge with a note", "make it mine", "escalate", "let it wait", "select from the last one"):
        expect(keys).to_contain_text(words)
    page.keyboard.press("Escape")
    for key in ("j", "x", "j", "j", "Shift+X"):
        page.keyboard.press(key)
    expect(page.locator(".acts [data-picked]")).to_have_text("3")
    page.keyboard.press("m")
    expect(page.locator("#act-result")).to_contain_text("3 taken.")
    for number in numbers[:3]:
        expect(row(page, number)).to_contain_text("assigned")
    expect(page.locator(".acts [data-picked]")).to_have_text("0")
    page.keyboard.press("s")
    dialog = page.get_by_role("dialog", name="Let 1 wait")
    dialog.get_by_label("What for").fill("a part")
    page.keyboard.press("Enter")
    expect(page.locator("#act-result")).to_contain_text("1 waiting.")
    expect(row(page, numbers[2])).to_contain_text("pending")
    expect(row(page, numbers[2]).get_by_role("link")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/incidents/{numbers[2]}")


def test_a_view_of_the_queue_is_kept(open_page: Go, numbers: list[int]) -> None:
    page = open_page("/incidents?nobody=1")
    expect(page.locator("#incidents-views [aria-current=true]")).to_contain_text("Without owner")
    page.locator("summary", has_text="Save view").click()
    page.get_by_label("Name of the view").fill("Free ones")
    page.get_by_role("button", name="Save", exact=True).click()
    ready(page)
    page.keyboard.press("v")
    page.get_by_role("link", name="Free ones").click()
    page.wait_for_url("**/incidents?nobody=1")


def test_a_power_check_fills_in_by_itself(open_page: Go, server: Server, numbers: list[int]) -> None:
    page = open_page(f"/incidents/{numbers[1]}")
    page.keyboard.press("p")
    checks = page.locator("#incident-checks")
    expect(checks).to_contain_text("0 of 12 answered")
    server.run("act", "answer-check", "TR-0001", "7")
    expect(checks).to_contain_text("7 of 12 answered")
    assert checks.locator("progress").evaluate("bar => [bar.value, bar.max]") == [7, 12]
    expect(checks.locator("dd")).to_have_text(["7", "0", "0", "0", "0"])


def test_merging_asks_first_and_says_how_many_meters(open_page: Go, numbers: list[int]) -> None:
    page = open_page(f"/incidents/{numbers[4]}")
    page.get_by_role("button", name="Merge", exact=True).click()
    dialog = page.locator("#ask")
    expect(dialog.get_by_role("button", name=re.compile("^Merge 0"))).to_be_disabled()
    dialog.locator(f"input[value='{numbers[5]}']").check()
    expect(dialog).to_contain_text("1 incident with 12 meters will follow this one. It has 12 meters now and 24 then.")
    dialog.get_by_label("Reason").fill("one cable")
    dialog.get_by_role("button", name="Merge 1, 12 meters").click()
    expect(page.locator(".notice.done")).to_have_text("Merged.")
    expect(page.locator("#incident-summary")).to_contain_text(f"{numbers[5]}: ")


def test_a_menu_stays_open_while_its_part_changes_and_catches_up(
    open_page: Go, server: Server, numbers: list[int]
) -> None:
    page = open_page(f"/incidents/{numbers[6]}")
    live(page)
    page.keyboard.press("o")
    major = page.get_by_role("button", name="Declare major")
    expect(major).to_be_visible()
    server.run("act", "declare-major", str(numbers[6]))
    expect(page.locator("#incident-summary")).to_contain_text("major")
    expect(major).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("[data-command='Declare a major incident']")).to_have_count(0)


def test_nine_tabs_with_these_pages_are_live_and_stay_so(
    context: BrowserContext, operator_page: Page, server: Server, ids: dict[str, int], numbers: list[int]
) -> None:
    """A browser gives a host six connections: a stream in each tab would leave the seventh without any."""
    pages = ("/incidents", f"/incidents/{numbers[0]}", f"/grid/items/{ids['TR-0000']}/one-line")
    tabs = [operator_page, *(context.new_page() for _ in range(8))]
    for place, tab in enumerate(tabs):
        tab.goto(pages[place % 3])
    for tab in tabs:
        live(tab)
    server.run("act", "dark", "TR-0000")
    for tab in tabs[1::3]:
        expect(tab.locator("#incident-diagram")).to_contain_text("without supply 12")
    for tab in tabs[2::3]:
        expect(tab.locator("#one-line")).to_contain_text("without supply 12")
    tabs[1].bring_to_front()
    tabs[1].get_by_role("button", name="Note", exact=False).first.click()
    tabs[1].get_by_label("For the timeline").fill("seen by nine")
    tabs[1].locator("#note").get_by_role("button", name="Note on").click()
    for tab in tabs[1::3]:
        expect(tab.locator("#incident-timeline")).to_contain_text("seen by nine")


def test_an_incident_fits_every_theme_and_a_small_screen(
    context: BrowserContext, operator_page: Page, server: Server, numbers: list[int]
) -> None:
    for theme, width, height in (("dark", 1366, 768), ("contrast", 1366, 768), ("light", 683, 384)):
        context.add_cookies([{"name": "meterops_theme", "value": theme, "url": server.address}])
        operator_page.set_viewport_size({"width": width, "height": height})
        for address in (f"/incidents/{numbers[0]}", "/incidents?sort=area"):
            operator_page.goto(address)
            ready(operator_page)
            wide = operator_page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide == 0, f"{address} at {width} is {wide} pixels wider than the screen"
