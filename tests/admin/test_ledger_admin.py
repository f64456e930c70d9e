"""Looking things up in the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from gateway.models import Attempt, BudgetWindow, Completion, ConfigurationChange, Conversation, Fallback

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
LEDGER = [Completion, Attempt, Fallback, Conversation, BudgetWindow, ConfigurationChange]


def completion(number: int, **fields: Any) -> Completion:
    values = {
        "id": f"req-{number}",
        "created_at": AT + timedelta(seconds=number),
        "lease_until": AT,
        "status": "answered",
        "surface": "openai",
        "operation": "chat",
        "stream": False,
        "requested_model": "gpt-4-turbo",
        "route_name": "default",
        "api_key_name": "agents",
        "conversation": "c-1",
        "provider": "anthropic",
        "model": "claude-3-5-sonnet-20241022",
        "attempt_count": 2,
        "fell_back": True,
        "latency_ms": 1234,
        "cost_usd": Decimal("0.0042"),
        "billing": "reported",
        "decision": {"reason": "the route's own order", "skipped": ["x"]},
    }
    return Completion.objects.create(**values | fields)


@pytest.fixture
def explained(db: None) -> Completion:
    row = completion(1)
    Attempt.objects.create(
        completion=row,
        number=1,
        provider="openai",
        model="gpt-4-turbo",
        target_index=0,
        outcome="failed",
        reason="first target of the route",
        failure="server_error",
        status=503,
        message="<b>over capacity</b>",
        started_at=AT,
    )
    Fallback.objects.create(
        completion=row,
        number=1,
        created_at=AT,
        from_target="openai/gpt-4-turbo",
        to_target="anthropic/claude-3-5-sonnet-20241022",
        reason="server error",
        after_ms=250,
        extra_cost_usd=Decimal("0.001"),
    )
    return row


def test_a_completion_is_explained_in_plain_words(operations: Client, explained: Completion) -> None:
    page = operations.get(f"/admin/gateway/completion/{explained.pk}/change/").content.decode()
    for told in (
        "agents asked for gpt-4-turbo (route default).",
        "2 attempts were made.",
        "anthropic/claude-3-5-sonnet-20241022 answered after 1.23 s.",
        "$0.0042 (from the usage the provider reported)",
        "reason: the route&#x27;s own order",
        "first target of the route",
        "server error, status 503",
        "$0.001",
    ):
        assert told in page


def test_what_providers_write_is_never_markup(operations: Client, explained: Completion) -> None:
    page = operations.get(f"/admin/gateway/completion/{explained.pk}/change/").content.decode()
    assert "<b>over capacity</b>" not in page
    assert "&lt;b&gt;over capacity&lt;/b&gt;" in page


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"status": "pending", "reserved_usd": Decimal("0.5")}, "not known yet; $0.50 are reserved"),
        ({"status": "failed", "error_message": "every target failed"}, "It failed after 1.23 s: every target failed."),
        ({"status": "cancelled"}, "The client left after 1.23 s."),
        ({"status": "unknown", "billing": "unknown"}, "how it ended is unknown"),
        ({"cache": "hit"}, "The answer came from the cache."),
    ],
)
def test_every_outcome_has_its_sentence(operations: Client, fields: dict[str, Any], told: str) -> None:
    row = completion(1, **fields)
    assert told in operations.get(f"/admin/gateway/completion/{row.pk}/change/").content.decode()


@pytest.mark.parametrize("model", LEDGER, ids=lambda model: model.__name__)
def test_nobody_writes_in_the_ledger(operations: Client, model: type[Any], rf: Any) -> None:
    registered = admin.site.get_model_admin(model)
    request = rf.get("/")
    assert not registered.has_add_permission(request)
    assert not registered.has_change_permission(request)
    assert not registered.has_delete_permission(request)


@pytest.mark.parametrize("model", LEDGER, ids=lambda model: model.__name__)
def test_every_list_opens(operations: Client, explained: Completion, model: type[Any]) -> None:
    assert operations.get(f"/admin/gateway/{model._meta.model_name}/").status_code == 200


def test_the_list_of_fallbacks_writes_amounts_times_and_reasons_as_people_do(
    operations: Client, explained: Completion
) -> None:
    reason = "the provider was unavailable three times in a row, and its breaker has opened since"
    Fallback.objects.update(extra_cost_usd=Decimal("0.001234567891"), after_ms=1850, reason=reason)
    page = operations.get("/admin/gateway/fallback/").content.decode()

    assert '<span title="exactly $0.001234567891">$0.00123</span>' in page
    assert "1.9 s" in page or "1.8 s" in page
    assert f'<span title="{reason}">{reason[:59]}…</span>' in page


def test_the_list_of_completions_never_counts_the_whole_table(operations: Client, db: None) -> None:
    for number in range(60):
        completion(number)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        page = operations.get("/admin/gateway/completion/").content.decode()
    told = [query["sql"] for query in queries if "llmops_completion" in query["sql"]]
    assert all("LIMIT" in sql for sql in told)
    assert len(queries) <= 8
    assert "req-59" in page


@pytest.mark.parametrize(("query", "found"), [("req-1", True), ("c-1", True), ("req", False)])
def test_a_completion_is_found_by_its_id_or_conversation(
    operations: Client, explained: Completion, query: str, found: bool
) -> None:
    page = operations.get("/admin/gateway/completion/", {"q": query}).content.decode()
    assert ("/completion/req-1/change/" in page) is found
