"""Orphans: completions whose process died before it settled them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from gateway.ledger.database import LedgerConnection
from gateway.ledger.records import Settled
from gateway.ledger.sweep import orphans_settle
from gateway.ledger.writer import LedgerWriter
from gateway.tasks import orphans_sweep
from tests.ledger.books import NOW, Books, claim, intent, settlement, usd

LATER = NOW + timedelta(hours=1)


async def test_an_orphan_is_settled_at_its_reservation(
    writer: LedgerWriter, connection: LedgerConnection, books: Books
) -> None:
    await writer.open(intent("req_1", claim("0.10")))

    assert orphans_settle(connection, LATER) == 1

    assert books.rows("SELECT status, billing FROM llmops_completion") == [("unknown", "unknown")]
    assert (books.spent, books.reserved) == (usd("0.10"), 0)
    assert books.amount("cost_usd", "llmops_conversation") == usd("0.10")


async def test_a_completion_within_its_lease_is_left_alone(
    writer: LedgerWriter, connection: LedgerConnection, books: Books
) -> None:
    await writer.open(intent("req_1", claim()))

    assert orphans_settle(connection, NOW) == 0
    assert (books.status, books.reserved) == ("pending", usd("0.10"))


async def test_a_settled_completion_is_no_orphan(writer: LedgerWriter, connection: LedgerConnection) -> None:
    await writer.open(intent("req_1", claim()))
    await writer.settle(settlement("req_1"))

    assert orphans_settle(connection, LATER) == 0


async def test_a_sweep_takes_all_orphans_in_small_transactions(
    writer: LedgerWriter, connection: LedgerConnection, books: Books
) -> None:
    for number in range(120):
        await writer.open(intent(f"req_{number}", claim("0.001")))

    assert orphans_settle(connection, LATER) == 120
    assert (books.spent, books.reserved) == (usd("0.12"), 0)


async def test_a_second_sweep_changes_nothing(writer: LedgerWriter, connection: LedgerConnection, books: Books) -> None:
    await writer.open(intent("req_1", claim()))
    orphans_settle(connection, LATER)

    assert orphans_settle(connection, LATER) == 0
    assert books.spent == usd("0.10")


async def test_an_orphan_whose_process_lived_is_corrected_to_the_truth(
    writer: LedgerWriter, connection: LedgerConnection, books: Books
) -> None:
    await writer.open(intent("req_1", claim("0.10")))
    orphans_settle(connection, LATER)

    settled = await writer.settle(settlement("req_1", "0.03", claims=(claim(),)))

    assert settled == Settled(usd("0.03"), usd("0.97"))
    assert (books.status, books.spent, books.reserved) == ("answered", usd("0.03"), 0)
    assert books.rows("SELECT completions, input_tokens FROM llmops_conversation") == [(1, 1_000)]
    assert books.count("llmops_budget_reservation") == 0


async def test_a_correction_is_made_once(writer: LedgerWriter, connection: LedgerConnection, books: Books) -> None:
    await writer.open(intent("req_1", claim("0.10")))
    orphans_settle(connection, LATER)
    first = await writer.settle(settlement("req_1", "0.03"))

    assert await writer.settle(settlement("req_1", "0.03")) == first
    assert (books.spent, books.count("llmops_attempt")) == (usd("0.03"), 1)


def test_the_scheduled_sweep_takes_turns_with_the_writers(
    sqlite_books: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings.DATABASES, "default", sqlite_books)

    orphans_sweep()

    assert Path(f"{sqlite_books['NAME']}.ledger-lock").exists()
