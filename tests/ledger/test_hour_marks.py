"""The ledger tells the roll-ups which hours have changed after they were over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.ledger.writer import LedgerWriter
from tests.ledger.books import Books, intent, settlement

MARKS = "SELECT starts_at, marks FROM llmops_usage_hour_changed"


async def test_a_settlement_of_an_hour_that_is_over_marks_it(writer: LedgerWriter, books: Books) -> None:
    began = datetime(2026, 11, 20, 9, 59, 58, tzinfo=UTC)
    for name in ("req_1", "req_2"):
        await writer.open(intent(name, created_at=began))
        await writer.settle(settlement(name))

    ((hour, marks),) = books.rows(MARKS)

    assert str(hour).startswith("2026-11-20 09:00:00")
    assert marks == 2


async def test_a_settlement_in_its_own_hour_marks_nothing(writer: LedgerWriter, books: Books) -> None:
    # Should the hour end in between, the mark is right: so the intent is dated ahead.
    await writer.open(intent("req_1", created_at=datetime.now(UTC) + timedelta(hours=1)))
    await writer.settle(settlement("req_1"))

    assert books.rows(MARKS) == []


async def test_settling_again_marks_nothing(writer: LedgerWriter, books: Books) -> None:
    await writer.open(intent("req_1", created_at=datetime(2026, 11, 20, 9, tzinfo=UTC)))
    await writer.settle(settlement("req_1"))

    await writer.settle(settlement("req_1"))

    assert [marks for _, marks in books.rows(MARKS)] == [1]
