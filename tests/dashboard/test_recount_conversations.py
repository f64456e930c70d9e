"""Conversations, in the list, on their pages and for scripts, equal a recount of their requests."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from django.test import Client

from gateway.models import Budget, BudgetWindow, Completion
from tests.dashboard.recount import Rows, both_databases, by_conversation, cost, settled, shown_usd

KEYS = [(team_id, f"talk-{number}") for team_id in (0, 1) for number in range(3)]
TEAMS = {0: "", 1: "research"}
conversations = pytest.mark.parametrize(("team_id", "name"), KEYS)


def rows_of(team_id: int, name: str) -> Rows:
    """All of its requests, those that were turned away too."""
    return [row for row in Completion.objects.all() if (row.team_id, row.conversation) == (team_id, name)]


def ended(team_id: int, name: str) -> Rows:
    return settled(row for row in rows_of(team_id, name) if row.status != "refused")


def models_of(rows: Rows) -> dict[tuple[str, str], tuple[int, Decimal]]:
    targets = {(row.provider, row.model) for row in rows}
    by_target = {target: [row for row in rows if (row.provider, row.model) == target] for target in targets}
    return {target: (len(of_target), cost(of_target)) for target, of_target in by_target.items()}


@both_databases
def test_the_list_shows_each_conversation_with_the_sums_of_its_requests(awkward: Client) -> None:
    lines = {(line.team_id, line.id): line for line, _ in awkward.get("/conversations/").context["rows"]}
    found = by_conversation(settled(row for row in Completion.objects.all() if row.status != "refused"))

    assert set(lines) == set(found) == set(KEYS)
    for key, rows in found.items():
        line = lines[key]
        assert (line.team, line.completions, line.cost_usd) == (TEAMS[key[0]], len(rows), cost(rows))
        assert line.input_tokens == sum(row.input_tokens for row in rows)
        assert line.output_tokens == sum(row.output_tokens for row in rows)
        assert line.first_seen_at == min(row.created_at for row in rows)


def test_the_list_of_a_team_leaves_nothing_of_it_out(awkward: Client) -> None:
    for team_id in TEAMS:
        lines = awkward.get(f"/conversations/?team={team_id}").context["rows"]
        assert {(line.team_id, line.id) for line, _ in lines} == {key for key in KEYS if key[0] == team_id}


@both_databases
@conversations
def test_a_conversations_page_adds_up_its_requests_and_lists_them_in_order(
    awkward: Client, team_id: int, name: str
) -> None:
    context = awkward.get(f"/conversations/{name}/?team={team_id}").context
    rows, line = ended(team_id, name), context["line"]
    listed, href = [one.id for one in context["completions"]], context["next_url"]
    while href:
        following = awkward.get(href).context
        listed, href = listed + [one.id for one in following["completions"]], following["next_url"]

    assert (line.completions, line.cost_usd) == (len(rows), cost(rows))
    assert {(use.provider, use.model): (use.completions, use.cost_usd) for use in context["models"]} == models_of(rows)
    everything = sorted(rows_of(team_id, name), key=lambda row: (row.created_at, row.id))
    assert listed == [row.id for row in everything]


@both_databases
def test_scripts_are_told_the_sums_of_a_conversations_requests(awkward: Client) -> None:
    """Of a team's conversation; one of its id that belongs to nobody's team is another one."""
    told = awkward.get("/api/conversations/talk-1", {"team": "research"}).json()
    rows = [row for row in rows_of(1, "talk-1") if row.status != "refused"]

    assert Decimal(told["cost_usd"]) == cost(rows)
    assert told["completions"] == len(rows)
    assert told["pending"] == len(rows) - len(settled(rows))
    assert told["answered"] == sum(row.status == "answered" for row in rows)
    for column in ("input_tokens", "cached_input_tokens", "output_tokens"):
        assert told[column] == sum(getattr(row, column) for row in rows), column
    assert Decimal(told["uncertain_usd"]) == cost(row for row in rows if row.billing in ("estimated", "unknown"))
    uses = {(use["provider"], use["model"]): (use["completions"], Decimal(use["cost_usd"])) for use in told["models"]}
    assert uses == models_of(rows)


def test_the_models_of_a_conversation_add_up_to_its_turns_whatever_was_turned_away(awkward: Client) -> None:
    context = awkward.get("/conversations/talk-0/?team=0").context

    assert any(row.status == "refused" for row in rows_of(0, "talk-0"))
    assert sum(use.completions for use in context["models"]) == context["line"].completions
    assert sum((use.cost_usd for use in context["models"]), Decimal(0)) == context["line"].cost_usd


@pytest.mark.parametrize(
    ("taken", "shown"),
    [
        ("0.0003", "$0.4997"),
        ("0", "$0.50"),
        ("0.5", "$0.00"),
        ("0.7", "$0.00"),
        ("0.12", "$0.38"),
        ("0.4999", "$0.000100"),
    ],
)
def test_what_is_left_of_a_cap_is_never_shown_as_all_of_it_while_something_is_taken(
    awkward: Client, taken: str, shown: str
) -> None:
    budget = Budget.objects.create(name="each", scope="conversation", window="total", limit_usd=Decimal("0.50"))
    half = Decimal(taken) / 2
    BudgetWindow.objects.create(
        budget_id=budget.pk, subject="1:talk-1", window_epoch=0, spent_usd=half, reserved_usd=half
    )
    listed = awkward.get("/conversations/?team=1&id=talk-1").content.decode()
    page = awkward.get("/conversations/talk-1/?team=1").content.decode()
    left = max(Decimal(0), Decimal("0.50") - Decimal(taken))

    told = re.search(r'title="exactly (\S+) of \$0.50">([^<]+)<', listed)
    assert told is not None
    assert (shown_usd(told[1]), told[2]) == (left, shown)
    assert f"{shown} left of its cap" in page


def test_a_request_leads_to_the_conversation_that_holds_it(awkward: Client) -> None:
    href = awkward.get("/completions/plain-1/").context["conversation_url"]

    assert "plain-1" in [one.id for one in awkward.get(href).context["completions"]]
