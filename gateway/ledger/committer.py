"""The writer's thread: takes what queued up, writes it group by group, tells those who wait, outlasts the database."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from gateway.engine.errors import LedgerUnavailable
from gateway.ledger.database import DatabaseAway, LedgerConnection
from gateway.ledger.detour import Detour
from gateway.ledger.dialect import Dialect
from gateway.ledger.drain import Drainage
from gateway.ledger.fairlock import FairFileLock, in_turn
from gateway.ledger.inbox import Inbox
from gateway.ledger.records import Extension, Intent, Opened, Settled, Settlement
from gateway.ledger.transaction import encoded, works_apply
from gateway.ledger.waiting import Note, Verdicts, Waiting, Work, unfinished

logger = logging.getLogger(__name__)

# A transaction of this many records stays well below the 50 ms that another process may have to wait for its turn.
MAX_GROUP = 200
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.5
_PROBE_SECONDS = 1.0


class Committer:
    """Runs in one thread. `release` makes the settlement that undoes an intent nobody waits for any more;
    `late` hears of verdicts that found nobody waiting; `detour` is taken while the database is away, and its spool
    drained when it is back.
    """

    def __init__(
        self,
        connect: Callable[[], LedgerConnection],
        inbox: Inbox[Work],
        *,
        lock_path: Path | None,
        release: Callable[[Waiting[Intent]], Waiting[Settlement]],
        late: Callable[[Waiting[Any], object], None],
        noted: Callable[[], None],
        detour: Detour | None = None,
    ) -> None:
        self._connect = connect
        self._inbox = inbox
        self._lock_path = lock_path
        self._lock: FairFileLock | None = None
        self._release = release
        self._noted = noted
        self._verdicts = Verdicts(late)
        self._detour = detour
        self._drainage = None if detour is None else Drainage(detour.spool)
        self._connection: LedgerConnection | None = None
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._give_up_at: float | None = None
        self._in_flight: list[Work] = []
        self.held: deque[Work] = deque()  # taken from the inbox, not written yet
        self.commits = 0
        self.last_commit_seconds: float | None = None
        self.away_reason: str | None = None
        self.busy_since: float | None = None  # monotonic seconds; None between groups

    def stop_by(self, monotonic_seconds: float) -> None:
        """Finish what is queued, then end; with the database away, end at that moment."""
        self._give_up_at = monotonic_seconds
        self._inbox.ring()

    def run(self) -> None:
        """Until stopped."""
        try:
            self._run()
        finally:
            if self._drainage is not None:
                self._drainage.close()

    def _run(self) -> None:
        """An error that nobody foresaw fails what was being written, and the rest goes on in a fresh connection:
        without this thread the process could serve nobody."""
        while True:
            try:
                with in_turn(self._lock_path) as self._lock:
                    self._write_until_stopped()
                return
            except OSError as error:  # the lock's file can't be opened
                self._went_away(DatabaseAway(str(error)))
                self._fail_in_flight(error)
            except Exception as error:
                logger.error("the ledger's writer met an error it does not know: %s", error, exc_info=error)
                self._fail_in_flight(error)
            finally:
                self._disconnect()
            if self._gives_up:
                return
            time.sleep(_FIRST_PAUSE_SECONDS)

    @property
    def _gives_up(self) -> bool:
        return self._give_up_at is not None and time.monotonic() >= self._give_up_at

    def _fail_in_flight(self, error: Exception) -> None:
        """What must not be lost gets one more try; whoever waits for room is told that there is none, and what may
        have been written of it is undone."""
        works, self._in_flight = unfinished(self._in_flight), []
        for work in reversed(works):
            if isinstance(work, Waiting) and not isinstance(work.record, Settlement):
                if work.attempted and isinstance(work.record, Intent):
                    self.held.appendleft(self._release(work))
                self._finish(work, LedgerUnavailable("The ledger failed; nothing was sent to a provider."))
            elif work.failed_before:
                self._finish(work, error)
            else:
                work.failed_before = True
                self.held.appendleft(work)
        self._verdicts.deliver()

    def _write_until_stopped(self) -> None:
        self._probe()
        self._look_around()
        while True:
            self._write_held()
            self._drain()
            if self._give_up_at is not None and not self._inbox and (self._gives_up or self._nothing_left):
                return
            self._take()

    @property
    def _nothing_left(self) -> bool:
        """Whether a stop has nothing to wait for: with the database away, what is spooled is left to who comes next,
        and news nobody waits for are not worth it."""
        if self.away_reason is None:
            return not self.held and (self._drainage is None or not self._drainage.pending)
        return all(isinstance(work, Note) for work in self.held)

    def _take(self) -> None:
        """Wait for work, then take all there is; while there is none, see whether a lost database is back."""
        self.held.extend(self._inbox.take(wait=not self._has_work, timeout_seconds=self._patience_seconds))
        if not self.held and self.away_reason is not None:
            self._probe()

    @property
    def _has_work(self) -> bool:
        """Whether there is something to do that need not wait for the database to be back."""
        return self.away_reason is None and (bool(self.held) or (self._drainage is not None and self._drainage.pending))

    @property
    def _patience_seconds(self) -> float | None:
        if self.away_reason is None:
            return None
        return self._pause_seconds if self.held or self._detour is not None else _PROBE_SECONDS

    def _probe(self) -> None:
        """Whether the database can be written to. A spool with something in it is tried in earnest, by draining."""
        try:
            connection = self._connected()
            if self._detour is None or self._detour.spool.is_empty:
                with self._turn():
                    connection.begin()
                    connection.rollback()
            else:
                self._drain_chunk(connection)
        except DatabaseAway as error:
            self._went_away(error)
        else:
            self._came_back()

    def _write_held(self) -> None:
        """Write all held work, or find that the database is away; then what can takes the detour."""
        while self.held:
            group = self._in_flight = self._next_group()
            try:
                self._write(group)
            except DatabaseAway as error:
                self.held.extendleft(reversed(unfinished(group)))
                self._in_flight = []
                self._went_away(error)
                self._take_detours()
                return

    def _take_detours(self) -> None:
        """The spool takes what it can; whoever waits for a budget's room is told that there is no saying."""
        if self._detour is None:
            return
        left: list[Work] = []
        for work in unfinished(self.held):
            wanted = self._still_wanted(work)
            if isinstance(wanted, Waiting):
                self._take_detour(self._detour, wanted, left)
            elif wanted is not None:
                left.append(wanted)
        self.held = deque(left)
        self._verdicts.deliver()

    def _take_detour(self, detour: Detour, work: Waiting[Any], left: list[Work]) -> None:
        try:
            verdict: object = detour.take(work.record)
        except Exception as error:
            if isinstance(work.record, Settlement) and isinstance(error, LedgerUnavailable):
                left.append(work)  # it is never given up
                return
            if work.attempted and isinstance(work.record, Intent):
                left.append(self._release(work))
            verdict = error
        self._finish(work, verdict)

    def _drain(self) -> None:
        """One chunk of what waits in spools, so that requests never wait for more."""
        if self._drainage is None or not self._drainage.pending or self.away_reason is not None:
            return
        try:
            self._drain_chunk(self._connected())
        except DatabaseAway as error:
            self._went_away(error)

    def _drain_chunk(self, connection: LedgerConnection) -> None:
        assert self._drainage is not None
        self.busy_since = time.monotonic()
        try:
            self._drainage.step(connection, self._lock)
        except OSError as error:  # the file lock, or the spool's file
            raise DatabaseAway(str(error)) from error
        finally:
            self.busy_since = None

    def _look_around(self) -> None:
        if self._drainage is not None:
            self._drainage.look_around()

    def _turn(self) -> AbstractContextManager[None]:
        return nullcontext() if self._lock is None else self._lock.held()

    def _next_group(self) -> list[Work]:
        """The next records in order of arrival; ends before a settlement whose intent or extension is among them."""
        group: list[Work] = []
        opened: set[str] = set()
        while self.held and len(group) < MAX_GROUP:
            record = self.held[0].record
            if isinstance(record, Settlement) and record.id in opened:
                break
            if self._waits_behind_spooled(self.held[0]):
                continue
            work = self._still_wanted(self.held.popleft())
            if work is not None:
                group.append(work)
                if isinstance(record, Intent | Extension):
                    opened.add(record.id)
        return group

    def _waits_behind_spooled(self, work: Work) -> bool:
        """A record whose completion's earlier records are still in the spool goes there too."""
        if self._detour is None or not isinstance(work, Waiting) or not self._detour.holds(work.record.id):
            return False
        try:
            verdict = self._detour.take(work.record)
        except Exception:  # full, or a bad record: it takes its chance, and gets its verdict, with the others
            return False
        self.held.popleft()
        self._finish(work, verdict)
        return True

    def _still_wanted(self, work: Work) -> Work | None:
        """Settlements and notes always; an intent or extension while somebody waits. An intent that may have been
        written is undone; what an extension may have taken is given back by its completion's settlement."""
        if work.spooled:
            return None
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
                work.encoded = encoded(work.record, dialect)
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
        self.busy_since = time.monotonic()
        try:
            with self._turn():
                verdicts = works_apply(connection, works)
        except DatabaseAway:
            raise
        except OSError as error:  # the file lock
            raise DatabaseAway(str(error)) from error
        except Exception as error:
            self._commit_halves(connection, works, error)
            return
        finally:
            self.busy_since = None
        self.last_commit_seconds = time.perf_counter() - began
        self.commits += 1
        self._came_back()
        exact = self._detour is None or self._detour.spool.is_empty
        for work, verdict in zip(works, verdicts, strict=True):
            self._finish(work, verdict if exact else _without_totals(verdict))

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
            self.busy_since = time.monotonic()
            try:
                self._connection = self._connect()
            except Exception as error:
                raise DatabaseAway(str(error)) from error
            finally:
                self.busy_since = None
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # there is nobody it could matter to
                connection.close()

    def _went_away(self, error: DatabaseAway) -> None:
        self._disconnect()
        if self.away_reason is None:
            logger.warning("the ledger's database is away: %s", error)
            self._pause_seconds = _FIRST_PAUSE_SECONDS
        else:
            self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)
        self.away_reason = str(error) or type(error).__name__

    def _came_back(self) -> None:
        if self.away_reason is not None:
            logger.warning("the ledger's database is back")
            self.away_reason = None
            self._look_around()


def _without_totals(verdict: object) -> object:
    """While something waits in the spool, totals and remaining room are not what they seem."""
    if isinstance(verdict, Settled):
        return Settled(None, None)
    return Opened(None) if isinstance(verdict, Opened) else verdict
