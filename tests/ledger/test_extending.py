"""More room for a completion under way; budgets of single providers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from gateway.engine.errors import BudgetExceeded, LedgerUnavailable
from gateway.ledger.database import LedgerConnection
from gateway.ledger.records import BudgetClaim, Extension, Opened, Settled
from gateway.ledger.sweep import orphans_settle
from gateway.ledger.writer import LedgerWriter
from tests.ledger.books import NOW, Books, attempt, claim, intent, settlement, usd
from tests.ledger.test_outage import AnswerLost, Meddling

LATER = NOW + timedelta(hours=1)


def extension(total: str, *claims: BudgetClaim) -> Extension:
    return Extension("req_1", usd(total), claims or (claim(total),))


async def test_an_extension_raises_what_is_reserved(writer: LedgerWriter, books: Books) -> None:
    await writer.open(intent("req_1", claim("0.10")))

    assert await writer.extend(extension("0.25")) == Opened(usd("0.75"))

    assert (books.reserved, books.spent) == (usd("0.25"), 0)
    assert books.amount("amount_usd", "llmops_budget_reservation") == usd("0.25")
    assert books.amount("reserved_usd", "llmops_completion") == usd("0.25")


async def test_an_extension_that_does_not_fit_is_refused_and_changes_nothing(
    writer: LedgerWriter, books: Books
) -> None:
    roomy = claim("0.60", limit="100", budget_id=2, subject="")
    await writer.open(intent("req_1", claim("0.60"), roomy))

    with pytest.raises(BudgetExceeded) as refused:
        await writer.extend(extension("1.20", claim("1.20"), claim("1.20", limit="100", budget_id=2, subject="")))

    assert refused.value.details["requested_usd"] == "0.60"
    assert books.reserved == books.amount("amount_usd", "llmops_budget_reservation") == usd("1.20")
    assert books.amount("reserved_usd", "llmops_completion") == usd("0.60")


async def test_extending_twice_reserves_once(writer: LedgerWriter, books: Books) -> None:
    await writer.open(intent("req_1", claim("0.10")))
    first = await writer.extend(extension("0.25"))

    assert await writer.extend(extension("0.25")) == first
    assert books.reserved == usd("0.25")


async def test_an_extension_whose_commit_was_answered_to_nobody_is_repeated_without_effect(
    connect: Callable[[], LedgerConnection], books: Books
) -> None:
    lost = AnswerLost()
    writer = LedgerWriter(lambda: Meddling(connect(), lost))
    writer.start()
    await writer.open(intent("req_1", claim("0.10")))

    await writer.extend(extension("0.25"))
    await asyncio.to_thread(writer.stop)

    assert (books.reserved, lost.commits) == (usd("0.25"), 4)


async def test_a_settlement_gives_back_all_that_was_reserved(writer: LedgerWriter, books: Books) -> None:
    await writer.open(intent("req_1", claim("0.10")))
    await writer.extend(extension("0.25"))

    settled = await writer.settle(settlement("req_1", "0.13", claims=(claim(),)))

    assert settled == Settled(usd("0.13"), usd("0.87"))
    assert (books.reserved, books.spent, books.count("llmops_budget_reservation")) == (0, usd("0.13"), 0)


async def test_an_orphan_is_charged_its_extensions_too(
    writer: LedgerWriter, connection: LedgerConnection, books: Books
) -> None:
    await writer.open(intent("req_1", claim("0.10")))
    await writer.extend(extension("0.25"))

    orphans_settle(connection, LATER)

    assert (books.reserved, books.spent) == (0, usd("0.25"))
    assert books.amount("cost_usd", "llmops_completion") == usd("0.25")


async def test_a_completion_that_was_settled_meanwhile_is_not_extended(
    writer: LedgerWriter, connection: LedgerConnection, books: Books
) -> None:
    await writer.open(intent("req_1", claim("0.10")))
    orphans_settle(connection, LATER)

    with pytest.raises(LedgerUnavailable, match="can't go on"):
        await writer.extend(extension("0.25"))

    assert (books.reserved, books.spent) == (0, usd("0.10"))


async def test_a_client_that_leaves_during_an_extension_leaves_its_completion_to_the_settlement(
    connect: Callable[[], LedgerConnection], books: Books
) -> None:
    go_on = threading.Event()

    def hesitate(inner: LedgerConnection) -> None:
        go_on.wait()
        inner.commit()

    opener = LedgerWriter(connect)
    opener.start()
    await opener.open(intent("req_1", claim("0.10")))
    writer = LedgerWriter(lambda: Meddling(connect(), hesitate))
    writer.start()
    leaving = asyncio.create_task(writer.extend(extension("0.25")))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    settling = asyncio.create_task(writer.settle(settlement("req_1", "0.03")))
    await asyncio.sleep(0)
    go_on.set()
    await settling
    await asyncio.to_thread(writer.stop)
    await asyncio.to_thread(opener.stop)

    assert (books.status, books.reserved, books.spent) == ("answered", 0, usd("0.03"))


def provider_claim(provider_id: int, amount: str = "0.10") -> BudgetClaim:
    return claim(amount, budget_id=9, subject=str(provider_id), visible=False, provider_id=provider_id)


async def test_each_providers_budget_is_charged_its_own_attempts(writer: LedgerWriter, books: Books) -> None:
    claims = (claim("0.20"), provider_claim(2), provider_claim(4))
    await writer.open(intent("req_1", *claims))

    attempts = (attempt(1, "0.05", provider_id=2), attempt(2, "0.03", provider_id=4), attempt(3, "0", provider_id=4))
    await writer.settle(settlement("req_1", "0.08", attempts=attempts, claims=claims))

    assert books.rows("SELECT budget_id, subject, spent_usd / 10000000000, reserved_usd FROM llmops_budget_window"
                      " ORDER BY budget_id, subject") == [(1, "7", 8, 0), (9, "2", 5, 0), (9, "4", 3, 0)]  # fmt: skip


async def test_an_orphans_provider_budgets_are_corrected_each_by_its_own_attempts(
    writer: LedgerWriter, connection: LedgerConnection, books: Books
) -> None:
    claims = (claim("0.20"), provider_claim(2, "0.20"), provider_claim(4, "0.10"))
    await writer.open(intent("req_1", *claims))
    orphans_settle(connection, LATER)
    charged = books.rows("SELECT subject, spent_usd / 10000000000 FROM llmops_budget_window ORDER BY subject")

    attempts = (attempt(1, "0.05", provider_id=4),)
    await writer.settle(settlement("req_1", "0.05", attempts=attempts, claims=claims))

    assert charged == [("2", 20), ("4", 10), ("7", 20)]
    assert books.rows("SELECT subject, spent_usd / 10000000000, reserved_usd FROM llmops_budget_window"
                      " ORDER BY subject") == [("2", 0, 0), ("4", 5, 0), ("7", 5, 0)]  # fmt: skip


async def test_a_refusal_tells_whose_provider_budget_is_full(writer: LedgerWriter) -> None:
    with pytest.raises(BudgetExceeded) as refused:
        await writer.open(intent("req_1", claim("0.10"), provider_claim(2), provider_claim(4, "3.00")))

    assert refused.value.provider_id == 4
