"""The console as a person uses it: with eyes, mouse and keyboard."""

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.browser.conftest import Complaints, Server, free_port, ready, sign_in

Go = Callable[[str], Page]


# --- signing in -----------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_said_in_words(page: Page, complaints: Complaints) -> None:
    complaints.expected = ("401",)
    page.goto("/meters")
    assert page.url.endswith("/sign-in?next=/meters")
    page.get_by_label("Name").fill("operator")
    page.get_by_label("Password").fill("not this one")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Name and password do not match an active account.")
    expect(page.get_by_label("Name")).to_have_value("operator")
    page.get_by_label("Password").fill("quiet-grey-ground")
    page.keyboard.press("Enter")
    page.wait_for_url("**/meters")


def test_signing_out_ends_it(page: Page) -> None:
    sign_in(page)
    page.get_by_text("J. Ortiz").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    page.goto("/meters")
    assert "/sign-in" in page.url


# --- every page -----------------------------------------------------------------------------------------------------

EVERY_PAGE = (
    "/",
    "/meters",
    "/meters?read=silent&column=serial&column=reading",
    "/meters/{M00000000}",
    "/meters/{M00000000}?span=week",
    "/meters/{M00000028}",
    "/grid",
    "/grid?by=voltage&choose={TR-0000}",
    "/grid/transformers",
    "/grid/items/{TR-0000}",
    "/grid/items/{TR-0000}/one-line",
    "/incidents",
    "/alarms",
    "/events",
    "/reading",
    "/reading/sessions",
    "/inventory/import",
    "/inventory/disagreements",
    "/audit",
    "/profile",
    "/search?q=mill",
)


@pytest.mark.parametrize("theme", ["light", "dark", "contrast"])
def test_no_page_complains_or_is_wider_than_the_screen(
    context: BrowserContext, signed_in: Page, server: Server, ids: dict[str, int], theme: str
) -> None:
    """The fixture `complaints` fails on script errors, violations of the policy, and requests to elsewhere."""
    context.add_cookies([{"name": "meterops_theme", "value": theme, "url": server.address}])
    for address in EVERY_PAGE:
        signed_in.goto(re.sub(r"\{([^}]+)\}", lambda found: str(ids[found[1]]), address))
        ready(signed_in)
        expect(signed_in.locator("html")).to_have_attribute("data-theme", theme)
        wide = signed_in.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide == 0, f"{address} is {wide} pixels wider than the screen"
        assert signed_in.locator("h1").count() == 1, address


@pytest.mark.parametrize(("width", "height"), [(683, 384), (1920, 1080), (3840, 2160)])
def test_pages_fit_other_screens(signed_in: Page, ids: dict[str, int], width: int, height: int) -> None:
    """683 by 384 is a small screen at a zoom of 200 %."""
    signed_in.set_viewport_size({"width": width, "height": height})
    for address in ("/", "/meters", f"/meters/{ids['M00000000']}", "/reading", "/grid"):
        signed_in.goto(address)
        ready(signed_in)
        wide = signed_in.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide == 0, f"{address} at {width}"


def test_icons_and_the_font_are_there(signed_in: Page) -> None:
    icon = signed_in.locator(".side a svg.icon").first
    box = icon.evaluate("(svg) => { const b = svg.querySelector('use').getBBox(); return [b.width, b.height]; }")
    assert box[0] > 5
    assert box[1] > 5
    assert signed_in.evaluate("document.fonts.check('13px Inter')")


# --- overview -------------------------------------------------------------------------------------------------------


def test_a_figure_leads_to_the_meters_it_counts(signed_in: Page) -> None:
    figure = signed_in.locator(".figure", has_text="Silent")
    count = figure.locator(".value").inner_text().strip()
    figure.click()
    ready(signed_in)
    expect(signed_in.locator("#meters-count")).to_contain_text(f"{count} match")


def test_the_map_is_drawn_and_says_what_its_shapes_mean(signed_in: Page) -> None:
    expect(signed_in.locator(".map-legend")).to_contain_text("nothing known against it 72")
    signed_in.goto("/grid?by=read")
    expect(signed_in.locator(".map-legend")).to_contain_text("silent")
    drawn = signed_in.locator(".map-wrap > canvas").evaluate(
        """(canvas) => {
            const { width, height } = canvas;
            const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
            const colors = new Set();
            for (let i = 0; i < data.length; i += 4) colors.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
            return colors.size;
        }"""
    )
    assert drawn > 3


# --- meters ---------------------------------------------------------------------------------------------------------


def test_meters_are_searched_filtered_and_sorted(open_page: Go) -> None:
    page = open_page("/meters")
    expect(page.locator("#meters-count")).to_contain_text("72 in all")
    page.get_by_placeholder("Serial, address, title or host").fill("orchard way")
    page.keyboard.press("Enter")
    expect(page.locator("#meters-count")).to_contain_text("12 match")
    page.get_by_text("Filter", exact=False).first.click()
    page.locator("#filter select[name=model]").select_option("S34")
    expect(page.locator(".chip.strong")).to_contain_text("Model: S34")
    expect(page.locator("#meters-count")).to_contain_text("3 match")
    page.get_by_role("link", name="Serial").click()
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Serial")
    page.get_by_title("Remove this filter").click()
    expect(page.locator("#meters-count")).to_contain_text("12 match")


def test_picked_meters_are_read_after_a_question(open_page: Go) -> None:
    page = open_page("/meters?text=M0000000")
    page.get_by_label("Pick M00000000").check()
    page.get_by_label("Pick M00000003").click(modifiers=["Shift"])
    expect(page.locator(".bulk")).to_contain_text("4 picked")
    page.locator(".bulk").get_by_role("button", name="Read now").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Read 4 meters now?")
    dialog.get_by_role("button", name="Read 4 meters").click()
    expect(page.locator("#bulk-result")).to_contain_text("4 meters are in line")
    page.get_by_role("link", name="See how it goes").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Read 4 meters on demand")


def test_a_view_is_saved_and_shown_again(open_page: Go) -> None:
    page = open_page("/meters?read=failing")
    page.locator("summary", has_text="Save view").click()
    page.get_by_label("Name of the view").fill("Failing ones")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="Saved as")).to_be_visible()
    page.goto("/meters")
    page.locator("summary", has_text="Saved views").click()
    page.get_by_role("link", name="Failing ones").click()
    expect(page.locator(".chip.strong")).to_contain_text("Reading: failing")


# --- one meter ------------------------------------------------------------------------------------------------------


def test_the_load_profile_is_drawn_with_its_gaps(open_page: Go, ids: dict[str, int]) -> None:
    page = open_page(f"/meters/{ids['M00000000']}?span=week")
    chart = page.locator("[data-island=chart]").first
    expect(chart.locator("canvas")).to_be_visible()
    legend = page.locator("[data-chart-legend]").first
    expect(legend).to_contain_text("Active energy import")
    expect(legend).to_contain_text("no reading")
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.93, box["y"] + box["height"] / 2)
    expect(legend).to_contain_text(re.compile(r"Active energy import (\d+ Wh|missing)"))
    page.get_by_text("Values as a table").first.click()
    expect(page.locator("#profile-table tbody tr").first).to_be_visible()


def test_a_meter_never_read_says_so(open_page: Go, ids: dict[str, int]) -> None:
    page = open_page(f"/meters/{ids['M00000028']}")
    expect(page.locator("#meter-header")).to_contain_text("never read")
    expect(page.locator("#meter-registers")).to_contain_text("No register read yet")


def test_reading_now_waits_and_shows_the_answer_by_itself(open_page: Go, server: Server, ids: dict[str, int]) -> None:
    page = open_page(f"/meters/{ids['M00000000']}")
    page.keyboard.press("d")
    expect(page.locator("#reading-now")).to_contain_text("asked")
    expect(page.locator("#reading-now")).to_contain_text("No head-end worker is running")
    server.run("act", "answer", str(ids["M00000000"]))
    expect(page.locator("#reading-now")).to_contain_text("in 431 ms, 8 round trips")
    expect(page.locator("#reading-now")).to_contain_text("kWh")


def test_the_one_line_diagram_leads_to_its_meters(open_page: Go, ids: dict[str, int]) -> None:
    page = open_page(f"/grid/items/{ids['TR-0000']}/one-line")
    boxes = page.locator(".one-line rect.box")
    expect(boxes).to_have_count(12)
    for box in boxes.all():
        size = box.bounding_box()
        assert size is not None
        assert size["width"] < 16
    boxes.first.click()
    page.wait_for_url("**/meters/*")


def test_what_is_clicked_on_the_map_is_told_beside_it(open_page: Go, ids: dict[str, int]) -> None:
    page = open_page(f"/grid?choose={ids['TR-0000']}")
    expect(page.locator("#grid-panel")).to_contain_text("TR-0000")
    page.get_by_role("link", name="One-line").first.click()
    page.wait_for_url("**/one-line")


# --- keyboard -------------------------------------------------------------------------------------------------------


def test_the_keyboard_is_enough(open_page: Go) -> None:
    page = open_page("/")
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.wait_for_url("**/meters")
    ready(page)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator(".bulk")).to_contain_text("1 picked")
    page.keyboard.press("k")
    expect(page.locator("tbody tr:first-child a").first).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/meters/*")
    ready(page)
    page.keyboard.press("Escape")
    page.wait_for_url("**/meters")
    ready(page)
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("tr-0001")
    expect(page.locator("#search-results a").first).to_contain_text("TR-0001")
    page.keyboard.press("Enter")
    page.wait_for_url("**/one-line")


def test_help_names_the_keys_and_the_command_list_goes_places(open_page: Go) -> None:
    page = open_page("/meters")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_contain_text("filter")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.keyboard.press("Control+k")
    page.keyboard.type("audit")
    page.keyboard.press("Enter")
    page.wait_for_url("**/audit")


def test_the_theme_is_kept(open_page: Go) -> None:
    page = open_page("/")
    page.keyboard.press("t")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.goto("/audit")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_single_keys_can_be_switched_off(context: BrowserContext, page: Page) -> None:
    sign_in(page, "viewer")
    page.goto("/profile")
    page.get_by_role("checkbox").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    ready(page)
    page.keyboard.press("?")
    page.keyboard.press("t")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


def test_a_viewer_may_look_and_not_act(page: Page, ids: dict[str, int], complaints: Complaints) -> None:
    complaints.expected = ("403",)
    sign_in(page, "viewer")
    page.goto(f"/meters/{ids['M00000000']}")
    expect(page.get_by_role("button", name="Read now")).to_be_disabled()
    page.goto("/inventory/import")
    expect(page.get_by_text("You may not see this page")).to_be_visible()
    expect(page.locator("main")).to_contain_text("inventory.import_inventory")


# --- import ---------------------------------------------------------------------------------------------------------


def test_an_import_shows_what_it_would_do_before_it_does_it(open_page: Go, tmp_path: Path) -> None:
    wrong, right = tmp_path / "wrong.csv", tmp_path / "nodes.csv"
    head = "mrid,kind,name,parent_electrical\n"
    wrong.write_text(f"{head}TR-9001,GENERATOR,Nothing,FD-1\n")
    right.write_text(f"{head}TR-9001,POWER_TRANSFORMER,Nine thousand and one,FD-1\n")
    page = open_page("/inventory/import")
    page.set_input_files("input[type=file]", wrong)
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#import-result")).to_contain_text("Nothing can be imported")
    page.set_input_files("input[type=file]", right)
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#import-result")).to_contain_text("1 item to create")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator("#import-result")).to_contain_text("Imported: 1 created")
    expect(page.locator("#imports")).to_contain_text("nodes.csv")


# --- live -----------------------------------------------------------------------------------------------------------


def test_what_one_does_the_other_sees_without_asking(context: BrowserContext, signed_in: Page) -> None:
    other = context.new_page()
    for page in (signed_in, other):
        page.goto("/reading")
        ready(page)
        expect(page.locator("[data-link-state]")).to_have_attribute("data-state", "live")
    row = signed_in.locator("tr", has_text="Nightly").first
    row.get_by_role("button", name="Pause").click()
    signed_in.get_by_label("Reason, for the audit log").locator("visible=true").fill("works on the line")
    signed_in.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(signed_in.get_by_text("Nightly is paused.")).to_be_visible()
    expect(other.locator("#reading-schedules tr", has_text="Nightly")).to_contain_text("paused")


def test_progress_arrives_and_the_focus_stays(signed_in: Page, server: Server) -> None:
    expect(signed_in.locator("[data-link-state]")).to_have_attribute("data-state", "live")
    link = signed_in.locator("#overview-rounds tr", has_text="Quarter-hourly").get_by_role("link").first
    link.focus()
    server.run("act", "finish")
    expect(signed_in.locator("#overview-rounds tr", has_text="Quarter-hourly")).to_contain_text("completed")
    expect(link).to_be_focused()


def test_a_server_that_is_gone_is_noticed_and_its_return_too(
    chrome: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own = Server(tmp_path_factory.mktemp("gone"), free_port())
    own.run("act", "seed")
    own.start()
    context = chrome.new_context(base_url=own.address)
    try:
        page = context.new_page()
        sign_in(page)
        page.goto("/incidents")
        expect(page.locator("[data-link-state]")).to_have_attribute("data-state", "live")
        expect(page.locator(".lost-bar")).to_be_hidden()
        own.stop(signal.SIGKILL)
        expect(page.locator(".lost-bar")).to_be_visible(timeout=10_000)
        expect(page.locator("[data-link-words]")).to_contain_text("No data since")
        own.start()
        expect(page.locator("[data-link-state]")).to_have_attribute("data-state", "live", timeout=60_000)
        expect(page.locator(".lost-bar")).to_be_hidden()
    finally:
        context.close()
        own.stop()
