"""A stream from the service to the server's edge, in virtual time, over scripted providers and a ledger that agrees."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from gateway.api.asgi import send_stream
from gateway.api.replies import EventStream
from gateway.engine.configuration import Route
from gateway.engine.errors import GatewayError
from gateway.engine.words import Operation, Wire
from gateway.ledger.prices import Price, PriceBook
from gateway.ledger.records import Intent, Opened, Settled, Settlement
from gateway.services.call import Call
from gateway.services.completion import completion_obtain
from gateway.services.snapshot import ApiKey
from gateway.services.stream_reply import StreamReply
from tests.engine.scripted import FALLBACK, PRIMARY, World, target
from tests.virtual_time import VirtualClock, loop_factories

pytest_asyncio_loop_factories = loop_factories

KEY = ApiKey(1, "agents", None, "", None, "agent", None, False, None, None, None)


@dataclass
class AgreeingLedger:
    holder = ""

    intents: list[Intent] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)

    async def open(self, intent: Intent) -> Opened:
        self.intents.append(intent)
        return Opened()

    async def settle(self, settlement: Settlement) -> Settled:
        self.settlements.append(settlement)
        return Settled()


@dataclass
class Sent:
    """What the server was told to send, each with the time."""

    messages: list[tuple[float, Any]] = field(default_factory=list)

    async def send(self, message: Any) -> None:
        self.messages.append((asyncio.get_running_loop().time(), message))

    @property
    def started_at(self) -> float | None:
        return next((at for at, message in self.messages if message["type"] == "http.response.start"), None)

    @property
    def bodies(self) -> list[tuple[float, bytes]]:
        return [(at, message["body"]) for at, message in self.messages if message.get("body")]


class Gateway:
    """One route over two scripted providers; `ask` is a streamed request, sent until its end."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ledger = AgreeingLedger()
        self.sent = Sent()
        self.background: list[asyncio.Task[Any]] = []
        self.recovery = "continue"
        self.retry = PRIMARY.retry
        self.breaking_off = False  # as the process's runtime and its handler know it

    async def ask(self, surface: Wire = Wire.OPENAI) -> GatewayError | None:
        """The error that became a status, if one did."""
        body = orjson.dumps(
            {"model": "r", "stream": True, "max_tokens": 99, "messages": [{"role": "user", "content": "Hi"}]}
        )
        operation = Operation.CHAT if surface is Wire.OPENAI else Operation.MESSAGES
        call = Call(operation, body, {}, KEY, "req-1")
        try:
            reply = await completion_obtain(self._runtime(), call)  # type: ignore[arg-type]
        except GatewayError as error:
            return error
        assert isinstance(reply, StreamReply)
        await send_stream(EventStream(reply, "req-1"), self.sent.send, lambda: self.breaking_off)
        return None

    def _runtime(self) -> Any:
        targets = (target(PRIMARY, retry=self.retry), target(FALLBACK, retry=self.retry))
        route = Route("r", targets, deadline_seconds=90, stream_recovery=self.recovery)
        prices = PriceBook(
            Price(at, each.provider.kind, each.model, Decimal(1), Decimal(1)) for at, each in enumerate(targets)
        )
        snapshot = SimpleNamespace(
            routes={"r": route}, price_book=prices, budgets=(), zone=ZoneInfo("UTC"), drills=(), providers={}
        )
        self._running = SimpleNamespace(
            snapshot=snapshot,
            ledger=self.ledger,
            engine=self.world.engine,
            clock=self.world.virtual.clock,
            in_background=self._in_background,
            breaking_off=False,
            limits=None,
        )
        return self._running

    def break_off(self, asking: asyncio.Task[Any]) -> None:
        """The drain is over."""
        self.breaking_off = self._running.breaking_off = True
        asking.cancel()

    def _in_background(self, work: Coroutine[Any, Any, Any]) -> None:
        self.background.append(asyncio.ensure_future(work))


@pytest.fixture
def virtual() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def world(virtual: VirtualClock) -> World:
    return World(virtual)


@pytest.fixture
def gateway(world: World) -> Gateway:
    return Gateway(world)
