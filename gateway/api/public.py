"""The agents' API as django-ninja operations: OpenAI's wire, Anthropic's wire, and what both have.

Bodies are not declared as schemas: they are the providers' own, parsed and checked by `gateway.wires`, and unknown
fields must survive.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from ninja import NinjaAPI

from gateway.api.batches import router as batches_router
from gateway.api.replies import EventStream, PlainResponse, error_response, request_id_of, with_headers
from gateway.api.requests import headers_of
from gateway.engine.configuration import Route
from gateway.engine.errors import GatewayError, ModelNotFound
from gateway.engine.words import Operation
from gateway.services.access import allowed_routes, authenticate, route_for
from gateway.services.call import Call
from gateway.services.completion import completion_obtain
from gateway.services.counting import tokens_count
from gateway.services.feedback import feedback_keep, feedback_parse
from gateway.services.runtime import Runtime, running_runtime
from gateway.services.task_signs import worker_words_soon
from gateway.services.work import PlainReply

api = NinjaAPI(
    title="llmops",
    version="1",
    description="The gateway's public API: OpenAI's and Anthropic's wire formats.",
    urls_namespace="public",
    docs_url=None,
    openapi_url="/v1/openapi.json",
)

api.add_router("", batches_router)


@api.exception_handler(GatewayError)
def gateway_error(request: HttpRequest, error: GatewayError) -> HttpResponse:
    error.__traceback__ = None  # its frames hold the body, and may hold the error: freed now, not some day
    return error_response(request, error)


@api.post("/v1/chat/completions", summary="OpenAI Chat Completions", tags=["OpenAI wire"], include_in_schema=True)
async def chat_completions(request: HttpRequest) -> HttpResponseBase:
    return await _complete(request, Operation.CHAT)


@api.post("/v1/messages", summary="Anthropic Messages", tags=["Anthropic wire"])
async def messages(request: HttpRequest) -> HttpResponseBase:
    return await _complete(request, Operation.MESSAGES)


@api.post("/v1/messages/count_tokens", summary="How many tokens a message would have", tags=["Anthropic wire"])
async def count_tokens(request: HttpRequest) -> HttpResponseBase:
    runtime = running_runtime()
    call = _call(request, runtime, Operation.COUNT_TOKENS)
    return PlainResponse(await tokens_count(runtime, call), call.request_id)


@api.post("/v1/responses", summary="OpenAI Responses, on OpenAI's own models", tags=["OpenAI wire"])
async def responses(request: HttpRequest) -> HttpResponseBase:
    return await _complete(request, Operation.RESPONSES)


@api.post("/v1/embeddings", summary="OpenAI Embeddings, on OpenAI's own models", tags=["OpenAI wire"])
async def embeddings(request: HttpRequest) -> HttpResponseBase:
    return await _complete(request, Operation.EMBEDDINGS)


def check_key(path: str, headers: dict[str, str]) -> None:
    """Before a body is read: whoever has no key needn't send one. Raises NotAuthenticated.

    The operation checks it again: much may change while a body arrives.
    """
    if path.startswith("/v1/"):
        authenticate(running_runtime().snapshot, headers, datetime.now(UTC))


def _call(request: HttpRequest, runtime: Runtime, operation: Operation) -> Call:
    """The call of an authenticated client. Raises NotAuthenticated."""
    headers, now = headers_of(request), datetime.now(UTC)
    key = authenticate(runtime.snapshot, headers, now)
    runtime.key_uses.note(key.id, now)
    return Call(operation, request.read(), headers, key, request_id_of(request))


async def _complete(request: HttpRequest, operation: Operation) -> HttpResponseBase:
    runtime = running_runtime()
    call = _call(request, runtime, operation)
    reply = await completion_obtain(runtime, call)
    if isinstance(reply, PlainReply):
        return PlainResponse(reply, call.request_id)
    try:
        return EventStream(reply, call.request_id)
    except BaseException as error:
        await reply.leave(error)
        raise


# What agents call all day. The handler calls these by path; ninja's way to them, which searches all paths and prepares
# a response of its own, would cost a tenth of the request (docs/decisions/0004-asgi-handler.md).
BY_PATH: Mapping[str, Callable[[HttpRequest], Awaitable[HttpResponseBase]]] = {
    "/v1/chat/completions": chat_completions,
    "/v1/messages": messages,
    "/v1/responses": responses,
    "/v1/embeddings": embeddings,
}


@api.get("/v1/models", summary="The routes this key may use", tags=["both wires"])
async def models(request: HttpRequest) -> HttpResponse:
    snapshot = running_runtime().snapshot
    key = authenticate(snapshot, headers_of(request), datetime.now(UTC))
    return _json(request, _model_list(allowed_routes(snapshot, key)))


@api.get("/v1/models/{path:model}", summary="One route", tags=["both wires"])
async def model(request: HttpRequest, model: str) -> HttpResponse:
    snapshot = running_runtime().snapshot
    key = authenticate(snapshot, headers_of(request), datetime.now(UTC))
    return _json(request, _model_object(model, route_for(snapshot, key, model)))


@api.post("/v1/feedback", summary="Say whether an answer was good", tags=["both wires"])
async def feedback(request: HttpRequest) -> HttpResponse:
    runtime = running_runtime()
    now = datetime.now(UTC)
    key = authenticate(runtime.snapshot, headers_of(request), now)
    runtime.key_uses.note(key.id, now)
    word = feedback_parse(request.read())
    await runtime.feedback.run(feedback_keep, word=word, key=key, now=now)
    told = {"object": "feedback", "request_id": word.request_id, "score": word.score, "note": word.note}
    return _json(request, told)


def _model_list(routes: list[Route]) -> dict[str, Any]:
    """A list that both SDKs can page through."""
    names = [name for route in routes for name in (route.name, *route.aliases)]
    by_name = {name: route for route in routes for name in (route.name, *route.aliases)}
    data = [_model_object(name, by_name[name]) for name in names]
    ends = {"first_id": names[0], "last_id": names[-1]} if names else {"first_id": None, "last_id": None}
    return {"object": "list", "data": data, "has_more": False, **ends}


def _model_object(name: str, route: Route) -> dict[str, Any]:
    """A route as both wires describe a model; routes have no date of birth, so the epoch stands in."""
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "llmops",
        "type": "model",
        "display_name": name if name == route.name else f"{name} (route {route.name})",
        "created_at": "1970-01-01T00:00:00Z",
    }


def _json(request: HttpRequest, document: dict[str, Any]) -> HttpResponse:
    return with_headers(JsonResponse(document), {}, request_id_of(request))


@api.api_operation(["HEAD"], "/healthz", include_in_schema=False)  # load balancers ask by HEAD: RFC 9110, 9.3.2
@api.get("/healthz", summary="Is the process alive", tags=["health"])
async def healthz(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})


@api.api_operation(["HEAD"], "/readyz", include_in_schema=False)
@api.get("/readyz", summary="Can it serve, and if not, what is missing", tags=["health"])
async def readyz(request: HttpRequest) -> HttpResponse:
    runtime = running_runtime()
    missing, redis = runtime.missing(), runtime.breakers.status.words
    facts = {"missing": missing, "redis": redis, "tasks": await worker_words_soon()}
    if missing:
        return JsonResponse({"status": "not ready", **facts}, status=503)
    return JsonResponse({"status": "ready", "degraded": runtime.degraded(), **facts})


def unknown_path(path: str) -> ModelNotFound:
    sentence = f"There is nothing at {path}. The API's paths are listed at /v1/openapi.json."
    if path.startswith("/v1/responses/"):
        sentence = f"There is nothing at {path}: this gateway keeps no responses; POST /v1/responses is what it has."
    error = ModelNotFound(sentence)
    error.code = "not_found"
    return error
