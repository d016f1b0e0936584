"""Bringing inventory in, and settling what its sources disagree about."""

from dataclasses import dataclass

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from meterops.fleet.inventory import api as inventory
from meterops.fleet.inventory.api import ImportFile, Source
from meterops.interfaces.console.pages import actor_of, may, notice, page, signed_in, user_of
from meterops.interfaces.console.places import address_of
from meterops.kernel.clock import utc_now
from meterops.kernel.refusal import Refusal

IMPORT = "inventory.import_inventory"
MAX_UPLOAD = 512 * 1024 * 1024
PAGE = 100


@may(IMPORT)
@require_GET
def import_page(request: HttpRequest) -> HttpResponse:
    """Choose files; see what earlier imports did."""

    def imports() -> dict[str, object]:
        return {"imports": inventory.list_imports(limit=20)}

    return page(request, "inventory", {"imports": imports}, sources=[str(source) for source in Source])


@may(IMPORT)
@require_POST
def preview(request: HttpRequest) -> HttpResponse:
    """What the uploaded files would do, with every row that is wrong."""
    files = _files(request)
    if isinstance(files, str):
        return notice(request, files, refused=True)
    try:
        found = inventory.preview_import(files=files, source=_source(request))
    except Refusal as refusal:
        return notice(request, str(refusal), refused=True)
    return render(request, "console/inventory/preview.html", {"preview": found})


@may(IMPORT)
@require_POST
def apply(request: HttpRequest) -> HttpResponse:
    """Import the files that were previewed: the browser sends them again, the preview's digest says that they are the same."""
    files = _files(request)
    if isinstance(files, str):
        return notice(request, files, refused=True)
    try:
        result = inventory.apply_import(
            files=files,
            actor=actor_of(request),
            at=utc_now(),
            source=_source(request),
            digest=request.POST.get("digest", ""),
        )
    except Refusal as refusal:
        return notice(request, str(refusal), refused=True)
    done = result.preview
    return notice(
        request,
        f"Imported: {done.created_count} created, {done.updated_count} changed, {done.unchanged} as they were, "
        f"{done.disagreement_count} disagreements queued.",
    )


def _files(request: HttpRequest) -> list[ImportFile] | str:
    uploads: list[UploadedFile[bytes]] = request.FILES.getlist("files")
    if not uploads:
        return "Choose at least one file: nodes.csv, devices.csv, or both."
    if sum(one.size or 0 for one in uploads) > MAX_UPLOAD:
        return (
            "The files are larger than 512 MB together. Use `meterops import` on the server for imports of that size."
        )
    return [ImportFile(one.name or "file", one.read()) for one in uploads]


def _source(request: HttpRequest) -> Source:
    given = request.POST.get("source", "")
    return Source(given) if given in set(Source) else Source.IMPORT


@dataclass(frozen=True, slots=True)
class Waiting:
    """A disagreement with the page of its item."""

    view: inventory.DisagreementView
    href: str
    title: str


@signed_in
@require_GET
def disagreements(request: HttpRequest) -> HttpResponse:
    """What sources of lower precedence said, waiting for a person."""
    after = request.GET.get("after", "")
    after_id = int(after) if after.isdigit() else 0

    def queue() -> dict[str, object]:
        found = inventory.list_disagreements(after_id=after_id, limit=PAGE)
        items = inventory.list_items([one.item_id for one in found])
        rows = [
            Waiting(one, address_of(one.item_id, items[one.item_id].kind, one.mrid), items[one.item_id].title)
            for one in found
        ]
        return {
            "rows": rows,
            "count": inventory.count_disagreements(),
            "next_after": found[-1].id if len(found) == PAGE else None,
            "may_settle": user_of(request).has_perm(IMPORT),
        }

    return page(request, "disagreements", {"queue": queue}, paged=bool(after_id))


@may(IMPORT)
@require_POST
def settle(request: HttpRequest, disagreement_id: int) -> HttpResponse:
    """Accept or reject what the source said."""
    accept = request.POST.get("verdict") == "accept"
    act = inventory.accept_disagreement if accept else inventory.reject_disagreement
    reason = request.POST.get("reason", "")[:300]
    try:
        act(disagreement_id=disagreement_id, actor=actor_of(request), at=utc_now(), reason=reason)
        messages.success(request, "Accepted: the value is written." if accept else "Rejected: what stood stays.")
    except Refusal as refusal:
        messages.error(request, str(refusal))
    return redirect("console:disagreements")
