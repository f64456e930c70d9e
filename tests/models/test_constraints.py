"""The database keeps the configuration sound, whoever writes it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError

from gateway.models import ApiKey, Budget, Organisation, Price, Provider, Route, Target, Team

pytestmark = pytest.mark.django_db


def provider(**fields: Any) -> Provider:
    return Provider.objects.create(**{"name": "openai", "kind": "openai", "base_url": "https://x.test"} | fields)


def budget(**fields: Any) -> Budget:
    return Budget.objects.create(**{"name": "b", "scope": "global", "limit_usd": Decimal(1)} | fields)


def price(**fields: Any) -> Price:
    return Price.objects.create(
        **{"kind": "openai", "model": "m", "input_per_mtok": 1, "output_per_mtok": 1, "source": "override"} | fields
    )


@pytest.mark.parametrize(
    "write",
    [
        lambda: provider(kind="other"),
        lambda: provider(retries=21),
        lambda: provider(attempt_timeout_seconds=0),
        lambda: provider(breaker_failure_threshold=0),
        lambda: provider(forced_breaker="ajar"),
        lambda: provider(api_key_env="A", api_key_encrypted="x"),
        lambda: Route.objects.create(name="r", deadline_seconds=-1),
        lambda: Route.objects.create(name="r", stream_recovery="hope"),
        lambda: Route.objects.create(name="r", cache_scope="all"),
        lambda: Target.objects.create(route=Route.objects.create(name="r"), provider=provider(), model="m", retries=99),
        lambda: ApiKey.objects.create(name="k", hash="h", role="root"),
        lambda: ApiKey.objects.create(name="k", hash="h", max_parallel=0),
        lambda: budget(limit_usd=Decimal(0)),
        lambda: budget(scope="everyone"),
        lambda: budget(enforcement="hope"),
        lambda: budget(scope="route", team=Team.objects.create(name="t")),
        lambda: price(input_per_mtok=-1),
        lambda: price(source="guess"),
        lambda: Organisation.objects.create(pk=2),
        lambda: Organisation.objects.create(availability_percent=101),
    ],
)
def test_a_row_out_of_bounds_is_refused(write: Callable[[], Any]) -> None:
    with pytest.raises(IntegrityError):
        write()


@pytest.mark.parametrize(
    "write",
    [
        provider,
        budget,
        price,
        lambda: price(valid_from=datetime(2027, 1, 1, tzinfo=UTC)),
        lambda: Team.objects.create(name="t"),
        lambda: Route.objects.create(name="r"),
        lambda: ApiKey.objects.create(name="k", hash="h"),
    ],
)
def test_a_name_in_use_is_taken_and_an_archived_one_is_free(write: Callable[[], Any]) -> None:
    first = write()
    first.archive()
    first.save()
    write()
    with pytest.raises(IntegrityError):
        write()


def test_two_keys_in_use_never_share_a_hash() -> None:
    ApiKey.objects.create(name="a", hash="same")
    with pytest.raises(IntegrityError):
        ApiKey.objects.create(name="b", hash="same")


def test_a_route_has_one_simple_target() -> None:
    route = Route.objects.create(name="r")
    account = provider()
    Target.objects.create(route=route, provider=account, model="a", simple=True)
    with pytest.raises(IntegrityError):
        Target.objects.create(route=route, provider=account, model="b", simple=True)
