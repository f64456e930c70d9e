"""Messages about incidents as programs see them."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from gateway.alerts.incidents import Finding, incident_open
from gateway.alerts.outbox import TRIES_MAX, deliveries_send
from gateway.models import AlertChannel, AlertDelivery
from gateway.models.words import AlertEvent
from tests.alerts.conftest import NOW
from tests.api.test_operators_access import error_of, person, staff

pytestmark = pytest.mark.django_db
PERMISSION = "change_alertdelivery"


@pytest.fixture
def message() -> AlertDelivery:
    """One that waits."""
    channel = AlertChannel(name="ops", events=["all"])
    channel.set_url("json://secret-token@127.0.0.1:9/")
    channel.save()
    finding = Finding(kind=AlertEvent.PROVIDER_AUTH_FAILED, subject="openai", message="No.", opened_at=NOW)
    incident_open(finding, now=NOW)
    return AlertDelivery.objects.get()


def tried(message: AlertDelivery, problem: str | None, *, tries_before: int = 0) -> None:
    AlertDelivery.objects.filter(pk=message.pk).update(tries=tries_before)
    deliveries_send(now=NOW, send=lambda *_: problem)


def told(api: Client, query: str = "") -> list[dict[str, Any]]:
    return list(api.get(f"/api/alert-messages{query}").json())


def test_a_message_is_told_whole_and_without_its_address(api: Client, message: AlertDelivery) -> None:
    tried(message, "HTTP 500")
    assert told(api) == [
        {
            "id": message.pk,
            "alert_id": message.alert_id,
            "event": "provider_auth_failed",
            "channel": "ops",
            "title": "provider_auth_failed: openai",
            "body": "No.",
            "state": "waiting",
            "tries": 1,
            "next_try_at": "2026-11-22T12:00:05Z",
            "delivered_at": None,
            "given_up_at": None,
            "last_error": "HTTP 500",
        }
    ]


@pytest.mark.parametrize(
    ("problem", "tries_before", "state"),
    [(None, 0, "arrived"), ("HTTP 500", 0, "waiting"), ("HTTP 500", TRIES_MAX - 1, "given_up")],
)
def test_messages_can_be_narrowed_to_what_came_of_them(
    api: Client, message: AlertDelivery, problem: str | None, tries_before: int, state: str
) -> None:
    tried(message, problem, tries_before=tries_before)
    found = {name: len(told(api, f"?state={name}")) for name in ("arrived", "waiting", "given_up")}
    assert found == {**dict.fromkeys(found, 0), state: 1}


def test_messages_can_be_narrowed_to_an_incident(api: Client, message: AlertDelivery) -> None:
    assert len(told(api, f"?alert={message.alert_id}")) == 1
    assert told(api, f"?alert={message.alert_id + 1}") == []


@pytest.mark.parametrize(
    "query", ["?state=lost", "?alert=0", "?alert=99999999999999999999", "?limit=0", "?channel=ops"]
)
def test_a_wrong_filter_is_refused(api: Client, query: str) -> None:
    assert api.get(f"/api/alert-messages{query}").status_code == 400


def test_what_was_given_up_is_sent_again_with_all_tries_before_it(api: Client, message: AlertDelivery) -> None:
    tried(message, "HTTP 500", tries_before=TRIES_MAX - 1)
    answer = api.post(f"/api/alert-messages/{message.pk}/retry").json()
    assert (answer["state"], answer["tries"], answer["given_up_at"]) == ("waiting", 0, None)


def test_what_has_arrived_is_not_sent_again(api: Client, message: AlertDelivery) -> None:
    tried(message, None)
    assert api.post(f"/api/alert-messages/{message.pk}/retry").json()["state"] == "arrived"
    message.refresh_from_db()
    assert message.tries == 1


@pytest.mark.parametrize("message_id", ["0", "77", "99999999999999999999"])
def test_a_message_that_is_not_there_is_a_404(api: Client, message_id: str) -> None:
    response = api.post(f"/api/alert-messages/{message_id}/retry")
    assert response.status_code == 404
    assert "GET /api/alert-messages lists them" in error_of(response)["message"]


def test_sending_again_needs_its_permission(message: AlertDelivery) -> None:
    path = f"/api/alert-messages/{message.pk}/retry"
    refused = person(staff("reader", "view_completion"), csrf=False).post(path)
    assert refused.status_code == 403
    assert f"gateway.{PERMISSION}" in error_of(refused)["message"]
    assert person(staff("operator", "view_completion", PERMISSION), csrf=False).post(path).status_code == 200
