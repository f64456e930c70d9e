"""Which version of a price holds when, and what archiving one would do."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from gateway.engine.words import Wire
from gateway.models import Price
from gateway.services.price_book import archive_effects, price_now
from gateway.services.snapshot_load import snapshot_load
from tests.services.conftest import SMALL, Apply

pytestmark = pytest.mark.django_db


def own(amount: int, **values: Any) -> Price:
    return Price.objects.create(kind="openai", model="gpt-4-turbo", input_per_mtok=amount, output_per_mtok=1, **values)


def test_a_price_of_the_future_takes_effect_at_its_moment_without_a_new_snapshot(apply: Apply) -> None:
    apply(SMALL)
    moment = timezone.now() + timedelta(days=3)
    own(12, valid_from=moment)

    book = snapshot_load().price_book

    found = [book.find(Wire.OPENAI, "gpt-4-turbo", at) for at in (moment - timedelta(seconds=1), moment)]
    assert [price and price.input_per_mtok for price in found] == [Decimal(10), Decimal(12)]


def test_archiving_an_override_in_use_brings_the_list_price_back(apply: Apply) -> None:
    apply(SMALL)
    row = own(12)

    (effect,) = archive_effects([row], at=timezone.now())

    assert effect.routes == ("default",)
    assert effect.instead is not None
    assert effect.instead.input_per_mtok == 10


def test_archiving_every_price_of_a_model_in_use_leaves_it_without_one(apply: Apply) -> None:
    apply(SMALL)
    (effect,) = archive_effects(Price.objects.filter(model="gpt-4-turbo"), at=timezone.now())
    assert effect.instead is None


def test_archiving_what_no_route_uses_has_no_effect(apply: Apply) -> None:
    apply(SMALL)
    assert archive_effects(Price.objects.filter(model="gpt-4o"), at=timezone.now()) == ()


def test_archiving_a_version_that_is_hidden_has_no_effect(apply: Apply) -> None:
    apply(SMALL)
    hidden = Price.objects.get(model="gpt-4-turbo")
    own(12)
    assert archive_effects([hidden], at=timezone.now()) == ()


def test_long_context_of_a_row_holds_in_the_snapshot(apply: Apply) -> None:
    apply(SMALL)
    own(12, long_context_above_tokens=1000, long_input_per_mtok=24, long_output_per_mtok=3)
    found = price_now(kind="openai", model="gpt-4-turbo", at=timezone.now())
    assert found is not None
    assert [found.rates(tokens).input_per_mtok for tokens in (1000, 1001)] == [12, 24]
