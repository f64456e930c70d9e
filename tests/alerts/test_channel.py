"""Where a message goes for an address that is no service's own."""

from __future__ import annotations

import pytest

from gateway.alerts.channel import channel_send, webhook
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
