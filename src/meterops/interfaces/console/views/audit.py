"""The audit log: who did what, with what it was before and after."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET, require_POST

from meterops.interfaces.console.pages import notice, page, signed_in
from meterops.kernel import audit

PAGE = 100


@signed_in
@require_GET
def log(request: HttpRequest) -> HttpResponse:
    """The entries that match the filter, newest first."""
    asked = {name: request.GET.get(name, "").strip() for name in ("actor", "action", "subject")}
    before = request.GET.get("before", "")

    def entries() -> dict[str, object]:
        found = audit.list_entries(**asked, before_id=int(before) if before.isdigit() else None, limit=PAGE + 1)
        return {"entries": found[:PAGE], "older": found[PAGE - 1].id if len(found) > PAGE else None}

    return page(request, "audit", {"entries": entries}, asked=asked, filtered=any(asked.values()), paged=bool(before))


@signed_in
@require_POST
def verify(request: HttpRequest) -> HttpResponse:
    """Walk the whole chain of digests."""
    broken = audit.find_break()
    if broken:
        return notice(request, f"The chain is broken: {broken}.", refused=True)
    return notice(request, "Every entry's digest follows from the one before it: nothing was altered or taken out.")
