"""The four objectives, on the overview and for scripts, equal a recount of their rows; fire drills count in none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from gateway.models import Completion
from gateway.models.organisation import organisation_current
from tests.dashboard.recount import (
    NOW,
    Rows,
    begun,
    both_databases,
    by_conversation,
    cost,
    failed,
    settled,
    shown_ms,
    shown_percent,
    shown_usd,
    waits,
)
from tests.selectors.rows import new_completion

WINDOWS = {"last_24h": timedelta(hours=24), "last_30d": timedelta(days=30)}
TARGET_USD = Decimal("0.19")  # some conversations cost more


def objectives_told(client: Client) -> dict[str, Any]:
    organisation = organisation_current()
    organisation.conversation_cost_usd = TARGET_USD
    organisation.save()
    found: dict[str, Any] = client.get("/api/status").json()["objectives"]
    return found


def undrilled(since: datetime) -> Rows:
    return [row for row in settled(begun(since, NOW)) if row.drill_id is None]


def share(part: Iterable[Completion], whole: Iterable[Completion]) -> tuple[float, int]:
    parts, all_of_them = len(list(part)), len(list(whole))
    return 100 * parts / all_of_them, all_of_them


def availability(rows: Rows) -> tuple[float, int]:
    answered = [row for row in rows if row.status == "answered"]
    return share(answered, [row for row in rows if row.status == "answered" or failed(row)])


def fallback_success(rows: Rows) -> tuple[float, int]:
    moved = [row for row in rows if row.fell_back]
    return share((row for row in moved if row.status == "answered"), moved)


def mean_latency(rows: Rows) -> tuple[float, int]:
    times = waits(rows)
    return sum(times) / len(times) / 1000, len(times)


def conversation_costs(since: datetime) -> list[Decimal]:
    """Whole costs of those that were last used after that moment."""
    found = by_conversation(settled(begun(NOW - timedelta(days=400), NOW)))
    return [
        cost(rows) for rows in found.values() if max(row.created_at for row in rows) + timedelta(seconds=1) >= since
    ]


@both_databases
@pytest.mark.parametrize("window", list(WINDOWS))
@pytest.mark.parametrize(
    ("name", "recount"),
    [
        ("availability_percent", availability),
        ("fallback_success_percent", fallback_success),
        ("mean_latency_seconds", mean_latency),
    ],
)
def test_an_objectives_value_is_counted_from_its_rows(awkward: Client, window: str, name: str, recount: Any) -> None:
    measure = objectives_told(awkward)[name][window]
    value, counted = recount(undrilled(NOW - WINDOWS[window]))

    assert measure["value"] == pytest.approx(value, rel=1e-12)
    assert measure["counted"] == counted


@both_databases
@pytest.mark.parametrize("window", list(WINDOWS))
def test_the_cost_of_a_conversation_is_the_mean_of_those_in_use(awkward: Client, window: str) -> None:
    measure = objectives_told(awkward)["conversation_cost_usd"][window]
    costs = conversation_costs(NOW - WINDOWS[window])

    assert Decimal(measure["value"]) == (sum(costs, Decimal(0)) / len(costs)).quantize(Decimal("1e-12"))
    assert measure["counted"] == len(costs)
    assert measure["share_above_target"] == pytest.approx(sum(usd > TARGET_USD for usd in costs) / len(costs))
    assert measure["met"] == (Decimal(measure["value"]) <= TARGET_USD)


def test_the_error_budgets_are_what_thirty_days_leave(awkward: Client) -> None:
    told = objectives_told(awkward)
    rows, costs = undrilled(NOW - WINDOWS["last_30d"]), conversation_costs(NOW - WINDOWS["last_30d"])
    used = {
        "availability_percent": (100 - availability(rows)[0]) / (100 - 99.9),
        "fallback_success_percent": (100 - fallback_success(rows)[0]) / (100 - 95),
        "mean_latency_seconds": mean_latency(rows)[0] / 2,
        "conversation_cost_usd": float(sum(costs, Decimal(0)) / len(costs) / TARGET_USD),
    }

    for name, part in used.items():
        assert told[name]["error_budget_left_percent"] == pytest.approx(100 * (1 - part), rel=1e-6), name


def test_the_overview_shows_the_objectives_as_scripts_are_told(awkward: Client) -> None:
    told = objectives_told(awkward)
    cards = {card.key: card for card in awkward.get("/dashboard/service/").context["objectives"]}
    names = {
        "availability": ("availability_percent", shown_percent, 1),
        "fallback": ("fallback_success_percent", shown_percent, 1),
        "latency": ("mean_latency_seconds", shown_ms, 1000),
        "cost": ("conversation_cost_usd", lambda text: float(shown_usd(text)), 1),
    }

    assert set(cards) == set(names)
    for key, (name, shown, factor) in names.items():
        for reading, window in zip(cards[key].readings, WINDOWS, strict=True):
            assert shown(reading.value) == pytest.approx(float(told[name][window]["value"]) * factor, rel=0.03), key
            assert int(re.split(r"\D", reading.counted)[0]) == told[name][window]["counted"]
            assert reading.met == told[name][window]["met"]


def test_what_is_promised_to_the_last_digit_and_kept_is_met(awkward: Client) -> None:
    """99.9 % are asked for."""
    Completion.objects.all().delete()
    at, lost = NOW - timedelta(minutes=5), {"status": "failed", "http_status": 503}
    rows = [new_completion(f"exact-{number}", at=at, **(lost if number == 0 else {})) for number in range(1000)]
    Completion.objects.bulk_create(rows)
    measure = objectives_told(awkward)["availability_percent"]["last_24h"]

    assert (measure["value"], measure["met"]) == (99.9, True)
