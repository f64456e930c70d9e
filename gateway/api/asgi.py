"""The short way in for the agents' API.

Django's own ASGI handler starts a thread context and runs synchronous signal receivers for every request, a millisecond
of CPU (docs/decisions/0004-asgi-handler.md). This one resolves the API's URLs to the same django-ninja operations and
runs nothing else: no middleware, no signals, no threads. The back office keeps the stock handler.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, cast

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.http.response import Http404, HttpResponseBase
from django.urls import get_resolver

from gateway.api.batches import Download
from gateway.api.keep_alive import KeepAlive
from gateway.api.presence import ClientGone, Receive, Scope, WhileConnected
from gateway.api.public import BY_PATH, gateway_error, unknown_path
from gateway.api.replies import EventStream, error_response, request_id_of
from gateway.api.requests import headers_read, lower_headers
from gateway.engine.errors import GatewayError, InvalidRequest, RequestTooLarge, ShuttingDown
from gateway.wires.quoting import quoted

logger = logging.getLogger("gateway.api")

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
# Status, headers with names in lower case, body. Our own server has it in the scope's extensions, so that an answer
# doesn't cost two messages and a search through each header (`gateway/supervisor/whole_replies.py`).
SendAnswer = Callable[[int, Mapping[str, str], bytes], Awaitable[None]]
ANSWER = "llmops.answer"

_URLS = "gateway.api.public_urls"
BODY_TIMEOUT_SECONDS = 60.0
BODYLESS_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class ApiHandler:
    """An ASGI application for the paths of the public API.

    `check_headers` raises a GatewayError for a request whose body is not worth reading.
    """

    def __init__(
        self,
        *,
        max_body_bytes: int,
        body_timeout_seconds: float = BODY_TIMEOUT_SECONDS,
        check_headers: Callable[[str, dict[str, str]], None] = lambda path, headers: None,
    ) -> None:
        self._max_body_bytes = max_body_bytes
        self._body_timeout_seconds = body_timeout_seconds
        self._check_headers = check_headers
        self._under_way: set[asyncio.Task[Any]] = set()
        self._broken_off = False

    def break_off(self) -> None:
        """End whatever is under way with an error: what was accepted was given its time, and now we must stop."""
        self._broken_off = True
        for work in list(self._under_way):
            work.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            request = await self._read_request(scope, receive)
        except ClientGone:
            return
        except GatewayError as error:
            request = ASGIRequest(scope, io.BytesIO())
            await send_response(error_response(request, error), send)
            return
        await self._serve_while_connected(request, scope, receive, send)

    async def _read_request(self, scope: Scope, receive: Receive) -> ASGIRequest:
        headers = lower_headers(scope["headers"])
        if scope["method"] not in BODYLESS_METHODS:
            self._check_headers(scope["path"], headers)
            check_length(headers, self._max_body_bytes)
            check_encoding(headers)
        try:
            async with asyncio.timeout(self._body_timeout_seconds):
                body = await read_body(receive, self._max_body_bytes)
        except TimeoutError:
            raise InvalidRequest(
                f"The request's body did not arrive within {self._body_timeout_seconds:g} s."
            ) from None
        request = ASGIRequest(scope, io.BytesIO(body))
        headers_read(request, headers)
        return request

    async def _serve_while_connected(self, request: ASGIRequest, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; a client that leaves before cancels whatever is being done for it."""
        work = asyncio.current_task()
        assert work is not None
        self._under_way.add(work)
        try:
            async with WhileConnected(work, scope, receive):
                await self._serve(request, send, scope.get("extensions", {}).get(ANSWER))
        except ClientGone:
            return
        except asyncio.CancelledError:
            if not self._broken_off:
                raise
        finally:
            self._under_way.discard(work)

    async def _serve(self, request: ASGIRequest, send: Send, answer: SendAnswer | None) -> None:
        response = await self._respond(request)
        if isinstance(response, EventStream):
            await send_stream(response, send, lambda: self._broken_off)
        elif isinstance(response, Download):
            await send_download(response, send)
        else:
            await send_response(response, send, answer)

    async def _respond(self, request: ASGIRequest) -> HttpResponseBase:
        if self._broken_off:
            return error_response(request, ShuttingDown())
        try:
            return await respond(request)
        except asyncio.CancelledError:
            if not self._broken_off:
                raise
            return error_response(request, ShuttingDown())


def check_length(headers: Mapping[str, str], limit_bytes: int) -> None:
    """Raises RequestTooLarge for a body that says of itself that it is too large."""
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit_bytes:
        raise _too_large(limit_bytes)


def check_encoding(headers: Mapping[str, str]) -> None:
    """Raises InvalidRequest for a compressed body: a few bytes of it may hold any number."""
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise InvalidRequest(
            f"A body with Content-Encoding {quoted(encoding)} isn't read here. Send it uncompressed.",
            param="Content-Encoding",
        )


def _too_large(limit_bytes: int) -> RequestTooLarge:
    return RequestTooLarge(f"The request's body is larger than {limit_bytes} bytes.")


async def read_body(receive: Receive, limit_bytes: int) -> bytes:
    """The whole body. Raises RequestTooLarge past `limit_bytes`, ClientGone when the client leaves."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit_bytes:
            raise _too_large(limit_bytes)
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces) if len(pieces) > 1 else pieces[0]


async def respond(request: HttpRequest) -> HttpResponseBase:
    """The operation's response, or the error's in the surface's shape. Never raises but for cancellation."""
    try:
        operation = BY_PATH.get(request.path_info) if request.method == "POST" else None
        response = await (_resolved(request) if operation is None else operation(request))
    except GatewayError as error:
        return gateway_error(request, error)
    except Http404:
        return error_response(request, unknown_path(request.path))
    except Exception:
        request_id = request_id_of(request)
        logger.exception("request %s failed in a way nobody foresaw", request_id)
        return error_response(
            request, GatewayError(f"Something broke inside the gateway; see its log for {request_id}.")
        )
    if response.status_code == 405:
        return error_response(request, _wrong_method(request))
    return response


async def _resolved(request: HttpRequest) -> HttpResponseBase:
    match = get_resolver(_URLS).resolve(request.path_info)
    request.resolver_match = match
    response = match.func(request, *match.args, **match.kwargs)
    return cast("HttpResponseBase", await response if inspect.isawaitable(response) else response)


def _wrong_method(request: HttpRequest) -> GatewayError:
    error = InvalidRequest(f"{request.method} is not allowed at {request.path}.")
    error.status, error.code = 405, "method_not_allowed"
    return error


def _start(response: HttpResponseBase, content_length: int | None = None) -> dict[str, Any]:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
    if content_length is not None:
        headers.append((b"content-length", b"%d" % content_length))
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}


async def send_response(response: HttpResponseBase, send: Send, answer: SendAnswer | None = None) -> None:
    """By `answer`, where the server has such a way."""
    body = response.content  # type: ignore[attr-defined]
    if answer is not None:
        await answer(response.status_code, {name.lower(): value for name, value in response.items()}, body)
        return
    await send(_start(response, len(body)))
    await send({"type": "http.response.body", "body": body})


async def send_download(response: Download, send: Send) -> None:
    """Piece by piece, as its client takes them."""
    await send(_start(response))
    async for piece in response.pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def send_stream(response: EventStream, send: Send, broken_off: Callable[[], bool] = lambda: False) -> None:
    """Forward event by event. Whatever ends this early closes the provider's stream and settles.

    A cancellation is the client's leaving, unless `broken_off`: then the stream ends with an error.
    """
    reply = response.reply
    try:
        await send(_start(response))
        async with KeepAlive(reply, send) as client:
            try:
                while (data := await reply.read()) is not None:
                    await client.send(data)
            except asyncio.CancelledError:
                if not broken_off():
                    raise
                await client.send(await reply.break_off(ShuttingDown()))
        await send({"type": "http.response.body", "body": b""})
    except BaseException as error:
        await reply.leave(error)
        raise
