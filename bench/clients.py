"""Agents that call a gateway and may hang up; what they were told is theirs, what was billed is the simulator's."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

ANSWER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Request:
    """`number` is its trace's id upstream; the client hangs up after `leaves_after_seconds`."""

    number: int
    conversation: str
    body: Mapping[str, Any]
    leaves_after_seconds: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def trace_of(number: int) -> str:
    """The `traceparent` by which the simulator's log knows the request again."""
    return f"00-{number + 1:032x}-{number + 1:016x}-01"


async def send_all(
    port: int, key: str, requests: Iterable[Request], *, clients: int, refusals: list[bytes] | None = None
) -> dict[int, int]:
    """So many at a time; the status of each that got one, by its number. `refusals` collects the bodies of 429s."""
    waiting = iter(list(requests))
    statuses: dict[int, int] = {}

    async def client() -> None:
        for request in waiting:
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError, ValueError, IndexError):
                async with asyncio.timeout(request.leaves_after_seconds or ANSWER_SECONDS):
                    status, rest = await _send(port, key, request)
                    statuses[request.number] = status
                    if status == 429 and refusals is not None:
                        refusals.append(rest.partition(b"\r\n\r\n")[2])

    await asyncio.gather(*(client() for _ in range(clients)))
    return statuses


async def _send(port: int, key: str, request: Request) -> tuple[int, bytes]:
    """The status, and what followed its line."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        body = json.dumps(request.body).encode()
        headers = {
            "host": "127.0.0.1",
            "authorization": f"Bearer {key}",
            "content-type": "application/json",
            "content-length": str(len(body)),
            "connection": "close",
            "x-conversation-id": request.conversation,
            "traceparent": trace_of(request.number),
            **request.headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"POST /v1/chat/completions HTTP/1.1\r\n{lines}\r\n".encode() + body)
        status = int((await reader.readuntil(b"\r\n")).split()[1])
        return status, await reader.read(-1)
    finally:
        writer.close()


def chat(words: str, *, model: str = "default", stream: bool = False, most_tokens: int = 64) -> dict[str, Any]:
    messages = [{"role": "user", "content": words}]
    return {"model": model, "messages": messages, "stream": stream, "max_tokens": most_tokens}


def mixed(count: int, *, seed: int = 7, first: int = 0) -> list[Request]:
    """Plain and streamed, short and long, with a shared prompt long enough to be cached, some left by their client."""
    chance = random.Random(seed)
    return [_mixed(number, chance) for number in range(first, first + count)]


def _mixed(number: int, chance: random.Random) -> Request:
    shared = "All of us are asked this. " * (300 if chance.random() < 0.2 else 1)
    words = f"{shared}[[tokens: {chance.randint(1, 60)}]] number {number}"
    model = chance.choice(("default", "openai-only", "claude"))
    leaves = chance.uniform(0.005, 0.2) if chance.random() < 0.1 else None
    return Request(number, f"c-{number % 50}", chat(words, model=model, stream=chance.random() < 0.5), leaves)
