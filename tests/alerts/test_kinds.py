"""Every kind of incident: what opens it, what closes it, and that it is told once."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from gateway.alerts.accounts import account_alerts_derive
from gateway.alerts.budget_refusals import budget_refusals_derive
from gateway.alerts.budget_thresholds import budget_thresholds_derive
from gateway.alerts.drills import drill_alerts_derive
from gateway.alerts.incidents import incidents_expire
from gateway.alerts.rates import rate_alerts_derive, rates_judge
from gateway.alerts.spool import SpoolWatch
from gateway.alerts.sweep import alerts_derive
from gateway.models import Alert, AlertDelivery, Budget, BudgetWindow, Drill, Provider, Team
from gateway.models.budget_raise import BudgetRaise
from gateway.models.words import AlertEvent
from gateway.selectors.ledger_spool import SpoolState
from tests.alerts.conftest import NOW, MakeChannel
from tests.selectors.rows import add_attempt, add_completion

MONTH_START = int(datetime.fromisoformat("2026-11-01T00:00:00+00:00").timestamp())
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def told(channel: MakeChannel) -> None:
    """A channel that wants to hear everything."""
    channel("json://127.0.0.1:9/", events=tuple(AlertEvent))


def titles() -> list[str]:
    return list(AlertDelivery.objects.order_by("pk").values_list("title", flat=True))


def budget(**values: Any) -> Budget:
    defaults: dict[str, Any] = {"name": "month", "scope": "global", "window": "month", "limit_usd": Decimal(10)}
    return Budget.objects.create(**defaults | values)  # type: ignore[no-any-return]


def spend(row: Budget, usd: str, *, subject: str = "", epoch: int = MONTH_START) -> None:
    """As the ledger does: what was looked at stays as it was."""
    BudgetWindow.objects.update_or_create(
        budget_id=row.pk, subject=subject, window_epoch=epoch, defaults={"spent_usd": Decimal(usd)}
    )


@pytest.mark.parametrize(
    ("usd", "percents"),
    [("4.999999999999", []), ("5", [50]), ("8", [50, 80]), ("10", [50, 80, 100]), ("30", [50, 80, 100])],
)
def test_one_settlement_tells_each_threshold_it_crossed(usd: str, percents: list[int]) -> None:
    spend(budget(), usd)
    budget_thresholds_derive(now=NOW)
    assert titles() == [f"budget_threshold: month: {percent} %" for percent in percents]


def test_a_threshold_is_told_once_however_much_more_is_spent() -> None:
    row = budget()
    for usd in ("5", "6", "7.99"):
        spend(row, usd)
        budget_thresholds_derive(now=NOW)
    assert titles() == ["budget_threshold: month: 50 %"]


def test_a_threshold_says_budget_spent_limit_and_reset() -> None:
    team = Team.objects.create(name="research")
    spend(budget(scope="team"), "8.10", subject=str(team.pk))
    budget_thresholds_derive(now=NOW)
    assert Alert.objects.get(subject="month (research): 80 %").message == (
        "80 % of the budget month (research) are spent: 8.10 of 10.00 USD. It resets at 2026-12-01 00:00 UTC."
    )


def test_a_raise_counts_as_limit() -> None:
    row = budget()
    BudgetRaise.objects.create(
        budget=row, amount_usd=10, until=NOW + timedelta(days=1), reason="launch", made_by="ada", created_at=NOW
    )
    spend(row, "9")
    assert budget_thresholds_derive(now=NOW) == 0


def test_the_next_window_is_told_anew() -> None:
    row, later = budget(), NOW + timedelta(days=20)
    spend(row, "5")
    budget_thresholds_derive(now=NOW)
    incidents_expire(now=later)
    spend(row, "5", epoch=int(datetime.fromisoformat("2026-12-01T00:00:00+00:00").timestamp()))
    budget_thresholds_derive(now=later)
    assert Alert.objects.filter(closed_at__isnull=True).count() == 1
    assert len(titles()) == 2


def test_a_threshold_closes_silently_at_the_reset() -> None:
    spend(budget(), "5")
    budget_thresholds_derive(now=NOW)
    incidents_expire(now=NOW + timedelta(days=20))
    assert Alert.objects.get().closed_at == datetime.fromisoformat("2026-12-01T00:00:00+00:00")
    assert len(titles()) == 1


@pytest.mark.parametrize("archived", [True, False])
def test_spend_of_long_ago_or_of_no_budget_in_use_is_no_news(archived: bool) -> None:
    row = budget(archived_at=NOW if archived else None)
    spend(row, "10", epoch=MONTH_START if archived else MONTH_START - 86_400 * 31)
    assert budget_thresholds_derive(now=NOW) == 0


def refuse(row: Budget, request_id: str, *, at: datetime = NOW, subject: str = "") -> None:
    window = {"budget_id": row.pk, "subject": subject, "window_epoch": MONTH_START}
    add_completion(
        request_id,
        at=at,
        finished_at=at,
        status="refused",
        http_status=429,
        error_code="budget_exceeded",
        decision={"refused": {}, "window": window},
    )


def test_the_first_refusal_of_a_window_is_told_until_the_reset() -> None:
    row = budget()
    for number in range(3):
        refuse(row, f"r-{number}", at=NOW - timedelta(seconds=3 - number))
    budget_refusals_derive(now=NOW)
    refuse(row, "r-later", at=NOW + timedelta(seconds=1))
    budget_refusals_derive(now=NOW + timedelta(seconds=2))
    alert = Alert.objects.get()
    assert (titles(), alert.opened_at) == (["budget_blocked: month"], NOW - timedelta(seconds=3))
    assert alert.closes_at == datetime.fromisoformat("2026-12-01T00:00:00+00:00")


def test_a_refusal_names_its_subject() -> None:
    team = Team.objects.create(name="sales")
    refuse(budget(scope="team"), "r-1", subject=str(team.pk))
    budget_refusals_derive(now=NOW)
    assert titles() == ["budget_blocked: month (sales)"]


def fail(failure: str, *, number: int = 1, at: datetime = NOW, **values: Any) -> None:
    completion = add_completion(f"r-{failure}-{number}", at=at)
    add_attempt(completion, 1, outcome="failed", failure=failure, message="No such key.", **values)


@pytest.mark.parametrize(
    ("failure", "title"),
    [
        ("rejected_us", "provider_auth_failed: openai"),
        ("quota_exhausted", "provider_quota_exhausted: openai"),
        ("model_not_found", "provider_auth_failed: openai (gpt-4-turbo)"),
    ],
)
def test_what_only_operations_can_mend_is_told_once(failure: str, title: str) -> None:
    for number in range(3):
        fail(failure, number=number)
        account_alerts_derive(now=NOW)
    assert titles() == [title]


@pytest.mark.parametrize("failure", ["server_error", "rate_limited", "timeout", "invalid_request"])
def test_other_failures_open_nothing(failure: str) -> None:
    fail(failure)
    assert account_alerts_derive(now=NOW) == 0


def test_a_drilled_failure_opens_nothing() -> None:
    fail("rejected_us", drill_id=7)
    assert account_alerts_derive(now=NOW) == 0


def test_a_success_after_it_closes_it_and_the_next_failure_is_told_anew() -> None:
    fail("rejected_us")
    account_alerts_derive(now=NOW)
    add_attempt(add_completion("r-good", at=NOW + timedelta(seconds=5)), 1)
    account_alerts_derive(now=NOW)
    assert Alert.objects.get().closed_at == NOW + timedelta(seconds=5)
    account_alerts_derive(now=NOW)
    fail("rejected_us", number=2)
    account_alerts_derive(now=NOW)
    assert titles() == ["provider_auth_failed: openai"] * 2


def test_another_models_success_does_not_close_it() -> None:
    fail("model_not_found")
    account_alerts_derive(now=NOW)
    add_attempt(add_completion("r-good"), 1, model="gpt-3.5-turbo")
    assert account_alerts_derive(now=NOW) == 0


def answers(count: int, *, status: str = "answered", start: int = 0, at: datetime = NOW, **values: Any) -> None:
    for number in range(start, start + count):
        code = 200 if status == "answered" else 503
        add_completion(f"{status}-{number}", at=at - timedelta(minutes=1), status=status, http_status=code, **values)


def test_a_missed_objective_is_told_once_and_so_is_its_recovery() -> None:
    answers(60)
    answers(3, status="failed")
    for _ in range(2):
        rates_judge(now=NOW)
    assert titles() == [
        "objective_missed: availability (24 hours)",
        "objective_missed: availability (30 days)",
    ]
    later = NOW + timedelta(hours=25)
    rates_judge(now=later)
    rates_judge(now=later)
    assert titles()[2:] == ["objective_recovered: availability (24 hours)"]


@pytest.mark.parametrize(("good", "bad"), [(0, 1), (40, 5), (500, 2)], ids=["night", "few requests", "few failures"])
def test_few_requests_or_failures_wake_nobody(good: int, bad: int) -> None:
    answers(good)
    answers(bad, status="failed")
    assert rates_judge(now=NOW) == 0


def test_what_is_barely_met_again_stays_open() -> None:
    answers(60, latency_ms=2_100)
    rates_judge(now=NOW)
    answers(60, start=60, latency_ms=1_800)
    assert rates_judge(now=NOW) == 0
    answers(120, start=120, latency_ms=1_000)
    assert rates_judge(now=NOW) == 2


def test_many_fallbacks_are_told_and_close_when_they_end() -> None:
    answers(60, fell_back=True)
    rates_judge(now=NOW)
    assert titles() == ["fallback_rate_high: fallbacks"]
    rates_judge(now=NOW + timedelta(minutes=20))
    assert Alert.objects.get().closed_at == NOW + timedelta(minutes=20)


def test_rates_are_measured_once_a_minute_by_one_process() -> None:
    answers(60, fell_back=True)
    assert [rate_alerts_derive(now=NOW + timedelta(seconds=second)) for second in (0, 0, 59)] == [1, 0, 0]


def test_a_spool_that_was_drained_before_the_database_could_be_told_is_told() -> None:
    watch = SpoolWatch(host="here", unsaid=SpoolState(records=2, processes=1, oldest_at=NOW - timedelta(minutes=3)))
    assert watch.derive(SpoolState(), now=NOW) == 2
    alert = Alert.objects.get()
    assert (alert.subject, alert.opened_at, alert.closed_at) == ("here", NOW - timedelta(minutes=3), NOW)


def test_a_spool_in_use_is_one_incident_until_it_is_empty() -> None:
    state = SpoolState(records=1, processes=1, oldest_at=NOW)
    watch = SpoolWatch(host="here")
    for _ in range(2):
        watch.unsaid = state
        watch.derive(state, now=NOW)
    assert Alert.objects.get().closed_at is None
    watch.derive(SpoolState(), now=NOW)
    assert (Alert.objects.get().closed_at, titles()) == (NOW, ["ledger_spool: here"])


def test_the_end_of_a_drill_is_told_once_with_its_report() -> None:
    provider = Provider.objects.create(name="openai", kind="openai", base_url="http://openai.invalid")
    start = NOW - timedelta(minutes=9)
    drill = Drill.objects.create(provider=provider, fault="503", starts_at=start, ends_at=NOW, started_by="ada")
    completion = add_completion("r-1", at=start, fell_back=True, drill_id=drill.pk)
    add_attempt(completion, 1, outcome="failed", drill_id=drill.pk, fault="503")
    assert [drill_alerts_derive(now=NOW - timedelta(seconds=1)), *[drill_alerts_derive(now=NOW)] * 2][:2] == [0, 1]
    assert drill_alerts_derive(now=NOW + timedelta(seconds=1)) == 0
    assert titles() == [f"drill_finished: drill {drill.pk} (openai)"]
    assert "Of 1 requests it touched 1 were answered, 1 of them by another target" in Alert.objects.get().message


def test_a_part_that_fails_keeps_no_other_from_being_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*, now: datetime) -> int:
        raise ValueError("a bug")

    monkeypatch.setattr("gateway.alerts.sweep.PARTS", (broken, budget_thresholds_derive))
    spend(budget(), "5")
    assert alerts_derive(now=NOW) == 1


@pytest.mark.sqlite  # its plan, in its words
@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (lambda: account_alerts_derive(now=NOW), "attempt_account"),
        (lambda: budget_refusals_derive(now=NOW), "completion_budget_refused"),
        (lambda: budget_thresholds_derive(now=NOW), "budget_window_unchecked"),
    ],
    ids=["account failures", "budget refusals", "budget windows"],
)
def test_a_sweep_reads_only_what_is_new(statement: Any, index: str, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(6) as captured:
        statement()
    tables = ("llmops_attempt", "llmops_completion", "llmops_budget_window")
    query = next(one["sql"] for one in captured if any(f'FROM "{table}"' in one["sql"] for table in tables))
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {query}")
        assert index in str(cursor.fetchall())
