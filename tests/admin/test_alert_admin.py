"""Incidents, messages and channels in the back office, and on its first page."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from gateway.alerts.incidents import Finding, incident_open
from gateway.models import Alert, AlertChannel, AlertDelivery
from gateway.models.words import AlertEvent
from tests.alerts.conftest import Receiver, receiver  # noqa: F401 - a fixture
from tests.selectors.rows import add_provider

pytestmark = pytest.mark.django_db


def channel(url: str = "json://user:hidden-word@127.0.0.1:9/") -> AlertChannel:
    row = AlertChannel(name="ops", events=list(AlertEvent))
    row.set_url(url)
    row.save()
    return row


def opened() -> Alert:
    now = timezone.now()
    finding = Finding(
        kind=AlertEvent.PROVIDER_AUTH_FAILED, subject="openai", message="No.", opened_at=now, link="provider openai"
    )
    incident_open(finding, now=now)
    return Alert.objects.get()


def act(client: Client, model: str, action: str, pk: int) -> str:
    address = f"/admin/gateway/{model}/"
    return client.post(address, {"action": action, "_selected_action": [pk]}, follow=True).content.decode()


def test_an_incident_is_acknowledged_from_the_list(admin_client: Client) -> None:
    alert = opened()
    assert "1 acknowledged." in act(admin_client, "alert", "acknowledge", alert.pk)
    alert.refresh_from_db()
    assert (alert.acknowledged_by, alert.closed_at) == ("admin", None)


def test_an_incident_is_acknowledged_on_its_page_with_a_note(admin_client: Client) -> None:
    alert = opened()
    address = f"/admin/gateway/alert/{alert.pk}/acknowledge/"
    assert address in admin_client.get(f"/admin/gateway/alert/{alert.pk}/change/").content.decode()
    assert "admin sees to it." in admin_client.post(address, {"note": "new key ordered"}, follow=True).content.decode()
    alert.refresh_from_db()
    assert (alert.acknowledged_by, alert.note) == ("admin", "new key ordered")


def test_opening_the_page_that_asks_acknowledges_nothing(admin_client: Client) -> None:
    alert = opened()
    assert "you see to it" in admin_client.get(f"/admin/gateway/alert/{alert.pk}/acknowledge/").content.decode()
    alert.refresh_from_db()
    assert alert.acknowledged_at is None


def test_an_acknowledged_incident_offers_no_second_acknowledgement(admin_client: Client) -> None:
    alert = opened()
    act(admin_client, "alert", "acknowledge", alert.pk)
    page = admin_client.get(f"/admin/gateway/alert/{alert.pk}/change/").content.decode()
    assert f"/admin/gateway/alert/{alert.pk}/acknowledge/" not in page


def test_incidents_and_messages_are_read_only(admin_client: Client) -> None:
    channel()
    alert = opened()
    for page in (f"alert/{alert.pk}", f"alertdelivery/{AlertDelivery.objects.get().pk}"):
        assert 'name="_save"' not in admin_client.get(f"/admin/gateway/{page}/change/").content.decode()


def test_a_message_that_was_given_up_is_sent_again_on_request(admin_client: Client) -> None:
    channel()
    opened()
    AlertDelivery.objects.update(tries=8, given_up_at=timezone.now(), last_error="the channel did not take the message")
    delivery = AlertDelivery.objects.get()
    assert "1 will be sent within seconds." in act(admin_client, "alertdelivery", "retry", delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.given_up_at, delivery.tries) == (None, 0)


def test_a_message_is_sent_again_from_its_page_after_a_question(admin_client: Client) -> None:
    channel()
    opened()
    AlertDelivery.objects.update(tries=8, given_up_at=timezone.now())
    delivery = AlertDelivery.objects.get()
    address = f"/admin/gateway/alertdelivery/{delivery.pk}/retry/"
    assert address in admin_client.get(f"/admin/gateway/alertdelivery/{delivery.pk}/change/").content.decode()
    assert "Try again now" in admin_client.get(address).content.decode()
    delivery.refresh_from_db()
    assert delivery.tries == 8
    page = admin_client.post(address, {"confirmed": "yes"}, follow=True).content.decode()
    assert "1 will be sent within seconds." in page


def test_a_message_that_arrived_offers_no_second_sending(admin_client: Client) -> None:
    channel()
    opened()
    AlertDelivery.objects.update(delivered_at=timezone.now())
    pk = AlertDelivery.objects.get().pk
    assert "/retry/" not in admin_client.get(f"/admin/gateway/alertdelivery/{pk}/change/").content.decode()


def test_the_history_of_messages_never_shows_the_address(admin_client: Client) -> None:
    channel()
    opened()
    page = admin_client.get("/admin/gateway/alertdelivery/").content.decode()
    assert "provider_auth_failed: openai" in page
    assert "hidden-word" not in page


def test_a_test_is_sent_only_after_a_question(admin_client: Client, receiver: Receiver) -> None:  # noqa: F811
    address = f"/admin/gateway/alertchannel/{channel(receiver.url).pk}/send-test/"
    assert "Send the test" in admin_client.get(address, follow=True).content.decode()
    assert receiver.titles == []
    assert "ops took the test message." in admin_client.post(address, follow=True).content.decode()
    assert receiver.titles == ["test: ops"]


def test_a_failed_test_says_why(admin_client: Client, receiver: Receiver) -> None:  # noqa: F811
    receiver.status = 500
    page = act(admin_client, "alertchannel", "send_test", channel(receiver.url).pk)
    assert "The test did not reach ops: the channel did not take the message." in page


def test_the_first_page_shows_what_is_open_with_a_link_to_it(admin_client: Client) -> None:
    add_provider("openai")
    opened()
    page = admin_client.get("/").content.decode()
    assert "Needs attention" in page
    assert 'href="/providers/openai/">openai</a>' in page


def test_the_first_page_tells_of_messages_that_never_arrived(admin_client: Client) -> None:
    channel()
    opened()
    AlertDelivery.objects.update(given_up_at=timezone.now() - timedelta(hours=1))
    assert "1 alert message could not be delivered to ops" in admin_client.get("/").content.decode()


def test_the_first_page_is_quiet_when_nothing_is_open(admin_client: Client) -> None:
    assert "All is well" in admin_client.get("/").content.decode()


def test_a_mistyped_scheme_is_told_in_the_form_and_nothing_is_kept(admin_client: Client) -> None:
    values = {"name": "ops", "url": "slak://hidden-word/x", "events": ["all"]}
    page = admin_client.post("/admin/gateway/alertchannel/add/", values).content.decode()
    assert "the nearest is slack://" in page
    assert "hidden-word" not in page
    assert not AlertChannel.objects.exists()
