from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from gateway.selectors.spend_report import SpendGroup
from tests.selectors.rows import NOON, add_attempt, add_completion

pytestmark = pytest.mark.django_db

CENT = Decimal("0.01")


def tokens(n: int) -> dict[str, int]:
    """Tokens that are told apart by their size, `n` of the smallest."""
    return {"input_tokens": 100 * n, "cached_input_tokens": 10 * n, "cache_write_tokens": n, "output_tokens": 7 * n}


def spend(api: Client, query: str = "") -> dict[str, Any]:
    response = api.get(f"/api/spend?{query}")
    assert response.status_code == 200, response.content
    return dict(response.json())


def costs(report: dict[str, Any]) -> dict[str | None, tuple[str, int]]:
    return {row["group"]: (row["cost_usd"], row["completions"]) for row in report["rows"]}


@pytest.fixture
def two_teams(db: None) -> None:
    """Awkward on purpose: a retry that was billed, a fallback, a cut stream, an orphan, one pending, one of no team."""
    research, sales = {"team_id": 1, "team_name": "research"}, {"team_id": 2, "team_name": "sales"}
    plain = add_completion("plain", cost_usd=CENT, **tokens(1), **research)
    add_attempt(plain, 1, cost_usd=CENT, **tokens(1))
    rescued = add_completion(
        "rescued", cost_usd=5 * CENT, provider="anthropic", model="claude", fell_back=True, billing="estimated",
        api_key_name="batch", **tokens(5), **sales,
    )  # fmt: skip
    add_attempt(rescued, 1, provider="openai", model="gpt-4-turbo", outcome="failed", failure="timeout",
                cost_usd=2 * CENT, billing="estimated", **tokens(2))  # fmt: skip
    add_attempt(rescued, 2, cost_usd=3 * CENT, **tokens(3))
    orphan = {"status": "unknown", "billing": "unknown", "provider": "", "model": "", "attempt_count": 0}
    add_completion("orphan", cost_usd=CENT, route_name="other", **orphan, **sales)
    pending = {"status": "pending", "http_status": None, "provider": "", "model": "", "latency_ms": None}
    add_completion("pending", reserved_usd=99 * CENT, conversation="c-2", **pending)


def test_without_grouping_everything_is_one_row(api: Client, two_teams: None) -> None:
    report = spend(api)

    assert report["total"] == {
        "group": None,
        "team": None,
        "cost_usd": "0.07",
        "completions": 3,
        "input_tokens": 600,
        "cached_input_tokens": 60,
        "cache_write_tokens": 6,
        "output_tokens": 42,
    }
    assert report["rows"] == [report["total"]]


@pytest.mark.parametrize(
    ("group_by", "expected"),
    [
        ("team", {"research": ("0.01", 1), "sales": ("0.06", 2)}),
        ("api_key", {"agents": ("0.02", 2), "batch": ("0.05", 1)}),
        ("route", {"default": ("0.06", 2), "other": ("0.01", 1)}),
        ("provider", {"openai": ("0.03", 1), "anthropic": ("0.03", 1), None: ("0.01", 1)}),
        ("model", {"gpt-4-turbo": ("0.03", 1), "claude": ("0.03", 1), None: ("0.01", 1)}),
    ],
)
def test_groups_are_names_and_each_has_what_was_spent_on_it(
    api: Client, two_teams: None, group_by: str, expected: dict[str | None, tuple[str, int]]
) -> None:
    assert costs(spend(api, f"group_by={group_by}")) == expected


def test_a_provider_has_the_tokens_of_its_own_attempts(api: Client, two_teams: None) -> None:
    rows = {row["group"]: row for row in spend(api, "group_by=provider")["rows"]}

    assert {name: rows["openai"][name] for name in tokens(1)} == tokens(3)
    assert {name: rows["anthropic"][name] for name in tokens(1)} == tokens(3)
    assert {name: rows[None][name] for name in tokens(1)} == tokens(0)


@pytest.mark.parametrize("group_by", list(SpendGroup))
def test_rows_add_up_to_the_total_in_every_column(api: Client, two_teams: None, group_by: SpendGroup) -> None:
    report = spend(api, f"group_by={group_by.value}")

    assert report["total"] == spend(api)["total"]
    for column in ("completions", *tokens(1)):
        assert sum(row[column] for row in report["rows"]) == report["total"][column]
    assert sum(Decimal(row["cost_usd"]) for row in report["rows"]) == Decimal(report["total"]["cost_usd"])


def test_the_dearest_group_comes_first(api: Client, two_teams: None) -> None:
    assert [row["group"] for row in spend(api, "group_by=team")["rows"]] == ["sales", "research"]


def test_two_teams_conversations_of_one_id_are_two_rows(api: Client) -> None:
    add_completion("a", cost_usd=CENT, team_id=1, team_name="research", conversation="talk")
    add_completion("b", cost_usd=2 * CENT, team_id=2, team_name="sales", conversation="talk")

    rows = spend(api, "group_by=conversation")["rows"]

    assert [(row["group"], row["team"], row["cost_usd"]) for row in rows] == [
        ("talk", "sales", "0.02"),
        ("talk", "research", "0.01"),
    ]


def test_sums_are_exact_to_the_last_digit(api: Client) -> None:
    for index in range(10):
        add_completion(f"r{index}", cost_usd=Decimal("0.100000000001"))

    assert spend(api)["total"]["cost_usd"] == "1.00000000001"


def test_nothing_spent_is_a_total_of_zero(api: Client) -> None:
    for group_by in SpendGroup:
        total = spend(api, f"group_by={group_by.value}")["total"]
        assert (total["cost_usd"], total["completions"], total["output_tokens"]) == ("0.00", 0, 0)


@pytest.mark.parametrize(
    ("query", "counted"),
    [
        pytest.param("from=2026-11-22T12:00:00Z", 3, id="from is included"),
        pytest.param("to=2026-11-22T12:00:00Z", 1, id="to is excluded"),
        pytest.param("from=2026-11-22T12:00:00Z&to=2026-11-22T13:00:00Z", 2, id="both"),
        pytest.param("from=2026-11-22T13:00:00%2B01:00", 3, id="an offset"),
        pytest.param("from=2026-11-22T13:00:00+01:00", 3, id="an offset whose plus was not encoded"),
        pytest.param("from=2026-11-22T12:00:00", 3, id="no offset is UTC"),
        pytest.param("from=2026-11-22", 4, id="a date is its midnight"),
        pytest.param("to=2026-11-22", 0, id="until a date"),
        pytest.param("from=2026-11-22T12:00Z&to=2026-11-22T12:00Z", 0, id="an empty stretch"),
    ],
)
@pytest.mark.parametrize("group_by", ["none", "provider"])
def test_a_completion_counts_when_it_began(api: Client, query: str, counted: int, group_by: str) -> None:
    for index, minutes in enumerate((-1, 0, 59, 60)):
        completion = add_completion(f"r{index}", at=NOON + timedelta(minutes=minutes), cost_usd=CENT)
        add_attempt(completion, 1, cost_usd=CENT, started_at=NOON + timedelta(days=1))

    report = spend(api, f"group_by={group_by}&{query}")

    assert report["total"]["completions"] == counted
    assert Decimal(report["total"]["cost_usd"]) == counted * CENT


@pytest.mark.parametrize("group_by", ["conversation", "model"])
def test_a_report_that_was_cut_says_so_and_still_has_the_whole_total(api: Client, group_by: str) -> None:
    for index in range(4):
        values = {"conversation": f"c-{index}", "model": f"m-{index}", "cost_usd": (index + 1) * CENT}
        add_attempt(add_completion(f"r{index}", **values), 1, cost_usd=values["cost_usd"])

    cut, whole = (spend(api, f"group_by={group_by}&limit={limit}") for limit in (3, 4))

    assert [row["cost_usd"] for row in cut["rows"]] == ["0.04", "0.03", "0.02"]
    assert (cut["truncated"], whole["truncated"]) == (True, False)
    assert cut["total"] == whole["total"]


@pytest.mark.parametrize(
    ("query", "param", "part"),
    [
        pytest.param("group_by=agent", "group_by", "'api_key', 'team', 'route'", id="group_by"),
        pytest.param("from=yesterday", "from", "ISO 8601", id="a word"),
        pytest.param("to=2026-13-01", "to", "such as 2026-11-22", id="no such month"),
        pytest.param("from=0001-01-01T00:00:00%2B14:00", "from", "ISO 8601", id="before time began"),
        pytest.param("from=1700000000", "from", "ISO 8601", id="seconds"),
        pytest.param("from=", "from", "ISO 8601", id="empty"),
        pytest.param("from=2026-11-23&to=2026-11-22", "from", "later", id="backwards"),
        pytest.param("limit=0", "limit", "greater than or equal to 1", id="limit"),
    ],
)
def test_what_cannot_be_asked_is_told_what_can(api: Client, query: str, param: str, part: str) -> None:
    response = api.get(f"/api/spend?{query}")

    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("invalid_request", param)
    assert part in error["message"]


@pytest.mark.parametrize("group_by", list(SpendGroup))
def test_a_report_takes_a_handful_of_queries_however_much_there_is(
    api: Client, two_teams: None, group_by: SpendGroup, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(6):
        api.get(f"/api/spend?group_by={group_by.value}&from=2026-11-01")
