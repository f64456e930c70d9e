"""Makes records the short way, and reads the books with SQL of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from gateway.engine.usage import Usage
from gateway.engine.words import AttemptOutcome, Billing, CompletionStatus, Wire
from gateway.ledger.database import LedgerConnection
from gateway.ledger.records import AttemptRecord, BudgetClaim, Intent, Settlement

NOW = datetime(2026, 11, 22, 10, 30, 0, 250_000, tzinfo=UTC)
MONTH = datetime(2026, 11, 1, tzinfo=UTC)
NEXT_MONTH = datetime(2026, 12, 1, tzinfo=UTC)


def usd(text: str) -> Decimal:
    return Decimal(text)


def claim(amount: str = "0.10", limit: str = "1.00", **changes: Any) -> BudgetClaim:
    facts: dict[str, Any] = {
        "budget_id": 1,
        "budget_name": "research month",
        "subject": "7",
        "window_starts_at": MONTH,
        "resets_at": NEXT_MONTH,
        "limit_usd": usd(limit),
        "amount_usd": usd(amount),
        "blocking": True,
        "visible": True,
    }
    return BudgetClaim(**{**facts, **changes})


def intent(identity: str = "req_1", *claims: BudgetClaim, **changes: Any) -> Intent:
    facts: dict[str, Any] = {
        "id": identity,
        "created_at": NOW,
        "surface": Wire.OPENAI,
        "operation": "chat",
        "requested_model": "default",
        "route_id": 3,
        "route_name": "default",
        "api_key_id": 5,
        "api_key_name": "agents",
        "team_id": 7,
        "team_name": "research",
        "conversation": "c1",
        "stream": False,
        "reserved_usd": max((one.amount_usd for one in claims), default=usd("0.10")),
        "lease_until": NOW + timedelta(minutes=20),
        "decision": {"why": "first target"},
        "claims": claims,
    }
    return Intent(**{**facts, **changes})


def attempt(number: int = 1, cost: str = "0.03", **changes: Any) -> AttemptRecord:
    facts: dict[str, Any] = {
        "number": number,
        "provider": "openai",
        "model": "gpt-4-turbo",
        "target_index": 0,
        "retry": number - 1,
        "outcome": AttemptOutcome.SUCCEEDED,
        "reason": "first target of the route",
        "started_at": NOW,
        "latency_ms": 420,
        "usage": Usage(input_tokens=1_000, output_tokens=200),
        "cost_usd": usd(cost),
        "billing": Billing.REPORTED,
        "price_id": 11,
    }
    return AttemptRecord(**{**facts, **changes})


def settlement(identity: str = "req_1", cost: str = "0.03", **changes: Any) -> Settlement:
    facts: dict[str, Any] = {
        "id": identity,
        "finished_at": NOW + timedelta(seconds=1),
        "status": CompletionStatus.ANSWERED,
        "http_status": 200,
        "provider": "openai",
        "model": "gpt-4-turbo",
        "finish_reason": "stop",
        "latency_ms": 420,
        "usage": Usage(input_tokens=1_000, output_tokens=200),
        "cost_usd": usd(cost),
        "billing": Billing.REPORTED,
        "attempts": (attempt(1, cost),),
    }
    return Settlement(**{**facts, **changes})


@dataclass(frozen=True, slots=True)
class Books:
    """The books as another process sees them; amounts in `Decimal` USD."""

    connection: LedgerConnection

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.fetch_each(sql, [()])[0]

    def value(self, sql: str) -> Any:
        return self.rows(sql)[0][0]

    def amount(self, column: str, table: str, where: str = "1 = 1") -> Decimal:
        total = self.value(f"SELECT SUM({column}) FROM {table} WHERE {where}")  # noqa: S608
        return Decimal(int(total or 0)).scaleb(-12)

    def count(self, table: str, where: str = "1 = 1") -> int:
        return int(self.value(f"SELECT COUNT(*) FROM {table} WHERE {where}"))  # noqa: S608

    @property
    def spent(self) -> Decimal:
        return self.amount("spent_usd", "llmops_budget_window")

    @property
    def reserved(self) -> Decimal:
        return self.amount("reserved_usd", "llmops_budget_window")

    @property
    def status(self) -> str:
        return str(self.value("SELECT status FROM llmops_completion"))
