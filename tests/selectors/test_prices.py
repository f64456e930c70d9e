"""Models without a price, and targets whose models retire."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from gateway.engine.catalogue import ModelTraits
from gateway.engine.words import CompletionStatus
from gateway.models import Price, Provider, Route
from gateway.selectors import model_catalogue
from gateway.selectors.model_catalogue import model_lines, retiring_targets
from gateway.selectors.prices import UNPRICED_DAYS, unpriced_models
from tests.selectors.rows import NOON, add_completion, add_provider

pytestmark = pytest.mark.django_db


@pytest.fixture
def openai() -> Provider:
    return add_provider("openai")


def add_route(name: str, provider: Provider, model: str) -> Route:
    route = Route.objects.create(name=name)
    route.targets.create(provider=provider, model=model)
    return route


def refuse(request_id: str, *targets: str, **values: Any) -> None:
    refused = {"status": CompletionStatus.REFUSED.value, "error_code": "all_targets_failed"}
    add_completion(request_id, decision={"unpriced": list(targets)}, **refused | values)


def test_targets_and_refused_requests_without_a_price_are_listed(openai: Provider) -> None:
    add_route("default", openai, "unheard-of")
    refuse("r1", "openai/named-directly")
    refuse("r2", "openai/named-directly")
    found = [(one.model, one.routes, one.refused) for one in unpriced_models(now=NOON)]
    assert found == [("unheard-of", ("default",), 0), ("named-directly", (), 2)]


def test_a_model_that_has_got_its_price_is_no_longer_listed(openai: Provider) -> None:
    refuse("r1", "openai/now-priced")
    Price.objects.create(kind="openai", model="now-priced", input_per_mtok=1, output_per_mtok=1)
    assert unpriced_models(now=NOON) == ()


def test_a_price_that_has_not_begun_is_none_yet(openai: Provider) -> None:
    add_route("default", openai, "later")
    begins = NOON + timedelta(days=1)
    Price.objects.create(kind="openai", model="later", input_per_mtok=1, output_per_mtok=1, valid_from=begins)
    assert [one.model for one in unpriced_models(now=NOON)] == ["later"]


def test_old_refusals_are_forgotten(openai: Provider) -> None:
    refuse("r1", "openai/long-ago", at=NOON - timedelta(days=UNPRICED_DAYS, seconds=1))
    assert unpriced_models(now=NOON) == ()


@pytest.mark.parametrize(
    ("today", "told"),
    [
        (date(2026, 7, 24), None),
        (date(2026, 7, 25), "gpt-4-turbo retires in 90 days"),
        (date(2026, 10, 22), "gpt-4-turbo retires in 1 day"),
        (date(2026, 10, 23), "gpt-4-turbo was retired on 2026-10-23"),
        (date(2027, 10, 23), "gpt-4-turbo was retired on 2026-10-23"),
    ],
)
def test_a_route_is_warned_of_ninety_days_before_and_ever_after(
    openai: Provider, today: date, told: str | None
) -> None:
    add_route("default", openai, "gpt-4-turbo")
    found = retiring_targets(datetime(today.year, today.month, today.day, 12, tzinfo=UTC))
    assert [str(one) for one in found] == ([told] if told else [])


def test_archived_routes_need_no_warning(openai: Provider) -> None:
    route = add_route("default", openai, "gpt-4-turbo")
    route.archive()
    route.save()
    assert retiring_targets(NOON) == ()


def test_a_provider_is_only_told_of_its_own(openai: Provider) -> None:
    add_route("default", openai, "gpt-4-turbo")
    add_provider("another")
    assert [one.provider for one in retiring_targets(NOON, provider="openai")] == ["openai"]
    assert retiring_targets(NOON, provider="another") == ()


def test_those_that_retire_first_come_first(openai: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    days = {"late": date(2026, 12, 1), "early": date(2026, 11, 30)}
    monkeypatch.setattr(
        model_catalogue, "model_traits", lambda kind, model: replace(ModelTraits(), retired_on=days[model])
    )
    add_route("a", openai, "late")
    add_route("b", openai, "early")
    assert [one.model for one in retiring_targets(NOON)] == ["early", "late"]


def test_the_catalogue_lists_models_in_use_first(openai: Provider) -> None:
    add_route("default", openai, "zeta")
    lines = model_lines([("openai", "alpha"), ("openai", "zeta")], now=NOON)
    assert [(line.model, line.routes) for line in lines] == [("zeta", ("default",)), ("alpha", ())]
