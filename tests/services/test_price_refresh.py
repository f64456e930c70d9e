"""What the installed price list has new is seen first and taken over on request."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.utils import timezone

from gateway.models import ConfigurationChange, Price
from gateway.services.apply import configuration_apply
from gateway.services.price_book import price_now
from gateway.services.price_refresh import PriceChange, price_refresh, price_refresh_preview
from gateway.services.price_seed import prices_seed
from tests.services.conftest import SMALL

pytestmark = pytest.mark.django_db


@pytest.fixture
def outdated() -> None:
    """A book in which gpt-4-turbo, which is in use, and gpt-4o, which isn't, cost something else, and gpt-4 nothing."""
    configuration_apply(SMALL, actor="tester")
    Price.objects.filter(model="gpt-4-turbo").update(input_per_mtok=Decimal(8))
    Price.objects.filter(model="gpt-4o").update(input_per_mtok=Decimal(5))
    Price.objects.filter(model="gpt-4").delete()


def changed(model: str) -> PriceChange:
    return next(change for change in price_refresh_preview() if change.model == model)


def test_the_preview_shows_old_and_new_with_the_percentage(outdated: None) -> None:
    (step,) = changed("gpt-4-turbo").steps
    # 10 / 8 = 1.25
    assert (step.title, step.before, step.after, step.percent) == ("input", "8.00", "10.00", Decimal("25.0"))


def test_models_in_use_come_first_and_changes_before_additions(outdated: None) -> None:
    assert [(one.model, one.in_use, one.added) for one in price_refresh_preview()] == [
        ("gpt-4-turbo", True, False),
        ("gpt-4o", False, False),
        ("gpt-4", False, True),
    ]


def test_a_preview_changes_nothing(outdated: None) -> None:
    before = set(Price.objects.values_list("pk", "archived_at"))
    price_refresh_preview()
    assert set(Price.objects.values_list("pk", "archived_at")) == before


def test_only_the_chosen_versions_are_taken_over(outdated: None) -> None:
    taken = price_refresh(actor="tester", keys=[changed("gpt-4").key])
    assert [change.model for change in taken] == ["gpt-4"]
    assert [change.model for change in price_refresh_preview()] == ["gpt-4-turbo", "gpt-4o"]


def test_after_all_is_taken_over_nothing_is_left(outdated: None) -> None:
    assert len(price_refresh(actor="tester")) == 3
    assert price_refresh_preview() == ()


def test_the_old_version_stays_for_what_was_charged_at_it(outdated: None) -> None:
    old = Price.objects.alive().get(kind="openai", model="gpt-4-turbo")
    price_refresh(actor="tester")
    old.refresh_from_db()
    assert (old.archived, old.input_per_mtok) == (True, 8)


def test_a_price_of_operations_own_stays_in_force(outdated: None) -> None:
    own = Price.objects.create(kind="openai", model="gpt-4-turbo", input_per_mtok=7, output_per_mtok=7)
    assert changed("gpt-4-turbo").overridden
    price_refresh(actor="tester")
    own.refresh_from_db()
    found = price_now(kind="openai", model="gpt-4-turbo", at=timezone.now())
    assert not own.archived
    assert found is not None
    assert found.id == own.pk


def test_history_tells_each_change(outdated: None) -> None:
    price_refresh(actor="tester")
    rows = ConfigurationChange.objects.filter(section="prices").order_by("pk").values_list("name", "before", "after")
    assert list(rows) == [
        ("list price openai/gpt-4-turbo", "input_per_mtok=8.00", "input_per_mtok=10.00"),
        ("list price openai/gpt-4o", "input_per_mtok=5.00", "input_per_mtok=2.50"),
        ("1 list prices of other models", "", ""),
    ]


def test_applying_a_file_leaves_changed_list_prices_alone(outdated: None) -> None:
    configuration_apply(SMALL, actor="tester")
    assert changed("gpt-4-turbo").steps


def test_seeding_new_models_only_leaves_changed_prices_alone(outdated: None) -> None:
    seeded = prices_seed(only_new_models=True)
    assert (seeded.added, seeded.changed) == (("openai gpt-4",), ())
