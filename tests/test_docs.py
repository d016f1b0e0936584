"""The documentation holds together: pages that the navigation names exist, links lead somewhere, the reference is the program's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "src").rglob("README.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")


def test_every_page_of_the_navigation_exists_and_every_page_is_in_it() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text().partition("nav:")[2]
    named = set(re.findall(r": (\S+\.md)$", navigation, re.MULTILINE))
    assert named == {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = [link.partition("#")[0] for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [target for target in targets if target and not (page.parent / target).exists()] == []


def test_the_reference_says_what_the_program_says(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "write_reference.py"), "--check"],
        env=os.environ | {"METEROPS_DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "meterops.site.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_setting_is_described() -> None:
    described = (DOCS / "reference" / "settings.md").read_text()
    used = {
        name
        for file in (ROOT / "src" / "meterops").rglob("*.py")
        for name in re.findall(r'"(METEROPS_[A-Z_]+)"', file.read_text())
    }
    assert [name for name in sorted(used) if f"`{name}`" not in described] == []
