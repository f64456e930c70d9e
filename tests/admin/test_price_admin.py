"""Prices in the admin: versions, refreshing, models without a price, archiving what is in use."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from gateway.models import Price, Target
from tests.admin.test_configuration_admin import errors_of, form_of
from tests.selectors.rows import add_attempt, add_completion

PRICES = "/admin/gateway/price/"
ADD = f"{PRICES}add/"
OWN = {"kind": "openai", "model": "gpt-4-turbo", "input_per_mtok": "11", "output_per_mtok": "30", "batch_factor": "0.5"}


def own() -> Price:
    return Price.objects.get(source="override", archived_at=None)


def test_a_second_price_for_the_same_time_names_the_version_it_would_replace(
    operations: Client, configured: None
) -> None:
    operations.post(ADD, OWN)
    text = errors_of(operations.post(ADD, OWN | {"input_per_mtok": "12"}))
    assert f"Version {own().pk} of gpt-4-turbo (11.00 in, 30.00 out, since ever) is in use." in text


def test_the_list_says_free_in_place_of_the_amounts_and_marks_no_other_price_for_it(
    operations: Client, configured: None
) -> None:
    Price.objects.create(kind="openai", model="given-away", free=True, input_per_mtok=0, output_per_mtok=0)
    page = operations.get(f"{PRICES}?q=given-away").content.decode()
    assert re.findall(r'<td class="[^"]*field-(\w+)[^"]*"[^>]*>\s*free\s*</td>', page) == ["goes_in", "comes_out"]
    assert "field-free" not in page


def test_what_was_superseded_is_told(operations: Client, configured: None) -> None:
    operations.post(ADD, OWN)
    old = own()
    response = operations.post(ADD, OWN | {"input_per_mtok": "12", "supersede": "on"}, follow=True)
    assert f"Version {old.pk} of gpt-4-turbo is superseded" in errors_of(response)


def test_a_later_price_supersedes_nothing(operations: Client, configured: None) -> None:
    operations.post(ADD, OWN)
    later = OWN | {"valid_from_0": "2031-01-01", "valid_from_1": "00:00:00"}
    assert operations.post(ADD, later).status_code == 302
    assert Price.objects.filter(source="override", archived_at=None).count() == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"input_per_mtok": "0"}, "a model that costs nothing must be marked as free"),
        ({"long_input_per_mtok": "20"}, "Prices for long context need the threshold, an input and an output price"),
        (
            {"long_context_above_tokens": "9", "long_input_per_mtok": "0", "long_output_per_mtok": "1"},
            "no provider gives long context away",
        ),
    ],
)
def test_a_price_that_cannot_be_meant_is_refused(
    operations: Client, configured: None, changes: dict[str, str], sentence: str
) -> None:
    assert sentence in errors_of(operations.post(ADD, OWN | changes))


def test_a_version_is_looked_at_and_never_edited(operations: Client, configured: None) -> None:
    operations.post(ADD, OWN)
    add_attempt(add_completion("r1"), 1, price_id=own().pk)
    url = f"{PRICES}{own().pk}/change/"
    assert "1 of the latest 1 attempts; what was charged keeps its price" in errors_of(operations.get(url))
    assert operations.post(url, OWN | {"input_per_mtok": "12"}).status_code == 403
    assert own().input_per_mtok == 11


def test_a_new_version_begins_with_what_the_old_one_says(operations: Client, configured: None) -> None:
    row = Price.objects.get(model="claude-sonnet-4-5")
    response = operations.get(f"{PRICES}{row.pk}/new-version/", follow=True)
    data = form_of(response)
    assert (data["model"], Decimal(data["long_output_per_mtok"])) == ("claude-sonnet-4-5", Decimal("22.5"))


def test_the_refresh_page_shows_old_and_new(operations: Client, configured: None) -> None:
    Price.objects.filter(model="gpt-4-turbo").update(input_per_mtok=8)
    assert "input: 8.00 → 10.00 (+25.0 %)" in errors_of(operations.get(f"{PRICES}refresh/"))


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        ({"which": "ticked", "key": ["openai/gpt-4o"]}, ["gpt-4-turbo"]),
        ({"which": "ticked"}, ["gpt-4-turbo", "gpt-4o"]),
        ({"which": "all"}, []),
    ],
)
def test_a_refresh_takes_over_what_was_ticked_or_all(
    operations: Client, configured: None, sent: dict[str, Any], left: list[str]
) -> None:
    Price.objects.filter(model__in=["gpt-4-turbo", "gpt-4o"]).update(input_per_mtok=8)
    operations.post(f"{PRICES}refresh/", sent)
    outdated = Price.objects.alive().filter(input_per_mtok=8, model__in=["gpt-4-turbo", "gpt-4o"])
    assert sorted(outdated.values_list("model", flat=True)) == left


def test_who_may_not_change_prices_may_not_refresh_them(operations: Client, configured: None, client: Client) -> None:
    client.force_login(User.objects.create_user("reader", is_staff=True))
    assert client.post(f"{PRICES}refresh/", {"which": "all"}).status_code == 403


def test_a_model_without_a_price_is_listed_with_a_filled_in_form(operations: Client, configured: None) -> None:
    Target.objects.filter(model="gpt-4-turbo").update(model="unheard-of")
    text = errors_of(operations.get(f"{PRICES}unpriced/"))
    assert 'href="/admin/gateway/price/add/?kind=openai&amp;model=unheard-of"' in text


def archive(operations: Client, row: Price, **sent: str) -> Any:
    return operations.post(PRICES, {"action": "archive", "_selected_action": [row.pk], **sent})


def test_archiving_a_price_in_use_asks_first(operations: Client, configured: None) -> None:
    row = Price.objects.get(model="gpt-4-turbo")
    text = errors_of(archive(operations, row))
    row.refresh_from_db()
    assert "Nothing would take its place" in text
    assert not row.archived


def test_archiving_a_price_in_use_is_done_once_confirmed(operations: Client, configured: None) -> None:
    row = Price.objects.get(model="gpt-4-turbo")
    archive(operations, row, confirmed="yes")
    row.refresh_from_db()
    assert row.archived


def test_archiving_what_nobody_uses_needs_no_question(operations: Client, configured: None) -> None:
    row = Price.objects.get(model="gpt-4o")
    archive(operations, row)
    row.refresh_from_db()
    assert row.archived


def test_the_list_of_routes_offers_the_successor(operations: Client, configured: None) -> None:
    target = Target.objects.get(model="gpt-4-turbo")
    text = errors_of(operations.get("/admin/gateway/route/"))
    assert "gpt-4-turbo was retired on 2026-10-23" in text
    assert f'href="/models/targets/{target.pk}/successor/"' in text
