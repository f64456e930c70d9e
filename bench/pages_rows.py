"""Thirty days of rows, made by the database itself: a million of them take seconds.

One row of each kind is written through its model, so that every column has what it must have; the others are copies of
it in which SQL varies time, names, cost, tokens and times.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, models, transaction
from django.utils import timezone

from gateway.models import (
    Alert,
    Attempt,
    BreakerTransition,
    Budget,
    Completion,
    ConfigurationChange,
    HealthProbe,
    Price,
    Provider,
    Route,
    Target,
    Team,
)

DAYS = 30
# One completion in so many was judged for the cheap model; one call in so many read from its provider's cache.
DECIDED_ONE_IN, CACHED_ONE_IN = 5, 4
TEAMS, KEYS, ROUTES, CONVERSATION_LENGTH = 8, 24, 4, 17
MODELS = ("gpt-4-turbo", "gpt-4o", "gpt-4o-mini", "o3", "claude-3-5-sonnet-20241022", "claude-3-5-haiku-20241022")
OPENAI_MODELS = 4  # the first of them; the others are Anthropic's
_PICO = 10**12


def fill_database(completions: int) -> None:
    first_team = _configuration()
    begun = timezone.now() - timedelta(days=DAYS)
    with transaction.atomic(), connection.cursor() as cursor:
        completion = _first_completion()
        _copy(
            cursor,
            Completion,
            completion.pk,
            completions,
            _completion_columns(begun.timestamp(), completions, first_team),
        )
        Completion.objects.filter(pk=completion.pk).delete()
        attempt = _first_attempt()
        _insert(cursor, Attempt, _attempt_columns(), _each_attempt(attempt.pk))
        Attempt.objects.filter(pk=attempt.pk).delete()
        cursor.execute(_CONVERSATIONS)
        cursor.execute(_FALLBACKS)
    _events(begun, min(EVENTS, completions))
    analyze()


def analyze(*, vacuum: bool = False) -> None:
    """What PostgreSQL's autovacuum does by itself before long, or else beside what is timed. With `vacuum` outside of a
    transaction."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if vacuum and connection.vendor == "postgresql" else "ANALYZE")


_CONVERSATIONS = """
INSERT INTO llmops_conversation
    (team_id, external_id, completions, input_tokens, output_tokens, cost_usd, first_seen_at, last_seen_at)
SELECT team_id, conversation, COUNT(*), SUM(input_tokens), SUM(output_tokens), SUM(cost_usd), MIN(created_at),
    MAX(created_at)
FROM llmops_completion GROUP BY team_id, conversation
"""


_FALLBACKS = """
INSERT INTO llmops_fallback
    (completion_id, number, created_at, from_target, to_target, reason, after_ms, extra_cost_usd)
SELECT id, 1, created_at, 'first', provider || '/' || model, 'server_error', latency_ms, 0
FROM llmops_completion WHERE fell_back
"""
EVENTS = 5_000


def _events(begun: datetime, events: int) -> None:
    """What operations and sweeps leave behind in a busy month."""
    moments = [begun + timedelta(days=DAYS) * number / events for number in range(events)]
    openai = {"provider": "openai"}
    words = {"from_state": "closed", "to_state": "open", "cause": "5 failures in a row"}
    BreakerTransition.objects.bulk_create([BreakerTransition(at=at, **openai, **words) for at in moments])
    probe = {"actor": "", "asked": "o3", "ok": True, "outcome": "ok", "words": "answered"}
    HealthProbe.objects.bulk_create([HealthProbe(at=at, **openai, **probe) for at in moments])
    change = {"actor": "olive", "action": "changed", "section": "budgets"}
    ConfigurationChange.objects.bulk_create(
        [ConfigurationChange(at=at, name=f"budget {number % 50}", **change) for number, at in enumerate(moments)]
    )
    Alert.objects.bulk_create(
        Alert(
            kind="breaker_opened",
            subject="openai",
            message="The breaker opened.",
            opened_at=at,
            closed_at=at + timedelta(minutes=1),
            opened_by=f"transition {number}",
        )
        for number, at in enumerate(moments)
    )


def _configuration() -> int:
    """The first team's key; those of the others follow it."""
    openai = Provider.objects.create(name="openai", kind="openai", base_url="http://127.0.0.1:9/v1", api_key_env="NONE")
    other = {"kind": "anthropic", "base_url": "http://127.0.0.1:9", "api_key_env": "NONE"}
    anthropic = Provider.objects.create(name="anthropic", **other)
    for number in range(ROUTES):
        route = Route.objects.create(name=f"route-{number}")
        for position, model in enumerate(MODELS):
            provider = openai if position < OPENAI_MODELS else anthropic
            Target.objects.create(route=route, provider=provider, model=model, position=position)
    for number, model in enumerate(MODELS):
        kind = openai.kind if number < OPENAI_MODELS else anthropic.kind
        Price.objects.create(
            kind=kind, model=model, input_per_mtok=3, cached_input_per_mtok=Decimal("0.3"), output_per_mtok=15
        )
    teams = [Team.objects.create(name=f"team-{number}") for number in range(TEAMS)]
    for number, team in enumerate(teams):
        Budget.objects.create(name=f"team-{number} month", scope="team", team=team, limit_usd=Decimal(10_000))
    Budget.objects.create(name="everything", scope="global", window="month", limit_usd=Decimal(100_000))
    first: int = teams[0].pk
    return first


def _first_completion() -> Completion:
    now = timezone.now()
    return Completion.objects.create(
        id="prototype",
        created_at=now,
        finished_at=now,
        lease_until=now,
        status="answered",
        http_status=200,
        surface="openai",
        operation="chat",
        stream=False,
        requested_model="default",
        route_id=1,
        route_name="",
        api_key_id=1,
        api_key_name="",
        conversation="",
        attempt_count=1,
        billing="reported",
    )


def _first_attempt() -> Attempt:
    told = {"outcome": "succeeded", "billing": "reported", "reason": "first target"}
    return Attempt.objects.create(
        completion_id="prototype", number=1, target_index=0, started_at=timezone.now(), **told
    )


def _completion_columns(begun: float, completions: int, first_team: int) -> dict[str, str]:
    """SQL of what differs between rows; `n.i` counts them. Primes keep the columns from moving together."""
    at = _moment(f"{begun:.0f} + n.i * {DAYS * 86400 - 60} / {completions}")
    model = f"(n.i * 7 % {len(MODELS)})"
    names = " ".join(f"WHEN {place} THEN '{name}'" for place, name in enumerate(MODELS))
    failed, stream = "n.i % 211 = 0", "n.i % 3 = 0"
    conversation = f"n.i / {TEAMS * CONVERSATION_LENGTH} * {TEAMS} + n.i % {TEAMS}"
    return {
        "id": _text("'req_' || (1000000000 + n.i)"),
        "created_at": at,
        "finished_at": at,
        "lease_until": at,
        "status": f"CASE WHEN {failed} THEN 'failed' ELSE 'answered' END",
        "http_status": f"CASE WHEN {failed} THEN 503 ELSE 200 END",
        "stream": f"({stream})",
        "fell_back": "(n.i % 53 = 0)",
        "attempt_count": "CASE WHEN n.i % 10 < 3 OR n.i % 53 = 0 THEN 2 ELSE 1 END",
        "provider": f"CASE WHEN {model} < {OPENAI_MODELS} THEN 'openai' ELSE 'anthropic' END",
        "model": f"CASE {model} {names} END",
        "route_id": f"1 + n.i % {ROUTES}",
        "route_name": _text(f"'route-' || (n.i % {ROUTES})"),
        "team_id": f"{first_team} + n.i % {TEAMS}",
        "team_name": _text(f"'team-' || (n.i % {TEAMS})"),
        "api_key_id": f"1 + n.i % {KEYS}",
        "api_key_name": _text(f"'key-' || (n.i % {KEYS})"),
        "conversation": _text(f"'c-' || ({conversation})"),
        "cost_usd": f"(n.i * 7919 % 100003) * {_PICO // 1_000_000}",
        "input_tokens": "n.i * 613 % 4001",
        "cached_input_tokens": f"CASE WHEN n.i % {CACHED_ONE_IN} = 0 THEN n.i * 613 % 4001 / 2 ELSE 0 END",
        "output_tokens": "n.i * 419 % 907",
        "latency_ms": "300 + n.i * 911 % 4999",
        "first_content_ms": f"CASE WHEN {stream} THEN 100 + n.i * 577 % 1499 END",
        "decision": f"CASE WHEN n.i % {DECIDED_ONE_IN} = 0 THEN {_json(_DECISION)} ELSE p.decision END",
    }


_DECISION = {
    "simple": {
        "tier": "simple",
        "reason": "score",
        "score": -2.5,
        "threshold": 0,
        "rules": 1,
        "features": {"characters": -1.5, "question": -1.0},
        "choice": "sent",
        "mode": "25%",
        "target": "anthropic/claude-3-5-haiku-20241022",
        "instead_of": "openai/gpt-4-turbo",
    }
}


def _each_attempt(prototype: int) -> str:
    """In the order of time, as the ledger writes them. Three in ten completions needed a second attempt."""
    numbers = "(SELECT 1 AS number UNION ALL SELECT 2) k"
    return (
        f"llmops_attempt p, llmops_completion c, {numbers} WHERE p.id = {prototype} "
        "AND k.number <= c.attempt_count ORDER BY c.created_at, c.id, k.number"
    )


def _attempt_columns() -> dict[str, str]:
    """The last attempt has what its completion says; one before it failed, at the other provider if that fell back."""
    before = "k.number < c.attempt_count"
    other = "CASE c.provider WHEN 'openai' THEN 'anthropic' ELSE 'openai' END"
    counted = ("cost_usd", "input_tokens", "cached_input_tokens", "output_tokens")
    failed = f"({before} OR c.status = 'failed')"
    return {
        "completion_id": "c.id",
        "number": "k.number",
        "started_at": "c.created_at",
        "provider": f"CASE WHEN {before} AND c.fell_back THEN {other} ELSE c.provider END",
        "model": "c.model",
        "outcome": f"CASE WHEN {failed} THEN 'failed' ELSE 'succeeded' END",
        "failure": f"CASE WHEN {failed} THEN 'server_error' ELSE '' END",
        "status": f"CASE WHEN {failed} THEN 503 ELSE 200 END",
        "message": f"CASE WHEN {failed} THEN 'The server is overloaded.' ELSE '' END",
        "latency_ms": "c.latency_ms",
        "first_content_ms": "c.first_content_ms",
        "price_id": "(SELECT MIN(id) FROM llmops_price x WHERE x.model = c.model)",
        **{name: f"CASE WHEN {before} THEN 0 ELSE c.{name} END" for name in counted},
    }


def _text(sql: str) -> str:
    return f"CAST({sql} AS varchar(128))"


def _json(value: dict[str, Any]) -> str:
    return f"'{json.dumps(value)}'::jsonb" if connection.vendor == "postgresql" else f"'{json.dumps(value)}'"


def _moment(epoch_seconds: str) -> str:
    if connection.vendor == "postgresql":
        return f"to_timestamp({epoch_seconds})"
    return f"strftime('%Y-%m-%d %H:%M:%S', {epoch_seconds}, 'unixepoch')"


def _copy(cursor: Any, model: type[models.Model], prototype: str, rows: int, columns: dict[str, str]) -> None:
    table = model._meta.db_table
    counter = f"(WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < {rows - 1}) SELECT i FROM c)"  # noqa: S608
    if connection.vendor == "postgresql":
        counter = f"(SELECT i::bigint FROM generate_series(0, {rows - 1}) AS g(i))"  # noqa: S608 - a number of ours
    _insert(cursor, model, columns, f"{counter} n, {table} p WHERE p.id = '{prototype}'")


def _insert(cursor: Any, model: type[models.Model], columns: dict[str, str], source: str) -> None:
    """Rows of `source`, in which `p` is the row to copy; `columns` say what differs."""
    names = [field.column for field in model._meta.local_fields if not isinstance(field, models.BigAutoField)]
    chosen = ", ".join(columns.get(name, f"p.{name}") for name in names)
    cursor.execute(f"INSERT INTO {model._meta.db_table} ({', '.join(names)}) SELECT {chosen} FROM {source}")  # noqa: S608
