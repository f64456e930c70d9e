"""A body has its time and its size, and a client that leaves within it is no request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.api.asgi import ApiHandler
from gateway.engine.errors import NotAuthenticated

LIMIT_BYTES = 10


async def silence() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


def keyless(path: str, headers: dict[str, str]) -> None:
    raise NotAuthenticated("Unknown API key.")


async def asked(
    path: str, receive: Callable[[], Awaitable[dict[str, Any]]], *headers: tuple[bytes, bytes], **options: Any
) -> tuple[int, Any] | None:
    """Status and body of the answer to a request whose body `receive` gives; None where there is no answer."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": headers,
        "query_string": b"",
        "http_version": "1.1",
    }
    handler = ApiHandler(max_body_bytes=LIMIT_BYTES, body_timeout_seconds=0.01, **options)
    await handler(scope, receive, send)
    return (sent[0]["status"], json.loads(sent[1]["body"])) if sent else None


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
async def test_a_body_that_never_comes_is_a_400_that_names_the_time(path: str) -> None:
    answer = await asked(path, silence)
    assert answer is not None
    assert answer[0] == 400
    assert "0.01 s" in answer[1]["error"]["message"]


async def test_a_body_without_end_is_a_413_as_soon_as_it_is_too_large() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * 4, "more_body": True}

    answer = await asked("/v1/embeddings", receive)
    assert answer is not None
    assert (answer[0], answer[1]["error"]["code"]) == (413, "request_too_large")


async def test_a_client_that_leaves_gets_no_answer() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    assert await asked("/v1/responses", receive) is None


async def unread() -> dict[str, Any]:
    raise AssertionError("the body was read")


async def test_a_body_that_says_it_is_too_large_is_a_413_before_it_is_read() -> None:
    answer = await asked("/v1/embeddings", unread, (b"content-length", b"11"))
    assert answer is not None
    assert (answer[0], answer[1]["error"]["code"]) == (413, "request_too_large")


async def test_whoever_has_no_key_is_told_so_before_the_body_is_read() -> None:
    answer = await asked("/v1/responses", unread, (b"content-length", b"9"), check_headers=keyless)
    assert answer is not None
    assert (answer[0], answer[1]["error"]["code"]) == (401, "invalid_api_key")
