"""Compares the ledger with the simulator's own bill, in whole pico-dollars and with SQL and prices of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.clients import trace_of
from gateway.simulator.log import LogRow

# Pico-dollars per token: uncached input, cached input, cache write, output. As `document` configures them.
PRICES = {
    "openai": (10_000_000, 5_000_000, 10_000_000, 30_000_000),
    "anthropic": (3_000_000, 300_000, 3_750_000, 15_000_000),
}
_SUMS_THAT_AGREE = """
SELECT (SELECT COALESCE(SUM(cost_usd), 0) FROM llmops_completion),
       (SELECT COALESCE(SUM(cost_usd), 0) FROM llmops_conversation),
       (SELECT COALESCE(SUM(spent_usd), 0) FROM llmops_budget_window WHERE budget_id = (
          SELECT id FROM llmops_budget WHERE name = 'everything'))
"""
_RESERVED = "SELECT COALESCE(SUM(reserved_usd), 0) FROM llmops_budget_window"
_PENDING = "SELECT COUNT(*) FROM llmops_completion WHERE status = 'pending'"


@dataclass(frozen=True, slots=True)
class Booked:
    id: str
    conversation: str
    status: str
    billing: str
    cost: int


def billed(row: LogRow) -> int:
    """What the provider charges for one request of its log."""
    uncached, cached, write, output = PRICES[row.provider]
    plain = row.input_tokens - row.cached_input_tokens - row.cache_write_tokens
    return (
        plain * uncached
        + row.cached_input_tokens * cached
        + row.cache_write_tokens * write
        + row.output_tokens * output
    )


def bill_by_trace(rows: Iterable[LogRow]) -> dict[str, int]:
    bill: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        if cost := billed(row):
            bill[row.headers.get("traceparent", "")] += cost
    return dict(bill)


def completions(connection: Any) -> list[Booked]:
    sql = "SELECT id, conversation, status, billing, cost_usd FROM llmops_completion WHERE status <> 'refused'"
    rows = connection.fetch_each(sql, [()])[0]
    return [Booked(one, conversation, status, billing, int(cost)) for one, conversation, status, billing, cost in rows]


def sums_disagreeing(connection: Any) -> list[str]:
    """Faults of the totals; empty when they all agree and nothing is reserved or pending."""
    faults = []
    of_rows, of_conversations, of_budget = (int(one) for one in connection.fetch_each(_SUMS_THAT_AGREE, [()])[0][0])
    if not of_rows == of_conversations == of_budget:
        faults.append(f"rows {of_rows}, conversations {of_conversations} and the budget {of_budget} differ")
    if reserved := int(connection.fetch_each(_RESERVED, [()])[0][0][0]):
        faults.append(f"{reserved} pico-dollars are still reserved")
    if pending := int(connection.fetch_each(_PENDING, [()])[0][0][0]):
        faults.append(f"{pending} completions are still pending")
    return faults


def requests_disagreeing(bill: Mapping[str, int], booked: Iterable[Booked], numbers: Mapping[str, int]) -> list[str]:
    """Request by request: `numbers` by conversation, where each request has a conversation of its own."""
    faults, by_trace = [], defaultdict(list)
    for row in booked:
        by_trace[trace_of(numbers[row.conversation])].append(row)
    for trace, cost in bill.items():
        rows = by_trace.get(trace, [])
        if not rows:
            faults.append(f"{trace} was billed {cost} and is not in the ledger")
    for trace, rows in by_trace.items():
        cost = bill.get(trace, 0)
        if len(rows) > 1:
            faults.append(f"{trace} is in the ledger {len(rows)} times")
        for row in rows:
            if row.cost < cost or (row.billing == "reported" and row.cost != cost):
                faults.append(f"{row.id} ({row.status}, {row.billing}) is booked at {row.cost}, billed {cost}")
    return faults
