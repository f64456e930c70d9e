"""The writer's thread: takes what queued up, writes it group by group, tells those who wait, outlasts the database."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from gateway.ledger.database import DatabaseAway, LedgerConnection
from gateway.ledger.dialect import Dialect
from gateway.ledger.fairlock import FairFileLock, in_turn
from gateway.ledger.group import Group, group_apply
from gateway.ledger.records import Extension, Intent, Settlement
from gateway.ledger.rows import event_row, extension_row, intent_row, settlement_row
from gateway.ledger.waiting import Note, Verdicts, Waiting, Work, unfinished

logger = logging.getLogger(__name__)

# A transaction of this many records stays well below the 50 ms that another process may have to wait for its turn.
MAX_GROUP = 200
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.5
_PROBE_SECONDS = 1.0
WAKE_UP = object()  # in the queue: look whether to stop


class Committer:
    """Runs in one thread. `release` makes the settlement that undoes an intent nobody waits for any more;
    `late` hears of verdicts that found nobody waiting.
    """

    def __init__(
        self,
        connect: Callable[[], LedgerConnection],
        queue: SimpleQueue[Any],
        *,
        lock_path: Path | None,
        release: Callable[[Waiting[Intent]], Waiting[Settlement]],
        late: Callable[[Waiting[Any], object], None],
        noted: Callable[[], None],
    ) -> None:
        self._connect = connect
        self._queue = queue
        self._lock_path = lock_path
        self._lock: FairFileLock | None = None
        self._release = release
        self._noted = noted
        self._verdicts = Verdicts(late)
        self._connection: LedgerConnection | None = None
        self._give_up_at: float | None = None
        self.held: deque[Work] = deque()  # taken from the queue, not written yet
        self.commits = 0
        self.last_commit_seconds: float | None = None
        self.away_reason: str | None = None

    def stop_by(self, monotonic_seconds: float) -> None:
        """Finish what is queued, then end; with the database away, end at that moment."""
        self._give_up_at = monotonic_seconds
        self._queue.put(WAKE_UP)

    def run(self) -> None:
        with in_turn(self._lock_path) as self._lock:
            try:
                self._write_until_stopped()
            finally:
                self._disconnect()

    def _write_until_stopped(self) -> None:
        self._probe()
        while True:
            self._take()
            self._write_held()
            if self._give_up_at is not None and (self.held or self._queue.empty()):
                return

    def _take(self) -> None:
        """Wait for work, then take all there is; while there is none, see whether a lost database is back."""
        works: list[Any] = []
        try:
            works.append(self._queue.get(timeout=_PROBE_SECONDS if self.away_reason else None))
            while True:
                works.append(self._queue.get_nowait())
        except Empty:
            self.held.extend(work for work in works if work is not WAKE_UP)
        if not works:
            self._probe()

    def _probe(self) -> None:
        try:
            self._connected()
        except DatabaseAway as error:
            self._went_away(error)
        else:
            self._came_back()

    def _write_held(self) -> None:
        """Write all held work, however long the database stays away."""
        pause_seconds = _FIRST_PAUSE_SECONDS
        while self.held:
            group = self._next_group()
            try:
                self._write(group)
                pause_seconds = _FIRST_PAUSE_SECONDS
            except DatabaseAway as error:
                self.held.extendleft(reversed(unfinished(group)))
                self._went_away(error)
                if self._give_up_at is not None and time.monotonic() >= self._give_up_at:
                    return
                time.sleep(pause_seconds)
                pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)

    def _next_group(self) -> list[Work]:
        """The next records in order of arrival; ends before a settlement whose intent or extension is among them."""
        group: list[Work] = []
        opened: set[str] = set()
        while self.held and len(group) < MAX_GROUP:
            record = self.held[0].record
            if isinstance(record, Settlement) and record.id in opened:
                break
            work = self._still_wanted(self.held.popleft())
            if work is not None:
                group.append(work)
                if isinstance(record, Intent | Extension):
                    opened.add(record.id)
        return group

    def _still_wanted(self, work: Work) -> Work | None:
        """Settlements and notes always; an intent or extension while somebody waits. An intent that may have been
        written is undone; what an extension may have taken is given back by its completion's settlement."""
        if isinstance(work, Note) or isinstance(work.record, Settlement) or not work.abandoned:
            return work
        return self._release(work) if work.attempted and isinstance(work.record, Intent) else None

    def _write(self, works: Sequence[Work]) -> None:
        connection = self._connected()
        try:
            self._commit(connection, [work for work in works if self._encode(work, connection.dialect)])
        finally:
            self._verdicts.deliver()

    def _encode(self, work: Work, dialect: Dialect) -> bool:
        """Whether the record can be written; if not, that is its verdict."""
        try:
            if work.encoded is None:
                work.encoded = _encoded(work.record, dialect)
        except Exception as error:
            self._finish(work, error)
            return False
        return True

    def _commit(self, connection: LedgerConnection, works: Sequence[Work]) -> None:
        """Write the works in one transaction; where one row is bad, halve the group until it is alone."""
        if not works:
            return
        for work in works:
            work.attempted = True
        began = time.perf_counter()
        try:
            with nullcontext() if self._lock is None else self._lock.held():
                verdicts = _apply(connection, works)
        except DatabaseAway:
            raise
        except OSError as error:  # the file lock
            raise DatabaseAway(str(error)) from error
        except Exception as error:
            self._commit_halves(connection, works, error)
            return
        self.last_commit_seconds = time.perf_counter() - began
        self.commits += 1
        self._came_back()
        for work, verdict in zip(works, verdicts, strict=True):
            self._finish(work, verdict)

    def _commit_halves(self, connection: LedgerConnection, works: Sequence[Work], error: Exception) -> None:
        if len(works) == 1:
            self._finish(works[0], error)
            return
        middle = len(works) // 2
        self._commit(connection, works[:middle])
        self._commit(connection, works[middle:])

    def _finish(self, work: Work, verdict: object) -> None:
        if isinstance(verdict, Exception) and not isinstance(work.record, Intent | Extension):
            logger.error("the ledger can't write %s: %s", type(work.record).__name__, verdict, exc_info=verdict)
        if isinstance(work, Waiting):
            self._verdicts.add(work, verdict)
        else:
            work.done = True
            self._noted()

    def _connected(self) -> LedgerConnection:
        if self._connection is None:
            try:
                self._connection = self._connect()
            except Exception as error:
                raise DatabaseAway(str(error)) from error
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _went_away(self, error: DatabaseAway) -> None:
        self._disconnect()
        if self.away_reason is None:
            logger.warning("the ledger's database is away: %s", error)
        self.away_reason = str(error)

    def _came_back(self) -> None:
        if self.away_reason is not None:
            logger.warning("the ledger's database is back")
            self.away_reason = None


def _encoded(record: object, dialect: Dialect) -> object:
    if isinstance(record, Intent):
        return intent_row(record, dialect)
    if isinstance(record, Extension):
        return extension_row(record)
    if isinstance(record, Settlement):
        return settlement_row(record, dialect)
    return event_row(record, dialect)  # type: ignore[arg-type]


def _apply(connection: LedgerConnection, works: Sequence[Work]) -> list[object]:
    """One verdict per work, in order."""
    opens = [work for work in works if isinstance(work.record, Intent)]
    extensions = [work for work in works if isinstance(work.record, Extension)]
    settlements = [work for work in works if isinstance(work.record, Settlement)]
    # In the order of their ids: two processes that settle the same completions must not lock them crosswise.
    settlements.sort(key=lambda work: work.record.id)
    events = [work for work in works if isinstance(work, Note)]
    outcome = group_apply(
        connection,
        Group(
            [work.encoded for work in opens],
            [work.encoded for work in settlements],
            [work.encoded for work in events],
            [work.encoded for work in extensions],
        ),
    )
    verdicts: dict[int, object] = {}
    answers = [*outcome.opened, *outcome.extended, *outcome.settled]
    for work, verdict in zip([*opens, *extensions, *settlements], answers, strict=True):
        verdicts[id(work)] = verdict
    return [verdicts.get(id(work)) for work in works]
