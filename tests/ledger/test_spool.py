"""The durable local spool: what it keeps, what it refuses, and how it reaches the database."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.errors import LedgerUnavailable
from gateway.engine.words import AttemptOutcome, Billing, FailureKind
from gateway.ledger.connections import ledger_connections
from gateway.ledger.database import DatabaseAway, LedgerConnection
from gateway.ledger.drain import chunk_drain, dead_spools_drain
from gateway.ledger.records import Extension, FallbackRecord, Opened, Settled
from gateway.ledger.spool import ALLOCATED_BYTES, Spool, spool_paths
from gateway.ledger.spool_codec import record_decode, record_encode
from gateway.ledger.sweep import orphans_settle
from gateway.ledger.writer import LedgerWriter
from gateway.selectors.ledger_spool import ledger_spool_state, ledger_spool_words
from tests.ledger.books import Books, attempt, claim, intent, settlement, usd
from tests.ledger.test_outage import Hesitation, Meddling, Switch

Connect = Callable[[], LedgerConnection]
COUNTED = claim("0.10", blocking=False)
FULL_SETTLEMENT = settlement(
    attempts=(attempt(1, "0.01", failure=FailureKind.TIMEOUT, outcome=AttemptOutcome.FAILED), attempt(2)),
    fallbacks=(FallbackRecord(1, "openai/a", "anthropic/b", "time-out", 30_000, usd("-0.01")),),
    claims=(COUNTED, claim()),
    billing=Billing.ESTIMATED,
    dropped_params=("seed",),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ledger-spool"


@pytest.fixture
def switch(connect: Connect) -> Switch:
    return Switch(connect, on=False)


@pytest.fixture
def away(switch: Switch, folder: Path) -> Iterator[LedgerWriter]:
    """A writer that has found its database away; `switch.on` brings it back."""
    writer = LedgerWriter(switch, spool=Spool(folder))
    writer.start()
    wait_until(lambda: writer.takes_detour)
    yield writer
    writer.stop()


def wait_until(true: Callable[[], bool]) -> None:
    """A fact that another thread brings about; the wait ends with it."""
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


async def back(writer: LedgerWriter, switch: Switch) -> None:
    """The database is back, and nothing waits any more."""
    switch.on = True
    await asyncio.to_thread(wait_until, lambda: writer.healthy and writer.spool is not None and writer.spool.is_empty)


def left_behind(folder: Path, *records: Any) -> Path:
    """The spool of a process that died: its lock is gone, its file is not."""
    spool = Spool(folder)
    for record in records:
        spool.append(record)
    spool.close()
    return spool.path


@pytest.mark.parametrize(
    "record",
    [intent("req_1", COUNTED, claim()), Extension("req_1", usd("0.2"), (COUNTED,)), FULL_SETTLEMENT],
    ids=lambda record: type(record).__name__,
)
def test_a_record_comes_out_as_it_went_in(record: Any) -> None:
    assert record_decode(record_encode(record, 17.0)) == (record, 17.0)


def test_half_a_surrogate_pair_in_an_error_text_does_not_cost_a_settlement() -> None:
    odd = settlement(error_message="\ud83d")

    assert record_decode(record_encode(odd, 0.0))[0] == odd


async def test_requests_that_no_budget_can_refuse_are_answered_and_written_once_it_is_back(
    away: LedgerWriter, switch: Switch, books: Books
) -> None:
    assert await away.open(intent("req_1", COUNTED)) == Opened(None)
    assert await away.settle(settlement("req_1", "0.03", claims=(COUNTED,))) == Settled(None, None)

    await back(away, switch)

    assert (books.status, books.spent, books.reserved) == ("answered", usd("0.03"), 0)
    assert books.amount("cost_usd", "llmops_conversation") == usd("0.03")


@pytest.mark.alone  # measures milliseconds
async def test_a_request_under_a_blocking_budget_is_refused_at_once(away: LedgerWriter) -> None:
    began = time.monotonic()

    with pytest.raises(LedgerUnavailable, match="falls under a budget that blocks"):
        await away.open(intent("req_1", claim("0.10")))

    assert time.monotonic() - began < 0.05


async def test_what_costs_nothing_is_answered_under_any_budget(away: LedgerWriter) -> None:
    assert await away.open(intent("req_1", claim("0"))) == Opened(None)


async def test_a_settlement_whose_intent_is_in_the_database_waits_in_the_spool(
    connect: Connect, switch: Switch, away: LedgerWriter, books: Books, folder: Path
) -> None:
    before = LedgerWriter(connect)
    before.start()
    await before.open(intent("req_1", claim("0.10")))
    await asyncio.to_thread(before.stop)

    assert await away.settle(settlement("req_1", "0.03")) == Settled(None, None)
    assert ledger_spool_state(folder).records == 1
    await back(away, switch)

    assert (books.spent, books.reserved) == (usd("0.03"), 0)


async def test_a_settlement_goes_behind_its_intent_while_that_waits(
    away: LedgerWriter, switch: Switch, books: Books
) -> None:
    """Also when the database is back before the spool is empty."""
    await away.open(intent("req_1", COUNTED))
    switch.on = True
    await away.settle(settlement("req_1", "0.03"))
    await back(away, switch)

    assert (books.status, books.spent) == ("answered", usd("0.03"))


async def test_the_spool_is_drained_while_nobody_asks(away: LedgerWriter, switch: Switch, books: Books) -> None:
    for number in range(120):
        await away.open(intent(f"req_{number}", COUNTED))
        await away.settle(settlement(f"req_{number}", "0.001"))

    await back(away, switch)

    assert (books.count("llmops_completion", "status = 'answered'"), books.spent) == (120, usd("0.12"))
    assert away.healthy


async def test_totals_are_exact_again_once_the_spool_is_drained(away: LedgerWriter, switch: Switch) -> None:
    await away.open(intent("req_1", COUNTED))
    await away.settle(settlement("req_1", "0.03"))
    await back(away, switch)

    await away.open(intent("req_2", COUNTED))

    assert await away.settle(settlement("req_2", "0.03", claims=(COUNTED,))) == Settled(usd("0.06"), usd("0.94"))


def test_draining_twice_changes_nothing(folder: Path, connection: LedgerConnection, books: Books) -> None:
    """As after a crash between the transaction and forgetting."""
    for _ in range(2):
        left_behind(folder, intent("req_1", COUNTED), settlement("req_1", "0.03"))
        assert dead_spools_drain(connection, folder) == 2

    assert (books.spent, books.reserved, books.count("llmops_attempt")) == (usd("0.03"), 0, 1)
    assert spool_paths(folder) == []


async def test_a_dead_process_spool_is_drained_by_whoever_comes_next(
    connect: Connect, folder: Path, books: Books
) -> None:
    left = left_behind(folder, intent("req_1", COUNTED), settlement("req_1", "0.03"))
    writer = LedgerWriter(connect, spool=Spool(folder))

    writer.start()
    await asyncio.to_thread(writer.stop)

    assert (books.status, books.spent, left.exists()) == ("answered", usd("0.03"), False)


async def test_what_a_dead_process_had_open_is_settled_without_waiting_for_its_lease(
    connect: Connect, connection: LedgerConnection, folder: Path, books: Books
) -> None:
    """Nobody else's: other processes live on."""
    long_from_now = datetime.now(UTC) + timedelta(hours=1)
    dead = LedgerWriter(connect, spool=Spool(folder))
    dead.start()
    await dead.open(intent("req_1", claim("0.10"), holder=dead.holder, lease_until=long_from_now))
    await dead.open(intent("req_2", claim("0.10"), holder="another", lease_until=long_from_now))
    await asyncio.to_thread(dead.stop)  # its lock is gone, as if it had been killed

    dead_spools_drain(connection, folder)

    assert orphans_settle(connection, datetime.now(UTC)) == 1
    assert books.rows("SELECT id, status FROM llmops_completion ORDER BY id") == [
        ("req_1", "unknown"), ("req_2", "pending"),
    ]  # fmt: skip


def test_a_living_process_spool_is_left_alone(folder: Path, connection: LedgerConnection) -> None:
    living = Spool(folder)
    living.append(intent())

    assert dead_spools_drain(connection, folder) == 0
    assert spool_paths(folder) == [living.path]


def test_a_torn_tail_loses_only_what_nobody_was_told_of(
    folder: Path, connection: LedgerConnection, books: Books
) -> None:
    path = left_behind(folder, intent("req_1", COUNTED), intent("req_2", COUNTED))
    data = path.read_bytes()
    whole = data.rstrip(b"\0")
    path.write_bytes(whole[:-20])

    dead_spools_drain(connection, folder)

    assert books.rows("SELECT id FROM llmops_completion") == [("req_1",)]


def test_a_damaged_length_asks_for_no_more_memory_than_the_file_is_large(
    folder: Path, connection: LedgerConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = left_behind(folder, intent("req_1", COUNTED))
    path.write_bytes(b"\xf0\xff\xff\xff" + path.read_bytes()[4:])
    asked: list[int] = []
    read = os.pread

    def counted(file: int, size: int, position: int) -> bytes:
        asked.append(size)
        return read(file, size, position)

    monkeypatch.setattr(os, "pread", counted)

    assert dead_spools_drain(connection, folder) == 0
    assert max(asked) <= ALLOCATED_BYTES


def test_a_record_that_the_tables_refuse_does_not_hold_up_the_others(
    folder: Path, connection: LedgerConnection, books: Books
) -> None:
    # Too long for its column: whoever wrote it knew other tables.
    left_behind(folder, intent("req_1", COUNTED), intent("r" * 60, COUNTED), intent("req_3", COUNTED))

    dead_spools_drain(connection, folder)

    assert books.rows("SELECT id FROM llmops_completion ORDER BY id") == [("req_1",), ("req_3",)]
    assert spool_paths(folder) == []


def test_a_database_that_goes_away_again_loses_nothing(folder: Path, connection: LedgerConnection) -> None:
    def lost(inner: LedgerConnection) -> None:
        raise DatabaseAway("gone again")

    spool = Spool(folder)
    spool.append(intent("req_1", COUNTED))

    with pytest.raises(DatabaseAway):
        chunk_drain(spool, Meddling(connection, lost), None)

    assert spool.records == 1


def test_a_full_spool_refuses_intents_and_takes_their_settlements(folder: Path) -> None:
    spool = Spool(folder, max_bytes=64 * 1024)
    admitted = 0
    while spool.has_room and admitted < 100:
        spool.append(intent(f"req_{admitted}", COUNTED))
        admitted += 1

    with pytest.raises(LedgerUnavailable, match="spool is full"):
        spool.append(intent("req_more", COUNTED))
    for number in range(admitted):
        spool.append(settlement(f"req_{number}"))

    assert spool.records == 2 * admitted > 0


def test_a_spool_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "ledger-spool").write_text("a file where the folder should be")

    with pytest.raises(LedgerUnavailable, match="can't be written"):
        Spool(tmp_path / "ledger-spool").append(intent())


def test_room_is_taken_from_the_disk_before_it_is_full(folder: Path) -> None:
    spool = Spool(folder)
    spool.prepare()

    assert os.stat(spool.path).st_blocks * 512 >= ALLOCATED_BYTES


@pytest.mark.alone  # a database that takes 20 ms counts as one that hangs
async def test_a_hanging_database_is_left_after_the_time_a_caller_may_wait(
    sqlite_books: dict[str, Any], folder: Path
) -> None:
    blocker = sqlite3.connect(sqlite_books["NAME"], isolation_level=None)
    writer = LedgerWriter(ledger_connections(sqlite_books), answer_within_seconds=0.02, spool=Spool(folder))
    writer.start()
    await writer.open(intent("req_0", claim("0.10")))
    blocker.execute("BEGIN IMMEDIATE")

    opened = await writer.open(intent("req_1", COUNTED))
    with pytest.raises(LedgerUnavailable):
        await writer.open(intent("req_2", claim("0.10")))
    settled = await writer.settle(settlement("req_0", "0.03"))
    blocker.execute("ROLLBACK")
    blocker.close()
    await writer.settle(settlement("req_1", "0.02"))
    await asyncio.to_thread(wait_until, lambda: writer.healthy and writer.spool is not None and writer.spool.is_empty)
    await asyncio.to_thread(writer.stop)

    books = Books(ledger_connections(sqlite_books)())
    assert (opened, settled) == (Opened(None), Settled(None, None))
    assert (books.spent, books.reserved) == (usd("0.05"), 0)
    books.connection.close()


async def test_a_client_that_leaves_after_its_spooled_intent_keeps_nothing_reserved(
    away: LedgerWriter, switch: Switch, books: Books
) -> None:
    await away.open(intent("req_1", COUNTED))
    await away.settle(settlement("req_1", "0", attempts=()))
    await back(away, switch)

    assert (books.reserved, books.spent) == (0, 0)


async def test_a_settlement_after_the_stop_goes_to_the_spool(connect: Connect, folder: Path) -> None:
    writer = LedgerWriter(connect, spool=Spool(folder))
    writer.start()
    await asyncio.to_thread(writer.stop)

    await writer.settle(settlement("req_1"))

    assert (ledger_spool_state(folder).records, writer.unwritten) == (1, ())


def test_the_state_tells_what_waits_and_since_when(folder: Path) -> None:
    left_behind(folder, intent("req_1"), settlement("req_1"))

    state = ledger_spool_state(folder)

    assert (state.records, state.processes) == (2, 1)
    assert ledger_spool_words(state).startswith("2 records wait in the ledger's local spool since ")


def test_nothing_is_said_of_an_empty_spool(folder: Path) -> None:
    Spool(folder).prepare()

    assert ledger_spool_words(ledger_spool_state(folder)) == ""


class LostAtFirst:
    """The first COMMIT happens, but its answer is lost; then the database is away until `switch` is on."""

    def __init__(self, connect: Connect) -> None:
        self.switch = Switch(connect, on=True)
        self._lost = False

    def __call__(self) -> LedgerConnection:
        return Meddling(self.switch(), self._commit)

    def _commit(self, inner: LedgerConnection) -> None:
        inner.commit()
        if not self._lost:
            self._lost, self.switch.on = True, False
            raise DatabaseAway("the connection was lost during COMMIT")


async def test_an_intent_whose_commit_lost_its_answer_is_spooled_and_counts_once(
    connect: Connect, folder: Path, books: Books
) -> None:
    lost = LostAtFirst(connect)
    writer = LedgerWriter(lost, spool=Spool(folder))
    writer.start()

    assert await writer.open(intent("req_1", COUNTED)) == Opened(None)
    await writer.settle(settlement("req_1", "0.03"))
    await back(writer, lost.switch)
    await asyncio.to_thread(writer.stop)

    assert (books.status, books.spent, books.reserved) == ("answered", usd("0.03"), 0)
    assert books.count("llmops_attempt") == 1


async def test_a_refused_intent_whose_commit_lost_its_answer_keeps_nothing_reserved(
    connect: Connect, folder: Path, books: Books
) -> None:
    lost = LostAtFirst(connect)
    writer = LedgerWriter(lost, spool=Spool(folder))
    writer.start()

    with pytest.raises(LedgerUnavailable, match="falls under a budget that blocks"):
        await writer.open(intent("req_1", claim("0.10")))
    reserved = books.reserved
    await asyncio.to_thread(wait_until, lambda: ledger_spool_state(folder).records == 1)
    await back(writer, lost.switch)
    await asyncio.to_thread(writer.stop)

    assert (reserved, books.reserved, books.spent) == (usd("0.10"), 0, 0)


async def test_a_slow_database_makes_no_queue_without_end(connect: Connect, folder: Path) -> None:
    hesitation = Hesitation()
    writer = LedgerWriter(lambda: Meddling(connect(), hesitation), max_queued=10, spool=Spool(folder))
    writer.start()
    opening = [asyncio.create_task(writer.open(intent("req_0")))]
    await hesitation.committing.wait()
    opening += [asyncio.create_task(writer.open(intent(f"req_{number}"))) for number in range(1, 100)]
    await asyncio.sleep(0)
    depth = writer.queue_depth
    hesitation.go_on.set()
    outcomes = await asyncio.gather(*opening, return_exceptions=True)
    await asyncio.to_thread(writer.stop)

    assert depth == 10
    assert [type(one) for one in outcomes] == [Opened] * 11 + [LedgerUnavailable] * 89


@pytest.mark.alone  # measures milliseconds
async def test_what_hangs_for_one_is_no_wait_for_the_next(connect: Connect, folder: Path) -> None:
    committing, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hang(inner: LedgerConnection) -> None:
        loop.call_soon_threadsafe(committing.set)
        go_on.wait()
        inner.commit()

    writer = LedgerWriter(lambda: Meddling(connect(), hang), answer_within_seconds=0.5, spool=Spool(folder))
    writer.start()
    assert await writer.open(intent("req_1", COUNTED)) == Opened(None)
    await asyncio.to_thread(wait_until, lambda: writer.takes_detour)
    began = time.monotonic()

    with pytest.raises(LedgerUnavailable, match="falls under a budget that blocks"):
        await writer.open(intent("req_2", claim("0.10")))

    assert time.monotonic() - began < 0.25
    go_on.set()
    await asyncio.to_thread(writer.stop)
