"""What every page does the same way: sign-in, permissions, parts that refresh by themselves, pictures of refusals."""

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import quote

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse

from meterops.kernel.actor import Actor

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]
Part = Callable[[], Mapping[str, Any]]
_LONGEST_NUMBER = 12


def signed_in(view: View[P]) -> View[P]:
    """Only for people who signed in. A fragment's request is answered so that the whole page goes to the sign-in."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if request.user.is_authenticated:
            response = view(request, *args, **kwargs)
            response.headers.setdefault("Cache-Control", "no-store")
            return response
        if is_fragment(request):
            return HttpResponse(status=401, headers={"HX-Redirect": reverse("console:sign-in")})
        return HttpResponseRedirect(f"{reverse('console:sign-in')}?next={quote(request.get_full_path())}")

    return guarded


def may(permission: str) -> Callable[[View[P]], View[P]]:
    """Only for people who hold `permission`; others see which one is missing and who can give it."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if user_of(request).has_perm(permission):
                return view(request, *args, **kwargs)
            return no_permission(request, permission)

        return signed_in(guarded)

    return decorate


def no_permission(request: HttpRequest, permission: str) -> HttpResponse:
    """The page, or for a fragment the line, that says what is missing."""
    template = "console/parts/no_permission.html" if is_fragment(request) else "console/no_permission.html"
    return render(request, template, {"permission": permission}, status=403)


def user_of(request: HttpRequest) -> User:
    """The signed-in person; only behind `signed_in`."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def actor_of(request: HttpRequest) -> Actor:
    """The signed-in person as operations and the audit trail know them."""
    return Actor(user_of(request).get_username())


def is_fragment(request: HttpRequest) -> bool:
    """Whether a part of a page is asked for, and not a page."""
    return request.headers.get("HX-Request") == "true"


def page(request: HttpRequest, folder: str, parts: Mapping[str, Part], **context: Any) -> HttpResponse:
    """`console/<folder>/page.html` with every part's figures, or with `?part=NAME` just `console/<folder>/NAME.html`.

    A part of the page and the same part refreshed are thus the same template over the same query.
    """
    wanted = request.GET.get("part", "")
    if wanted in parts:
        content = {**context, **parts[wanted]()}
        return HttpResponse(render_to_string(f"console/{folder}/{wanted}.html", content, request))
    for build in parts.values():
        context.update(build())
    return render(request, f"console/{folder}/page.html", context)


def numbers_of(texts: Iterable[str], most: int) -> list[int]:
    """The numbers of things among what an address or a form says, in its order, at most so many; what is none is passed over."""
    return [int(one) for one in texts if one.isascii() and one.isdecimal() and len(one) < _LONGEST_NUMBER][:most]


def notice(
    request: HttpRequest, text: str, *, refused: bool = False, status: int = 200, href: str = "", words: str = ""
) -> HttpResponse:
    """One sentence as a fragment: what was done, or why it was not; `href` is where it is seen, under `words`."""
    content = {"text": text, "refused": refused, "href": href, "words": words}
    return render(request, "console/parts/notice.html", content, status=status)
