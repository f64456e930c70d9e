"""Spend over time, divided and cut: always what a recount of the rows gives."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from gateway.models import Attempt, Completion
from gateway.selectors.conversation_costs import conversations_dearest, cost_distribution
from gateway.selectors.spend_over_time import spend_over_time, spend_tops
from gateway.selectors.time_steps import StepUnit, time_steps
from gateway.selectors.usage_cells import UsageFilter
from gateway.selectors.windows import TimeWindow
from gateway.services.rollups import rollups_refresh
from tests.selectors.rows import NOON, add_attempt, add_completion, add_conversation

pytestmark = pytest.mark.django_db

CENT = Decimal("0.01")
MONTH_END = datetime(2026, 10, 31, 18, 0, tzinfo=UTC)
ZONES = ("UTC", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Auckland", "America/New_York")
WINDOW = TimeWindow(datetime(2026, 10, 30, 3, 17, tzinfo=UTC), datetime(2026, 11, 3, 9, 5, tzinfo=UTC))


@pytest.fixture
def awkward_rows() -> None:
    """Retries, a fallback, estimates, an orphan, a drill, a request under way, cached tokens, around a month's end."""
    for index in range(60):
        at = MONTH_END + timedelta(minutes=37 * index)
        cost = Decimal(index + 1) / 1000 + Decimal("0.000000000001")
        names = {"team_name": ("", "research", "support")[index % 3], "api_key_name": f"key-{index % 11}"}
        row = add_completion(f"r{index}", at=at, cost_usd=cost, cached_input_tokens=index, input_tokens=900, **names)
        if index % 5 == 0:
            add_attempt(row, 1, outcome="failed", cost_usd=cost / 4, billing="estimated")
            add_attempt(row, 2, provider="anthropic", model="claude", cost_usd=cost - cost / 4)
        elif index % 7 == 0:
            Completion.objects.filter(pk=row.pk).update(status="unknown", billing="unknown", provider="", model="")
        else:
            add_attempt(row, 1, cost_usd=cost, drill_id=index or None)
    add_completion("running", at=MONTH_END, status="pending", http_status=None, latency_ms=None)
    add_completion("turned-away", at=MONTH_END, status="refused", http_status=429, attempt_count=0)


@pytest.mark.parametrize("added_up", [False, True], ids=["from rows", "from roll-ups"])
@pytest.mark.parametrize("zone", ZONES)
def test_each_days_spend_by_provider_equals_a_recount(awkward_rows: None, zone: str, added_up: bool) -> None:
    if added_up:
        rollups_refresh(now=WINDOW.end - timedelta(hours=20))
    expected: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in Completion.objects.filter(created_at__gte=WINDOW.start, created_at__lt=WINDOW.end):
        day, left = f"{row.created_at.astimezone(ZoneInfo(zone)):%m-%d}", row.cost_usd
        for attempt in Attempt.objects.filter(completion=row):
            expected[day, attempt.provider] += attempt.cost_usd
            left -= attempt.cost_usd
        expected[day, ""] += left

    spend = spend_over_time(WINDOW, by="provider", zone=ZoneInfo(zone))

    days = [f"{step.start.astimezone(ZoneInfo(zone)):%m-%d}" for step in spend.steps.windows]
    told = {(day, one.name): usd for one in spend.series for day, usd in zip(days, one.steps_usd, strict=True) if usd}
    assert told == {key: usd for key, usd in expected.items() if usd}
    assert spend.total_usd == sum(expected.values())


def test_estimated_and_unknown_amounts_stand_apart(awkward_rows: None) -> None:
    rows = Completion.objects.exclude(status="pending")
    estimated = sum(one.cost_usd for one in Attempt.objects.filter(billing="estimated"))
    unknown = sum(row.cost_usd for row in rows.filter(status="unknown"))

    whole = spend_tops(WINDOW).whole

    assert (whole.estimated_usd, whole.unknown_usd) == (estimated, unknown)
    assert whole.cost_usd == sum(row.cost_usd for row in rows)


def test_names_beyond_the_dearest_eight_are_one_and_nothing_is_lost(awkward_rows: None) -> None:
    tops = spend_tops(WINDOW)

    others = tops.by["api_key"][-1]
    assert (len(tops.by["api_key"]), others.others) == (9, 3)
    for names in tops.by.values():
        assert sum(one.total_usd for one in names) == tops.whole.cost_usd


def test_a_filter_counts_only_what_it_names(awkward_rows: None) -> None:
    rows = Completion.objects.filter(team_name="research")

    spend = spend_over_time(WINDOW, by="api_key", zone=UTC, where=UsageFilter(team="research"))

    assert spend.total_usd == sum(row.cost_usd for row in rows)


@pytest.mark.parametrize(
    ("length", "unit", "steps"),
    [
        (timedelta(hours=1), StepUnit.HOUR, 2),
        (timedelta(hours=24), StepUnit.HOUR, 25),
        (timedelta(days=7), StepUnit.DAY, 8),
        (timedelta(days=365), StepUnit.MONTH, 13),
    ],
)
def test_short_stretches_are_cut_by_the_hour_and_long_ones_by_the_month(
    length: timedelta, unit: StepUnit, steps: int
) -> None:
    end = NOON + timedelta(minutes=17)
    cut = time_steps(TimeWindow(end - length, end), zone=UTC)

    assert (cut.unit, len(cut.windows)) == (unit, steps)


@pytest.mark.parametrize("zone", ZONES)
def test_steps_leave_no_gap_and_begin_at_the_zones_midnight(zone: str) -> None:
    window = TimeWindow(datetime(2026, 3, 1, 5, tzinfo=UTC), datetime(2026, 4, 20, 7, tzinfo=UTC))
    windows = time_steps(window, zone=ZoneInfo(zone)).windows

    assert (windows[0].start, windows[-1].end) == (window.start, window.end)
    assert all(one.end == following.start for one, following in pairwise(windows))
    assert {one.start.astimezone(ZoneInfo(zone)).time().isoformat() for one in windows[1:]} == {"00:00:00"}


def test_conversations_are_sorted_into_classes_around_the_objective() -> None:
    for index, cents in enumerate((0, 1, 2, 50, 51, 500, 501)):
        add_conversation(f"c{index}", cost_usd=cents * CENT)
    add_conversation("long-ago", cost_usd=CENT, last_seen_at=NOON - timedelta(days=2))

    spread = cost_distribution(window=_DAY, team=None, limit_usd=Decimal("0.5"))

    assert [one.conversations for one in spread.classes] == [2, 1, 0, 0, 1, 1, 0, 1, 1]
    assert (spread.conversations, spread.above) == (7, 3)
    assert spread.cost_usd == Decimal("11.05")


def test_the_dearest_conversations_are_those_of_the_team() -> None:
    add_conversation("ours", cost_usd=2 * CENT)
    add_conversation("theirs", team_id=7, cost_usd=3 * CENT)

    assert [one.id for one in conversations_dearest(window=_DAY, team=None, limit=5)] == ["theirs", "ours"]
    assert [one.id for one in conversations_dearest(window=_DAY, team="", limit=5)] == ["ours"]


_DAY = TimeWindow(NOON - timedelta(days=1), NOON + timedelta(seconds=1))
