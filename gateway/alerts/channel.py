"""Sends one message through Apprise. Its addresses hold secrets: they appear in no text and no log."""

from __future__ import annotations

import logging


def channel_send(address: str, title: str, body: str) -> str | None:
    """What went wrong, as a sentence, or None. Apprise tells failure by a falsy result instead of an exception."""
    import apprise  # here, because it takes a second to import and most processes never send anything

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it would log addresses
    messenger = apprise.Apprise()
    if not messenger.add(address):
        return "the channel's address is none that Apprise understands"
    try:
        arrived = messenger.notify(title=title, body=body)
    except Exception as error:
        return f"sending failed: {type(error).__name__}"
    return None if arrived else "the channel did not take the message"
