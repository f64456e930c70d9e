"""Makes ledger rows as the writer leaves them. Only what a test is about needs saying."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from gateway.engine.words import AttemptOutcome, Billing, CompletionStatus
from gateway.models import Attempt, BreakerStatus, Completion, Conversation, Fallback, Provider

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def add_completion(request_id: str, *, at: datetime = NOON, **values: Any) -> Completion:
    completion = new_completion(request_id, at=at, **values)
    completion.save(force_insert=True)
    return completion


def new_completion(request_id: str, *, at: datetime = NOON, **values: Any) -> Completion:
    """An answered plain completion of one attempt's length, unless told otherwise; not yet in the database."""
    defaults: dict[str, Any] = {
        "finished_at": at + timedelta(seconds=1),
        "lease_until": at + timedelta(minutes=2),
        "status": CompletionStatus.ANSWERED.value,
        "http_status": 200,
        "surface": "openai",
        "operation": "chat",
        "stream": False,
        "requested_model": "gpt-4-turbo",
        "route_name": "default",
        "api_key_name": "agents",
        "conversation": "c-1",
        "provider": "openai",
        "model": "gpt-4-turbo",
        "attempt_count": 1,
        "latency_ms": 1000,
        "billing": Billing.REPORTED.value,
    }
    return Completion(id=request_id, created_at=at, **defaults | values)


def add_attempt(completion: Completion, number: int, **values: Any) -> Attempt:
    attempt = new_attempt(completion, number, **values)
    attempt.save(force_insert=True)
    return attempt


def new_attempt(completion: Completion, number: int, **values: Any) -> Attempt:
    defaults: dict[str, Any] = {
        "provider": completion.provider,
        "model": completion.model,
        "target_index": 0,
        "outcome": AttemptOutcome.SUCCEEDED.value,
        "reason": "first target",
        "started_at": completion.created_at,
        "latency_ms": 1000,
        "billing": Billing.REPORTED.value,
    }
    return Attempt(completion=completion, number=number, **defaults | values)


def add_fallback(completion: Completion, **values: Any) -> Fallback:
    defaults: dict[str, Any] = {
        "number": 1,
        "created_at": completion.created_at,
        "from_target": "openai/gpt-4-turbo",
        "to_target": "anthropic/claude-3-5-sonnet-20241022",
        "reason": "503 three times",
        "after_ms": 1800,
        "extra_cost_usd": Decimal("0.0012"),
    }
    return Fallback.objects.create(completion=completion, **defaults | values)


def add_conversation(external_id: str, **values: Any) -> Conversation:
    defaults: dict[str, Any] = {"first_seen_at": NOON, "last_seen_at": NOON}
    return Conversation.objects.create(external_id=external_id, **defaults | values)


def add_provider(name: str, **values: Any) -> Provider:
    defaults: dict[str, Any] = {"kind": "openai", "base_url": "http://127.0.0.1:8100/v1", "api_key_env": "NO_SUCH_KEY"}
    provider = Provider(name=name, **defaults | values)
    provider.save()
    return provider


def open_breaker(provider: str, *, probe_in_seconds: float = 42, **values: Any) -> BreakerStatus:
    now = timezone.now()
    defaults: dict[str, Any] = {
        "state": "open",
        "since": now,
        "opened_at": now,
        "consecutive_failures": 5,
        "failure_rate": 0.834,
        "next_probe_at": now + timedelta(seconds=probe_in_seconds),
        "last_error": "503 Service Unavailable: The server is overloaded.",
    }
    return BreakerStatus.objects.update_or_create(provider=provider, defaults=defaults | values)[0]
