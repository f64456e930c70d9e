"""Rows of requests refused before their intent."""

from __future__ import annotations

import asyncio

from gateway.engine.words import CompletionStatus, Wire
from gateway.ledger.records import Refusal
from gateway.ledger.writer import LedgerWriter
from tests.ledger.books import NOW, Books

REFUSAL = Refusal(
    "req_1", NOW, Wire.OPENAI, "chat", False, "default", 3, "default", 5, "agents", 7, "research", "c1",
    CompletionStatus.REFUSED, 429, "budget_exceeded", "no room", {"refused": {"budget": "all"}},
)  # fmt: skip


async def test_a_refusal_is_a_row_without_money(writer: LedgerWriter, books: Books) -> None:
    writer.note(REFUSAL)
    writer.note(REFUSAL)
    await asyncio.to_thread(writer.stop)

    assert books.rows("SELECT status, http_status, cost_usd, reserved_usd FROM llmops_completion") == [
        ("refused", 429, 0, 0)
    ]
    assert (books.count("llmops_conversation"), books.count("llmops_budget_window")) == (0, 0)
