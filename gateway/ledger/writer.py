"""The ledger's writer: one thread per process that commits whatever queued up while its last commit was under way.

Event loops only put records into an inbox, ring at the end of a turn, and are woken once per committed group;
`gateway.ledger.committer` is what the thread does. Why so: docs/decisions/0002-ledger-group-commit.md.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.engine.errors import LedgerUnavailable
from gateway.engine.words import CompletionStatus
from gateway.ledger.committer import Committer
from gateway.ledger.database import LedgerConnection
from gateway.ledger.detour import Detour
from gateway.ledger.inbox import Inbox
from gateway.ledger.records import BreakerEvent, Extension, Intent, Opened, Refusal, Settled, Settlement
from gateway.ledger.spool import Spool
from gateway.ledger.waiting import Note, Waiting, Work, unfinished, wait_for_verdict

logger = logging.getLogger(__name__)

_MAX_NOTES = 1_000
STOP_SECONDS = 10.0
STOP_MARGIN_SECONDS = 1.0  # for the transaction that is under way when the time is up
LONGEST_STOP_SECONDS = STOP_SECONDS + STOP_MARGIN_SECONDS
ANSWER_WITHIN_SECONDS = 2.0
_CLIENT_CLOSED_REQUEST = 499  # nginx's word for a client that left


class LedgerWriter:
    """Opens and settles completions. `open` and `settle` may be awaited on any event loop of the process.

    `max_queued` bounds what waits: beyond it intents are refused. Settlements are always taken, there is at most one
    per opened completion. `answer_within_seconds` is how long a caller waits for a database that is away.
    `lock_path` names the file lock by which several processes on one SQLite file take turns. `clock` gives seconds
    since 1970. `spool` takes what no budget can refuse, and every settlement, while the database is away; without one
    settlements wait in memory.
    """

    def __init__(
        self,
        connect: Callable[[], LedgerConnection],
        *,
        max_queued: int = 20_000,
        lock_path: Path | None = None,
        answer_within_seconds: float = ANSWER_WITHIN_SECONDS,
        clock: Callable[[], float] = time.time,
        spool: Spool | None = None,
    ) -> None:
        self._max_queued = max_queued
        self._answer_within_seconds = answer_within_seconds
        self._clock = clock
        self._inbox: Inbox[Work] = Inbox()
        self.spool = spool
        self._detour = None if spool is None else Detour(spool)
        self._notes = threading.BoundedSemaphore(_MAX_NOTES)
        self._committer = Committer(
            connect,
            self._inbox,
            lock_path=lock_path,
            release=self._release,
            late=self._late,
            noted=self._notes.release,
            detour=self._detour,
        )
        self._thread: threading.Thread | None = None
        self._stopping = False

    async def open(self, intent: Intent) -> Opened:
        """Write the intent and reserve its claims.

        Raises BudgetExceeded when a blocking budget has no room; LedgerUnavailable when the queue is full, or when the
        database is away and a blocking budget (or the lack of a spool with room) forbids the detour; ValueError (or the
        database's own error) for an intent that no row can hold.
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

        With the database away it goes to the spool. Raises LedgerUnavailable where the spool can't take it: then it
        stays queued and is written once the database is back, as it is when the caller is cancelled. One that comes
        after the thread has ended and finds no spool is kept in `unwritten`. Raises IntentMissing for a cost without
        an intent.
        """
        message = "The ledger's database does not answer; the settlement is kept and will be written."
        settled: Settled = await self._wait(settlement, message)
        return settled

    def note(self, event: BreakerEvent | Refusal) -> None:
        """Write breaker news or a refusal some time soon. When too much waits, it is dropped with a log line."""
        if self._stopping or not self._notes.acquire(blocking=False):
            what = f"breaker news of {event.provider}" if isinstance(event, BreakerEvent) else f"refusal {event.id}"
            logger.warning("%s dropped: too much of it waits to be written", what)
            return
        self._inbox.put(Note(event))
        self._inbox.ring()

    @property
    def holder(self) -> str:
        """What an intent of this process names as its holder; "" where nobody could tell that the process is dead."""
        return "" if self.spool is None else self.spool.name

    @property
    def queue_depth(self) -> int:
        """Records that wait for their group."""
        return len(self._inbox) + len(self._committer.held)

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
    def takes_detour(self) -> bool:
        """Whether the database is away, or has not answered the group under way for longer than a caller waits."""
        if self.away_reason is not None:
            return True
        since = self._committer.busy_since
        return since is not None and time.monotonic() - since > self._answer_within_seconds

    @property
    def answers_from_spool(self) -> bool:
        """Whether requests that no budget can refuse are answered although the database is away."""
        alive = self._thread is not None and self._thread.is_alive()
        return alive and self.spool is not None and self.takes_detour and self.spool.has_room

    @property
    def unwritten(self) -> tuple[Settlement, ...]:
        """After `stop`: the settlements that neither the database nor a spool took. Should the process end now, the
        sweep settles their completions at their reservation."""
        self._collect_late()
        records = (work.record for work in self._committer.held)
        return tuple(record for record in records if isinstance(record, Settlement))

    def _collect_late(self) -> None:
        """What was queued when the thread had already looked for the last time."""
        if self._ended:
            self._committer.held.extend(self._inbox.take(wait=False))

    @property
    def _ended(self) -> bool:
        return self._stopping and (self._thread is None or not self._thread.is_alive())

    def start(self) -> None:
        """Start the thread; the database need not be there yet."""
        if self.spool is not None:
            self.spool.prepare()
        self._thread = threading.Thread(target=self._committer.run, name="ledger-writer", daemon=True)
        self._thread.start()

    def stop(self, timeout_seconds: float = STOP_SECONDS) -> None:
        """Open nothing new, write what is queued, close the connection; blocks for at most `timeout_seconds` and
        STOP_MARGIN_SECONDS."""
        if self._thread is None:
            return
        self._stopping = True
        self._committer.stop_by(time.monotonic() + timeout_seconds)
        self._thread.join(timeout_seconds + STOP_MARGIN_SECONDS)
        self._spool_late()
        if self._thread.is_alive() or self.queue_depth:
            logger.error("the ledger's writer stopped with %d records not written", self.queue_depth)

    def _spool_late(self) -> None:
        """What was queued when the thread had already looked for the last time, and what it had to leave."""
        if self._detour is None or not self._ended:
            return
        self._collect_late()
        for work in unfinished(self._committer.held):
            if isinstance(work.record, Settlement):
                with suppress(LedgerUnavailable):
                    self._detour.take(work.record)
                    self._committer.held.remove(work)

    async def _wait(self, record: Intent | Extension | Settlement, message: str) -> Any:
        if self._stopping and not isinstance(record, Settlement):
            raise LedgerUnavailable("The ledger is shutting down.", retry_after_seconds=1)
        if self._detour is not None and (self._ended or self.takes_detour or self._detour.holds(record.id)):
            return self._detour.take(record)
        loop = asyncio.get_running_loop()
        waiting: Waiting[Any] = Waiting(record, loop, loop.create_future())
        self._inbox.put(waiting)
        if self._ended:
            raise LedgerUnavailable("The ledger has shut down; the settlement is kept.", retry_after_seconds=1)
        loop.call_soon(self._inbox.ring)  # at the end of the loop's turn
        return await wait_for_verdict(
            waiting, self._answer_within_seconds, message, late=self._late, detour=self._detour
        )

    def _late(self, waiting: Waiting[Any], verdict: object) -> None:
        """An intent was written for a caller who had given up: nothing was sent, so nothing may stay reserved."""
        if isinstance(verdict, Opened) and isinstance(waiting.record, Intent):
            self._inbox.put(self._release(waiting))
            self._inbox.ring()

    def _release(self, waiting: Waiting[Intent]) -> Waiting[Settlement]:
        # A verdict that is there all the same was handed out in the moment of the cancellation. Whoever still waits is
        # told in a moment that the ledger has failed.
        future = waiting.future
        left = future.cancelled() or (future.done() and future.exception() is None)
        settlement = Settlement(
            id=waiting.record.id,
            finished_at=datetime.fromtimestamp(self._clock(), UTC),
            status=CompletionStatus.CANCELLED if left else CompletionStatus.FAILED,
            http_status=_CLIENT_CLOSED_REQUEST if left else LedgerUnavailable.status,
            error_code="" if left else LedgerUnavailable.code,
            error_message="Nobody waited for the ledger any more; nothing was sent to a provider.",
        )
        return Waiting(settlement, waiting.loop, waiting.future)
