"""The dearest conversations of a window are told without adding up all of them, and are the same ones."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal

import pytest

from gateway.models import Conversation
from gateway.selectors import spend_report as spend
from gateway.selectors.spend_report import SpendGroup, spend_report
from gateway.selectors.windows import TimeWindow
from gateway.services.rollups import rollups_refresh
from tests.selectors.rows import NOON, add_completion, add_conversation

pytestmark = pytest.mark.django_db

START, END = NOON - timedelta(hours=3), NOON - timedelta(hours=1)
CONVERSATIONS = 40


@pytest.fixture
def spent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty conversations of three teams, each with requests before, in and after the window."""
    monkeypatch.setattr(spend, "_SPARE_ROWS", 5)
    dice = random.Random(7)
    for number in range(CONVERSATIONS):
        team, name = number % 3, f"talk-{number // 3}"
        costs = [Decimal(dice.randrange(1, 900)) / 1000 for _ in range(4)]
        minutes = [-200, -150, -90, -30]
        for step, (usd, minute) in enumerate(zip(costs, minutes, strict=True)):
            add_completion(
                f"{number}-{step}",
                at=NOON + timedelta(minutes=minute),
                conversation=name,
                team_id=team,
                team_name=f"team-{team}",
                cost_usd=usd,
            )
        add_conversation(
            name,
            team_id=team,
            cost_usd=sum(costs),
            first_seen_at=NOON - timedelta(minutes=200),
            last_seen_at=NOON - timedelta(minutes=29),
        )
    rollups_refresh(now=NOON)


@pytest.mark.parametrize("limit", [1, 3, 10])
def test_they_are_those_of_adding_up_everything(spent: None, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = spend_report(group_by=SpendGroup.CONVERSATION, start=START, end=END, limit=limit)
    monkeypatch.setattr(spend, "_dearest_proven", lambda window, limit: None)
    assert quick == spend_report(group_by=SpendGroup.CONVERSATION, start=START, end=END, limit=limit)
    assert (len(quick.rows), quick.truncated) == (limit, True)


def test_what_the_others_may_have_cost_is_read_where_it_matters(spent: None) -> None:
    """One that cost much, but not in the window, is no proof that the others cost less in it."""
    Conversation.objects.update(cost_usd=1000)
    report = spend_report(group_by=SpendGroup.CONVERSATION, start=START, end=END, limit=3)
    assert [row.cost_usd for row in report.rows] == sorted((row.cost_usd for row in report.rows), reverse=True)
    assert report.total.completions == CONVERSATIONS * 2


def test_few_are_read_where_they_are_proof_enough(spent: None) -> None:
    """In a window that holds all of their requests."""
    rows = spend._dearest_proven(TimeWindow(NOON - timedelta(days=1), NOON), 3)
    assert rows is not None
    assert 3 < len(rows) < CONVERSATIONS // 2
