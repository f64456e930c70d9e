"""Sends one message through Apprise. Its addresses hold secrets: they appear in no text and no log."""

from __future__ import annotations

import logging
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

WEBHOOKS = {"http": "json", "https": "jsons"}  # what Apprise calls a JSON message posted to an address


def channel_send(address: str, title: str, body: str) -> str | None:
    """What went wrong, as a sentence, or None. Apprise tells failure by a falsy result instead of an exception."""
    import apprise  # here, because it takes a second to import and most processes never send anything

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it would log addresses
    messenger = apprise.Apprise()
    if not messenger.add(address) and not messenger.add(webhook(address)):
        return "the channel's address is none that Apprise understands"
    try:
        arrived = messenger.notify(title=title, body=body)
    except Exception as error:
        return f"sending failed: {type(error).__name__}"
    return None if arrived else "the channel did not take the message"


def webhook(address: str) -> str:
    """An ordinary web address as Apprise wants it, the query kept; any other comes back as it is.

    For addresses that are none of a service Apprise knows: those of Slack or Discord it takes as they are.
    """
    parts = urlsplit(address)
    scheme = WEBHOOKS.get(parts.scheme.lower(), parts.scheme)
    query = urlencode([(f"-{name}", value) for name, value in parse_qsl(parts.query, keep_blank_values=True)])
    return urlunsplit(parts._replace(scheme=scheme, query=query)) if scheme != parts.scheme else address
