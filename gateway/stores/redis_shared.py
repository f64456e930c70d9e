"""A script of Redis that a process shares with the fleet while Redis is there, and does without while it isn't."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.stores.redis_batch import RedisBatch
from gateway.stores.redis_line import LineDown, Reply

REJOIN_FIRST_SECONDS = 0.1
REJOIN_MAX_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Told:
    """What is logged, once each time: `lost` takes the reason, `back` nothing."""

    logger: logging.Logger
    lost: str
    back: str


class SharedScript:
    """`ask` waits at most as long as a request may wait; the first call that fails in any way makes this process go on
    alone, and none waits until Redis is back. Tries to join again at growing distances, and then calls `on_return`.

    `away_reason` says why Redis can't be used at this moment, None while it can.
    """

    def __init__(
        self,
        url: str,
        script: str,
        timeout_seconds: float,
        told: Told,
        *,
        on_return: Callable[[], None] = lambda: None,
    ) -> None:
        self._batch = RedisBatch(url, script, timeout_seconds)
        self._told = told
        self._on_return = on_return
        self._tasks: set[asyncio.Task[None]] = set()
        self.away_reason: str | None = "not connected yet"

    async def start(self) -> None:
        """Connect; without Redis the process begins alone and joins later."""
        try:
            await self._batch.connect()
            self.away_reason = None
        except LineDown as down:
            self.away_reason = None
            self._lose(str(down))

    async def aclose(self) -> None:
        """Ends what was spawned; from then on nothing is asked or told."""
        self.away_reason = "this process is stopping"
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._batch.hang_up()

    async def ask(self, keys: Sequence[str], argument: dict[str, Any]) -> Reply | None:
        """The script's answer; None while Redis is away."""
        if self.away_reason is not None:
            return None
        try:
            return await self._batch.ask(keys, argument)
        except LineDown as down:
            self._lose(str(down))
            return None

    def tell(self, keys: Sequence[str], argument: dict[str, Any]) -> None:
        """For what nobody waits for; lost while Redis is away."""
        if self.away_reason is not None:
            return
        try:
            self._batch.tell(keys, argument)
        except LineDown as down:
            self._lose(str(down))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Work that goes on until the store is closed."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _lose(self, reason: str) -> None:
        if self.away_reason is not None:
            return
        self.away_reason = reason
        self._told.logger.warning(self._told.lost, reason)
        self.spawn(self._rejoin())

    async def _rejoin(self) -> None:
        wait_seconds = REJOIN_FIRST_SECONDS
        while True:
            await self._batch.hang_up()
            await asyncio.sleep(wait_seconds)
            wait_seconds = min(2 * wait_seconds, REJOIN_MAX_SECONDS)
            try:
                await self._batch.connect()
            except LineDown as down:
                self.away_reason = str(down)
                continue
            self.away_reason = None
            self._on_return()
            self._told.logger.warning(self._told.back)
            return
