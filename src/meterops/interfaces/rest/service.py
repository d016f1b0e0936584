"""The REST interface: OpenAPI at /api/v1/openapi.json, errors as `{"error": code, "message": sentence, ...}`."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, ValidationError

from meterops import __version__
from meterops.interfaces.rest.authentication import NoPermission, Session, TokenBearer
from meterops.interfaces.rest.events import router as events_router
from meterops.interfaces.rest.incidents import router as incidents_router
from meterops.interfaces.rest.inventory import router as inventory_router
from meterops.interfaces.rest.power_checks import router as power_checks_router
from meterops.interfaces.rest.reading import router as reading_router
from meterops.kernel.refusal import Refusal

service = NinjaAPI(
    title="Meterops",
    version=__version__,
    description=(
        "Read a smart-meter fleet, see how it does, and have it read.\n\n"
        "Authenticate with `Authorization: Bearer TOKEN`; make a token with `meterops users token NAME --purpose WHY`. "
        "Times are ISO 8601 in UTC. Energy is in Wh, voltage in V, current in A, power in W."
    ),
    auth=[TokenBearer(), Session()],
    docs_url=None,
    urls_namespace="rest",
)
service.add_router("", inventory_router, tags=["inventory"])
service.add_router("", reading_router, tags=["reading"])
service.add_router("", power_checks_router, tags=["power checks"])
service.add_router("", events_router, tags=["events"])
service.add_router("", incidents_router, tags=["incidents"])


@service.exception_handler(Refusal)
def refused(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """A named refusal: 403 without permission, 404 for what does not exist, 422 for what is not valid, else 409."""
    return _error(request, _status(refusal), refusal.code, str(refusal), **refusal.details)


def _status(refusal: Refusal) -> int:
    if isinstance(refusal, NoPermission):
        return 403
    if refusal.code.endswith("Unknown"):
        return 404
    return 422 if refusal.code.endswith("NotValid") else 409


@service.exception_handler(ValidationError)
def not_valid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Bad input: every place and what is wrong there."""
    problems = [{"where": ".".join(map(str, one["loc"])), "what": one["msg"]} for one in error.errors]
    return _error(request, 422, "NotValid", "The request is not valid.", problems=problems)


@service.exception_handler(AuthenticationError)
def not_authenticated(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    """No token, or one that opens nothing."""
    answer = _error(request, 401, "NotAuthenticated", "A valid token or a signed-in session is needed.")
    answer["WWW-Authenticate"] = "Bearer"
    return answer


@service.exception_handler(Http404)
def not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    """Nothing there."""
    return _error(request, 404, "NotFound", str(error) or "There is nothing here.")


def _error(request: HttpRequest, status: int, code: str, message: str, **details: Any) -> HttpResponse:
    return service.create_response(request, {"error": code, "message": message, **details}, status=status)
