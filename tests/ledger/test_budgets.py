"""Windows in the organisation's time zone, and the claims of a completion."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.ledger.budgets import Budget, CompletionFacts, Scope, Window, claims_for, window_of

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "America/Sao_Paulo",
        "America/Havana",
        "Asia/Kolkata",
        "Asia/Beirut",
        "Australia/Lord_Howe",
        "Pacific/Apia",
    )
]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


WINDOWS = [
    (Window.HOUR, "2026-11-22 10:30:15", "2026-11-22 10:00", "2026-11-22 11:00"),
    (Window.DAY, "2026-11-22 22:59:59", "2026-11-21 23:00", "2026-11-22 23:00"),
    (Window.DAY, "2026-11-22 23:00:00", "2026-11-22 23:00", "2026-11-23 23:00"),
    (Window.WEEK, "2026-11-22 10:30:00", "2026-11-15 23:00", "2026-11-22 23:00"),
    (Window.WEEK, "2026-11-22 23:00:00", "2026-11-22 23:00", "2026-11-29 23:00"),
    (Window.MONTH, "2026-11-22 10:30:00", "2026-10-31 23:00", "2026-11-30 23:00"),
    (Window.MONTH, "2026-12-31 23:30:00", "2026-12-31 23:00", "2027-01-31 23:00"),
    # Clocks go forward on 29 March: that day has 23 hours, and March begins in winter time but ends in summer time.
    (Window.DAY, "2026-03-29 12:00:00", "2026-03-28 23:00", "2026-03-29 22:00"),
    (Window.MONTH, "2026-03-15 12:00:00", "2026-02-28 23:00", "2026-03-31 22:00"),
    # Clocks go back on 25 October at 01:00 UTC: the hour from 02:00 local time comes twice, as two windows.
    (Window.DAY, "2026-10-25 12:00:00", "2026-10-24 22:00", "2026-10-25 23:00"),
    (Window.HOUR, "2026-10-25 00:30:00", "2026-10-25 00:00", "2026-10-25 01:00"),
    (Window.HOUR, "2026-10-25 01:30:00", "2026-10-25 01:00", "2026-10-25 02:00"),
    (3_600 * 5, "1970-01-01 07:00:00", "1970-01-01 05:00", "1970-01-01 10:00"),
]


@pytest.mark.parametrize(("window", "at", "starts", "resets"), WINDOWS)
def test_windows_begin_and_end_by_the_organisations_clock(
    window: Window | int, at: str, starts: str, resets: str
) -> None:
    assert window_of(window, utc(at), BERLIN) == (utc(starts), utc(resets))


def test_a_budget_without_end_has_no_window() -> None:
    assert window_of(Window.TOTAL, utc("2026-11-22 10:00:00"), BERLIN) == (None, None)


windows = st.sampled_from([Window.HOUR, Window.DAY, Window.WEEK, Window.MONTH, 1, 90, 3_600, 7 * 86_400])
moments = st.datetimes(datetime(2005, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


# Lord Howe's clocks move by half an hour: the last hour of 5 April 2026 there is only half as long.
@example(window=Window.HOUR, at=utc("2026-04-05 13:15"), zone=ZoneInfo("Australia/Lord_Howe"))
@settings(deadline=None)
@given(window=windows, at=moments, zone=st.sampled_from(ZONES))
def test_windows_follow_each_other_without_gap_or_overlap(window: Window | int, at: datetime, zone: ZoneInfo) -> None:
    starts_at, resets_at = window_of(window, at, zone)

    assert starts_at is not None
    assert resets_at is not None
    assert starts_at <= at < resets_at
    assert window_of(window, starts_at, zone) == (starts_at, resets_at)
    assert window_of(window, resets_at - timedelta(microseconds=1), zone) == (starts_at, resets_at)
    assert window_of(window, resets_at, zone)[0] == resets_at


AT = utc("2026-11-22 10:30:00")
FACTS = CompletionFacts(team_id=7, api_key_id=5, route_id=3, conversation="c1", provider_ids=(2, 4))


def budget(scope: Scope, subject: str | None = None, **changes: Any) -> Budget:
    facts: dict[str, Any] = {"id": 1, "name": "b", "window": Window.DAY, "limit_usd": Decimal(10)}
    return Budget(scope=scope, subject=subject, **{**facts, **changes})


@pytest.mark.parametrize(
    ("scope", "subject", "expected"),
    [
        (Scope.GLOBAL, None, [""]),
        (Scope.TEAM, None, ["7"]),
        (Scope.TEAM, "7", ["7"]),
        (Scope.TEAM, "8", []),
        (Scope.API_KEY, None, ["5"]),
        (Scope.API_KEY, "6", []),
        (Scope.ROUTE, "3", ["3"]),
        (Scope.PROVIDER, None, ["2", "4"]),
        (Scope.PROVIDER, "2", ["2"]),
        (Scope.PROVIDER, "4", ["4"]),
        (Scope.PROVIDER, "6", []),
        (Scope.CONVERSATION, None, ["7:c1"]),
    ],
)
def test_a_budget_is_claimed_for_the_completions_own_subject(
    scope: Scope, subject: str | None, expected: list[str]
) -> None:
    claims = claims_for([budget(scope, subject)], FACTS, Decimal("0.10"), AT, BERLIN)

    assert [claim.subject for claim in claims] == expected


def test_a_key_without_team_falls_under_no_teams_budget_but_has_conversations() -> None:
    facts = CompletionFacts(team_id=None, api_key_id=5, route_id=3, conversation="c1")

    claims = claims_for([budget(Scope.TEAM), budget(Scope.CONVERSATION)], facts, Decimal(1), AT, BERLIN)

    assert [claim.subject for claim in claims] == ["0:c1"]


def test_a_claim_carries_amount_limit_window_and_enforcement() -> None:
    (claim,) = claims_for([budget(Scope.TEAM, blocking=False)], FACTS, Decimal("0.10"), AT, BERLIN)

    assert (claim.amount_usd, claim.limit_usd, claim.blocking) == (Decimal("0.10"), Decimal(10), False)
    assert (claim.window_starts_at, claim.resets_at) == (utc("2026-11-21 23:00:00"), utc("2026-11-22 23:00:00"))


@pytest.mark.parametrize("scope", Scope)
def test_only_conversation_key_and_team_budgets_may_be_told_to_the_client(scope: Scope) -> None:
    claim = claims_for([budget(scope)], FACTS, Decimal(1), AT, BERLIN)[0]

    assert claim.visible == (scope in {Scope.CONVERSATION, Scope.API_KEY, Scope.TEAM})


def test_a_providers_budget_is_claimed_once_however_many_targets_are_planned_there() -> None:
    facts = replace(FACTS, provider_ids=(4, 2, 4))

    claims = claims_for([budget(Scope.PROVIDER)], facts, Decimal(1), AT, BERLIN)

    assert [(claim.subject, claim.provider_id) for claim in claims] == [("2", 2), ("4", 4)]


def test_a_providers_budget_is_asked_for_what_that_provider_can_cost() -> None:
    facts = replace(FACTS, provider_worst_usd={4: Decimal("0.25")})

    claims = claims_for([budget(Scope.PROVIDER)], facts, Decimal(1), AT, BERLIN)

    assert [claim.amount_usd for claim in claims] == [Decimal(1), Decimal("0.25")]
