"""Errors of the operators' API: one shape, `{"error": {"code", "message", "param"}}`, whatever went wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import add_never_cache_headers
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from gateway.engine.errors import GatewayError, InvalidRequest, LedgerUnavailable, NotAuthenticated, RequestTooLarge

logger = logging.getLogger("gateway.api")

MISSING_KEY = (
    "No API key. Send an operator's key as `Authorization: Bearer sk-llmops-…` or `x-api-key: sk-llmops-…`, "
    "or log in to the back office."
)
NO_OBJECT = "The body must be a JSON object; its fields are described at /api/docs."
_MOST_FAULTS_TOLD = 3


class NotFound(GatewayError):
    status, code = 404, "not_found"


class MethodNotAllowed(GatewayError):
    status, code = 405, "method_not_allowed"


class NotServingHere(GatewayError):
    status, code = 503, "not_serving"


def error_reply(error: GatewayError) -> HttpResponse:
    told = {"code": error.code, "message": error.message}
    if error.param is not None:
        told["param"] = error.param
    return JsonResponse({"error": told}, status=error.status)


def handle_errors(api: NinjaAPI) -> None:
    """Give every exception of an operation its reply."""

    def reply_with(translate: Callable[[Any], GatewayError]) -> Callable[[HttpRequest, Any], HttpResponse]:
        return lambda request, error: error_reply(translate(error))

    api.add_exception_handler(GatewayError, reply_with(lambda error: error))
    api.add_exception_handler(ValidationError, reply_with(lambda error: _invalid(error.errors)))
    api.add_exception_handler(AuthenticationError, reply_with(lambda error: NotAuthenticated(MISSING_KEY)))
    api.add_exception_handler(HttpError, reply_with(_http_error))
    api.add_exception_handler(RequestDataTooBig, reply_with(lambda error: RequestTooLarge("The body is too large.")))
    api.add_exception_handler(OperationalError, reply_with(_database_away))
    api.add_exception_handler(InterfaceError, reply_with(_database_away))
    api.add_exception_handler(Exception, _unforeseen)


def _invalid(faults: list[dict[str, Any]]) -> InvalidRequest:
    told = [(_field(fault["loc"]), _sentence(fault)) for fault in faults[:_MOST_FAULTS_TOLD]]
    message = "; ".join(f"{field}: {sentence}" if field else sentence for field, sentence in told)
    return InvalidRequest(message, param=told[0][0] or None)


def _field(location: tuple[Any, ...]) -> str:
    """The field's own name, "" for a whole body; what comes before it is where ninja looked for it."""
    before = 2 if location[0] == "body" else 1  # "body" and the argument's name, or "query" or "path"
    return str(location[-1]) if len(location) > before else ""


def _sentence(fault: dict[str, Any]) -> str:
    if not _field(fault["loc"]):
        return NO_OBJECT
    message = str(fault["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _http_error(error: HttpError) -> GatewayError:
    if error.status_code == 400:
        return InvalidRequest(NO_OBJECT)
    told = GatewayError(error.message)
    told.status = error.status_code
    return told


def _database_away(error: Exception) -> GatewayError:
    logger.error("the operators' API can't use the database: %s", error)
    return LedgerUnavailable("The database does not answer; try again in a moment.")


def _unforeseen(request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
    logger.error("%s %s failed in a way nobody foresaw", request.method, request.path, exc_info=True)
    return error_reply(GatewayError("Something broke inside the gateway; see its log."))


def spoken_in_json(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """What ninja answers outside of operations, in our shape: wrong methods, unknown paths. Nothing may be cached."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response = view(request, *args, **kwargs)
        except Http404:
            response = error_reply(unknown_path(request))
        if response.status_code == 405:
            response = _wrong_method(request, response)
        add_never_cache_headers(response)
        return response

    return wrapped


def unknown_path(request: HttpRequest) -> NotFound:
    return NotFound(f"There is nothing at {request.path}. What there is stands at /api/docs.")


def _wrong_method(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    allowed = response.headers.get("Allow", "")
    reply = error_reply(MethodNotAllowed(f"{request.method} is not allowed at {request.path}; allowed: {allowed}."))
    reply.headers["Allow"] = allowed
    return reply


def only_parameters(request: HttpRequest, *known: str) -> None:
    """Raises InvalidRequest for a query parameter that would be ignored: a misspelt one changes what is asked."""
    unknown = sorted(set(request.GET) - set(known))
    if unknown:
        may = ", ".join(known) or "none"
        raise InvalidRequest(f"Unknown query parameter {unknown[0][:40]!r}; known here: {may}.", param=unknown[0][:40])
