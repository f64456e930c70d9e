"""Models about to retire: told 30 and 7 days before, once each, while a route uses them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from gateway.alerts.retirements import EVERY_SECONDS, retirement_alerts_derive, retirements_judge
from gateway.engine.catalogue import model_traits
from gateway.engine.words import Wire
from gateway.models import Alert, AlertDelivery, Provider, Route, Target
from tests.alerts.conftest import MakeChannel

MODEL = "gpt-4-turbo"
LAST_DAY = model_traits(Wire.OPENAI, MODEL).retired_on
pytestmark = pytest.mark.django_db


def days_before(days: int) -> datetime:
    assert LAST_DAY is not None
    return datetime(LAST_DAY.year, LAST_DAY.month, LAST_DAY.day, 12, tzinfo=UTC) - timedelta(days=days)


@pytest.fixture(autouse=True)
def route(channel: MakeChannel) -> Route:
    channel("json://127.0.0.1:9/", events=("model_retiring",))
    provider = Provider.objects.create(name="openai", kind="openai", base_url="http://openai.invalid")
    route = Route.objects.create(name="default")
    Target.objects.create(route=route, provider=provider, model=MODEL)
    return route


@pytest.mark.parametrize(
    ("days", "messages"), [(31, 0), (30, 1), (8, 1), (7, 1), (1, 1), (0, 0), (-5, 0)], ids=lambda value: str(value)
)
def test_it_is_told_in_the_last_30_days_and_not_after_the_last(days: int, messages: int) -> None:
    retirements_judge(now=days_before(days))
    assert AlertDelivery.objects.count() == messages


def test_it_is_told_twice_however_often_one_looks() -> None:
    for days in (40, 30, 29, 8, 7, 6, 1):
        for _ in range(2):
            retirements_judge(now=days_before(days))

    titles = list(AlertDelivery.objects.values_list("title", flat=True))
    assert titles == [f"model_retiring: openai/{MODEL}"] * 2
    assert list(Alert.objects.order_by("pk").values_list("closed_at", flat=True)) == [days_before(7), None]


def test_its_message_names_the_routes() -> None:
    retirements_judge(now=days_before(30))
    assert "Routes that use it: default." in Alert.objects.get().message


def test_it_closes_when_no_route_uses_it_and_is_not_told_again(route: Route) -> None:
    retirements_judge(now=days_before(30))
    Route.objects.update(archived_at=timezone.now())
    retirements_judge(now=days_before(29))
    assert Alert.objects.get().closed_at == days_before(29)

    Route.objects.update(archived_at=None)
    retirements_judge(now=days_before(28))
    assert AlertDelivery.objects.count() == 1


def test_it_closes_on_the_day() -> None:
    retirements_judge(now=days_before(7))
    retirements_judge(now=days_before(0))
    assert Alert.objects.get().closed_at == days_before(0)


def test_it_is_looked_at_once_a_minute_by_one_process() -> None:
    now = days_before(30)
    assert retirement_alerts_derive(now=now) == 1
    Route.objects.update(archived_at=timezone.now())
    assert retirement_alerts_derive(now=now + timedelta(seconds=EVERY_SECONDS - 1)) == 0
    assert retirement_alerts_derive(now=now + timedelta(seconds=EVERY_SECONDS)) == 1
