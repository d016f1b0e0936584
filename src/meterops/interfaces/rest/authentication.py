"""Who calls: a program with a token, or a signed-in person's browser."""

from typing import Any

from django.http import HttpRequest
from ninja.security import HttpBearer, SessionAuth

from meterops.kernel import access
from meterops.kernel.actor import Actor
from meterops.kernel.clock import utc_now
from meterops.kernel.refusal import Refusal


class NoPermission(Refusal):
    """You may not do this."""


class TokenBearer(HttpBearer):
    """`Authorization: Bearer mo_...`."""

    def authenticate(self, request: HttpRequest, token: str) -> Any:
        """The token's actor; None, and so 401, where it opens nothing."""
        found = access.user_of_token(token, now=utc_now())
        if found is None:
            return None
        request.user, actor = found
        return actor


class Session(SessionAuth):
    """The console's session cookie, with its CSRF check."""

    def authenticate(self, request: HttpRequest, key: str | None) -> Any:
        """The signed-in person as actor."""
        user = request.user
        return Actor(user.get_username()) if user.is_authenticated else None


def actor_of(request: HttpRequest) -> Actor:
    """Who is calling, as the audit log names them."""
    actor: Actor = request.auth  # type: ignore[attr-defined]  # ninja puts there what an authenticator returned
    return actor


def require(request: HttpRequest, permission: str) -> None:
    """Refuse unless the caller has a Django permission such as `headend.read_on_demand`.

    Raises:
        NoPermission: when they have not.
    """
    if not request.user.has_perm(permission):
        raise NoPermission(f"This needs the permission {permission}.", permission=permission)
