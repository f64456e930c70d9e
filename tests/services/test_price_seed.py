"""The price book is seeded from the installed price list."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.models import Price
from gateway.services.configuration import configuration_version
from gateway.services.price_seed import price_is_listed, prices_seed

pytestmark = pytest.mark.django_db


def seeded(kind: str, model: str) -> Price:
    return Price.objects.alive().get(kind=kind, model=model)


def test_seeding_twice_adds_nothing() -> None:
    assert prices_seed().added
    version = configuration_version()
    again = prices_seed()
    assert (again.added, again.changed) == ((), ())
    assert configuration_version() == version


def test_a_dry_run_adds_nothing() -> None:
    assert prices_seed(dry_run=True).added
    assert not Price.objects.exists()


@pytest.mark.parametrize(
    ("kind", "model", "price"),
    [
        ("openai", "gpt-4-turbo", ("10", "30", None, None, None)),
        ("openai", "gpt-3.5-turbo", ("0.5", "1.5", None, None, None)),
        ("anthropic", "claude-sonnet-5-5", ("2", "10", "0.1", "2.5", "4")),
        ("openai", "gpt-6.1-sol", ("2", "10", "0.1", "2.5", None)),
    ],
)
def test_listed_prices_arrive_unchanged(kind: str, model: str, price: tuple[str | None, ...]) -> None:
    prices_seed()
    row = seeded(kind, model)
    found = (
        row.input_per_mtok,
        row.output_per_mtok,
        row.cached_input_per_mtok,
        row.cache_write_per_mtok,
        row.cache_write_1h_per_mtok,
    )
    assert found == tuple(None if each is None else Decimal(each) for each in price)


def test_a_dated_name_in_use_gets_its_models_price() -> None:
    prices_seed([("anthropic", "claude-3-5-sonnet-20241022")])
    assert seeded("anthropic", "claude-3-5-sonnet-20241022").input_per_mtok == 3


def test_a_price_that_changed_becomes_a_new_version() -> None:
    prices_seed()
    row = seeded("openai", "gpt-4-turbo")
    Price.objects.filter(pk=row.pk).update(input_per_mtok=Decimal(9))
    assert prices_seed().changed == ("openai gpt-4-turbo",)
    row.refresh_from_db()
    assert row.archived
    assert seeded("openai", "gpt-4-turbo").input_per_mtok == 10


@pytest.mark.parametrize(
    ("kind", "model", "above", "long"),
    [
        ("openai", "gpt-6.1-sol", 272_000, ("4", "15", "0.2", "5", None)),
        ("openai", "gpt-5.4", 272_000, ("5", "22.5", "0.5", None, None)),
        ("anthropic", "claude-sonnet-4-5", 200_000, ("6", "22.5", "0.6", "7.5", "12")),
        ("anthropic", "claude-sonnet-5-5", None, (None, None, None, None, None)),
    ],
)
def test_prices_for_long_context_arrive_unchanged(
    kind: str, model: str, above: int | None, long: tuple[str | None, ...]
) -> None:
    prices_seed()
    row = seeded(kind, model)
    found = (
        row.long_input_per_mtok,
        row.long_output_per_mtok,
        row.long_cached_input_per_mtok,
        row.long_cache_write_per_mtok,
        row.long_cache_write_1h_per_mtok,
    )
    assert (row.long_context_above_tokens, found) == (above, tuple(each and Decimal(each) for each in long))


def test_the_fee_for_web_searches_is_seeded() -> None:
    prices_seed()
    assert seeded("anthropic", "claude-sonnet-5-5").web_searches_per_thousand == 10


@pytest.mark.parametrize(
    ("model", "listed"), [("gpt-4o", True), ("gpt-unheard-of", False), ("gpt-realtime", False), ("tts-1", False)]
)
def test_only_models_billed_by_text_tokens_are_listed(model: str, listed: bool) -> None:
    assert price_is_listed("openai", model) is listed
