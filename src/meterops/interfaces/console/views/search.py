"""The one search box: meters, transformers, feeders, addresses."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from meterops.fleet.inventory import api as inventory
from meterops.interfaces.console.pages import page, signed_in
from meterops.interfaces.console.places import KIND_WORDS, address_of

IN_BOX, ON_PAGE = 12, 100


@dataclass(frozen=True, slots=True)
class Hit:
    """Something found."""

    href: str
    title: str
    kind: str
    detail: str


@signed_in
@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """What begins with the text; `?part=results` are the lines under the box."""
    text = request.GET.get("q", "").strip()[:200]
    limit = IN_BOX if request.GET.get("part") == "results" else ON_PAGE

    def results() -> dict[str, object]:
        hits = inventory.search(text, limit=limit) if len(text) > 1 else []
        return {"hits": [_hit(hit) for hit in hits]}

    return page(request, "search", {"results": results}, text=text)


def _hit(hit: inventory.SearchHit) -> Hit:
    title = f"{hit.name} ({hit.mrid})" if hit.name and hit.name != hit.mrid else hit.mrid
    return Hit(address_of(hit.id, hit.kind, hit.mrid), title, KIND_WORDS[hit.kind], hit.detail)
