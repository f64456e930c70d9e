from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.utils import timezone

from gateway.engine.words import AttemptOutcome, Billing, BreakerState, CompletionStatus, FailureKind
from gateway.templatetags import plain_words as words


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("1234.5", "$1,234.50"),
        ("0.1", "$0.10"),
        ("0.0999", "$0.0999"),
        ("0.0089652", "$0.00897"),
        ("0.000000000001", "$0.00000000000100"),
        ("-0.0159", "-$0.0159"),
        ("-3", "-$3.00"),
    ],
)
def test_dollars_keep_the_digits_that_count(amount: str, text: str) -> None:
    assert words.usd(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0.0089652", "$0.0089652"), ("3", "$3.00"), ("1E-12", "$0.000000000001"), ("-0.001503", "-$0.001503")],
)
def test_exact_dollars_keep_every_digit(amount: str, text: str) -> None:
    assert words.usd_exact(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("left", "limit", "text"),
    [
        ("0.4997", "0.50", "$0.4997"),
        ("0.50", "0.50", "$0.50"),
        ("0.49", "0.50", "$0.49"),
        ("0", "0.50", "$0.00"),
        ("8999.9988", "9000", "$8,999.998"),
        ("0.0499999", "0.05", "$0.0499999"),
    ],
)
def test_what_is_left_is_not_rounded_up_to_all_of_it(left: str, limit: str, text: str) -> None:
    assert words.usd_left(Decimal(left), Decimal(limit)) == text


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "—"),
        (0, "0 ms"),
        (850, "850 ms"),
        (1000, "1.0 s"),
        (59_949, "59.9 s"),
        (59_950, "1 min 0 s"),
        (125_000, "2 min 5 s"),
    ],
)
def test_durations_have_the_unit_people_think_in(ms: float | None, text: str) -> None:
    assert words.duration(ms) == text


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (None, "—"),
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.000001, "0.01 %"),
        (0.0034, "0.34 %"),
        (0.5, "50.0 %"),
        (0.99999, "99.9 %"),
    ],
)
def test_shares_are_never_rounded_to_none_or_all(part: float | None, text: str) -> None:
    assert words.percent(part) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (9_999, "9,999"),
        (10_000, "10.0k"),
        (283_400, "283k"),
        (999_600, "1.00M"),
        (4_560_000, "4.56M"),
        (7_000_000_000, "7.00B"),
    ],
)
def test_big_counts_are_shortened(number: int, text: str) -> None:
    assert words.count_short(number) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "It cost nothing extra."),
        ("0.02", "It cost $0.0200 extra."),
        ("-0.02", "It cost $0.0200 less than the first target would have."),
    ],
)
def test_a_detour_tells_what_it_cost_more_or_less(amount: str, text: str) -> None:
    assert words.extra_cost(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [("2026-11-22T10:00:05", "11:00:05"), ("2026-11-21T23:30:00", "00:30:00"), ("2026-11-21T22:30:00", "21 Nov 23:30")],
)
def test_a_clock_time_names_the_day_when_it_is_not_today_where_the_reader_lives(moment: str, text: str) -> None:
    with (
        time_machine.travel(datetime(2026, 11, 22, 12, tzinfo=UTC), tick=False),
        timezone.override(ZoneInfo("Europe/Berlin")),
    ):
        assert words.clock(datetime.fromisoformat(moment).replace(tzinfo=UTC)) == text


@pytest.mark.parametrize(
    ("noted", "told"),
    [
        ("", ""),
        ("first target", "First target."),
        ("Ends well.", "Ends well."),
        ("gpt-4 is full!", "Gpt-4 is full!"),
        ("breaker_open: the breaker of openai is open", "The breaker of openai is open."),
    ],
)
def test_what_the_engine_noted_becomes_a_sentence(noted: str, told: str) -> None:
    assert words.sentence(noted) == told


@pytest.mark.parametrize(("text", "short"), [("req_short", "req_short"), ("req_01JDBB4F7Q9ZK3T8M2", "…7Q9ZK3T8M2")])
def test_long_ids_are_told_by_their_ends(text: str, short: str) -> None:
    assert words.short_id(text) == short


def test_every_word_of_the_ledger_has_a_sentence() -> None:
    assert all(words.failure_words(kind) for kind in FailureKind)
    assert all(words.outcome_words(outcome) for outcome in AttemptOutcome)
    assert all(words.status_words(status) for status in CompletionStatus)
    assert all(words.billing_words(billing) for billing in Billing)


@pytest.mark.parametrize(
    ("word", "tone"),
    [(BreakerState.OPEN, "bad"), (BreakerState.CLOSED, "good"), (CompletionStatus.CANCELLED, "quiet"), ("?", "quiet")],
)
def test_tones_say_what_is_trouble(word: str, tone: str) -> None:
    assert words.tone(word) == tone
