"""Addresses of lists kept under names: a person's own, and those that somebody shares with everybody."""

from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from meterops.interfaces.console.models import SavedView
from meterops.interfaces.console.pages import signed_in, user_of
from meterops.kernel.clock import utc_now

PASSING = ("after", "page", "part", "shown")
"""What an address says about where somebody was in a list, and not about the list."""


def views_of(request: HttpRequest, page: str) -> list[SavedView]:
    """The views of a page that a person may use, by name."""
    found = SavedView.objects.filter(Q(user=user_of(request)) | Q(shared=True), page=page)
    return list(found.select_related("user"))


def lasting(query: str) -> QueryDict:
    """A query string without what is passing."""
    found = QueryDict(query[:2000], mutable=True)
    for name in PASSING:
        found.pop(name, None)
    return found


@signed_in
@require_POST
def save(request: HttpRequest, page: str) -> HttpResponse:
    """Keep a list's address under a name; the same name once more replaces what it stood for."""
    name = request.POST.get("name", "").strip()[:80]
    query = lasting(request.POST.get("query", ""))
    if not name:
        messages.error(request, "A view needs a name.")
    else:
        values = {"query": query.urlencode(), "shared": "shared" in request.POST}
        SavedView.objects.update_or_create(
            user=user_of(request),
            page=page,
            name=name,
            defaults=values,
            create_defaults={**values, "created_at": utc_now()},
        )
        messages.success(request, f"Saved as “{name}”.")
    return redirect(f"{reverse(f'console:{page}')}?{query.urlencode()}")


@signed_in
@require_POST
def delete(request: HttpRequest, page: str, view_id: int) -> HttpResponse:
    """Forget one of one's own views."""
    deleted, _ = SavedView.objects.filter(user=user_of(request), page=page, pk=view_id).delete()
    if not deleted:
        raise Http404
    messages.success(request, "The view is deleted.")
    return redirect(f"console:{page}")
