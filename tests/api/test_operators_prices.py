"""`POST /api/prices/refresh`."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import Client

from gateway.models import Price
from gateway.services.price_seed import prices_seed
from tests.api.test_operators_access import error_of, person, staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def outdated() -> None:
    prices_seed()
    Price.objects.filter(kind="openai", model="gpt-4-turbo").update(input_per_mtok=Decimal(8))


def test_a_dry_run_tells_what_would_change(api: Client, outdated: None) -> None:
    answer = api.post("/api/prices/refresh?dry_run=true").json()
    assert answer["dry_run"] is True
    assert [(change["key"], change["added"]) for change in answer["changes"]] == [("openai/gpt-4-turbo", False)]
    assert answer["changes"][0]["steps"] == [
        {"column": "input_per_mtok", "before": "8.00", "after": "10.00", "percent": "25.0"}
    ]
    assert Price.objects.alive().get(kind="openai", model="gpt-4-turbo").input_per_mtok == 8


def test_without_it_everything_is_taken_over(api: Client, outdated: None) -> None:
    assert len(api.post("/api/prices/refresh").json()["changes"]) == 1
    assert Price.objects.alive().get(kind="openai", model="gpt-4-turbo").input_per_mtok == 10


def test_a_person_needs_the_permission_to_change_prices(outdated: None) -> None:
    browser = person(staff("somebody", "view_completion", "change_provider"), csrf=False)
    response = browser.post("/api/prices/refresh")
    assert response.status_code == 403
    assert "gateway.change_price" in error_of(response)["message"]
