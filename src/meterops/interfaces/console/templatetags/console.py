"""What templates write: assets, icons, marks, times, numbers with their units."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django import template
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from meterops.interfaces.console import assets
from meterops.interfaces.console.svg import load_strip as load_strips
from meterops.interfaces.console.svg import marks, sparkline
from meterops.interfaces.console.svg import priority as priorities

register = template.Library()

NOTHING = "–"


@register.simple_tag
def asset(name: str) -> str:
    """The address of a built asset."""
    return assets.address_of(name)


@register.simple_tag
def icon(name: str) -> SafeString:
    """An icon of the sprite; the words beside it say the same, so it is hidden from readers."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>', assets.address_of("icons.svg"), name
    )


@register.simple_tag
def mark(kind: str) -> SafeString:
    """A shape for a state, always beside its word."""
    return marks.draw(kind)


@register.simple_tag
def priority(value: int, acknowledged: bool = False, shelved: bool = False, fresh: bool = False) -> SafeString:
    """The badge of a priority from 1 to 4: filled is unacknowledged, outline acknowledged, dashed shelved."""
    return priorities.badge(int(value), acknowledged=acknowledged, shelved=shelved, fresh=fresh)


@register.simple_tag
def load_strip(counts: Sequence[int], large: bool = False) -> SafeString:
    """The alarm load: new alarms per ten minutes, oldest first, with the line of a flood."""
    return load_strips.strip(counts, large=large)


@register.filter
def moment(at: datetime | None) -> SafeString | str:
    """A time in the local zone, with UTC on hover: the hour today, with the day otherwise."""
    if at is None:
        return NOTHING
    local = timezone.localtime(at)
    now = timezone.localtime()
    if local.date() == now.date():
        text = f"{local:%H:%M:%S}"
    elif local.year == now.year:
        text = f"{local.day} {local:%b %H:%M}"
    else:
        text = f"{local.day} {local:%b %Y %H:%M}"
    return _time(at, text)


@register.filter
def moment_long(at: datetime | None) -> SafeString | str:
    """A time in full: day, hour, zone."""
    if at is None:
        return NOTHING
    local = timezone.localtime(at)
    return _time(at, f"{local.day} {local:%b %Y %H:%M:%S %Z}")


@register.filter
def ago(at: datetime | None) -> SafeString | str:
    """How long ago, kept current by the page's clock."""
    if at is None:
        return "never"
    return format_html(
        '<time datetime="{}" data-age title="{}">{}</time>', at.isoformat(), _utc(at), _age(timezone.now() - at)
    )


@register.filter
def until(at: datetime | None) -> str:
    """How long until then, in words."""
    if at is None:
        return NOTHING
    left = (at - timezone.now()).total_seconds()
    return "due now" if left <= 0 else f"in {span(left)}"


@register.filter
def day(value: date | None) -> str:
    """A day: 23 Nov 2026."""
    return NOTHING if value is None else f"{value.day} {value:%b %Y}"


@register.filter
def span(seconds: float | timedelta | None) -> str:
    """A length of time in its two largest units."""
    if seconds is None:
        return NOTHING
    total = round(seconds.total_seconds() if isinstance(seconds, timedelta) else seconds)
    if total < 90:
        return f"{total} s"
    if total < 5400:
        return f"{round(total / 60)} min"
    if total < 172_800:
        hours, rest = divmod(total, 3600)
        return f"{hours} h {rest // 60} min" if rest >= 60 else f"{hours} h"
    return f"{round(total / 86_400)} days"


@register.filter
def number(value: float | None, decimals: int = 0) -> str:
    """A number with thin spaces between thousands."""
    if value is None:
        return NOTHING
    return f"{value:,.{decimals}f}".replace(",", "\u202f").replace("-", "\u2212")


@register.filter
def percent(share: float | None, decimals: int = 1) -> str:
    """A share of one as per cent; only a full one shows 100."""
    if share is None:
        return NOTHING
    shown = share * 100
    if share < 1 and round(shown, decimals) >= 100:
        shown = 100 - 10**-decimals
    return f"{shown:.{decimals}f} %"


@register.filter
def octets(value: int | None) -> str:
    """A count of octets."""
    if value is None:
        return NOTHING
    if value < 10_000:
        return f"{number(value)} B"
    return f"{value / 1000:.0f} kB" if value < 10_000_000 else f"{value / 1e6:.1f} MB"


@register.filter
def milliseconds(value: float | None) -> str:
    """A duration measured in milliseconds."""
    if value is None:
        return NOTHING
    text = f"{value:.0f} ms" if abs(value) < 10_000 else f"{value / 1000:.1f} s"
    return text.replace("-", "\u2212")


@register.filter
def share(value: float | None) -> str:
    """A part of one as whole percent."""
    return NOTHING if value is None else f"{value * 100:.0f}\u202f%"


@register.filter
def words(code: Any) -> str:
    """A code such as SCHEDULED_READ as words."""
    text = str(code).replace("_", " ").lower()
    return text[:1].upper() + text[1:]


@register.filter
def plain(value: Any) -> str:
    """A stored value as a person reads it."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "; ".join(f"{_key(key)}: {_within(one)}" for key, one in value.items()) or NOTHING
    if isinstance(value, list | tuple):
        return ", ".join(plain(one) for one in value)
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 and set(text) <= set("0123456789abcdef") else text


def _within(value: Any) -> str:
    """A value inside another: a dictionary becomes "transformer 24, meter 960"."""
    if isinstance(value, dict):
        return ", ".join(f"{_key(key).lower()} {plain(one)}" for key, one in value.items()) or "none"
    return plain(value)


def _key(key: Any) -> str:
    """A column's name as words; a file's name as it is."""
    return str(key) if "." in str(key) else words(key)


@register.simple_tag
def spark(values: list[float | None], low: float | None = None, high: float | None = None) -> SafeString:
    """A sparkline; `low` and `high` are the usual range, drawn as a band."""
    return sparkline.line(values, band=None if low is None or high is None else (low, high))


@register.simple_tag
def bar(done: float, failed: float = 0.0, target: float | None = None) -> SafeString:
    """A bar of shares of one: done, then failed, on the rest; `target` is a line."""
    return sparkline.bar(done, failed, target)


@register.simple_tag(takes_context=True)
def query(context: dict[str, Any], **changes: Any) -> str:
    """The page's query string with some parameters changed; empty values drop out."""
    request: HttpRequest = context["request"]
    parameters = request.GET.copy()
    for passing in ("part", "shown"):
        parameters.pop(passing, None)
    for name, value in changes.items():
        if value in (None, ""):
            parameters.pop(name, None)
        else:
            parameters[name] = str(value)
    return mark_safe("?" + parameters.urlencode())  # noqa: S308  urlencode has quoted every part


def _time(at: datetime, text: str) -> SafeString:
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), _utc(at), text)


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _age(passed: timedelta) -> str:
    seconds = passed.total_seconds()
    return "now" if seconds < 5 else f"{span(seconds)} ago"
