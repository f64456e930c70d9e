"""What is queued arrives once, or is tried again a bounded number of times."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.alerts.breakers import breaker_alerts_derive
from gateway.alerts.channel import channel_send
from gateway.alerts.outbox import CLAIM_SECONDS, RETRY_SECONDS, TRIES_MAX, deliveries_send
from gateway.models import AlertChannel, AlertDelivery
from gateway.models.alert_channel import ALL_EVENTS, events_problem
from gateway.models.words import AlertEvent
from gateway.tasks import alerts_sweep
from tests.alerts.conftest import NOW, MakeChannel, MakeTransition, Receiver


@pytest.fixture
def queued(transition: MakeTransition, channel: MakeChannel, receiver: Receiver) -> AlertDelivery:
    """One message that is due now, for the real channel."""
    channel(receiver.url)
    transition("closed>open")
    breaker_alerts_derive(now=NOW)
    return AlertDelivery.objects.get()


def test_message_arrives_with_a_title_that_begins_with_the_event(queued: AlertDelivery, receiver: Receiver) -> None:
    assert deliveries_send(now=NOW, send=channel_send) == 1
    assert receiver.titles == ["breaker_opened: openai"]
    assert receiver.messages[0]["message"].startswith("The breaker of openai opened: 5 consecutive failures.")


def test_delivered_message_is_not_sent_again(queued: AlertDelivery, receiver: Receiver) -> None:
    deliveries_send(now=NOW, send=channel_send)
    deliveries_send(now=NOW + timedelta(days=1), send=channel_send)
    assert len(receiver.messages) == 1


def test_refused_message_is_tried_again_after_a_pause(queued: AlertDelivery, receiver: Receiver) -> None:
    receiver.status = 500
    deliveries_send(now=NOW, send=channel_send)
    queued.refresh_from_db()
    assert queued.last_error == "the channel did not take the message"
    receiver.status = 200
    assert deliveries_send(now=NOW, send=channel_send) == 0
    assert deliveries_send(now=NOW + timedelta(seconds=RETRY_SECONDS), send=channel_send) == 1


def test_tries_are_bounded(queued: AlertDelivery) -> None:
    tried: list[str] = []

    def refuse(address: str, title: str, body: str) -> str:
        tried.append(title)
        return "no"

    for day in range(TRIES_MAX + 3):
        deliveries_send(now=NOW + timedelta(days=day), send=refuse)
    queued.refresh_from_db()
    assert (len(tried), queued.given_up_at) == (TRIES_MAX, NOW + timedelta(days=TRIES_MAX - 1))


def test_message_that_another_process_is_sending_is_left_to_it(queued: AlertDelivery) -> None:
    again: list[int] = []

    def meanwhile(address: str, title: str, body: str) -> None:
        again.append(deliveries_send(now=NOW, send=lambda *_: None))

    assert deliveries_send(now=NOW, send=meanwhile) == 1
    assert again == [0]


def test_message_of_a_process_that_died_while_sending_is_sent_by_another(queued: AlertDelivery) -> None:
    def die(address: str, title: str, body: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deliveries_send(now=NOW, send=die)
    assert deliveries_send(now=NOW + timedelta(seconds=CLAIM_SECONDS), send=lambda *_: None) == 1


def test_removed_channel_is_said_and_not_called(queued: AlertDelivery, receiver: Receiver) -> None:
    removed = AlertChannel.objects.get()
    removed.archive()
    removed.save()
    deliveries_send(now=NOW, send=channel_send)
    queued.refresh_from_db()
    assert (queued.last_error, receiver.messages) == ("the channel has been removed", [])


@pytest.mark.parametrize("address", ["nonsense", "nowhere://secret-token@host"])
def test_address_that_nobody_understands_is_an_error_that_does_not_repeat_it(address: str) -> None:
    assert channel_send(address, "t", "b") == "the channel's address is none that Apprise understands"


def test_secret_address_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    channel_send("json://user:secret-password@127.0.0.1:9/", "t", "b")
    assert "secret-password" not in caplog.text


def test_sweep_derives_and_delivers_in_one_go(
    transition: MakeTransition, channel: MakeChannel, receiver: Receiver
) -> None:
    channel(receiver.url)
    transition("closed>open")
    transition("half_open>closed", seconds=60)
    alerts_sweep()
    assert sorted(receiver.titles) == ["breaker_closed: openai", "breaker_opened: openai"]


def test_a_channel_that_hears_all_hears_what_a_later_release_adds() -> None:
    """Whatever the event: it asks for none of them by name."""
    channel = AlertChannel(name="ops", events=[ALL_EVENTS])
    assert all(channel.hears(event) for event in AlertEvent)


@pytest.mark.parametrize(("events", "problem"), [(["all"], None), (["all", "breaker_opened"], "stands alone")])
def test_all_stands_alone(events: list[str], problem: str | None) -> None:
    said = events_problem(events)
    assert said is None if problem is None else problem in str(said)
