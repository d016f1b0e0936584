"""Signing in and out, the profile, and what each account may do."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from meterops.interfaces.console.models import Preference
from meterops.interfaces.console.pages import actor_of, signed_in, user_of
from meterops.kernel import access, audit
from meterops.kernel.actor import Actor
from meterops.kernel.clock import utc_now


class SignIn(LoginView):
    """GET and POST /sign-in."""

    template_name = "console/account/sign_in.html"
    redirect_authenticated_user = True

    def form_valid(self, form: Any) -> HttpResponse:
        """Let the person in, and note it."""
        response = super().form_valid(form)
        audit.record(actor=actor_of(self.request), action="sign in", subject="console", at=utc_now())
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        """Refuse, and note under which name it was tried."""
        name = str(form.data.get("username", ""))[:150]
        audit.record(actor=Actor(name or "nobody"), action="sign in refused", subject="console", at=utc_now())
        response: HttpResponse = super().form_invalid(form)
        response.status_code = 401
        return response


class SignOut(LogoutView):
    """POST /sign-out."""

    next_page = "console:sign-in"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """End the session, and note it."""
        if request.user.is_authenticated:
            audit.record(actor=actor_of(request), action="sign out", subject="console", at=utc_now())
        response: HttpResponse = super().post(request, *args, **kwargs)
        return response


LONGEST_TOKEN_DAYS = 365


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token with its state in words."""

    view: access.TokenView
    valid: bool
    state: str
    mark: str


@signed_in
@require_http_methods(["GET", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    """The person's own settings and tokens."""
    if request.method == "POST":
        single_keys = "single_keys" in request.POST
        Preference.objects.update_or_create(user=user_of(request), defaults={"single_keys": single_keys})
        messages.success(request, "Saved.")
        return redirect("console:profile")
    return _profile(request)


@signed_in
@require_POST
def create_token(request: HttpRequest) -> HttpResponse:
    """Draw a token and show it, this once."""
    days = request.POST.get("days", "")
    purpose = request.POST.get("purpose", "").strip()[:100]
    if not purpose or not days.isdigit() or not 1 <= int(days) <= LONGEST_TOKEN_DAYS:
        messages.error(request, "A token needs a purpose and an end within a year.")
        return redirect("console:profile")
    now = utc_now()
    text = access.create_token(
        user=user_of(request),
        purpose=purpose,
        actor=actor_of(request),
        at=now,
        expires_at=now + timedelta(days=int(days)),
    )
    return _profile(request, new_token=text)


@signed_in
@require_POST
def revoke_token(request: HttpRequest, token_id: int) -> HttpResponse:
    """Make one of the person's own tokens open nothing."""
    try:
        access.revoke_token(token_id=token_id, actor=actor_of(request), at=utc_now(), user=user_of(request))
        messages.success(request, "The token opens nothing from now on.")
    except access.TokenUnknown as refusal:
        messages.error(request, str(refusal))
    return redirect("console:profile")


def _profile(request: HttpRequest, new_token: str = "") -> HttpResponse:
    user = user_of(request)
    context = {
        "permissions": [] if user.is_superuser else sorted(user.get_all_permissions()),
        "tokens": [_token_row(view) for view in access.list_tokens(user)],
        "new_token": new_token,
    }
    return render(request, "console/account/profile.html", context)


def _token_row(view: access.TokenView) -> TokenRow:
    if view.revoked_at is not None:
        return TokenRow(view, valid=False, state="revoked", mark="failed")
    if not view.is_valid(utc_now()):
        return TokenRow(view, valid=False, state="ended", mark="never")
    return TokenRow(view, valid=True, state="valid", mark="ok")
