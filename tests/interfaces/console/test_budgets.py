"""How much a page makes a browser fetch and run, held to what a slow control-room machine takes without a wait."""

import re
from pathlib import Path

import pytest
from django.template.loader import get_template

from meterops.interfaces.console import assets

STATIC = Path(assets.__file__).parent / "static" / "meterops" / "dist"
TEMPLATES = Path(assets.__file__).parent / "templates" / "console"
SCRIPTS, STYLES = 60_000, 15_000


def compressed(name: str) -> int:
    """The gzip size of a built asset, in octets."""
    return (STATIC / f"{Path(assets.address_of(name)).name}.gz").stat().st_size


def scripts_of(page: Path) -> set[str]:
    """The scripts that a page's template asks for, besides those of every page."""
    return set(re.findall(r"asset '(\w+\.js)'", page.read_text())) | {"app.js", "live-worker.js"}


@pytest.mark.parametrize("page", sorted(TEMPLATES.rglob("page.html")), ids=lambda page: page.parent.name)
def test_no_page_has_more_script_than_its_budget(page: Path) -> None:
    assert get_template(f"console/{page.parent.name}/page.html")
    assert sum(compressed(name) for name in scripts_of(page)) <= SCRIPTS


def test_the_styles_keep_to_their_budget() -> None:
    assert compressed("app.css") <= STYLES


def test_every_icon_that_a_page_names_is_in_the_sprite() -> None:
    """One that is not draws nothing, and nobody says so."""
    sprite = (STATIC / Path(assets.address_of("icons.svg")).name).read_text()
    drawn = set(re.findall(r'id="([a-z0-9-]+)"', sprite))
    sources = [path.read_text() for path in TEMPLATES.rglob("*.html")]
    named = {name for text in sources for name in re.findall(r'(?:icon |icon_name=)"([a-z0-9-]+)"', text)}
    assert named
    assert named <= drawn, named - drawn
