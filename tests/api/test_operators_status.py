from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from gateway.models import Conversation, Organisation
from gateway.services.runtime import Runtime
from llmops import VERSION
from tests.selectors.rows import add_completion, add_provider, open_breaker

pytestmark = pytest.mark.django_db


def status(api: Client) -> dict[str, Any]:
    response = api.get("/api/status")
    assert response.status_code == 200, response.content
    return dict(response.json())


def objective(api: Client, name: str) -> dict[str, Any]:
    return dict(status(api)["objectives"][name])


def add(count: int, *, hours_ago: float = 1, **values: Any) -> None:
    """So many completions that began then."""
    at = timezone.now() - timedelta(hours=hours_ago)
    for index in range(count):
        add_completion(f"r{hours_ago}-{index}-{sorted(values.items())}"[:40], at=at, **values)


def converse(name: str, cost_usd: str, *, hours_ago: float = 1) -> None:
    at = timezone.now() - timedelta(hours=hours_ago)
    Conversation.objects.create(
        team_id=0, external_id=name, cost_usd=Decimal(cost_usd), first_seen_at=at, last_seen_at=at
    )


FAILED = {"status": "failed", "http_status": 503}


def test_the_version_is_told(api: Client) -> None:
    assert status(api)["version"] == VERSION


def test_without_requests_nothing_is_measured_and_no_error_budget_used(api: Client) -> None:
    objectives = status(api)["objectives"]

    assert set(objectives) == {
        "availability_percent",
        "fallback_success_percent",
        "mean_latency_seconds",
        "conversation_cost_usd",
    }
    for one in objectives.values():
        assert (one["last_24h"]["value"], one["last_30d"]["met"], one["last_30d"]["counted"]) == (None, None, 0)
        assert one["error_budget_left_percent"] == 100


def test_availability_leaves_out_what_clients_did_to_themselves(api: Client) -> None:
    add(3)
    add(1, **FAILED)
    add(1, status="failed", http_status=400)
    add(1, status="failed", http_status=429, error_code="budget_exceeded")
    add(1, status="cancelled", http_status=499)
    add(1, status="pending", http_status=None)

    assert objective(api, "availability_percent")["last_24h"] == {"value": 75.0, "met": False, "counted": 4}


def test_each_stretch_of_time_counts_its_own_requests(api: Client) -> None:
    add(1)
    add(1, hours_ago=25, **FAILED)
    add(5, hours_ago=31 * 24, **FAILED)

    availability = objective(api, "availability_percent")

    assert (availability["last_24h"]["value"], availability["last_30d"]["value"]) == (100.0, 50.0)


def test_the_error_budget_is_what_is_left_of_the_failures_allowed(api: Client) -> None:
    Organisation.objects.create(availability_percent=Decimal(80))
    add(9)
    add(1, **FAILED)

    availability = objective(api, "availability_percent")

    assert availability["target"] == 80
    assert availability["error_budget_left_percent"] == pytest.approx(50)


def test_fallback_success_counts_completions_that_left_their_first_target(api: Client) -> None:
    add(3)
    add(3, fell_back=True)
    add(1, fell_back=True, **FAILED)

    fallback = objective(api, "fallback_success_percent")["last_24h"]

    assert fallback == {"value": 75.0, "met": False, "counted": 4}


def test_latency_is_a_plain_answers_whole_time_and_a_streams_first_content(api: Client) -> None:
    add(1, latency_ms=1000)
    add(1, latency_ms=60_000, first_content_ms=500, stream=True)
    add(1, latency_ms=90_000, **FAILED)

    latency = objective(api, "mean_latency_seconds")

    assert latency["last_24h"] == {"value": 0.75, "met": True, "counted": 2}
    assert latency["error_budget_left_percent"] == pytest.approx(62.5)


def test_conversation_cost_is_the_mean_over_those_active_to_the_last_digit_a_row_holds(api: Client) -> None:
    converse("cheap", "0.10")
    converse("dear", "0.700000000001")
    converse("older", "3.1", hours_ago=25)

    cost = objective(api, "conversation_cost_usd")

    assert cost["target"] == "0.50"
    assert cost["last_24h"] == {"value": "0.40", "met": True, "counted": 2, "share_above_target": 0.5}
    assert (cost["last_30d"]["value"], cost["last_30d"]["met"]) == ("1.30", False)
    assert cost["error_budget_left_percent"] == pytest.approx(-160)


def test_a_process_that_does_not_serve_says_so(api: Client) -> None:
    add_provider("openai")
    open_breaker("openai")

    document = status(api)

    assert (document["serving"], document["missing"]) == (False, ["this process doesn't serve the agents' API"])
    nothing = {"records": 0, "payload_bytes": 0, "processes": 0, "oldest_at": None}
    assert document["ledger"] == {"healthy": None, "queue_depth": None, "away": None, "spool": nothing}
    assert document["redis"] is None
    assert document["providers"] == [
        {"provider": "openai", "enabled": True, "state": "open", "forced": None, "in_flight": None, "queued": None}
    ]


def test_a_process_that_serves_tells_its_queues(api: Client, db: None, request: pytest.FixtureRequest) -> None:
    openai = add_provider("openai", forced_breaker="open", forced_breaker_reason="maintenance", enabled=False)
    runtime: Runtime = request.getfixturevalue("serving")
    runtime.engine.gate(runtime.snapshot.providers[openai.name]).in_flight = 3

    document = status(api)

    assert (document["serving"], document["configuration_version"]) == (True, 0)
    assert "no route is configured" in document["missing"][0]
    assert document["ledger"]["queue_depth"] == 0
    assert document["redis"] == "not used: breakers are this process's own"
    assert document["providers"] == [
        {"provider": "openai", "enabled": False, "state": "open", "forced": "open", "in_flight": 3, "queued": 0}
    ]


def test_the_status_takes_a_handful_of_queries_however_much_there_is(
    api: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for index in range(4):
        add_provider(f"p{index}")
        converse(f"c{index}", "0.1")
    add(4)

    # The key, the organisation, two windows of two, conversations, providers, breakers.
    with django_assert_num_queries(7):
        api.get("/api/status")
