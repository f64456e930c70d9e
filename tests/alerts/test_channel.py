"""Where a message goes for an address that is no service's own."""

from __future__ import annotations

import pytest

from gateway.alerts.channel import address_problem, channel_send, webhook
from tests.alerts.conftest import Receiver


def test_ordinary_web_address_is_a_webhook(receiver: Receiver) -> None:
    assert channel_send(receiver.url.replace("json://", "http://"), "title", "body") is None
    assert receiver.titles == ["title"]


def test_address_that_nobody_understands_is_said(receiver: Receiver) -> None:
    assert channel_send("pigeon://roof/3", "title", "body") == "the channel's address is none that Apprise understands"


@pytest.mark.parametrize(
    ("address", "known"),
    [
        ("http://host.test/a%20b", "json://host.test/a%20b"),
        ("https://me:word@host.test:9/x?token=a%26b&empty=", "jsons://me:word@host.test:9/x?-token=a%26b&-empty="),
        ("mailto://host.test?name=x", "mailto://host.test?name=x"),
    ],
)
def test_web_address_keeps_its_account_path_and_query(address: str, known: str) -> None:
    assert webhook(address) == known


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("slak://token-of-ours/x", "the nearest is slack://"),
        ("htps://hooks.test/token-of-ours", "the nearest is https://"),
        ("MAILT0://me:token-of-ours@host.test", "the nearest is mailto://"),
        ("quagga://token-of-ours", "known are https://, mailto://, slack:// and others"),
        ("slack://token-of-ours", "lacks something that slack:// needs"),
        ("https://", "lacks something that https:// needs"),
    ],
)
def test_address_that_can_never_be_sent_to_is_told_with_what_would_be_right(address: str, words: str) -> None:
    problem = address_problem(address) or ""
    assert words in problem
    assert "token-of-ours" not in problem


@pytest.mark.parametrize(
    "address",
    [
        "json://127.0.0.1:9/alerts",
        "http://127.0.0.1:9/alerts",
        "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "mailto://me:word@host.test",
        "SLACK://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops",
    ],
)
def test_address_of_a_webhook_or_of_a_known_service_is_no_problem(address: str) -> None:
    assert address_problem(address) is None
