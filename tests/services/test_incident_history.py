"""What people do about incidents and channels is a row of history."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from gateway.models import Alert, AlertChannel, AlertDelivery, ConfigurationChange
from gateway.services.incidents import channel_test, delivery_retry, incident_acknowledge

pytestmark = pytest.mark.django_db

SECRET = "json://user:pass-word@127.0.0.1/hook"


def told() -> list[tuple[Any, ...]]:
    columns = ("actor", "action", "section", "name", "before", "after")
    return list(ConfigurationChange.objects.order_by("pk").values_list(*columns))


@pytest.fixture
def incident() -> Alert:
    now = timezone.now()
    return Alert.objects.create(kind="breaker_opened", subject="openai", message="m", opened_at=now, opened_by="1")


@pytest.fixture
def channel() -> AlertChannel:
    row = AlertChannel(name="on call", events=["breaker_opened"])
    row.set_url(SECRET)
    row.save()
    return row


@pytest.mark.parametrize(("note", "after"), [("", "acknowledged"), ("I call them", "acknowledged\nnote: I call them")])
def test_an_acknowledgement_is_a_row_of_history(incident: Alert, note: str, after: str) -> None:
    incident_acknowledge(alert=incident, actor="ada", note=note, now=timezone.now())

    assert told() == [("ada", "changed", "incidents", "breaker_opened: openai", "open", after)]


def test_a_second_acknowledgement_changes_nothing_and_leaves_no_row(incident: Alert) -> None:
    for actor in ("ada", "grace"):
        incident_acknowledge(alert=incident, actor=actor, note="", now=timezone.now())

    assert [row[0] for row in told()] == ["ada"]


@pytest.mark.parametrize(
    ("problem", "after"),
    [(None, "the test arrived"), ("it was refused", "the test did not arrive: it was refused")],
)
def test_a_channels_test_is_a_row_of_history_without_its_address(
    channel: AlertChannel, problem: str | None, after: str
) -> None:
    channel_test(channel=channel, actor="ada", send=lambda address, title, body: problem)

    assert told() == [("ada", "tested", "alert_channels", "on call", "", after)]
    assert "pass-word" not in str(told())


def test_sending_a_message_again_is_a_row_of_history(incident: Alert, channel: AlertChannel) -> None:
    now = timezone.now()
    message = AlertDelivery.objects.create(
        alert=incident, event="breaker_opened", channel_id=channel.pk, channel_name="on call",
        title="breaker_opened: openai", body="b", tries=8, next_try_at=now, given_up_at=now,
    )  # fmt: skip
    delivery_retry(delivery=message, actor="ada", now=now)

    row = ("ada", "changed", "alert_messages", "breaker_opened: openai to on call", "given up", "due at once")
    assert told() == [row]


def test_a_message_that_has_arrived_leaves_no_row(incident: Alert, channel: AlertChannel) -> None:
    now = timezone.now()
    message = AlertDelivery.objects.create(
        alert=incident, event="breaker_opened", channel_id=channel.pk, channel_name="on call",
        title="breaker_opened: openai", body="b", next_try_at=now, delivered_at=now,
    )  # fmt: skip
    assert delivery_retry(delivery=message, actor="ada", now=now) is False

    assert told() == []
