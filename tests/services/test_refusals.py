"""What is remembered of requests refused before their intent."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.engine.clock import SYSTEM_CLOCK
from gateway.engine.errors import AllTargetsFailed, BudgetExceeded, GatewayError, InvalidRequest, LedgerUnavailable
from gateway.engine.words import CompletionStatus, Operation
from gateway.ledger.records import Refusal
from gateway.services.call import Call
from gateway.services.refusals import COUNTED_SECONDS, ROWS_PER_SECOND, Refusals
from gateway.wires import parse_call
from tests.virtual_time import VirtualClock, VirtualLoop

BODY = b'{"model": "default", "messages": [{"role": "user", "content": "hi"}]}'
SNAPSHOT: Any = SimpleNamespace(routes={"default": SimpleNamespace(id=3, name="default")})
KEY: Any = SimpleNamespace(id=5, name="agents", team_id=7, team_name="research")


def refuse(refusals: Refusals, error: GatewayError, number: int = 0, **headers: str) -> None:
    call = Call(Operation.CHAT, BODY, headers, KEY, f"req_{number}")
    refusals.add(SNAPSHOT, call, parse_call(Operation.CHAT, BODY), error)


def noted(error: GatewayError, **headers: str) -> Refusal:
    rows: list[Refusal] = []
    refuse(Refusals(rows.append, SYSTEM_CLOCK), error, **headers)
    (row,) = rows
    return row


def test_a_full_budget_is_remembered_with_who_asked_and_which_budget() -> None:
    row = noted(BudgetExceeded("no room", details={"budget": "research month"}), **{"x-conversation-id": "c1"})

    assert (row.api_key_name, row.team_name, row.route_name, row.conversation) == (
        "agents",
        "research",
        "default",
        "c1",
    )
    assert (row.status, row.http_status, row.error_code) == (CompletionStatus.REFUSED, 429, "budget_exceeded")
    assert row.decision == {"refused": {"budget": "research month"}}


def test_models_without_a_price_are_remembered_by_name() -> None:
    row = noted(AllTargetsFailed("no price", details={"unpriced": ["openai/unheard-of"]}))
    assert row.decision == {"unpriced": ["openai/unheard-of"]}


def test_no_conversation_is_made_up_for_it() -> None:
    assert noted(InvalidRequest("no price")).conversation == ""


def test_a_ledger_that_is_away_counts_against_the_service() -> None:
    assert noted(LedgerUnavailable("away")).status is CompletionStatus.FAILED


@pytest.mark.parametrize(
    ("times", "rows"), [(ROWS_PER_SECOND, ROWS_PER_SECOND), (ROWS_PER_SECOND + 500, ROWS_PER_SECOND + 1)]
)
def test_a_flood_of_one_kind_shares_a_row_that_counts_it(times: int, rows: int) -> None:
    told: list[Refusal] = []

    async def flood() -> None:
        refusals = Refusals(told.append, VirtualClock().clock)
        for number in range(times):
            refuse(refusals, InvalidRequest("no price"), number)
        await asyncio.sleep(COUNTED_SECONDS + 1)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(flood())

    assert len(told) == rows
    assert sum(row.decision.get("refused_alike", 1) for row in told) == times
