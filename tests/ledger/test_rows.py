"""What is written is what Django reads, on both databases; odd texts never cost a settlement."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections
from pytest_django import DjangoDbBlocker

from gateway.engine.usage import Usage
from gateway.engine.words import FailureKind
from gateway.ledger.dialect import SQLITE
from gateway.ledger.records import FallbackRecord, Intent, Settlement
from gateway.ledger.rows import intent_row, settlement_row
from gateway.ledger.writer import LedgerWriter
from gateway.models.budget_window import BudgetWindow
from gateway.models.completion import Attempt, Completion, Conversation, Fallback
from tests.ledger.books import MONTH, NOW, Books, attempt, claim, intent, settlement, usd


@pytest.fixture
def django_reads(database: dict[str, Any], django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The alias under which Django's ORM reads the books."""
    alias = "books"
    connections.settings[alias] = {**connections.settings["default"], **database}
    with django_db_blocker.unblock():
        yield alias
        connections[alias].close()
    del connections[alias]
    del connections.settings[alias]


def tell(writer: LedgerWriter, opened: Intent, settled: Settlement) -> None:
    async def both() -> None:
        await writer.open(opened)
        await writer.settle(settled)

    asyncio.run(both())


def fallen_back(writer: LedgerWriter) -> None:
    """One completion that failed once, fell back and was answered."""
    failed = attempt(1, "0", failure=FailureKind.SERVER_ERROR, status=503, usage=Usage(), retry_after_seconds=1.5)
    step = FallbackRecord(1, "openai/gpt-4-turbo", "anthropic/claude", "server_error", 900, usd("-0.001"))
    attempts = (failed, attempt(2, "0.03", probe=True))
    ending = settlement(attempts=attempts, fallbacks=(step,), dropped_params=("logit_bias",))
    tell(writer, intent("req_1", claim("0.10"), stream=True), ending)


def test_django_reads_a_completion_as_it_was_told(writer: LedgerWriter, django_reads: str) -> None:
    fallen_back(writer)

    row = Completion.objects.using(django_reads).get(pk="req_1")

    assert (row.created_at, row.finished_at) == (NOW, NOW.replace(second=1))
    assert (row.cost_usd, row.reserved_usd) == (usd("0.03"), usd("0.10"))
    assert (row.decision, row.dropped_params) == ({"why": "first target"}, ["logit_bias"])
    assert (row.stream, row.fell_back, row.attempt_count, row.status) == (True, True, 2, "answered")


def test_django_reads_attempts_and_fallbacks_as_they_were_told(writer: LedgerWriter, django_reads: str) -> None:
    fallen_back(writer)

    first, second = Attempt.objects.using(django_reads).order_by("number")
    step = Fallback.objects.using(django_reads).get()

    assert (first.failure, first.status, first.retry_after_seconds, first.probe) == ("server_error", 503, 1.5, False)
    assert (second.cost_usd, second.price_id, second.probe, second.started_at) == (usd("0.03"), 11, True, NOW)
    assert (step.extra_cost_usd, step.created_at) == (usd("-0.001"), datetime(2026, 11, 22, 10, 30, 1, 150_000, UTC))


def test_django_finds_times_by_comparison(writer: LedgerWriter, django_reads: str) -> None:
    on_the_second = NOW.replace(microsecond=0)
    tell(writer, intent("req_1", created_at=on_the_second), settlement("req_1"))

    assert Completion.objects.using(django_reads).filter(created_at__gte=on_the_second).count() == 1
    assert Completion.objects.using(django_reads).filter(created_at__lt=on_the_second).count() == 0
    assert Conversation.objects.using(django_reads).get().first_seen_at == on_the_second


def test_a_window_is_keyed_by_its_start_in_seconds(writer: LedgerWriter, django_reads: str) -> None:
    asyncio.run(writer.open(intent("req_1", claim())))

    assert BudgetWindow.objects.using(django_reads).get().window_epoch == int(MONTH.timestamp())


async def test_odd_provider_texts_never_cost_a_settlement(writer: LedgerWriter, books: Books) -> None:
    odd = "nul \0, half a pair \ud83d, " + "much " * 5_000
    await writer.open(intent("req_1", decision={"asked": "nul \0"}, requested_model=odd))

    await writer.settle(
        settlement(
            error_message=odd,
            finish_reason=odd,
            latency_ms=-5,
            attempts=(attempt(1, message=odd, reason=odd, upstream_id=odd, status=99_999_999),),
        )
    )

    message, latency_ms = books.rows("SELECT error_message, latency_ms FROM llmops_completion")[0]
    assert message.startswith("nul , half a pair ?, much")
    assert (len(message), latency_ms) == (4_000, 0)


def test_an_identifier_that_would_have_to_be_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 128 characters"):
        intent_row(intent(conversation="c" * 129), SQLITE)


@pytest.mark.parametrize("cost", ["-0.01", "NaN", "10000000"])
def test_an_amount_no_row_can_hold_is_refused(cost: str) -> None:
    with pytest.raises(ValueError, match="amount"):
        settlement_row(settlement(cost_usd=Decimal(cost), attempts=()), SQLITE)
