"""Noticing that a client leaves while something is done for it.

ASGI tells it to whoever waits for the next message, which takes a task of its own for each request. Our server's
protocol calls back instead (`gateway/supervisor/departures.py`); any other server is asked by such a task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any

# An extension in the request's scope: `when_gone(act)` calls `act` once when the client leaves, and `when_gone(None)`
# takes it back. False: it has left before.
WHEN_GONE = "llmops.when_gone"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
WhenGone = Callable[[Callable[[], None] | None], bool]


class ClientGone(Exception):
    """The client closed the connection."""


class WhileConnected:
    """`async with`: what is under way in it is cancelled when the client leaves, and that cancellation ends with it.

    `receive` gives nothing but the client's leaving any more. Raises ClientGone where it has left already.
    """

    __slots__ = ("_gone", "_receive", "_task", "_watcher", "_when_gone")

    def __init__(self, task: asyncio.Task[Any], scope: Scope, receive: Receive) -> None:
        """`task` is the current one."""
        self._task: asyncio.Task[Any] | None = task
        self._when_gone: WhenGone | None = scope.get("extensions", {}).get(WHEN_GONE)
        self._receive = receive
        self._watcher: asyncio.Task[None] | None = None
        self._gone = False

    async def __aenter__(self) -> None:
        if self._when_gone is None:
            self._watcher = asyncio.ensure_future(self._watch())
        elif not self._when_gone(self._leave):
            raise ClientGone

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        task, self._task = self._task, None
        if self._when_gone is not None:
            self._when_gone(None)
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        if not self._gone or task is None:
            return False
        cancelled_by_others = task.uncancel() > 0
        return kind is asyncio.CancelledError and not cancelled_by_others

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        if self._task is not None:
            self._gone = True
            self._task.cancel()
