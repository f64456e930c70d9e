"""The savings page: three sources, each from rows, by route and team."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from gateway.models import Batch, BatchJob, BatchLine, Completion, Price
from gateway.selectors.usage_cells import UsageFilter
from gateway.selectors.windows import TimeWindow
from gateway.services.savings import Savings, prompt_saved_usd, savings
from gateway.services.snapshot_load import price_of_row
from tests.selectors.rows import add_attempt, add_completion, add_provider

NOW = timezone.now().replace(microsecond=0)
DAY = TimeWindow(NOW - timedelta(days=1), NOW + timedelta(hours=1))


def add(request_id: str, **values: Any) -> Completion:
    return add_completion(request_id, at=NOW - timedelta(minutes=5), **values)


def claude(**values: Any) -> Price:
    terms = {"input_per_mtok": Decimal(3), "cached_input_per_mtok": Decimal("0.3"), "output_per_mtok": Decimal(15)}
    writes = {"cache_write_per_mtok": Decimal("3.75"), "cache_write_1h_per_mtok": Decimal(6)}
    return Price.objects.create(kind="anthropic", model="claude", **terms | writes | values)


@pytest.fixture
def saved(db: None) -> None:
    """A cache hit, a cheap answer, and a call that read from a provider's cache; of two teams and two routes."""
    add_provider("openai")
    for model, price in (("gpt-3.5-turbo", 1), ("gpt-4-turbo", 10)):
        Price.objects.create(kind="openai", model=model, input_per_mtok=price, output_per_mtok=price)
    add("req_1", cache="hit", attempt_count=0, saved_usd=Decimal("0.5"), team_name="research")
    stored = {"choice": "sent", "reason": "score", "tier": "simple", "mode": "on"}
    targets = {"target": "openai/gpt-3.5-turbo", "instead_of": "openai/gpt-4-turbo"}
    cheap = {"model": "gpt-3.5-turbo", "input_tokens": 100_000, "cost_usd": Decimal("0.1")}
    add("req_2", team_name="sales", route_name="other", decision={"simple": {**stored, **targets}}, **cheap)
    read = {"input_tokens": 100_000, "cached_input_tokens": 100_000}
    add_attempt(add("req_3", team_name="sales", **read), 1, price_id=claude().pk, **read)


def found(**where: str) -> Savings:
    return savings(DAY, where=UsageFilter(**where))


def test_each_source_is_added_up(saved: None) -> None:
    whole = found().whole
    assert (whole.cache_usd, whole.cheap_usd, whole.prompt_usd) == (Decimal("0.5"), Decimal("0.9"), Decimal("0.27"))
    assert whole.total_usd == Decimal("1.67")


def add_line(completion: Completion, *, job: BatchJob | None, batch: Batch, number: int) -> None:
    BatchLine.objects.create(
        batch=batch, job=job, number=number, custom_id=str(number), completion_id=completion.pk, state="done",
        size_bytes=0, request=b"",
    )  # fmt: skip


def test_lines_of_batches_save_what_the_full_price_would_have_added(db: None) -> None:
    batch = Batch.objects.create(
        id="batch_1", wire="openai", operation="chat", team_id=0, api_key_id=1, state="completed",
        endpoint="/v1/chat/completions", input_file_id="file-1", created_at=NOW, expires_at=NOW, lease_until=NOW,
    )  # fmt: skip
    job = BatchJob.objects.create(
        batch=batch, provider="openai", model="m", token="t", state="collected", created_at=NOW
    )
    price = Price.objects.create(
        kind="openai", model="m", input_per_mtok=1, output_per_mtok=1, batch_factor=Decimal("0.25")
    )
    for number, (used_job, usd) in enumerate(((job, "0.1"), (job, "0"), (None, "0.1")), start=1):
        row = add(f"req_{number}", team_name="research")
        add_attempt(row, 1, price_id=price.pk, cost_usd=Decimal(usd))
        add_line(row, job=used_job, batch=batch, number=number)
    whole = found().whole
    assert (whole.batch_usd, whole.batch_lines, whole.total_usd) == (Decimal("0.3"), 1, Decimal("0.3"))


def test_routes_and_teams_have_their_own_sums_the_largest_first(saved: None) -> None:
    report = found()
    assert [(name, one.total_usd) for name, one in report.by_route] == [
        ("other", Decimal("0.9")),
        ("default", Decimal("0.77")),
    ]
    assert [(name, one.total_usd) for name, one in report.by_team] == [
        ("sales", Decimal("1.17")),
        ("research", Decimal("0.5")),
    ]


def test_a_filter_narrows_all_three(saved: None) -> None:
    whole = found(team="research").whole
    assert (whole.cache_usd, whole.cheap_usd, whole.prompt_usd) == (Decimal("0.5"), 0, 0)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("price", "tokens", "usd"),
    [
        pytest.param({}, (1_000_000, 1_000_000, 0, 0), "2.7", id="read"),
        pytest.param({}, (1_000_000, 0, 1_000_000, 0), "-0.75", id="written for nobody"),
        pytest.param({}, (1_000_000, 0, 1_000_000, 1_000_000), "-3", id="written for an hour"),
        pytest.param(
            {"long_context_above_tokens": 200_000, "long_input_per_mtok": 6, "long_output_per_mtok": 20,
             "long_cached_input_per_mtok": Decimal("0.6")},
            (1_000_000, 1_000_000, 0, 0), "5.4", id="long context",
        ),
        pytest.param({"cached_input_per_mtok": None}, (1_000_000, 1_000_000, 0, 0), "0", id="no cached price"),
    ],
)  # fmt: skip
def test_prompt_caching_is_reads_less_writes_at_the_calls_own_price(
    price: dict[str, Any], tokens: tuple[int, int, int, int], usd: str
) -> None:
    row = claude(**price)
    row.refresh_from_db()
    assert prompt_saved_usd(price_of_row(row), *tokens) == Decimal(usd)


def test_the_page_shows_the_amounts_and_says_what_is_estimated(browser_of_operator: Client, saved: None) -> None:
    body = browser_of_operator.get("/savings/").content.decode()
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())
    for words in ("Saved in all $1.67", "Cheap model, estimated $0.90", "100,000 tokens read at a lower price"):
        assert words in text
    assert "?period=24h&amp;team=sales" in body


def test_an_empty_page_says_how_to_save(browser_of_operator: Client) -> None:
    assert "Routes save with their cache switched on" in browser_of_operator.get("/savings/").content.decode()
