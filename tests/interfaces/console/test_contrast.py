"""Every pair of colors that stands on one another, in every theme, measured from the style sheet itself.

An accessibility checker passes over one-letter badges and what is drawn on a canvas; this does not.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
STYLES = ROOT / "frontend" / "src" / "css"
TEXT, SHAPE = 4.5, 3.0

PAIRS = (
    *((ink, ground, TEXT) for ink in ("ink", "ink-2") for ground in ("card", "head", "ground", "chosen", "band")),
    *((f"p{one}-text", f"p{one}", TEXT) for one in (1, 2, 3)),
    *((name, ground, SHAPE) for name in ("p1", "p2-outline", "p3", "normal") for ground in ("card", "ground")),
    *((name, ground, SHAPE) for name in ("shelved", "live", "control", "accent") for ground in ("card",)),
    *(("focus", ground, SHAPE) for ground in ("card", "head", "ground")),
    ("card", "ink", TEXT),
)


def themes() -> dict[str, dict[str, str]]:
    """The tokens of every theme; what a theme does not say it has from the first."""
    text = (STYLES / "tokens.css").read_text()
    found = {}
    for selector, body in re.findall(r'(:root|\[data-theme="\w+"\]) \{(.*?)\}', text, re.DOTALL):
        name = "light" if selector == ":root" else selector.split('"')[1]
        found[name] = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", body))
    return {name: {**found["light"], **tokens} for name, tokens in found.items()}


def luminance(color: str) -> float:
    """The relative luminance of #rrggbb as WCAG 2 defines it."""
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colors, 1 to 21."""
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_the_measure_is_that_of_wcag() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark", "contrast"])
@pytest.mark.parametrize(("front", "back", "least"), PAIRS)
def test_colors_that_meet_can_be_told_apart(theme: str, front: str, back: str, least: float) -> None:
    tokens = themes()[theme]
    assert contrast(tokens[front], tokens[back]) >= least


@pytest.mark.parametrize("name", ["p1", "p2", "p3", "shelved", "normal", "band", "focus", "live"])
def test_every_theme_says_the_colors_that_carry_meaning(name: str) -> None:
    text = (STYLES / "tokens.css").read_text()
    assert len(re.findall(rf"--{name}: #", text)) == len(themes())


def test_no_style_sheet_has_a_color_of_its_own() -> None:
    for sheet in STYLES.glob("*.css"):
        if sheet.name != "tokens.css":
            assert not re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[;\s,)])", sheet.read_text()), sheet.name


def test_every_name_a_style_sheet_uses_is_a_token() -> None:
    known = set(themes()["light"])
    for sheet in STYLES.glob("*.css"):
        assert set(re.findall(r"var\(--([\w-]+)\)", sheet.read_text())) <= known, sheet.name
