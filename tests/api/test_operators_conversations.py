from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from gateway.models import StoredContent, Team
from gateway.services.content_writing import Content, content_write
from tests.api.test_operators_access import person, staff
from tests.selectors.rows import NOON, add_completion, add_conversation

pytestmark = pytest.mark.django_db

CENT = Decimal("0.01")


@pytest.fixture
def research(db: None) -> dict[str, Any]:
    return {"team_id": Team.objects.create(name="research").pk, "team_name": "research"}


@pytest.fixture
def sales(db: None) -> dict[str, Any]:
    return {"team_id": Team.objects.create(name="sales").pk, "team_name": "sales"}


def test_a_conversation_is_the_sum_of_its_completions(api: Client, research: dict[str, Any]) -> None:
    used = {"input_tokens": 100, "cached_input_tokens": 10, "cache_write_tokens": 1, "output_tokens": 7}
    add_completion("r1", conversation="talk", cost_usd=CENT, **used, **research)
    add_completion("r2", conversation="talk", at=NOON + timedelta(minutes=1), cost_usd=2 * CENT, billing="estimated",
                   **used, **research)  # fmt: skip
    add_completion("r3", conversation="talk", at=NOON + timedelta(minutes=2), status="pending", http_status=None,
                   provider="", model="", **research)  # fmt: skip
    add_completion("other", conversation="talk-2", cost_usd=99 * CENT, **research)

    document = api.get("/api/conversations/talk").json()

    recent = document.pop("recent")
    assert document == {
        "id": "talk",
        "team": "research",
        "cost_usd": "0.03",
        "uncertain_usd": "0.02",
        "completions": 3,
        "answered": 2,
        "pending": 1,
        "input_tokens": 200,
        "cached_input_tokens": 20,
        "cache_write_tokens": 2,
        "output_tokens": 14,
        "first_seen_at": "2026-11-22T12:00:00Z",
        "last_seen_at": "2026-11-22T12:02:00Z",
        "duration_seconds": 120.0,
        "models": [
            {"provider": "openai", "model": "gpt-4-turbo", "completions": 2, "cost_usd": "0.03"},
            {"provider": "", "model": "", "completions": 1, "cost_usd": "0.00"},
        ],
        "cap": None,
    }
    assert [(one["request_id"], one["status"], one["cost_usd"]) for one in recent] == [
        ("r3", "pending", "0.00"),
        ("r2", "answered", "0.02"),
        ("r1", "answered", "0.01"),
    ]


def test_a_conversation_of_a_key_without_a_team_is_found(api: Client) -> None:
    add_completion("r", conversation="talk", cost_usd=CENT)

    assert api.get("/api/conversations/talk").json()["team"] == ""


@pytest.mark.parametrize(("team", "cost_usd"), [("research", "0.01"), ("sales", "0.02"), ("", "0.04")])
def test_the_team_picks_among_conversations_of_one_id(
    api: Client, research: dict[str, Any], sales: dict[str, Any], team: str, cost_usd: str
) -> None:
    add_completion("a", conversation="talk", cost_usd=CENT, **research)
    add_completion("b", conversation="talk", cost_usd=2 * CENT, **sales)
    add_completion("c", conversation="talk", cost_usd=4 * CENT)

    document = api.get(f"/api/conversations/talk?team={team}").json()

    assert (document["team"], document["cost_usd"], document["completions"]) == (team, cost_usd, 1)


def test_without_a_team_an_id_of_several_teams_is_refused_with_their_names(
    api: Client, research: dict[str, Any], sales: dict[str, Any]
) -> None:
    add_completion("a", conversation="talk", **research)
    add_completion("b", conversation="talk", **sales)

    response = api.get("/api/conversations/talk")

    assert response.status_code == 400
    assert response.json()["error"] == {
        "code": "invalid_request",
        "message": "Several teams have a conversation of this id; add ?team= and one of: research, sales.",
        "param": "team",
    }


def test_a_team_without_this_conversation_is_told_whose_it_is(
    api: Client, research: dict[str, Any], sales: dict[str, Any]
) -> None:
    add_completion("a", conversation="talk", **research)

    response = api.get("/api/conversations/talk?team=sales")

    assert response.status_code == 404
    assert response.json()["error"]["message"] == "The team 'sales' has no such conversation; it belongs to: research."


@pytest.mark.parametrize("path", ["nowhere", "%00", "%ED%A0%80", "x" * 500])
def test_an_unknown_conversation_is_a_404(api: Client, path: str) -> None:
    response = api.get(f"/api/conversations/{path}")

    assert response.status_code == 404
    assert (response.json()["error"]["code"], response.json()["error"]["param"]) == ("not_found", "id")


def test_a_conversation_takes_seven_queries(
    api: Client, research: dict[str, Any], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for index in range(5):
        add_completion(f"r{index}", conversation="talk", **research)

    with django_assert_num_queries(7):  # the key, the teams, whose it is, its sums, budgets, newest completions, models
        api.get("/api/conversations/talk")


def test_the_list_goes_on_where_the_page_before_ended(api: Client, research: dict[str, Any]) -> None:
    for number in range(3):
        add_conversation(f"talk-{number}", last_seen_at=NOON + timedelta(minutes=number))
    first = api.get("/api/conversations?limit=2").json()
    second = api.get(f"/api/conversations?limit=2&after={first['next']}").json()

    assert [one["id"] for one in first["conversations"]] == ["talk-2", "talk-1"]
    assert ([one["id"] for one in second["conversations"]], second["next"]) == (["talk-0"], None)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("team=research", ["of-research"]),
        ("team=", ["of-nobody"]),
        ("id=of-nobody", ["of-nobody"]),
        ("from=2026-11-22T12:00:30Z", ["of-research"]),
        ("to=2026-11-22T12:00:30Z", ["of-nobody"]),
    ],
)
def test_the_list_can_be_narrowed(api: Client, research: dict[str, Any], query: str, expected: list[str]) -> None:
    add_conversation("of-nobody")
    add_conversation("of-research", team_id=research["team_id"], last_seen_at=NOON + timedelta(minutes=1))

    assert [one["id"] for one in api.get(f"/api/conversations?{query}").json()["conversations"]] == expected


@pytest.mark.parametrize(("query", "status"), [("after=x", 400), ("limit=0", 400), ("team=nobody", 404)])
def test_a_list_that_cant_be_made_is_refused_by_name(api: Client, query: str, status: int) -> None:
    response = api.get(f"/api/conversations?{query}")

    assert (response.status_code, response.json()["error"]["param"]) == (status, query.partition("=")[0])


@pytest.mark.sqlite  # content_write closes its thread's connection, which SQLite's in memory survives
def test_what_was_asked_in_a_conversation_is_deleted_and_its_costs_stay(api: Client, research: dict[str, Any]) -> None:
    add_completion("r1", conversation="talk", cost_usd=CENT, **research)
    add_completion("r2", conversation="another", **research)
    content_write([Content(one, NOON, NOON, b"asked", 5, b"told", 4) for one in ("r1", "r2")])

    assert api.delete("/api/conversations/talk/content").json() == {"forgotten": 1}

    assert [row.pk for row in StoredContent.objects.all()] == ["r2"]
    assert api.get("/api/conversations/talk").json()["cost_usd"] == "0.01"


def test_nobodys_content_can_not_be_deleted(api: Client) -> None:
    assert api.delete("/api/conversations/nobody/content").status_code == 404


def test_a_person_needs_the_permission_to_delete_content(research: dict[str, Any]) -> None:
    add_completion("r1", conversation="talk", **research)

    refused = person(staff("operator", "view_completion", "change_provider"), csrf=False).delete(
        "/api/conversations/talk/content"
    )

    assert refused.status_code == 403
    assert "gateway.delete_stored_content" in refused.json()["error"]["message"]
