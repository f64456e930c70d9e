"""Signs of life for a client that waits, so that no proxy takes its stream for dead."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, Self

from gateway.engine.clock import Clock

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

KEEP_ALIVE_SECONDS = 5.0


class Waiting(Protocol):
    """What is being waited for, and what to send meanwhile: whole server-sent events that mean nothing."""

    clock: Clock
    keep_alive: bytes


class KeepAlive:
    """The client's end of a stream: after every `KEEP_ALIVE_SECONDS` without data it gets the stream's `keep_alive`,
    the first time at once.

    A task of its own, because cutting a wait short and resuming it would cost every piece of every stream more than
    this costs the stream.
    """

    def __init__(self, stream: Waiting, send: Send) -> None:
        self._stream = stream
        self._send = send
        self._sending = False
        self._last = stream.clock.monotonic() - KEEP_ALIVE_SECONDS
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.ensure_future(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def send(self, data: bytes) -> None:
        self._sending = True
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self._sending = False
        self._last = self._stream.clock.monotonic()

    async def _run(self) -> None:
        clock = self._stream.clock
        while True:
            quiet_seconds = clock.monotonic() - self._last
            if quiet_seconds >= KEEP_ALIVE_SECONDS and not self._sending:
                await self.send(self._stream.keep_alive)
                quiet_seconds = 0.0
            await clock.sleep(max(KEEP_ALIVE_SECONDS - quiet_seconds, 1.0))
