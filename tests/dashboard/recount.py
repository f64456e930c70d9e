"""Rows that are awkward on purpose, and plain Python that counts them again for the pages' tests.

The recount knows no query and no roll-up: it walks along the rows and asks of each what the words of the pages mean.
"""

from __future__ import annotations

import html
import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from gateway.models import Attempt, Completion, Conversation, Team
from gateway.models.organisation import organisation_current
from gateway.services.rollups import rollups_refresh
from tests.selectors.rows import new_attempt, new_completion

Rows = list[Completion]

BERLIN = ZoneInfo("Europe/Berlin")
# The first of November in Berlin, half an hour after midnight; still October in UTC.
NOW = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)
CENT = Decimal("0.01")
MICRO = Decimal("0.000001")
OWN_FAULTS = {400, 405, 413, 422}
RESCUED = {"fell_back": True, "provider": "anthropic", "model": "claude-sonnet-4-5", "attempt_count": 2}

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "stream": {"stream": True, "first_content_ms": 240, "latency_ms": 4000},
    "rescued": RESCUED,
    "spoiled": RESCUED | {"billing": "estimated"},
    "lost": {"fell_back": True, "status": "failed", "http_status": 503, "attempt_count": 2},
    "hit": {"cache": "hit", "provider": "", "model": "", "attempt_count": 0, "saved_usd": 4 * CENT, "latency_ms": 3},
    "estimated": {"status": "cancelled", "http_status": 499, "billing": "estimated", "stream": True},
    "orphan": {"status": "unknown", "http_status": None, "billing": "unknown", "provider": "", "model": ""},
    "own-mistake": {"status": "failed", "http_status": 400, "error_code": "invalid_request"},
    "turned-away": {"status": "refused", "http_status": 401, "attempt_count": 0, "provider": "", "model": ""},
    "drilled": {"drill_id": 7, "latency_ms": 9000},
    "drilled-twice": RESCUED | {"drill_id": 8, "latency_ms": 2345},
    "drilled-lost": {"drill_id": 7, "status": "failed", "http_status": 502},
    "silent-stream": {"stream": True, "first_content_ms": None},
    "running": {"status": "pending", "http_status": None, "latency_ms": None},
}
TOKENS = ("input_tokens", "cached_input_tokens", "output_tokens")
FREE = {"hit", "own-mistake", "turned-away", "running"}
# Both hours called half past two, midnights of Berlin and UTC, the month's end, and what no roll-up holds yet.
MOMENTS = (
    datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
    datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
    datetime(2026, 10, 24, 22, 0, tzinfo=UTC),
    datetime(2026, 10, 25, 23, 0, tzinfo=UTC),
    datetime(2026, 10, 31, 22, 59, 59, 999999, tzinfo=UTC),
    datetime(2026, 10, 31, 23, 0, tzinfo=UTC),
    datetime(2026, 10, 31, 23, 29, tzinfo=UTC),
)
OWNERS = (
    {"team_id": 1, "team_name": "research", "api_key_id": 1, "api_key_name": "agents", "route_name": "default"},
    {"team_id": 0, "team_name": "", "api_key_id": 2, "api_key_name": "batch & co", "route_name": "cheap"},
)


def day(month: int, number: int) -> datetime:
    return datetime(2026, month, number, tzinfo=BERLIN).astimezone(UTC)


# The address's query, and what it must look at.
SCOPES: tuple[tuple[str, datetime, datetime, dict[str, object]], ...] = (
    ("period=24h", NOW - timedelta(hours=24), NOW, {}),
    ("period=today", day(11, 1), NOW, {}),
    ("period=month&team=research", day(11, 1), NOW, {"team_name": "research"}),
    ("period=30d&team=(none)", NOW - timedelta(days=30), NOW, {"team_name": ""}),
    ("period=30d&api_key=batch+%26+co", NOW - timedelta(days=30), NOW, {"api_key_name": "batch & co"}),
    ("period=7d&route=cheap", NOW - timedelta(days=7), NOW, {"route_name": "cheap"}),
    ("period=custom&from=2026-10-25&to=2026-10-25", day(10, 25), day(10, 26), {}),
    ("period=custom&from=2026-10-01&to=2026-10-31", day(10, 1), day(11, 1), {}),
)
scopes = pytest.mark.parametrize(("query", "start", "end", "same"), SCOPES, ids=[scope[0] for scope in SCOPES])
# For what SQL groups by time or reads from JSON: days, hours and keys are each database's own words.
both_databases = pytest.mark.parametrize("awkward_rows", ["sqlite", "postgres"], indirect=True, scope="module")
COLUMNS = {"team": "team_name", "api_key": "api_key_name", "route": "route_name"}


def write_awkward_rows() -> None:
    """All but those of the last two hours before `NOW` are in the roll-ups."""
    organisation = organisation_current()
    organisation.time_zone = BERLIN.key
    organisation.save()
    Team.objects.create(pk=1, name="research")
    attempts: list[Attempt] = []
    completions: Rows = []
    for place, at in enumerate(MOMENTS):
        for number, (kind, values) in enumerate(KINDS.items()):
            told = {"conversation": f"talk-{place % 3}", "latency_ms": 40 + place * number * 137}
            values = told | values | OWNERS[(place + number) % 2]
            completions.append(_completion(f"{kind}-{place}", at, kind, values, place + number + 1))
            attempts += _attempts(completions[-1], kind)
    Completion.objects.bulk_create(completions)
    Attempt.objects.bulk_create(attempts)
    _write_conversations()
    rollups_refresh(now=NOW - timedelta(hours=2))


def _completion(name: str, at: datetime, kind: str, values: dict[str, Any], size: int) -> Completion:
    if kind in FREE:
        return new_completion(name, at=at, **values)
    tokens = {"input_tokens": size * 11, "cached_input_tokens": size, "output_tokens": size * 3}
    return new_completion(name, at=at, cost_usd=(size * CENT / 7).quantize(MICRO), **tokens, **values)


def _attempts(completion: Completion, kind: str) -> list[Attempt]:
    """Whose amounts and tokens add up to those of the completion; none of an orphan, which has been reserved for."""
    if kind in FREE or kind == "orphan":
        return []
    owed: dict[str, Any] = {name: getattr(completion, name) for name in ("cost_usd", *TOKENS)}
    drill_id = completion.drill_id
    made = []
    if completion.attempt_count == 2:
        first = _first_part(kind, owed) | {"provider": "openai", "model": "gpt-4-turbo", "drill_id": drill_id}
        made.append(new_attempt(completion, 1, outcome="failed", latency_ms=30, **first))
        owed = {name: amount - first.get(name, 0) for name, amount in owed.items()}
        drill_id = 7 if kind == "drilled-twice" else None
    owed["outcome"] = "failed" if completion.status == "failed" else "succeeded"
    owed["billing"] = "reported" if kind == "spoiled" else completion.billing
    last = new_attempt(completion, completion.attempt_count, drill_id=drill_id, **owed)
    last.latency_ms = completion.latency_ms or 0
    return [*made, last]


def _first_part(kind: str, owed: dict[str, Any]) -> dict[str, Any]:
    """What the first of two attempts is charged: a spoiled one half of it, others nothing."""
    if kind != "spoiled":
        return {"cost_usd": Decimal(0)}
    halves = {name: owed[name] // 2 for name in TOKENS}
    return {"cost_usd": (owed["cost_usd"] / 2).quantize(MICRO), "billing": "estimated", **halves}


def _write_conversations() -> None:
    """As the ledger's writer adds them up, request by request."""
    ended = [row for row in Completion.objects.all() if row.status not in ("pending", "refused")]
    for team_id, conversation in sorted({(row.team_id, row.conversation) for row in ended}):
        rows = [row for row in ended if (row.team_id, row.conversation) == (team_id, conversation)]
        Conversation.objects.create(
            team_id=team_id,
            external_id=conversation,
            completions=len(rows),
            input_tokens=sum(row.input_tokens for row in rows),
            output_tokens=sum(row.output_tokens for row in rows),
            cost_usd=cost(rows),
            first_seen_at=min(row.created_at for row in rows),
            last_seen_at=max(row.created_at for row in rows) + timedelta(seconds=1),
        )


def begun(start: datetime, end: datetime, **same: object) -> Rows:
    """All that were not turned away, those under way too."""
    return [
        row
        for row in Completion.objects.all()
        if start <= row.created_at < end and row.status != "refused"
        if all(getattr(row, column) == value for column, value in same.items())
    ]


def settled(rows: Iterable[Completion]) -> Rows:
    return [row for row in rows if row.status != "pending"]


def failed(row: Completion) -> bool:
    return row.status == "unknown" or (row.status == "failed" and row.http_status not in OWN_FAULTS)


def cost(rows: Iterable[Completion]) -> Decimal:
    return sum((row.cost_usd for row in rows if row.status != "pending"), Decimal(0))


def attempts_of(rows: Iterable[Completion], **same: object) -> list[Attempt]:
    ids = {row.id for row in rows}
    return [
        attempt
        for attempt in Attempt.objects.all()
        if attempt.completion_id in ids and attempt.outcome != "skipped"
        if all(getattr(attempt, column) == value for column, value in same.items())
    ]


def paid(attempts: Iterable[Attempt]) -> Decimal:
    return sum((attempt.cost_usd for attempt in attempts), Decimal(0))


def by_conversation(rows: Rows) -> dict[tuple[int, str], Rows]:
    found: defaultdict[tuple[int, str], Rows] = defaultdict(list)
    for row in rows:
        found[row.team_id, row.conversation].append(row)
    return found


def waits(rows: Iterable[Completion]) -> list[int]:
    """How long clients waited for answers: for whole plain ones, for the first words of streams."""
    times = [row.first_content_ms if row.stream else row.latency_ms for row in rows if row.status == "answered"]
    return sorted(ms for ms in times if ms is not None)


def percentile(ordered: list[int], percent: int) -> int:
    """The nearest rank."""
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def shown_ms(text: str) -> float:
    """`850 ms`, `1.9 s` or `2 min 5 s` in milliseconds."""
    units = {"ms": 1, "s": 1000, "min": 60_000}
    words = text.split()
    return sum(float(number) * units[unit] for number, unit in zip(words[::2], words[1::2], strict=True))


def shown_percent(text: str) -> float:
    return float(text.replace("%", "").replace(",", ""))


def shown_usd(text: str) -> Decimal:
    return Decimal(text.replace("$", "").replace(",", ""))


def whole(text: str) -> int:
    return int(text.replace(",", ""))


def text_of(body: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def ids_behind(client: Client, href: str) -> set[str]:
    """Of every page of the log."""
    found: set[str] = set()
    while href:
        context = client.get(href).context
        assert context["query"].problems == []
        found |= {line.id for line, _ in context["rows"]}
        href = context["next_url"]
    return found
