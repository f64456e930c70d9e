"""The ledger's writer: one thread per process that commits whatever queued up while its last commit was under way.

Event loops only put records into a queue and are woken once per committed group; `gateway.ledger.committer` is what the
thread does. Why so: docs/decisions/0002-ledger-group-commit.md.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from gateway.engine.errors import LedgerUnavailable
from gateway.engine.words import CompletionStatus
from gateway.ledger.committer import Committer
from gateway.ledger.database import LedgerConnection
from gateway.ledger.records import BreakerEvent, Extension, Intent, Opened, Settled, Settlement
from gateway.ledger.waiting import Note, Waiting, wait_for_verdict

logger = logging.getLogger(__name__)

_MAX_NOTES = 1_000
_CLIENT_CLOSED_REQUEST = 499  # nginx's word for a client that left


class LedgerWriter:
    """Opens and settles completions. `open` and `settle` may be awaited on any event loop of the process.

    `max_queued` bounds what waits: beyond it intents are refused. Settlements are always taken, there is at most one
    per opened completion. `answer_within_seconds` is how long a caller waits for a database that is away.
    `lock_path` names the file lock by which several processes on one SQLite file take turns. `clock` gives seconds
    since 1970.
    """

    def __init__(
        self,
        connect: Callable[[], LedgerConnection],
        *,
        max_queued: int = 20_000,
        lock_path: Path | None = None,
        answer_within_seconds: float = 2.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._max_queued = max_queued
        self._answer_within_seconds = answer_within_seconds
        self._clock = clock
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._notes = threading.BoundedSemaphore(_MAX_NOTES)
        self._committer = Committer(
            connect,
            self._queue,
            lock_path=lock_path,
            release=self._release,
            late=self._late,
            noted=self._notes.release,
        )
        self._thread: threading.Thread | None = None
        self._stopping = False

    async def open(self, intent: Intent) -> Opened:
        """Write the intent and reserve its claims.

        Raises BudgetExceeded when a blocking budget has no room, LedgerUnavailable when the queue is full or the
        database doesn't answer in time, ValueError (or the database's own error) for an intent that no row can hold.
        After any of them, and after a cancellation, nothing stays reserved.
        """
        if self.queue_depth >= self._max_queued:
            raise LedgerUnavailable("The ledger's queue is full; try again in a moment.", retry_after_seconds=1)
        message = "The ledger's database does not answer; nothing was sent to a provider."
        opened: Opened = await self._wait(intent, message)
        return opened

    async def extend(self, extension: Extension) -> Opened:
        """Reserve more for a completion under way, in all its budgets or in none.

        Raises BudgetExceeded when a blocking budget has no room, LedgerUnavailable when the completion isn't open any
        more or the database doesn't answer in time. What was reserved before stays so; whatever an extension may have
        taken is given back by the settlement.
        """
        message = "The ledger's database does not answer; the request is not tried again."
        extended: Opened = await self._wait(extension, message)
        return extended

    async def settle(self, settlement: Settlement) -> Settled:
        """Settle a completion; again changes nothing and returns the totals as they are.

        Raises LedgerUnavailable when the database doesn't answer in time: the settlement stays queued and is written
        once it is back, as it is when the caller is cancelled. Raises IntentMissing for a cost without an intent.
        """
        message = "The ledger's database does not answer; the settlement is kept and will be written."
        settled: Settled = await self._wait(settlement, message)
        return settled

    def note(self, event: BreakerEvent) -> None:
        """Write breaker news some time soon. When too much of it waits, it is dropped with a log line."""
        if self._stopping or not self._notes.acquire(blocking=False):
            logger.warning("breaker news of %s dropped: too much of it waits to be written", event.provider)
            return
        self._queue.put(Note(event))

    @property
    def queue_depth(self) -> int:
        """Records that wait for their group."""
        return self._queue.qsize() + len(self._committer.held)

    @property
    def last_commit_seconds(self) -> float | None:
        """How long the last group took to write, or None before the first one."""
        return self._committer.last_commit_seconds

    @property
    def commits(self) -> int:
        """Groups written since the start."""
        return self._committer.commits

    @property
    def away_reason(self) -> str | None:
        """Why the database can't be used right now; None when the last try worked."""
        return self._committer.away_reason

    @property
    def healthy(self) -> bool:
        """Whether the thread runs and its last try at the database worked."""
        return self._thread is not None and self._thread.is_alive() and self.away_reason is None

    @property
    def unwritten(self) -> tuple[Settlement, ...]:
        """After `stop`: the settlements it had to leave because the database was away. They belong into a spool."""
        records = (work.record for work in self._committer.held)
        return tuple(record for record in records if isinstance(record, Settlement))

    def start(self) -> None:
        """Start the thread; the database need not be there yet."""
        self._thread = threading.Thread(target=self._committer.run, name="ledger-writer", daemon=True)
        self._thread.start()

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Take nothing new, write what is queued, close the connection; blocks for about `timeout_seconds` at most."""
        if self._thread is None:
            return
        self._stopping = True
        self._committer.stop_by(time.monotonic() + timeout_seconds)
        self._thread.join(timeout_seconds + 1)
        if self._thread.is_alive() or self.queue_depth:
            logger.error("the ledger's writer stopped with %d records not written", self.queue_depth)

    async def _wait(self, record: Intent | Extension | Settlement, message: str) -> Any:
        if self._stopping:
            raise LedgerUnavailable("The ledger is shutting down.", retry_after_seconds=1)
        loop = asyncio.get_running_loop()
        waiting: Waiting[Intent | Extension | Settlement] = Waiting(record, loop, loop.create_future())
        self._queue.put(waiting)
        return await wait_for_verdict(waiting, self._answer_within_seconds, message, late=self._late)

    def _late(self, waiting: Waiting[Any], verdict: object) -> None:
        """An intent was written for a caller who had given up: nothing was sent, so nothing may stay reserved."""
        if isinstance(verdict, Opened) and isinstance(waiting.record, Intent):
            self._queue.put(self._release(waiting))

    def _release(self, waiting: Waiting[Intent]) -> Waiting[Settlement]:
        # A verdict that is there all the same was handed out in the moment of the cancellation.
        left = waiting.future.cancelled() or waiting.future.exception() is None
        settlement = Settlement(
            id=waiting.record.id,
            finished_at=datetime.fromtimestamp(self._clock(), UTC),
            status=CompletionStatus.CANCELLED if left else CompletionStatus.FAILED,
            http_status=_CLIENT_CLOSED_REQUEST if left else LedgerUnavailable.status,
            error_code="" if left else LedgerUnavailable.code,
            error_message="Nobody waited for the ledger any more; nothing was sent to a provider.",
        )
        return Waiting(settlement, waiting.loop, waiting.future)
