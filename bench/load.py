"""A light load generator: keep-alive connections, each with one request at a time, little work per answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

TIMEOUT_SECONDS = 60.0


class BadAnswer(Exception):
    """An answer that is not the one the scenario asks for; a benchmark of errors would be worth nothing."""


@dataclass(frozen=True, slots=True)
class Call:
    """A prepared request and the bytes that a right answer contains."""

    host: str
    port: int
    request: bytes
    expected: bytes


def post(
    host: str,
    port: int,
    path: str,
    body: bytes,
    key: str,
    expected: bytes,
    headers: Mapping[str, str] | None = None,
) -> Call:
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {host}:{port}\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {key}\r\n{more}content-length: {len(body)}\r\n\r\n"
    )
    return Call(host, port, head.encode() + body, expected)


async def run(call: Call, *, requests: int, connections: int) -> list[float]:
    """Sends so many requests over so many connections; gives each one's whole time in seconds."""
    left = iter(range(requests))
    times: list[float] = []
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await asyncio.gather(*(_one_connection(call, left, times) for _ in range(connections)))
    return times


async def _one_connection(call: Call, left: object, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection(call.host, call.port, limit=2**20)
    try:
        for _ in left:  # type: ignore[attr-defined]
            started = time.perf_counter()
            writer.write(call.request)
            answer = await _answer(reader)
            times.append(time.perf_counter() - started)
            if call.expected not in answer or not answer.startswith(b"HTTP/1.1 200"):
                raise BadAnswer(answer[:600].decode(errors="replace"))
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    """Head and body, whether counted or chunked (a chunked body ends with an empty chunk)."""
    head = await reader.readuntil(b"\r\n\r\n")
    lowered = head.lower()
    if b"content-length:" in lowered:
        length = int(lowered.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        return head + await reader.readexactly(length)
    body = bytearray(head)
    while not body.endswith(b"\r\n0\r\n\r\n"):
        piece = await reader.read(2**18)
        if not piece:
            raise BadAnswer("the connection was closed in the middle of an answer")
        body += piece
    return bytes(body)
