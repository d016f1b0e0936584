"""What every page of the console shows around its content."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from meterops.interfaces.console.models import Preference

THEMES = {"light": "Light", "dark": "Dark", "contrast": "High contrast"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the navigation; `key` follows `g`."""

    name: str
    view: str
    icon: str
    key: str

    @property
    def address(self) -> str:
        """Where it leads."""
        return reverse(self.view)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the navigation with its heading."""

    heading: str
    entries: tuple[Entry, ...]


NAVIGATION = (
    Section(
        "",
        (
            Entry("Overview", "console:overview", "layout-dashboard", "o"),
            Entry("Incidents", "console:incidents", "alert-triangle", "i"),
            Entry("Grid", "console:grid", "topology-star-3", "g"),
            Entry("Meters", "console:meters", "list-details", "m"),
        ),
    ),
    Section(
        "Run",
        (
            Entry("Reading", "console:reading", "clock-play", "r"),
            Entry("Sessions", "console:sessions", "activity", "s"),
            Entry("Import", "console:import", "database-import", "n"),
            Entry("Disagreements", "console:disagreements", "git-compare", "d"),
        ),
    ),
    Section(
        "Report",
        (
            Entry("Alarm health", "console:alarms", "bell", "h"),
            Entry("Events", "console:events", "timeline-event", "e"),
            Entry("Audit log", "console:audit", "history", "a"),
        ),
    ),
)


def theme_of(request: HttpRequest) -> str:
    """The browser's theme: light unless chosen otherwise there."""
    chosen = request.COOKIES.get("meterops_theme", "light")
    return chosen if chosen in THEMES else "light"


def shell(request: HttpRequest) -> dict[str, Any]:
    """The frame of every page: theme, zone, navigation, and whether single keys act."""
    theme = theme_of(request)
    user = getattr(request, "user", None)
    signed_in = user is not None and user.is_authenticated
    match = request.resolver_match
    return {
        "theme": theme,
        "theme_name": THEMES[theme],
        "zone": settings.TIME_ZONE,
        "navigation": NAVIGATION if signed_in else (),
        "here": _here(match.view_name) if match else "",
        "single_keys": not signed_in or Preference.single_keys_of(user),
    }


_UNDER = {
    "console:incident": "console:incidents",
    "console:meter": "console:meters",
    "console:node": "console:grid",
    "console:grid-table": "console:grid",
    "console:one-line": "console:grid",
    "console:operation": "console:reading",
    "console:import-preview": "console:import",
}


def _here(view_name: str) -> str:
    return _UNDER.get(view_name, view_name)
