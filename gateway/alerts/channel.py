"""Checks addresses and sends messages with Apprise. Addresses hold secrets: they appear in no text and no log."""

from __future__ import annotations

import logging
from difflib import get_close_matches
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

WEBHOOKS = {"http": "json", "https": "jsons"}  # what Apprise calls a JSON message posted to an address


def channel_send(address: str, title: str, body: str) -> str | None:
    """What went wrong, as a sentence, or None. Apprise tells failure by a falsy result instead of an exception."""
    messenger = _apprise().Apprise()
    if not _add(messenger, address):
        return "the channel's address is none that Apprise understands"
    try:
        arrived = messenger.notify(title=title, body=body)
    except Exception as error:
        return f"sending failed: {type(error).__name__}"
    return None if arrived else "the channel did not take the message"


def address_problem(address: str) -> str | None:
    """Why nothing could ever be sent there, as the end of a sentence that doesn't repeat it, or None. Asks nobody."""
    apprise = _apprise()
    if _add(apprise.Apprise(), address):
        return None
    scheme = urlsplit(address).scheme.lower()
    known = [*WEBHOOKS, *sorted(apprise.NotificationManager().schemas())]
    if scheme in known:
        return f"lacks something that {scheme}:// needs, or that kind can't be used on this machine; see Apprise's wiki"
    nearest = get_close_matches(scheme, known, n=1)
    hint = f"the nearest is {nearest[0]}://" if nearest else "known are https://, mailto://, slack:// and others"
    return f"begins with a scheme that Apprise doesn't know; {hint}"


def _apprise() -> Any:
    import apprise  # here, because it takes a second to import and most processes never send anything

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it would log addresses
    return apprise


def _add(messenger: Any, address: str) -> bool:
    return bool(messenger.add(address) or messenger.add(webhook(address)))


def webhook(address: str) -> str:
    """An ordinary web address as Apprise wants it, the query kept; any other comes back as it is.

    For addresses that are none of a service Apprise knows: those of Slack or Discord it takes as they are.
    """
    parts = urlsplit(address)
    scheme = WEBHOOKS.get(parts.scheme.lower(), parts.scheme)
    query = urlencode([(f"-{name}", value) for name, value in parse_qsl(parts.query, keep_blank_values=True)])
    return urlunsplit(parts._replace(scheme=scheme, query=query)) if scheme != parts.scheme else address
