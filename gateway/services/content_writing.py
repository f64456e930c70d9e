"""The background writer of stored content: one thread, which starts with the first content there is.

It has nothing to do with the ledger's writer: whatever becomes of content, money rows don't notice. What waits is
bounded in bytes; beyond that content is lost, and said to be. A database that is away is asked again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from django.db import InterfaceError, OperationalError, close_old_connections, connections

from gateway.crypto import encrypt_bytes
from gateway.models import StoredContent

logger = logging.getLogger("gateway.content")

# Of a request and of an answer each. Two such and their encryption stay a transaction well under 50 ms.
MAX_KEPT_BYTES = 1024 * 1024
_BATCH_BYTES = 2 * MAX_KEPT_BYTES
_BATCH_ROWS = 50
MAX_WAITING_BYTES = 64 * 1024 * 1024
RETRY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Content:
    """`request_bytes` and `answer_bytes` are the sizes before anything was cut."""

    completion_id: str
    kept_at: datetime
    delete_at: datetime
    request: bytes = field(repr=False)
    request_bytes: int
    answer: bytes = field(repr=False)
    answer_bytes: int

    @property
    def size(self) -> int:
        return len(self.request) + len(self.answer)


class ContentWriter:
    """Belongs to the event loop, its thread excepted."""

    def __init__(self, *, max_waiting_bytes: int = MAX_WAITING_BYTES, retry_seconds: float = RETRY_SECONDS) -> None:
        self._max_waiting_bytes, self._retry_seconds = max_waiting_bytes, retry_seconds
        self._waiting: deque[Content] = deque()
        self._waiting_bytes = 0
        self._executor: ThreadPoolExecutor | None = None
        self._writing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def add(self, content: Content) -> None:
        """Never waits and never raises."""
        if self._waiting_bytes + content.size > self._max_waiting_bytes:
            logger.error("the content of request %s is not kept: too much of it waits", content.completion_id)
            return
        self._waiting.append(content)
        self._waiting_bytes += content.size
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def aclose(self) -> None:
        """Write what waits; a database that is away isn't waited for."""
        self._closing.set()
        if self._writing is not None:
            await self._writing
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.submit(connections.close_all)
            await asyncio.to_thread(executor.shutdown)

    async def _write(self) -> None:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="content")
        while self._waiting:
            batch = self._next_batch()
            try:
                await asyncio.get_running_loop().run_in_executor(self._executor, content_write, batch)
            except (OperationalError, InterfaceError) as error:
                if self._closing.is_set():
                    logger.error("content of %d requests is not kept: %s", len(self._waiting), error)
                    return
                logger.warning("content of requests can't be written yet: %s", error)
                await self._pause()
                continue
            except Exception as error:
                # Its words might repeat what it should have written.
                logger.error("content of %d requests is not kept: %s", len(batch), type(error).__name__)
            self._done_with(batch)

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._retry_seconds):
                await self._closing.wait()
        except TimeoutError:
            pass

    def _next_batch(self) -> list[Content]:
        """At least one; they keep their place until they are written."""
        batch: list[Content] = []
        size = 0
        for content in self._waiting:
            size += content.size
            if batch and (size > _BATCH_BYTES or len(batch) == _BATCH_ROWS):
                break
            batch.append(content)
        return batch

    def _done_with(self, batch: list[Content]) -> None:
        for content in batch:
            self._waiting.popleft()
            self._waiting_bytes -= content.size


def content_write(batch: list[Content]) -> None:
    """One transaction; what is written already stays as it is. Raises DatabaseError."""
    close_old_connections()
    StoredContent.objects.bulk_create([_row(content) for content in batch], ignore_conflicts=True)


def _row(content: Content) -> StoredContent:
    return StoredContent(
        completion_id=content.completion_id,
        kept_at=content.kept_at,
        delete_at=content.delete_at,
        request=encrypt_bytes(content.request),
        request_bytes=content.request_bytes,
        answer=encrypt_bytes(content.answer) if content.answer else b"",
        answer_bytes=content.answer_bytes,
    )
