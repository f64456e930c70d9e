"""One thread for the rows behind `Idempotency-Key`, which starts with the first request that sends one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, close_old_connections, connections

from gateway.engine.errors import LedgerUnavailable
from gateway.services import idempotency_claims as claims
from gateway.services.idempotency_claims import Found, StoredAnswer

logger = logging.getLogger("gateway.idempotency")
P = ParamSpec("P")
T = TypeVar("T")

MAX_QUEUED = 1_000
ANSWER_WITHIN_SECONDS = 5.0
RENEW_SECONDS = claims.LEASE.total_seconds() / 4


class IdempotencyRecords:
    """Claims, answers and gives up on the event loop's behalf; renews the leases of what is under way."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._queued = 0
        self._held: set[str] = set()
        self._renewing: asyncio.Task[None] | None = None

    async def claim(self, scope: str, body_hash: str, owner: str) -> Found:
        """Raises LedgerUnavailable when the database can't be asked, or has too much to do."""
        if self._queued >= MAX_QUEUED:
            raise LedgerUnavailable("Too many requests with an Idempotency-Key wait.", retry_after_seconds=1)
        job = self._run(claims.claim, scope, body_hash, owner, datetime.now(UTC))
        try:
            async with asyncio.timeout(ANSWER_WITHIN_SECONDS):
                found = await asyncio.shield(job)
        except (DatabaseError, TimeoutError):
            raise LedgerUnavailable(
                "The database, which knows the Idempotency-Key, does not answer; nothing was sent to a provider.",
                retry_after_seconds=1,
            ) from None
        if isinstance(found, claims.Claimed):
            self._hold(owner)
        return found

    async def store(self, scope: str, owner: str, answer: StoredAnswer) -> None:
        """Keep the answer. It has been paid for, so its client gets it also when this fails. Never raises."""
        self._held.discard(owner)
        try:
            await asyncio.shield(self._run(claims.store, scope, owner, answer))
        except Exception as error:
            logger.error("the answer of request %s can't be kept for repetitions: %s", owner, error)

    async def release(self, scope: str, owner: str) -> None:
        """Give the claim up. Never raises: a lease ends by itself."""
        self._held.discard(owner)
        try:
            await self._run(claims.release, scope, owner)
        except Exception as error:
            logger.warning("the claim of request %s stays until its lease ends: %s", owner, error)

    async def aclose(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.submit(connections.close_all)
            await asyncio.to_thread(executor.shutdown)

    def _run(self, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="idempotency")
        self._queued += 1
        job = asyncio.get_running_loop().run_in_executor(self._executor, partial(_in_thread, act, *args, **kwargs))
        job.add_done_callback(self._done)
        return job

    def _done(self, job: asyncio.Future[T]) -> None:
        self._queued -= 1
        if not job.cancelled():
            job.exception()  # whoever waited has heard of it

    def _hold(self, owner: str) -> None:
        self._held.add(owner)
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.ensure_future(self._renew())

    async def _renew(self) -> None:
        while self._held:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self._run(claims.renew, list(self._held), datetime.now(UTC))
            except Exception as error:
                logger.warning("leases of idempotency keys were not renewed: %s", error)


def _in_thread(act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    close_old_connections()
    return act(*args, **kwargs)
