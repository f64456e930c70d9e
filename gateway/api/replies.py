"""Django responses out of what the services return."""

from __future__ import annotations

from collections.abc import AsyncIterator, ItemsView, Mapping
from typing import TypeVar

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase, ResponseHeaders

from gateway.api.requests import headers_of, surface_of
from gateway.engine.errors import GatewayError
from gateway.services.call import new_request_id
from gateway.services.stream_reply import StreamingReply
from gateway.services.work import PlainReply
from gateway.wires import render_error

AnyResponse = TypeVar("AnyResponse", bound=HttpResponseBase)


def request_id_of(request: HttpRequest) -> str:
    """The request's id: made once, told in every reply to it."""
    request_id: str | None = getattr(request, "llmops_request_id", None)
    if request_id is None:
        request_id = new_request_id()
        request.llmops_request_id = request_id  # type: ignore[attr-defined]
    return request_id


class PlainResponse(HttpResponse):
    """A whole answer. Its headers are told as they are: Django's own are checked once more for each, and the server
    checks them anyway. Only what is not ASCII, such as a model's name may be, is left to Django to encode."""

    def __init__(self, reply: PlainReply, request_id: str) -> None:
        super().__init__(reply.body, content_type="application/json")  # given, it isn't looked for in the settings
        told = reply.headers
        if not "".join(told.values()).isascii():
            told = dict(ResponseHeaders(told).items())
        self._told = {
            "content-type": "application/json",
            **told,
            "x-request-id": request_id,
            "request-id": request_id,
        }

    def items(self) -> ItemsView[str, str]:
        return self._told.items()


class EventStream(StreamingHttpResponse):
    """A stream of server-sent events. Our own handler reads `reply` itself; Django's iterates."""

    def __init__(self, reply: StreamingReply, request_id: str) -> None:
        super().__init__(_iterate(reply), content_type="text/event-stream; charset=utf-8")
        self.reply = reply
        self.headers["cache-control"] = "no-cache"
        self.headers["x-accel-buffering"] = "no"  # proxies must not hold events back
        with_headers(self, reply.headers, request_id)


async def _iterate(reply: StreamingReply) -> AsyncIterator[bytes]:
    try:
        while (data := await reply.read()) is not None:
            yield data
    except BaseException as error:
        await reply.leave(error)
        raise


def error_response(request: HttpRequest, error: GatewayError) -> HttpResponse:
    """The error in the shape of the surface that was called, so that its SDK raises its own class."""
    request_id = request_id_of(request)
    surface = surface_of(request.path, headers_of(request))
    status, headers, body = render_error(surface, error, request_id)
    content_type = headers.pop("content-type", "application/json")
    response = HttpResponse(body, status=status, content_type=content_type)
    return with_headers(response, {**headers, **error.headers}, request_id)


def with_headers(response: AnyResponse, headers: Mapping[str, str], request_id: str) -> AnyResponse:
    for name, value in headers.items():
        response.headers[name] = value
    response.headers["x-request-id"] = request_id
    response.headers["request-id"] = request_id
    return response
