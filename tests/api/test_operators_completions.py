from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from gateway.models import Budget, BudgetReservation, BudgetWindow, Conversation, Price, Team
from tests.selectors.rows import NOON, add_attempt, add_completion, add_fallback, add_provider

pytestmark = pytest.mark.django_db

CENT = Decimal("0.01")
NOVEMBER = 1793491200  # 2026-11-01 in UTC


def explained(api: Client, request_id: str) -> dict[str, Any]:
    response = api.get(f"/api/completions/{request_id}")
    assert response.status_code == 200, response.content
    return dict(response.json())


def add_budget(name: str, scope: str, **values: Any) -> Budget:
    budget = Budget.objects.create(name=name, scope=scope, **{"limit_usd": Decimal(5), **values})
    Budget.objects.filter(pk=budget.pk).update(created_at=values.get("created_at", NOON - timedelta(days=1)))
    return budget


@pytest.fixture
def rescued(db: None) -> Price:
    """A completion that timed out at openai (billed at a bound) and was answered by anthropic."""
    price = Price.objects.create(
        kind="anthropic", model="claude", input_per_mtok=Decimal(3), output_per_mtok=Decimal(15)
    )
    completion = add_completion(
        "req_1",
        provider="anthropic",
        model="claude",
        fell_back=True,
        attempt_count=2,
        latency_ms=2500,
        input_tokens=30,
        cached_input_tokens=4,
        output_tokens=9,
        reserved_usd=9 * CENT,
        cost_usd=3 * CENT,
        billing="estimated",
        decision={"route": "default", "reason": "asked by name", "targets": ["openai/gpt-4-turbo", "anthropic/claude"]},
        dropped_params=["logit_bias"],
    )
    add_attempt(completion, 1, provider="openai", model="gpt-4-turbo", outcome="failed", failure="timeout",
                message="no answer within 30 s", cost_usd=2 * CENT, billing="estimated")  # fmt: skip
    add_attempt(completion, 2, started_at=NOON + timedelta(milliseconds=1500), cost_usd=CENT, price_id=price.pk)
    add_fallback(completion)
    Conversation.objects.create(team_id=0, external_id="c-1", completions=3, cost_usd=7 * CENT,
                                first_seen_at=NOON, last_seen_at=NOON)  # fmt: skip
    return price


def test_a_completion_tells_who_asked_and_what_came_of_it(api: Client, rescued: Price) -> None:
    document = explained(api, "req_1")

    assert (document["request_id"], document["status"], document["http_status"]) == ("req_1", "answered", 200)
    assert (document["api_key"], document["route"], document["requested_model"]) == ("agents", "default", "gpt-4-turbo")
    assert (document["provider"], document["model"], document["fell_back"]) == ("anthropic", "claude", True)
    assert (document["created_at"], document["latency_ms"]) == ("2026-11-22T12:00:00Z", 2500)
    assert document["conversation"] == {"id": "c-1", "completions": 3, "cost_usd": "0.07"}
    assert (document["cache"], document["dropped_params"], document["error"]) == ("bypass", ["logit_bias"], None)


def test_a_completion_tells_its_decision_attempts_and_fallbacks(api: Client, rescued: Price) -> None:
    document = explained(api, "req_1")

    assert document["decision"]["targets"] == ["openai/gpt-4-turbo", "anthropic/claude"]
    told = ("number", "provider", "outcome", "failure", "offset_ms", "cost_usd", "billing", "price_id")
    assert [tuple(attempt[name] for name in told) for attempt in document["attempts"]] == [
        (1, "openai", "failed", "timeout", 0, "0.02", "estimated", None),
        (2, "anthropic", "succeeded", "", 1500, "0.01", "reported", rescued.pk),
    ]
    assert document["fallbacks"] == [
        {
            "number": 1,
            "from_target": "openai/gpt-4-turbo",
            "to_target": "anthropic/claude-3-5-sonnet-20241022",
            "reason": "503 three times",
            "after_ms": 1800,
            "extra_cost_usd": "0.0012",
        }
    ]


def test_a_completion_tells_its_cost_and_the_price_it_was_charged_at(api: Client, rescued: Price) -> None:
    document = explained(api, "req_1")

    assert (document["cost_usd"], document["billing"], document["reserved_usd"]) == ("0.03", "estimated", "0.09")
    assert (document["input_tokens"], document["cached_input_tokens"], document["output_tokens"]) == (30, 4, 9)
    (price,) = document["prices"]
    assert (price["id"], price["input_per_mtok"], price["output_per_mtok"]) == (rescued.pk, "3.00", "15.00")
    assert price["cached_input_per_mtok"] is None


def test_a_failed_completion_tells_its_error(api: Client) -> None:
    add_completion(
        "req_1", status="failed", http_status=503, error_code="all_targets_failed", error_message="openai: 503"
    )

    assert explained(api, "req_1")["error"] == {"code": "all_targets_failed", "message": "openai: 503"}


def test_a_pending_completion_tells_what_it_holds_of_each_budget(api: Client) -> None:
    team = Team.objects.create(name="research")
    budget = add_budget("research month", "team", team=team)
    add_completion("req_1", status="pending", http_status=None, finished_at=None, latency_ms=None, billing="none",
                   reserved_usd=9 * CENT, team_id=team.pk, team_name="research")  # fmt: skip
    key = {"budget_id": budget.pk, "subject": str(team.pk), "window_epoch": NOVEMBER}
    BudgetWindow.objects.create(**key, spent_usd=Decimal(1), reserved_usd=12 * CENT)
    BudgetReservation.objects.create(completion_id="req_1", **key, amount_usd=9 * CENT)

    document = explained(api, "req_1")

    assert (document["status"], document["finished_at"], document["cost_usd"]) == ("pending", None, "0.00")
    assert document["budget_checks"] == [
        {
            "budget": "research month",
            "scope": "team",
            "subject": "research",
            "enforcement": "block",
            "limit_usd": "5.00",
            "window_starts_at": "2026-11-01T00:00:00Z",
            "resets_at": "2026-12-01T00:00:00Z",
            "held_usd": "0.09",
            "window_spent_usd": "1.00",
            "window_reserved_usd": "0.12",
            "spent_usd": None,
            "reserved_usd": None,
            "claimed_usd": None,
            "room_usd": None,
            "verdict": None,
        }
    ]


def test_a_settled_completion_tells_what_each_budget_said_then(api: Client) -> None:
    budget = add_budget("all", "global", window="total", limit_usd=Decimal(9))
    BudgetWindow.objects.create(budget_id=budget.pk, subject="", window_epoch=0, spent_usd=Decimal(8))
    check = {"budget_id": budget.pk, "budget": "all", "subject": "", "starts_at": None, "resets_at": None}
    amounts = {"limit": 5 * 10**12, "spent": 10**12, "reserved": 5 * 10**11, "claimed": 10**10}
    add_completion("req_1", budget_checks=[{**check, **amounts, "blocking": True, "verdict": "fits"}])

    assert explained(api, "req_1")["budget_checks"] == [
        {
            "budget": "all",
            "scope": "global",
            "subject": None,
            "enforcement": "block",
            "limit_usd": "5.00",
            "window_starts_at": None,
            "resets_at": None,
            "held_usd": "0.00",
            "window_spent_usd": "8.00",
            "window_reserved_usd": "0.00",
            "spent_usd": "1.00",
            "reserved_usd": "0.50",
            "claimed_usd": "0.01",
            "room_usd": "3.50",
            "verdict": "fits",
        }
    ]


def test_only_budgets_that_a_completion_fell_under_are_told(api: Client) -> None:
    mine, other = Team.objects.create(name="research"), Team.objects.create(name="sales")
    openai, anthropic = add_provider("openai"), add_provider("anthropic")
    add_budget("all", "global", window="total")
    add_budget("each team", "team")
    add_budget("research", "team", team=mine)
    add_budget("sales", "team", team=other)
    add_budget("each talk", "conversation", window="3600")
    add_budget("openai", "provider", provider=openai)
    add_budget("anthropic", "provider", provider=anthropic)
    add_budget("later", "global", created_at=NOON + timedelta(seconds=1))
    add_budget("over", "global", archived_at=NOON - timedelta(seconds=1))
    add_completion("req_1", team_id=mine.pk, conversation="talk", decision={"targets": ["openai/gpt-4-turbo"]})

    checks = explained(api, "req_1")["budget_checks"]

    assert [(check["budget"], check["subject"]) for check in checks] == [
        ("all", None),
        ("each talk", "talk"),
        ("each team", "research"),
        ("openai", "openai"),
        ("research", "research"),
    ]


@pytest.mark.parametrize("path", ["nowhere", "%00", "%ED%A0%80"])
def test_an_unknown_completion_is_told_where_ids_stand(api: Client, path: str) -> None:
    response = api.get(f"/api/completions/{path}")

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"
    assert "X-Request-Id" in response.json()["error"]["message"]


def test_an_explanation_takes_a_dozen_queries_however_many_budgets(
    api: Client, rescued: Price, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for index in range(20):
        add_budget(f"b{index}", ("team", "api_key", "route", "provider", "conversation", "global")[index % 6])

    with django_assert_max_num_queries(12):
        explained(api, "req_1")
