"""The yardstick: an ASGI application that passes bytes through, on the gateway's server and with aiohttp as its client.

It checks no key, reads no body, records nothing. What the gateway costs beyond it is what the gateway does.
"""

from __future__ import annotations

import os
from typing import Any

import aiohttp

UPSTREAM = "BENCH_UPSTREAM"  # the provider's base URL, such as http://127.0.0.1:8100/openai
_session: aiohttp.ClientSession | None = None


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    body = await _read(receive)
    if scope["path"] == "/healthz":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})
        return
    assert _session is not None
    headers = {"authorization": "Bearer bench", "content-type": "application/json"}
    async with _session.post(os.environ[UPSTREAM] + scope["path"], data=body, headers=headers) as reply:
        kind = reply.headers.get("content-type", "").encode()
        await send({"type": "http.response.start", "status": reply.status, "headers": [(b"content-type", kind)]})
        async for piece in reply.content.iter_any():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})


async def _read(receive: Any) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def _lifespan(receive: Any, send: Any) -> None:
    global _session
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            _session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)
        elif _session is not None:
            await _session.close()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
