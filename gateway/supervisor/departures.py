"""Telling the application that a client has left, without its asking.

ASGI's way, a message to whoever waits for one, costs the application a task for each request. Beside it, the scope's
extension `llmops.when_gone` takes a function that is called when the client leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.supervisor.upgrades import OfferIgnoringProtocol

WHEN_GONE = "llmops.when_gone"


class DepartureTellingProtocol(OfferIgnoringProtocol):
    """Whatever its client has asked, one request at a time is being answered, so there is one to be told."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connected = True
        self._tell_gone: Callable[[], None] | None = None
        self.extensions: dict[str, Any] = {}  # of the request that is being read

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.extensions = {WHEN_GONE: self._when_gone}
        self.scope["extensions"] = self.extensions

    def connection_lost(self, exc: Exception | None) -> None:
        self._connected = False
        super().connection_lost(exc)
        tell, self._tell_gone = self._tell_gone, None
        if tell is not None:
            tell()

    def _when_gone(self, act: Callable[[], None] | None) -> bool:
        """Have `act` called once when the client leaves; None takes it back. False, and no call: it has left before."""
        if act is None:
            self._tell_gone = None
        elif self._connected:
            self._tell_gone = act
            self.flow.resume_reading()  # a connection that isn't read doesn't tell its end
        return self._connected
