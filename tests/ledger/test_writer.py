"""Opening and settling through the writer, on both databases."""

from __future__ import annotations

import asyncio

import pytest

from gateway.engine.errors import BudgetExceeded
from gateway.ledger.admission import NotGranted
from gateway.ledger.records import Opened, Settled
from gateway.ledger.settling import IntentMissing
from gateway.ledger.writer import LedgerWriter
from tests.ledger.books import Books, attempt, claim, intent, settlement, usd


async def test_an_intent_reserves_its_claim(writer: LedgerWriter, books: Books) -> None:
    opened = await writer.open(intent("req_1", claim("0.10")))

    assert opened == Opened(usd("0.90"))
    assert (books.spent, books.reserved, books.status) == (0, usd("0.10"), "pending")


async def test_a_settlement_turns_the_reservation_into_spend(writer: LedgerWriter, books: Books) -> None:
    await writer.open(intent("req_1", claim("0.10")))

    settled = await writer.settle(settlement("req_1", "0.03", claims=(claim(),)))

    assert settled == Settled(usd("0.03"), usd("0.97"))
    assert (books.spent, books.reserved, books.status) == (usd("0.03"), 0, "answered")
    assert books.count("llmops_budget_reservation") == 0
    assert books.amount("cost_usd", "llmops_attempt") == usd("0.03")


async def test_settling_twice_changes_nothing_and_tells_the_same_totals(writer: LedgerWriter, books: Books) -> None:
    await writer.open(intent("req_1", claim()))
    first = await writer.settle(settlement(claims=(claim(),)))

    second = await writer.settle(settlement(claims=(claim(),)))

    assert second == first
    assert books.rows("SELECT completions, input_tokens, output_tokens FROM llmops_conversation") == [(1, 1_000, 200)]
    assert (books.spent, books.count("llmops_attempt")) == (usd("0.03"), 1)


async def test_opening_twice_reserves_once(writer: LedgerWriter, books: Books) -> None:
    first = await writer.open(intent("req_1", claim()))

    assert await writer.open(intent("req_1", claim())) == first
    assert books.reserved == usd("0.10")


async def test_a_refusal_names_budget_limit_spent_reserved_and_reset(writer: LedgerWriter, books: Books) -> None:
    await writer.open(intent("req_1", claim("0.50")))
    await writer.settle(settlement("req_1", "0.40"))
    await writer.open(intent("req_2", claim("0.50")))

    with pytest.raises(BudgetExceeded) as refused:
        await writer.open(intent("req_3", claim("0.20")))

    assert refused.value.details == {
        "budget": "research month",
        "limit_usd": "1.00",
        "spent_usd": "0.40",
        "reserved_usd": "0.50",
        "requested_usd": "0.20",
        "resets_at": "2026-12-01T00:00:00Z",
    }
    assert all(fact in refused.value.message for fact in refused.value.details.values())
    assert refused.value.retry_after_seconds is None
    assert books.count("llmops_completion", "id = 'req_3'") == 0


async def test_a_request_that_just_fits_is_not_refused(writer: LedgerWriter) -> None:
    await writer.open(intent("req_1", claim("0.90")))

    assert await writer.open(intent("req_2", claim("0.10"))) == Opened(usd("0.00"))


async def test_an_alert_budget_counts_but_never_refuses(writer: LedgerWriter, books: Books) -> None:
    await writer.open(intent("req_1", claim("5.00", blocking=False)))

    assert books.reserved == usd("5.00")


async def test_a_refused_request_reserves_nothing_in_its_other_budgets(writer: LedgerWriter, books: Books) -> None:
    roomy = claim("2.00", limit="100", budget_id=2, subject="")

    with pytest.raises(BudgetExceeded):
        await writer.open(intent("req_1", roomy, claim("2.00")))

    assert (books.reserved, books.count("llmops_budget_reservation")) == (0, 0)


async def test_what_costs_nothing_fits_a_full_budget(writer: LedgerWriter) -> None:
    await writer.open(intent("req_1", claim("1.00")))

    assert await writer.open(intent("req_2", claim("0", limit="0.50"))) == Opened(usd("0"))


async def test_two_hundred_at_once_never_pass_a_budget_of_a_dollar(writer: LedgerWriter, books: Books) -> None:
    outcomes = await asyncio.gather(
        *(writer.open(intent(f"req_{number}", claim("0.03"))) for number in range(200)), return_exceptions=True
    )

    admitted = [outcome for outcome in outcomes if isinstance(outcome, Opened)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, BudgetExceeded)]
    assert (len(admitted), len(refused)) == (33, 167)
    assert books.reserved == books.amount("amount_usd", "llmops_budget_reservation") == usd("0.99")


async def test_a_refused_request_does_not_disturb_its_neighbours(writer: LedgerWriter, books: Books) -> None:
    outcomes = await asyncio.gather(
        writer.open(intent("req_1", claim("0.40"))),
        writer.open(intent("req_2", claim("3.00"))),
        writer.open(intent("req_3", claim("0.60"))),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [Opened, NotGranted, Opened]
    assert books.reserved == usd("1.00")


async def test_a_full_budget_refuses_nobody_who_is_only_counted_by_another(writer: LedgerWriter, books: Books) -> None:
    counted = claim("3.00", budget_id=2, subject="", blocking=False)

    outcomes = await asyncio.gather(
        writer.open(intent("req_1", claim("3.00"))),
        writer.open(intent("req_2", counted, claim("0.60"))),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [NotGranted, Opened]
    assert books.reserved == usd("3.60")


async def test_what_queues_up_during_a_commit_goes_into_the_next_one(writer: LedgerWriter, books: Books) -> None:
    await asyncio.gather(*(writer.open(intent(f"req_{number}")) for number in range(100)))

    assert books.count("llmops_completion") == 100
    assert writer.commits < 50


async def test_a_bad_row_fails_only_its_own_request(writer: LedgerWriter, books: Books) -> None:
    twice_the_same = intent("req_bad", claim(), claim())

    outcomes = await asyncio.gather(
        *(writer.open(intent(f"req_{number}", claim("0.01"))) for number in range(5)),
        writer.open(twice_the_same),
        *(writer.open(intent(f"req_{number}", claim("0.01"))) for number in range(5, 10)),
        return_exceptions=True,
    )

    assert [isinstance(outcome, Opened) for outcome in outcomes] == [True] * 5 + [False] + [True] * 5
    assert (books.count("llmops_completion"), books.reserved) == (10, usd("0.10"))


async def test_a_bad_settlement_fails_only_itself(writer: LedgerWriter, books: Books) -> None:
    for identity in ("req_1", "req_2"):
        await writer.open(intent(identity, claim()))

    outcomes = await asyncio.gather(
        writer.settle(settlement("req_1", attempts=(attempt(1), attempt(1)))),
        writer.settle(settlement("req_2")),
        return_exceptions=True,
    )

    assert isinstance(outcomes[0], Exception)
    assert outcomes[1] == Settled(usd("0.03"))
    assert (books.spent, books.reserved) == (usd("0.03"), usd("0.10"))


async def test_a_conversation_adds_up(writer: LedgerWriter, books: Books) -> None:
    for identity in ("req_1", "req_2", "req_3"):
        await writer.open(intent(identity))
        settled = await writer.settle(settlement(identity, "0.03"))

    assert settled.conversation_cost_usd == usd("0.09")
    assert books.rows("SELECT team_id, external_id, completions FROM llmops_conversation") == [(7, "c1", 3)]


async def test_two_teams_never_share_a_conversation(writer: LedgerWriter, books: Books) -> None:
    for identity, team_id in (("req_1", 7), ("req_2", 8)):
        await writer.open(intent(identity, team_id=team_id))
        settled = await writer.settle(settlement(identity))

    assert settled.conversation_cost_usd == usd("0.03")
    assert books.count("llmops_conversation") == 2


async def test_a_cost_without_an_intent_is_an_error(writer: LedgerWriter) -> None:
    with pytest.raises(IntentMissing, match="req_9"):
        await writer.settle(settlement("req_9"))


async def test_nothing_owed_without_an_intent_is_nothing(writer: LedgerWriter) -> None:
    assert await writer.settle(settlement("req_9", "0", attempts=())) == Settled()


async def test_an_invisible_budget_is_never_told(writer: LedgerWriter) -> None:
    organisation = claim("0.10", limit="0.20", budget_id=2, subject="", visible=False)

    assert await writer.open(intent("req_1", organisation)) == Opened(None)
    assert await writer.open(intent("req_2", organisation, claim("0.10"))) == Opened(usd("0.90"))
