"""Where the built assets are: names without their digest to addresses with it."""

import json
from functools import cache
from pathlib import Path

from django.templatetags.static import static

FOLDER = Path(__file__).parent / "static" / "meterops" / "dist"


class AssetsNotBuilt(RuntimeError):
    """The console's assets are missing: install the package (`make install`), which builds them."""


@cache
def manifest() -> dict[str, str]:
    """Asset name -> file name as the build wrote it.

    Raises:
        AssetsNotBuilt: when there has been no build.
    """
    try:
        names: dict[str, str] = json.loads((FOLDER / "manifest.json").read_text())
    except FileNotFoundError as error:
        raise AssetsNotBuilt(AssetsNotBuilt.__doc__) from error
    return names


def address_of(name: str) -> str:
    """The address of an asset, for example `app.css`."""
    return static(f"meterops/dist/{manifest()[name]}")
