"""Breaker news as rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from gateway.ledger.database import LedgerConnection
from gateway.ledger.group import Group, group_apply
from gateway.ledger.records import BreakerEvent
from gateway.ledger.rows import event_row
from gateway.ledger.writer import LedgerWriter
from tests.ledger.books import NOW, Books, intent

STATUS = "SELECT state, consecutive_failures, last_error FROM llmops_breaker_status"


def event(from_state: str, to_state: str, **changes: Any) -> BreakerEvent:
    facts: dict[str, Any] = {
        "provider": "openai",
        "at": NOW,
        "cause": "5 consecutive failures",
        "consecutive_failures": 5,
        "failure_rate": 0.5,
        "opened_at": NOW,
        "next_probe_at": NOW + timedelta(seconds=60),
        "last_error": "503",
        "request_id": "req_1",
    }
    return BreakerEvent(from_state=from_state, to_state=to_state, **{**facts, **changes})


@pytest.fixture
def told(connect: Callable[[], LedgerConnection]) -> Callable[..., None]:
    """Tell events, one group each, and wait until they are written."""

    def tell(*events: BreakerEvent) -> None:
        for one in events:
            writer = LedgerWriter(connect)
            writer.note(one)
            writer.start()
            writer.stop()

    return tell


def test_a_change_of_state_updates_the_status_and_adds_a_transition(told: Callable[..., None], books: Books) -> None:
    told(event("closed", "open"))

    assert books.rows(STATUS) == [("open", 5, "503")]
    assert books.rows("SELECT from_state, to_state, cause FROM llmops_breaker_transition") == [
        ("closed", "open", "5 consecutive failures")
    ]


def test_news_without_a_change_updates_the_status_only(told: Callable[..., None], books: Books) -> None:
    told(event("closed", "closed", consecutive_failures=1), event("closed", "closed", consecutive_failures=2))

    assert books.rows(STATUS) == [("closed", 2, "503")]
    assert books.count("llmops_breaker_transition") == 0


def test_the_status_remembers_since_when_the_state_holds(told: Callable[..., None], books: Books) -> None:
    told(event("closed", "open"))
    since = books.value("SELECT since FROM llmops_breaker_status")

    told(event("open", "open", at=NOW + timedelta(seconds=9)))

    assert books.value("SELECT since FROM llmops_breaker_status") == since


def test_older_news_never_replaces_newer(told: Callable[..., None], books: Books) -> None:
    told(event("half_open", "closed", at=NOW + timedelta(seconds=9)), event("open", "half_open"))

    assert books.value("SELECT state FROM llmops_breaker_status") == "closed"


def test_the_same_transition_told_twice_is_one_row(told: Callable[..., None], books: Books) -> None:
    told(event("closed", "open"), event("closed", "open"))

    assert books.count("llmops_breaker_transition") == 1


def test_status_rows_are_locked_in_the_order_of_their_providers(connection: LedgerConnection) -> None:
    written: list[str] = []

    class Listening:
        dialect = connection.dialect
        begin, commit, rollback, fetch_each = (
            connection.begin,
            connection.commit,
            connection.rollback,
            connection.fetch_each,
        )

        def run(self, sql: str, rows: Any) -> None:
            if "llmops_breaker_status" in sql:
                written.extend(row[0] for row in rows)
            connection.run(sql, rows)

    events = [event("closed", "open", provider=name) for name in ("openai", "anthropic", "first")]
    group_apply(Listening(), Group(events=[event_row(one, connection.dialect) for one in events]))  # type: ignore[arg-type]

    assert written == ["anthropic", "first", "openai"]


def test_too_much_news_is_dropped_and_said(
    connect: Callable[[], LedgerConnection], caplog: pytest.LogCaptureFixture
) -> None:
    writer = LedgerWriter(connect)

    for _ in range(1_001):
        writer.note(event("closed", "closed"))

    assert writer.queue_depth == 1_000
    assert "breaker news of openai dropped" in caplog.text


async def test_bad_news_does_not_disturb_requests(writer: LedgerWriter, books: Books) -> None:
    writer.note(event("closed", "open", provider="p" * 200))
    await writer.open(intent("req_1"))

    assert (books.count("llmops_completion"), books.count("llmops_breaker_status")) == (1, 0)
