"""The database away, slow or lying; clients that leave; more work than fits."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.errors import LedgerUnavailable
from gateway.ledger.admission import NotGranted
from gateway.ledger.connections import ledger_connections
from gateway.ledger.database import DatabaseAway, LedgerConnection, Row
from gateway.ledger.dialect import Dialect
from gateway.ledger.records import Opened, Settled
from gateway.ledger.spool import Spool
from gateway.ledger.writer import ANSWER_WITHIN_SECONDS, LONGEST_STOP_SECONDS, STOP_MARGIN_SECONDS, LedgerWriter
from gateway.supervisor.plan import DRAIN_MARGIN_SECONDS
from llmops.env import sqlite_database
from tests.ledger.books import Books, claim, intent, settlement, usd

Connect = Callable[[], LedgerConnection]


class Switch:
    """Makes connections only while it is on."""

    def __init__(self, connect: Connect, *, on: bool) -> None:
        self._connect = connect
        self.on = on

    def __call__(self) -> LedgerConnection:
        if not self.on:
            raise DatabaseAway("connection refused")
        return self._connect()


class Meddling:
    """A connection whose COMMIT can be meddled with."""

    def __init__(self, inner: LedgerConnection, on_commit: Callable[[LedgerConnection], None]) -> None:
        self._inner = inner
        self._on_commit = on_commit

    @property
    def dialect(self) -> Dialect:
        return self._inner.dialect

    def begin(self) -> None:
        self._inner.begin()

    def commit(self) -> None:
        self._on_commit(self._inner)

    def rollback(self) -> None:
        self._inner.rollback()

    def run(self, sql: str, rows: Any) -> None:
        self._inner.run(sql, rows)

    def fetch_each(self, sql: str, rows: Any) -> list[list[Row]]:
        return self._inner.fetch_each(sql, rows)

    def close(self) -> None:
        self._inner.close()


class Hesitation:
    """A COMMIT that tells the event loop it was made in that it is under way, and waits to be let go."""

    def __init__(self) -> None:
        self.committing, self.go_on = asyncio.Event(), threading.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self, inner: LedgerConnection) -> None:
        self._loop.call_soon_threadsafe(self.committing.set)
        self.go_on.wait()
        inner.commit()


class AnswerLost:
    """Every other COMMIT happens, but its answer is lost."""

    def __init__(self) -> None:
        self.commits = 0

    def __call__(self, inner: LedgerConnection) -> None:
        inner.commit()
        self.commits += 1
        if self.commits % 2:
            raise DatabaseAway("the connection was lost during COMMIT")


@pytest.fixture
def patient(connect: Connect) -> LedgerWriter:
    """A writer that meets a lost answer at every other COMMIT."""
    lost = AnswerLost()
    return LedgerWriter(lambda: Meddling(connect(), lost))


async def test_a_commit_whose_answer_was_lost_is_repeated_without_effect(patient: LedgerWriter, books: Books) -> None:
    patient.start()

    opened = await patient.open(intent("req_1", claim("0.10")))
    reserved = books.reserved
    settled = await patient.settle(settlement("req_1", "0.03", claims=(claim(),)))
    patient.stop()

    assert (opened, reserved) == (Opened(usd("0.90")), usd("0.10"))
    assert settled == Settled(usd("0.03"), usd("0.97"))
    assert (books.spent, books.reserved, books.count("llmops_attempt")) == (usd("0.03"), 0, 1)


async def test_an_intent_whose_commit_failed_is_refused_at_once_where_a_budget_blocks(
    connect: Connect, books: Books, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It may have been written all the same, so it is undone; but its caller needn't wait for that."""
    lost = AnswerLost()
    writer = LedgerWriter(lambda: Meddling(connect(), lost), answer_within_seconds=60, spool=Spool(tmp_path))
    writer.start()

    with pytest.raises(LedgerUnavailable, match="a budget that blocks"):
        await writer.open(intent("req_1", claim("0.10")))
    await asyncio.to_thread(writer.stop)

    assert (books.status, books.reserved, books.spent) == ("failed", 0, 0)
    assert "does not know" not in caplog.text


async def test_an_intent_is_refused_soon_while_the_database_is_away(connect: Connect, books: Books) -> None:
    switch = Switch(connect, on=False)
    writer = LedgerWriter(switch, answer_within_seconds=0.02)
    writer.start()

    with pytest.raises(LedgerUnavailable, match="nothing was sent"):
        await writer.open(intent("req_1", claim()))
    switch.on = True
    await asyncio.to_thread(writer.stop)

    assert books.count("llmops_completion") == 0


async def test_a_settlement_outlasts_an_outage(connect: Connect, books: Books) -> None:
    first = LedgerWriter(connect)
    first.start()
    await first.open(intent("req_1", claim("0.10")))
    first.stop()
    switch = Switch(connect, on=False)
    writer = LedgerWriter(switch, answer_within_seconds=0.02)
    writer.start()

    with pytest.raises(LedgerUnavailable, match="the settlement is kept"):
        await writer.settle(settlement("req_1", "0.03"))
    switch.on = True
    await asyncio.to_thread(writer.stop)

    assert (books.spent, books.reserved) == (usd("0.03"), 0)
    assert writer.unwritten == ()


async def test_what_could_not_be_settled_by_the_end_is_handed_over(connect: Connect) -> None:
    writer = LedgerWriter(Switch(connect, on=False), answer_within_seconds=0.02)
    writer.start()
    with pytest.raises(LedgerUnavailable):
        await writer.settle(settlement("req_1"))

    await asyncio.to_thread(writer.stop, 0.05)

    assert writer.unwritten == (settlement("req_1"),)


async def test_health_follows_the_database(connect: Connect) -> None:
    writer = LedgerWriter(Switch(connect, on=False), answer_within_seconds=0.02)
    assert not writer.healthy
    writer.start()

    with pytest.raises(LedgerUnavailable):
        await writer.open(intent())

    assert not writer.healthy
    assert writer.away_reason == "connection refused"
    await asyncio.to_thread(writer.stop, 0.05)


async def test_a_working_writer_is_healthy(writer: LedgerWriter) -> None:
    await writer.open(intent())

    assert writer.healthy
    assert writer.last_commit_seconds is not None


async def test_a_database_locked_for_long_makes_intents_wait_no_longer_than_allowed(
    sqlite_books: dict[str, Any], tmp_path: Path
) -> None:
    blocker = sqlite3.connect(sqlite_books["NAME"], isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    writer = LedgerWriter(ledger_connections(sqlite_books), answer_within_seconds=0.02)
    writer.start()

    with pytest.raises(LedgerUnavailable):
        await writer.open(intent())

    blocker.execute("ROLLBACK")
    blocker.close()
    await asyncio.to_thread(writer.stop)


@pytest.mark.postgres
async def test_a_connection_cut_by_the_server_is_made_anew(postgres_books: dict[str, Any]) -> None:
    connect = ledger_connections(postgres_books)
    other, writer = connect(), LedgerWriter(connect)
    writer.start()
    await writer.open(intent("req_1", claim("0.10")))

    mine = "application_name = 'llmops ledger' AND pid <> pg_backend_pid() AND datname = current_database()"
    Books(other).rows(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}")  # noqa: S608

    assert await writer.open(intent("req_2", claim("0.10"))) == Opened(usd("0.80"))
    writer.stop()
    other.close()


def test_a_damaged_file_counts_as_away_not_as_a_bad_row(tmp_path: Path) -> None:
    (tmp_path / "books.sqlite3").write_bytes(b"these are not the books you are looking for" * 100)

    with pytest.raises(DatabaseAway, match="not a database"):
        ledger_connections(sqlite_database(tmp_path / "books.sqlite3"))()


def test_only_databases_with_a_dialect_are_taken() -> None:
    with pytest.raises(ValueError, match="SQLite or PostgreSQL, not to mysql"):
        ledger_connections({"ENGINE": "django.db.backends.mysql", "NAME": "x"})


class Unforeseen:
    """Makes connections that fail as nobody foresaw, so many times."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self.times = 0

    def __call__(self) -> LedgerConnection:
        unforeseen = self

        class Failing(Meddling):
            @property
            def dialect(self) -> Dialect:
                if unforeseen.times:
                    unforeseen.times -= 1
                    raise RuntimeError("nobody foresaw this")
                return self._inner.dialect

        return Failing(self._connect(), lambda inner: inner.commit())


async def test_an_unforeseen_error_refuses_the_intent_and_the_next_one_is_served(
    connect: Connect, books: Books, caplog: pytest.LogCaptureFixture
) -> None:
    unforeseen = Unforeseen(connect)
    writer = LedgerWriter(unforeseen)
    writer.start()
    unforeseen.times = 1

    with pytest.raises(LedgerUnavailable, match="The ledger failed"):
        await writer.open(intent("req_1", claim("0.10")))
    await writer.open(intent("req_2", claim("0.10")))
    await asyncio.to_thread(writer.stop)

    assert books.reserved == usd("0.10")
    assert "nobody foresaw this" in caplog.text


async def test_a_settlement_survives_an_unforeseen_error(connect: Connect, books: Books) -> None:
    unforeseen = Unforeseen(connect)
    writer = LedgerWriter(unforeseen)
    writer.start()
    await writer.open(intent("req_1", claim("0.10")))
    unforeseen.times = 1

    assert await writer.settle(settlement("req_1", "0.03")) == Settled(usd("0.03"))
    assert writer.healthy
    await asyncio.to_thread(writer.stop)


async def test_a_settlement_that_fails_twice_as_nobody_foresaw_does_not_hold_up_the_others(connect: Connect) -> None:
    unforeseen = Unforeseen(connect)
    writer = LedgerWriter(unforeseen)
    writer.start()
    await writer.open(intent("req_1", claim("0.10")))
    unforeseen.times = 2

    with pytest.raises(RuntimeError, match="nobody foresaw"):
        await writer.settle(settlement("req_1", "0.03"))
    assert await writer.open(intent("req_2")) == Opened(None)
    await asyncio.to_thread(writer.stop)


async def test_a_lock_file_that_cannot_be_opened_counts_as_the_database_away(connect: Connect, tmp_path: Path) -> None:
    writer = LedgerWriter(connect, lock_path=tmp_path / "later" / "lock")
    writer.start()
    opening = asyncio.create_task(writer.open(intent("req_1")))
    await asyncio.sleep(0)
    (tmp_path / "later").mkdir()

    assert await opening == Opened(None)
    await asyncio.to_thread(writer.stop)


async def test_a_full_queue_refuses_intents(connect: Connect) -> None:
    writer = LedgerWriter(connect, max_queued=0)

    with pytest.raises(LedgerUnavailable, match="queue is full"):
        await writer.open(intent())


async def test_a_stopped_writer_takes_nothing_new(connect: Connect) -> None:
    writer = LedgerWriter(connect)
    writer.start()
    writer.stop()

    with pytest.raises(LedgerUnavailable, match="shutting down"):
        await writer.open(intent())


async def test_a_settlement_that_comes_during_the_stop_is_written(connect: Connect, books: Books) -> None:
    hesitation = Hesitation()
    writer = LedgerWriter(lambda: Meddling(connect(), hesitation))
    writer.start()
    opening = asyncio.create_task(writer.open(intent("req_1", claim())))
    await hesitation.committing.wait()
    await asyncio.to_thread(writer.stop, -STOP_MARGIN_SECONDS)  # waits for nothing
    settling = asyncio.create_task(writer.settle(settlement("req_1", "0.03")))
    await asyncio.sleep(0)
    hesitation.go_on.set()
    await asyncio.gather(opening, settling)
    await asyncio.to_thread(writer.stop)

    assert (books.spent, books.reserved, writer.unwritten) == (usd("0.03"), 0, ())


async def test_a_settlement_that_comes_after_the_stop_is_handed_over(connect: Connect) -> None:
    writer = LedgerWriter(connect)
    writer.start()
    await asyncio.to_thread(writer.stop)

    with pytest.raises(LedgerUnavailable, match="kept"):
        await writer.settle(settlement("req_1"))

    assert writer.unwritten == (settlement("req_1"),)


def test_a_worker_is_given_the_time_that_its_ledger_may_take_to_stop() -> None:
    assert DRAIN_MARGIN_SECONDS > LONGEST_STOP_SECONDS + ANSWER_WITHIN_SECONDS


async def test_stopping_writes_what_is_queued(connect: Connect, books: Books) -> None:
    writer = LedgerWriter(connect)
    waiting = [asyncio.create_task(writer.open(intent(f"req_{number}"))) for number in range(500)]
    await asyncio.sleep(0)
    writer.start()

    await asyncio.to_thread(writer.stop)

    assert await asyncio.gather(*waiting) == [Opened(None)] * 500
    assert books.count("llmops_completion") == 500


async def test_an_intent_whose_client_left_before_it_was_written_is_never_written(
    connect: Connect, books: Books
) -> None:
    writer = LedgerWriter(connect)
    waiting = asyncio.create_task(writer.open(intent("req_1", claim())))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    writer.start()
    await asyncio.to_thread(writer.stop)

    assert books.count("llmops_completion") == 0


async def test_an_intent_whose_client_left_while_it_was_written_keeps_nothing_reserved(
    connect: Connect, books: Books
) -> None:
    hesitation = Hesitation()
    writer = LedgerWriter(lambda: Meddling(connect(), hesitation))
    writer.start()
    waiting = asyncio.create_task(writer.open(intent("req_1", claim())))
    await hesitation.committing.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    hesitation.go_on.set()
    await writer.open(intent("req_2"))
    await asyncio.to_thread(writer.stop)

    assert books.rows("SELECT status, cost_usd FROM llmops_completion WHERE id = 'req_1'") == [("cancelled", 0)]
    assert (books.reserved, books.spent) == (0, 0)


async def test_a_client_that_leaves_in_the_moment_of_its_verdict_keeps_nothing_reserved(
    connect: Connect, books: Books
) -> None:
    committing, go_on, handed_out = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hesitate(inner: LedgerConnection) -> None:
        if go_on.is_set():
            handed_out.set()  # the second group: the first one's verdict is in the event loop's hands
        loop.call_soon_threadsafe(committing.set)
        go_on.wait()
        inner.commit()

    writer = LedgerWriter(lambda: Meddling(connect(), hesitate))
    writer.start()
    leaving = asyncio.create_task(writer.open(intent("req_1", claim())))
    await committing.wait()
    staying = asyncio.create_task(writer.open(intent("req_2")))
    await asyncio.sleep(0)
    go_on.set()
    assert handed_out.wait(10)  # blocks the event loop: the verdict and the cancellation meet in one iteration
    loop.call_soon(leaving.cancel)
    await asyncio.gather(leaving, staying, return_exceptions=True)
    await asyncio.to_thread(writer.stop)

    assert leaving.cancelled()
    assert books.rows("SELECT status, cost_usd FROM llmops_completion WHERE id = 'req_1'") == [("cancelled", 0)]
    assert (books.reserved, books.spent) == (0, 0)


async def test_an_intent_that_may_have_been_written_when_its_client_left_is_undone(
    connect: Connect, books: Books
) -> None:
    lost, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def lose(inner: LedgerConnection) -> None:
        inner.commit()
        if not go_on.is_set():
            loop.call_soon_threadsafe(lost.set)
            go_on.wait()
            raise DatabaseAway("the connection was lost during COMMIT")

    writer = LedgerWriter(lambda: Meddling(connect(), lose))
    writer.start()
    waiting = asyncio.create_task(writer.open(intent("req_1", claim())))
    await lost.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    go_on.set()
    await asyncio.to_thread(writer.stop)

    assert (books.status, books.reserved) == ("cancelled", 0)


async def test_a_settlement_queued_behind_its_refused_intent_changes_nothing(connect: Connect, books: Books) -> None:
    writer = LedgerWriter(connect)
    opening = asyncio.create_task(writer.open(intent("req_1", claim("3.00"))))
    settling = asyncio.create_task(writer.settle(settlement("req_1", "0", attempts=())))
    await asyncio.sleep(0)
    writer.start()

    refused, settled = await asyncio.gather(opening, settling, return_exceptions=True)
    writer.stop()

    assert (type(refused), settled) == (NotGranted, Settled())
    assert (books.reserved, books.spent, books.count("llmops_completion")) == (0, 0, 0)


async def test_a_client_that_leaves_during_its_settlement_is_settled_all_the_same(
    connect: Connect, books: Books
) -> None:
    writer = LedgerWriter(connect)
    writer.start()
    await writer.open(intent("req_1", claim()))
    waiting = asyncio.create_task(writer.settle(settlement("req_1", "0.03")))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    await asyncio.to_thread(writer.stop)

    assert (books.spent, books.reserved) == (usd("0.03"), 0)


async def test_another_process_can_settle_what_a_dead_one_opened(connect: Connect, books: Books) -> None:
    dead, alive = LedgerWriter(connect), LedgerWriter(connect)
    dead.start()
    alive.start()
    await dead.open(intent("req_1", claim("0.10")))

    assert await alive.settle(settlement("req_1", "0.03", claims=(claim(),))) == Settled(usd("0.03"), usd("0.97"))
    assert books.reserved == 0
    dead.stop()
    alive.stop()
