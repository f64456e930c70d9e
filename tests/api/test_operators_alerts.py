"""Incidents and channel tests as programs see them."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from gateway.alerts.incidents import Finding, incident_close, incident_open
from gateway.models import Alert, AlertChannel
from gateway.models.words import AlertEvent
from tests.alerts.conftest import NOW, Receiver, receiver  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db


def opened(subject: str = "openai", kind: AlertEvent = AlertEvent.PROVIDER_AUTH_FAILED) -> Alert:
    incident_open(Finding(kind=kind, subject=subject, message="No.", opened_at=NOW, link="provider openai"), now=NOW)
    return Alert.objects.get(subject=subject)


def subjects(api: Client, query: str = "") -> list[str]:
    return [row["subject"] for row in api.get(f"/api/alerts{query}").json()]


def test_an_incident_is_told_whole(api: Client) -> None:
    alert = opened()
    assert api.get("/api/alerts").json() == [
        {
            "id": alert.pk,
            "kind": "provider_auth_failed",
            "subject": "openai",
            "message": "No.",
            "opened_at": "2026-11-22T12:00:00Z",
            "closed_at": None,
            "acknowledged_at": None,
            "acknowledged_by": "",
            "note": "",
            "about": "provider openai",
        }
    ]


def test_incidents_can_be_narrowed(api: Client) -> None:
    incident_close(opened("over"), at=NOW, now=NOW)
    opened("there")
    opened("spool", AlertEvent.LEDGER_SPOOL)
    assert subjects(api) == ["spool", "there", "over"]
    assert subjects(api, "?open=true") == ["spool", "there"]
    assert subjects(api, "?kind=ledger_spool") == ["spool"]
    assert subjects(api, "?limit=1") == ["spool"]


@pytest.mark.parametrize("query", ["?kind=nonsense", "?limit=0", "?state=open"])
def test_a_wrong_filter_is_refused(api: Client, query: str) -> None:
    assert api.get(f"/api/alerts{query}").status_code == 400


def acknowledge(api: Client, alert_id: int, body: Any) -> Any:
    return api.post(f"/api/alerts/{alert_id}/acknowledge", body, content_type="application/json")


def test_the_first_acknowledgement_stays(api: Client) -> None:
    alert = opened()
    assert acknowledge(api, alert.pk, {"note": "on it"}).json()["acknowledged_by"] == "API key ops"
    assert acknowledge(api, alert.pk, {"note": "me too"}).json()["note"] == "on it"


@pytest.mark.parametrize(
    ("body", "status"), [({"note": "x" * 501}, 400), ({"noted": "x"}, 400), ({}, 200)], ids=["long", "unknown", "none"]
)
def test_a_note_is_optional_and_bounded(api: Client, body: Any, status: int) -> None:
    assert acknowledge(api, opened().pk, body).status_code == status


@pytest.mark.parametrize("alert_id", [0, 999_999, 2**70])
def test_an_unknown_incident_is_a_404(api: Client, alert_id: int) -> None:
    assert acknowledge(api, alert_id, {}).status_code == 404


def channel(url: str) -> None:
    row = AlertChannel(name="ops", events=["breaker_opened"])
    row.set_url(url)
    row.save()


def test_a_test_message_is_sent_now(api: Client, receiver: Receiver) -> None:  # noqa: F811
    channel(receiver.url)
    answer = api.post("/api/alert-channels/ops/test").json()
    assert answer == {"channel": "ops", "arrived": True, "words": "The channel took the message."}
    assert receiver.titles == ["test: ops"]


def test_a_failed_test_says_so_without_the_address(api: Client, receiver: Receiver) -> None:  # noqa: F811
    receiver.status = 500
    channel(f"{receiver.url}?token=secret")
    answer = api.post("/api/alert-channels/ops/test")
    assert answer.json()["words"] == "It did not arrive: the channel did not take the message."
    assert "secret" not in answer.content.decode()


def test_an_unknown_channel_is_told_the_known_ones(api: Client) -> None:
    channel("json://127.0.0.1:9/")
    answer = api.post("/api/alert-channels/nobody/test")
    assert (answer.status_code, "There are: ops." in answer.json()["error"]["message"]) == (404, True)
