"""A channel that is a real HTTP server, and breaker transitions as rows."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from gateway.models import AlertChannel, BreakerTransition

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@dataclass
class Receiver:
    """What arrived at the channel; `status` is what it answers."""

    url: str = ""
    status: int = 200
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.messages]


@contextmanager
def receiving() -> Iterator[Receiver]:
    received = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.messages.append(json.loads(body))
            self.send_response(received.status)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing on standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received.url = f"json://127.0.0.1:{server.server_port}/alerts"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as received:
        yield received


MakeChannel = Callable[..., AlertChannel]
MakeTransition = Callable[..., BreakerTransition]


@pytest.fixture
def channel(db: None) -> MakeChannel:
    def make(url: str, *, name: str = "ops", events: tuple[str, ...] = ("breaker_opened", "breaker_closed")) -> Any:
        made = AlertChannel(name=name, events=list(events))
        made.set_url(url)
        made.save()
        return made

    return make


@pytest.fixture
def transition(db: None) -> MakeTransition:
    def make(change: str, *, seconds: float = 0, provider: str = "openai") -> BreakerTransition:
        before, after = change.split(">")
        return BreakerTransition.objects.create(
            provider=provider,
            at=NOW + timedelta(seconds=seconds),
            from_state=before,
            to_state=after,
            cause="5 consecutive failures" if after == "open" else "probe succeeded",
            last_error="503 from the provider" if after == "open" else "",
        )

    return make
