"""Usage added up in advance says what the rows say, whatever happened meanwhile."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from pytest_django import DjangoAssertNumQueries

from gateway.models import Completion, LatencyCell, UsageCell, UsageHourChanged, UsageProgress
from gateway.selectors.latency import latencies
from gateway.selectors.usage_cells import DIMENSIONS, EVERYTHING, Sums, Usage, UsageFilter, UsageKey
from gateway.selectors.usage_read import usage_by_step, usage_over, usage_over_each
from gateway.selectors.usage_rows import rows_add
from gateway.selectors.windows import TimeWindow
from gateway.services.rollups import rollups_refresh
from tests.selectors.rows import NOON, add_attempt, add_completion

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
CENT = Decimal("0.01")
BEGAN = NOON - timedelta(days=3)


def recount(windows: list[TimeWindow], by: tuple[str, ...], where: UsageFilter = EVERYTHING) -> dict[UsageKey, Usage]:
    sums = Sums(by)
    rows_add(sums, list(enumerate(windows)), by=by, where=where)
    return sums.usage()


def mark(hour: datetime) -> None:
    UsageHourChanged.objects.update_or_create(starts_at=hour)


@pytest.fixture
def three_days(db: None) -> None:
    """Awkward on purpose: fallbacks, estimates, orphans, refusals, streams, keys of no team, times at the edges."""
    draw = random.Random(7)
    for index in range(150):
        at = BEGAN + draw.choice([timedelta(minutes=draw.randrange(3 * 24 * 60)), HOUR * draw.randrange(72)])
        owner = draw.choice([{"team_id": 1, "team_name": "research"}, {"team_id": 0, "team_name": ""}])
        if draw.random() < 0.1:
            orphan = {"status": "unknown", "billing": "unknown", "provider": "", "model": "", "attempt_count": 0}
            add_completion(f"r{index}", at=at, cost_usd=CENT, **orphan, **owner)
            continue
        rescued = draw.random() < 0.3
        status = draw.choice(["answered", "answered", "failed", "cancelled", "pending"])
        completion = add_completion(
            f"r{index}", at=at, cost_usd=3 * CENT, provider="anthropic" if rescued else "openai", status=status,
            http_status=draw.choice([200, 400, 503]), fell_back=rescued, input_tokens=draw.randrange(999), **owner,
            latency_ms=draw.randrange(5000), first_content_ms=draw.randrange(900), stream=draw.random() < 0.5,
            route_id=draw.choice([None, 4]), route_name=draw.choice(["default", "other"]),
        )  # fmt: skip
        if rescued:
            add_attempt(completion, 1, provider="openai", outcome="failed", cost_usd=CENT, billing="estimated")
        add_attempt(completion, 2, cost_usd=CENT if rescued else 3 * CENT, input_tokens=7)


def windows() -> list[TimeWindow]:
    quarter = timedelta(minutes=15)
    return [
        TimeWindow(BEGAN - HOUR, NOON + HOUR),
        TimeWindow(BEGAN + 5 * quarter, NOON - 3 * quarter),
        TimeWindow(BEGAN + HOUR, BEGAN + 2 * HOUR),
        TimeWindow(BEGAN + quarter, BEGAN + 2 * quarter),
        TimeWindow(NOON - timedelta(hours=30), NOON - timedelta(hours=2)),
    ]


def test_what_was_added_up_in_advance_equals_a_recount(three_days: None) -> None:
    rollups_refresh(now=NOON - timedelta(hours=4))

    for by in ((), ("provider", "model"), ("team_name",), DIMENSIONS):
        for where in (EVERYTHING, UsageFilter(provider="openai"), UsageFilter(team="", route="other")):
            for window in windows():
                assert usage_by_step([window], by=by, where=where) == recount([window], by, where)


def test_steps_are_told_apart(three_days: None) -> None:
    rollups_refresh(now=NOON)
    steps = [TimeWindow(BEGAN + n * HOUR / 2, BEGAN + (n + 1) * HOUR / 2) for n in range(100)]

    assert usage_by_step(steps, by=("provider",)) == recount(steps, ("provider",))


@pytest.mark.parametrize("stream", [None, True, False])
def test_percentiles_are_the_same_from_cells_and_rows(three_days: None, stream: bool | None) -> None:
    before = [latencies(window, stream=stream) for window in windows()]
    rollups_refresh(now=NOON)

    assert LatencyCell.objects.exists()
    assert [latencies(window, stream=stream) for window in windows()] == before


def test_percentiles_lie_within_five_percent() -> None:
    for ms in (3, 47, 120, 127, 990, 1234, 4567, 23_456):
        add_completion(f"r{ms}", latency_ms=ms)

    found = latencies(TimeWindow(NOON, NOON + HOUR))

    assert found.answers == 8
    assert found.p50_ms == pytest.approx(127, rel=0.05)
    assert found.p95_ms == pytest.approx(23_456, rel=0.05)


@pytest.fixture
def added_up(db: None) -> Callable[[], int]:
    add_completion("early", at=BEGAN, cost_usd=CENT)
    rollups_refresh(now=NOON)
    return lambda: rollups_refresh(now=NOON)


def test_a_late_row_counts_at_once_and_is_added_up_with_the_next_run(added_up: Callable[[], int]) -> None:
    day = TimeWindow(BEGAN - HOUR, BEGAN + timedelta(days=2))
    add_completion("late", at=BEGAN + timedelta(minutes=5), cost_usd=CENT)
    mark(BEGAN)

    assert usage_over(day).cost_usd == 2 * CENT
    assert added_up() == 1
    assert not UsageHourChanged.objects.exists()
    assert usage_over(day).cost_usd == 2 * CENT
    assert sum(UsageCell.objects.filter(hours=24).values_list("completions", flat=True)) == 2


def test_a_mark_set_while_the_hour_is_added_up_stays(
    added_up: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    mark(BEGAN)
    monkeypatch.setattr("gateway.services.rollups._latency_cells", lambda window: _marked_meanwhile())

    added_up()

    assert UsageHourChanged.objects.filter(starts_at=BEGAN).exists()


def _marked_meanwhile() -> list[LatencyCell]:
    UsageHourChanged.objects.filter(starts_at=BEGAN).update(marks=2)
    return []


def test_adding_up_twice_changes_nothing(three_days: None) -> None:
    rollups_refresh(now=NOON)
    before = UsageCell.objects.count(), usage_over(windows()[0])
    UsageHourChanged.objects.bulk_create(UsageHourChanged(starts_at=BEGAN + n * HOUR) for n in range(72))

    rollups_refresh(now=NOON)

    assert (UsageCell.objects.count(), usage_over(windows()[0])) == before


def test_only_one_process_adds_up_at_a_time(added_up: Callable[[], int]) -> None:
    mark(BEGAN)
    UsageProgress.objects.update(claimed_by="another", claimed_until=NOON + timedelta(minutes=1))

    assert added_up() == 0
    assert UsageProgress.objects.get().claimed_by == "another"


def test_a_claim_of_a_process_that_died_runs_out(added_up: Callable[[], int]) -> None:
    mark(BEGAN)
    UsageProgress.objects.update(claimed_by="dead", claimed_until=NOON - timedelta(seconds=1))

    assert added_up() == 1


def test_an_hour_is_left_alone_until_nothing_of_its_own_can_be_under_way() -> None:
    add_completion("one", at=NOON)

    rollups_refresh(now=NOON + HOUR + timedelta(seconds=90))

    assert not UsageCell.objects.filter(starts_at=NOON).exists()


def test_a_long_report_takes_a_handful_of_queries(
    three_days: None, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    rollups_refresh(now=NOON - HOUR)

    with django_assert_max_num_queries(5):
        usage_by_step([TimeWindow(BEGAN, NOON)], by=("route_name",))


@pytest.mark.parametrize("until", [NOON, NOON - timedelta(hours=30), BEGAN])
def test_windows_that_overlap_are_what_each_is_alone(three_days: None, until: datetime) -> None:
    rollups_refresh(now=until)
    minutes = timedelta(minutes=17)
    overlapping = [
        TimeWindow(BEGAN, NOON),
        TimeWindow(NOON - timedelta(hours=24) + minutes, NOON),
        TimeWindow(NOON - timedelta(hours=40), NOON - minutes),
        TimeWindow(NOON, NOON),
        TimeWindow(NOON + timedelta(days=2), NOON + timedelta(days=3)),
    ]

    assert usage_over_each(overlapping) == tuple(usage_over(window) for window in overlapping)


def test_rows_that_have_been_added_up_are_not_read(three_days: None) -> None:
    window = TimeWindow(BEGAN - HOUR, NOON - 2 * HOUR)
    rollups_refresh(now=NOON)
    before = usage_over(window)
    Completion.objects.all().delete()

    assert usage_over(window) == before


def test_a_run_that_broke_off_between_its_pieces_leaves_nothing_doubled(three_days: None) -> None:
    rollups_refresh(now=NOON)
    UsageProgress.objects.update(until=NOON - timedelta(days=2))

    rollups_refresh(now=NOON)

    whole = TimeWindow(BEGAN - HOUR, NOON + HOUR)
    assert usage_by_step([whole], by=DIMENSIONS) == recount([whole], DIMENSIONS)
    assert UsageProgress.objects.get().until == NOON - HOUR


def test_a_late_row_rewrites_no_cell_that_it_does_not_change(three_days: None) -> None:
    rollups_refresh(now=NOON)
    kept = set(LatencyCell.objects.values_list("pk", flat=True))
    add_completion("late", at=BEGAN + timedelta(minutes=5), latency_ms=4_999_000)
    mark(BEGAN)

    rollups_refresh(now=NOON)

    assert kept <= set(LatencyCell.objects.values_list("pk", flat=True))
