"""What people enter is checked, and what is wrong is said in a sentence."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from gateway.models import AlertChannel, Budget, Organisation, Price, Provider, Route

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (Provider(name="a b", kind="openai", base_url="https://x.test"), "A name is made of letters"),
        (Provider(name="a", kind="openai", base_url="ftp://x.test"), "begins with http:// or https://"),
        (Provider(name="a", kind="openai", base_url="https://u:p@x.test"), "no user name, password"),
        (
            Provider(name="a", kind="openai", base_url="https://x.test", extra_headers={"Host": "y"}),
            "set by the gateway",
        ),
        *(
            (Provider(name="a", kind="openai", base_url="https://x.test", api_key_env=own), "never sent to a provider")
            for own in (
                "DJANGO_SECRET_KEY",
                "LLMOPS_ENCRYPTION_KEYS",
                "llmops_metrics_token",
                "DATABASE_URL",
                "DATABASE_URL_FILE",
                "REDIS_URL",
                "CELERY_BROKER_URL",
                "PGPASSWORD",
            )
        ),
        (Provider(name="a", kind="openai", base_url="https://x.test", forced_breaker="open"), "Say why"),
        (
            Provider(name="a", kind="openai", base_url="https://x.test", backoff_seconds=-1),
            "greater than or equal to 0",
        ),
        (Provider(name="a", kind="openai", base_url="https://x.test", stream_max_seconds=0), "Must be more than 0"),
        (Route(name="r", aliases="x"), "must be a list"),
        (Route(name="r", aliases=["a", "a"]), "listed twice"),
        (Route(name="r", simple_mode="maybe"), "Must be off, shadow, on or a percentage"),
        (Price(kind="openai", model="m", input_per_mtok=0, output_per_mtok=0), "must be marked as free"),
        (Price(kind="openai", model="m", input_per_mtok=1, output_per_mtok=0, free=True), "can't have a price"),
        (Budget(name="b", scope="global", limit_usd=Decimal(1), window="year"), "must be hour, day, week"),
        (Budget(name="b", scope="global", limit_usd=Decimal(1), alert_at_percent=[0]), "list of whole numbers"),
        (AlertChannel(name="c", url_encrypted="x", events=["fire"]), "no event is called"),
        (Organisation(time_zone="Berlin"), "Not a known time zone"),
    ],
)
def test_a_wrong_value_is_told_in_a_sentence(row: Any, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        row.full_clean()
    assert message in " ".join(caught.value.messages)


def test_names_and_aliases_of_routes_share_one_namespace() -> None:
    Route.objects.create(name="first", aliases=["shared"])
    with pytest.raises(ValidationError, match="shared already leads to the route first"):
        Route(name="shared").full_clean()


def test_an_archived_routes_names_are_free() -> None:
    route = Route.objects.create(name="first", aliases=["shared"])
    route.archive()
    route.save()
    Route(name="shared").full_clean()


def test_secrets_show_in_no_text_of_their_row() -> None:
    account = Provider(name="a", kind="openai", base_url="https://x.test")
    account.set_api_key("very-secret")
    channel = AlertChannel(name="c")
    channel.set_url("json://very-secret@x.test")
    assert "very-secret" not in f"{account!r} {account} {vars(account)} {channel!r} {vars(channel)}"
