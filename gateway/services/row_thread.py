"""A thread for rows that a request of the agents' API needs outside the ledger; it starts with the first one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, close_old_connections, connections

from gateway.engine.errors import LedgerUnavailable, Overloaded

P = ParamSpec("P")
T = TypeVar("T")

MAX_QUEUED = 1_000
ANSWER_WITHIN_SECONDS = 5.0


class RowThread:
    """Plain ORM on the event loop's behalf, one act after the other on one connection."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._executor: ThreadPoolExecutor | None = None
        self._queued = 0

    async def run(self, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `act` gives or raises. Raises Overloaded when too much waits, LedgerUnavailable when the database is
        silent; then the act may still be done."""
        if self._queued >= MAX_QUEUED:
            raise Overloaded(f"Too many requests wait for the database ({self._name}).", retry_after_seconds=1)
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        self._queued += 1
        job = asyncio.get_running_loop().run_in_executor(self._executor, partial(_in_thread, act, *args, **kwargs))
        job.add_done_callback(self._done)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_SECONDS):
                return await asyncio.shield(job)
        except (DatabaseError, TimeoutError):
            raise LedgerUnavailable("The database does not answer. Send it again.", retry_after_seconds=1) from None

    async def aclose(self) -> None:
        """Finish what waits, then end the thread."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.submit(connections.close_all)
            await asyncio.to_thread(executor.shutdown)

    def _done(self, job: asyncio.Future[T]) -> None:
        self._queued -= 1
        if not job.cancelled():
            job.exception()  # whoever waited has heard of it


def _in_thread(act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    close_old_connections()
    return act(*args, **kwargs)
