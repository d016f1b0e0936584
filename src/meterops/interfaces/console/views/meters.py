"""The list of meters: found, filtered, sorted, saved as views, exported, read in bulk."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict, StreamingHttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from meterops.fleet.headend import api as headend
from meterops.fleet.inventory import api as inventory
from meterops.fleet.inventory.api import EndDeviceFilter, EndDeviceRow
from meterops.interfaces.console import read_filter, saved_views
from meterops.interfaces.console.fleet_state import CONTACTS
from meterops.interfaces.console.pages import actor_of, may, notice, page, signed_in, user_of
from meterops.interfaces.console.reading_state import MARKS, WORDS, ReadState
from meterops.interfaces.console.templatetags.console import ago
from meterops.kernel.clock import from_epoch, utc_now
from meterops.kernel.refusal import Refusal

READ = "headend.read_on_demand"
PAGE = 100
BULK_LIMIT = 1000
EXPORT_PAGE = 5000
FACET_LABELS = {
    "state": "State",
    "manufacturer": "Manufacturer",
    "model": "Model",
    "firmware_version": "Firmware",
    "hardware_version": "Hardware",
    "profile": "Profile",
}
FACET_CHOICES = 50


@dataclass(frozen=True, slots=True)
class Listed:
    """A meter with how its reading stands."""

    row: EndDeviceRow
    state: ReadState
    read_at: datetime | None


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a cell, and where it leads."""

    content: Any
    href: str = ""
    mark: str = ""
    number: bool = False
    wide: bool = False
    """It takes what room there is and is cut off where there is little."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the list: `sort` is the inventory's name of the order, empty where there is none."""

    key: str
    label: str
    cell: Callable[[Listed], Cell]
    plain: Callable[[Listed], str]
    sort: str = ""
    number: bool = False


def _text(name: str) -> tuple[Callable[[Listed], Cell], Callable[[Listed], str]]:
    return (
        lambda one: Cell(getattr(one.row, name) or "–"),
        lambda one: str(getattr(one.row, name)),
    )


def _column(key: str, label: str, sort: str = "") -> Column:
    cell, plain = _text(key)
    return Column(key, label, cell, plain, sort)


def _transformer(one: Listed) -> Cell:
    if one.row.transformer_id is None:
        return Cell("–")
    return Cell(one.row.transformer, reverse("console:one-line", args=[one.row.transformer_id]))


def _installed(one: Listed) -> str:
    return one.row.installed_at.date().isoformat() if one.row.installed_at else ""


COLUMNS = (
    Column(
        "serial",
        "Serial",
        lambda one: Cell(one.row.serial, reverse("console:meter", args=[one.row.id])),
        lambda one: one.row.serial,
        "serial",
    ),
    Column(
        "reading", "Reading", lambda one: Cell(WORDS[one.state], mark=MARKS[one.state]), lambda one: WORDS[one.state]
    ),
    Column(
        "contact",
        "Last read",
        lambda one: Cell(ago(one.read_at)),
        lambda one: one.read_at.isoformat() if one.read_at else "",
    ),
    Column(
        "address",
        "Address",
        lambda one: Cell(one.row.address or "–", wide=True),
        lambda one: one.row.address,
        "address",
    ),
    Column("transformer", "Transformer", _transformer, lambda one: one.row.transformer),
    _column("feeder", "Feeder"),
    _column("phases", "Phase"),
    _column("manufacturer", "Manufacturer"),
    _column("model", "Model", "model"),
    _column("firmware_version", "Firmware", "firmware_version"),
    _column("profile", "Profile"),
    Column(
        "state",
        "State",
        lambda one: Cell(one.row.state.replace("_", " ").lower()),
        lambda one: one.row.state,
        "state",
    ),
    _column("route", "Route"),
    _column("host", "Host"),
    Column("installed_at", "Installed", lambda one: Cell(_installed(one) or "–"), _installed, "installed_at"),
)
DEFAULT = (
    "serial",
    "reading",
    "contact",
    "address",
    "transformer",
    "phases",
    "model",
    "firmware_version",
    "state",
    "route",
)
BY_KEY = {column.key: column for column in COLUMNS}


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address of the list says."""

    wanted: EndDeviceFilter
    read: str
    error: str
    clock_off: bool
    sort: str
    after: str
    columns: tuple[Column, ...]

    @property
    def text(self) -> str:
        """What was typed."""
        return self.wanted.text

    @property
    def filtered(self) -> bool:
        """Whether anything narrows the list."""
        return bool(self.wanted.as_dict() or self.read or self.error or self.clock_off)

    def narrowed(self) -> tuple[EndDeviceFilter, int]:
        """The filter with the meters' read states in it, and how many fit where the filter does not say."""
        return read_filter.narrow(self.wanted, state=self.read, error=self.error, clock_off=self.clock_off)


def _asked(given: QueryDict) -> Asked:
    said = {name: [value for value in given.getlist(name) if value] for name in (*FACET_LABELS, "under")}
    wanted = EndDeviceFilter.from_dict({"text": given.get("text", "").strip()[:200], **said})
    keys = [key for key in given.getlist("column") if key in BY_KEY] or list(DEFAULT)
    sort = given.get("sort", "serial")
    return Asked(
        wanted=wanted,
        read=given.get("read", "") if given.get("read", "") in read_filter.STATES else "",
        error=given.get("error", "") if given.get("error", "") in set(headend.ErrorClass) else "",
        clock_off=given.get("clock", "") == "off",
        sort=sort if sort.removeprefix("-") in inventory.SORTS else "serial",
        after=given.get("after", ""),
        columns=tuple(column for column in COLUMNS if column.key in keys or column.key == "serial"),
    )


@signed_in
@require_GET
def meters(request: HttpRequest) -> HttpResponse:
    """The meters that fit."""
    asked = _asked(request.GET)

    def rows() -> dict[str, object]:
        return _rows(request, asked)

    context: dict[str, Any] = {
        "asked": asked,
        "asked_values": _chips(request, asked),
        "filtered": asked.filtered,
        "paged": bool(asked.after),
        "may_read": user_of(request).has_perm(READ),
        "bulk_limit": BULK_LIMIT,
        "columns": [{"key": one.key, "label": one.label, "chosen": one in asked.columns} for one in COLUMNS],
        "kept": [(n, v) for n, values in request.GET.lists() for v in values if n not in ("column", "after", "part")],
        "kept_columns": [(n, v) for n, values in request.GET.lists() for v in values if n in ("column", "sort")],
    }
    if request.GET.get("part") != "rows":
        context |= {"facets": _facets(asked), "views": saved_views.views_of(request, "meters")}
    return page(request, "meters", {"rows": rows}, **context)


def _rows(request: HttpRequest, asked: Asked) -> dict[str, object]:
    narrowed, total = asked.narrowed()
    try:
        found = inventory.page_of_end_devices(narrowed, sort=asked.sort, after=asked.after, limit=PAGE, count=total < 0)
    except inventory.FilterNotValid as refusal:
        # An old address: its page mark fits no list any more, so the list begins anew.
        messages.warning(request, str(refusal))
        found = inventory.page_of_end_devices(narrowed, sort=asked.sort, limit=PAGE, count=total < 0)
    listed = _listed(found.rows)
    return {
        "headings": [_heading(request, one, asked.sort) for one in asked.columns],
        "rows": [
            {"id": one.row.id, "serial": one.row.serial, "cells": [column.cell(one) for column in asked.columns]}
            for one in listed
        ],
        "total": found.total if total < 0 else total,
        "next_after": found.after,
    }


def _listed(rows: Sequence[EndDeviceRow]) -> list[Listed]:
    states = CONTACTS.get().of([row.id for row in rows], utc_now())
    return [
        Listed(row, ReadState(int(state)), from_epoch(int(at)) if at else None)
        for row, state, at in zip(rows, states.state, states.read_at, strict=True)
    ]


def _heading(request: HttpRequest, column: Column, sort: str) -> dict[str, object]:
    by, descending = sort.removeprefix("-"), sort.startswith("-")
    chosen = bool(column.sort) and by == column.sort
    turned = f"-{column.sort}" if chosen and not descending else column.sort
    return {
        "label": column.label,
        "number": column.number,
        "sort_href": _address(request, sort=turned) if column.sort else "",
        "order": ("descending" if descending else "ascending") if chosen else "",
    }


def _address(request: HttpRequest, without: tuple[str, str] | None = None, **changes: str) -> str:
    query = request.GET.copy()
    for name in ("part", "after"):
        query.pop(name, None)
    for name, value in changes.items():
        query[name] = value
    if without is not None:
        name, value = without
        query.setlist(name, [one for one in query.getlist(name) if one != value])
    return f"{reverse('console:meters')}?{query.urlencode()}"


def _chips(request: HttpRequest, asked: Asked) -> list[dict[str, str]]:
    said = [(name, label, value) for name, label in FACET_LABELS.items() for value in getattr(asked.wanted, name)]
    said += [("under", "Under", value) for value in asked.wanted.under]
    said += [("read", "Reading", asked.read)] if asked.read else []
    said += [("error", "Newest session", asked.error)] if asked.error else []
    said += [("clock", "Clock", "off")] if asked.clock_off else []
    return [
        {
            "name": name,
            "label": label,
            "value": value,
            "shown": _shown(name, value),
            "without": _address(request, without=(name, value)),
        }
        for name, label, value in said
    ]


def _shown(name: str, value: str) -> str:
    if name == "read":
        return WORDS[read_filter.STATES[value]]
    if name == "clock":
        return "off by more than 30 s"
    return value.replace("_", " ").lower() if name == "state" else value


def _facets(asked: Asked) -> list[dict[str, object]]:
    found = inventory.facets(asked.wanted, tuple(FACET_LABELS))
    facets: list[dict[str, object]] = [
        {
            "name": "read",
            "label": "Reading",
            "choices": [(name, WORDS[state]) for name, state in read_filter.STATES.items() if name != asked.read],
        }
    ]
    for name, label in FACET_LABELS.items():
        chosen = getattr(asked.wanted, name)
        choices = [
            (value, f"{_shown(name, value)} ({count})")
            for value, count in list(found.get(name, {}).items())[:FACET_CHOICES]
            if value and value not in chosen
        ]
        if choices:
            facets.append({"name": name, "label": label, "choices": choices})
    return facets


class _Line:
    """What a csv writer writes into: it hands each line back."""

    def write(self, text: str) -> str:
        return text


@signed_in
@require_GET
def export(request: HttpRequest) -> HttpResponseBase:
    """Every meter that fits, not only the page shown, as CSV with the filter in its first line."""
    asked = _asked(request.GET)
    answer = StreamingHttpResponse(_csv(asked, request.GET.urlencode()), content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="meters-{utc_now():%Y%m%d-%H%M}.csv"'
    return answer


def _csv(asked: Asked, query: str) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield f"# meters of {utc_now():%Y-%m-%dT%H:%M:%SZ}, filter: {query.replace(chr(10), ' ') or 'none'}\r\n"
    yield writer.writerow([column.label for column in asked.columns])
    wanted, _ = asked.narrowed()
    after = ""
    while True:
        found = inventory.page_of_end_devices(wanted, sort=asked.sort, after=after, limit=EXPORT_PAGE, count=False)
        for one in _listed(found.rows):
            yield writer.writerow([_not_a_formula(column.plain(one)) for column in asked.columns])
        after = found.after
        if not after:
            return


def _not_a_formula(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


@may(READ)
@require_POST
def read_selected(request: HttpRequest) -> HttpResponse:
    """Read the picked meters now."""
    ids = sorted({int(one) for one in request.POST.getlist("meter") if one.isascii() and one.isdigit()})
    if not ids:
        return notice(request, "Pick at least one meter.", refused=True)
    if len(ids) > BULK_LIMIT:
        return notice(request, f"At most {BULK_LIMIT} meters are read at once; {len(ids)} are picked.", refused=True)
    try:
        operation = headend.request_read(end_device_ids=ids, actor=actor_of(request), at=utc_now())
    except Refusal as refusal:
        return notice(request, str(refusal), refused=True)
    return notice(
        request,
        f"{len(ids)} {'meter is' if len(ids) == 1 else 'meters are'} in line, ahead of scheduled work.",
        href=reverse("console:operation", args=[operation]),
        words="See how it goes",
    )
