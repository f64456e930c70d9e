"""The simulator: both providers and the control endpoint on one port."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from gateway.simulator.anthropic_batches import AnthropicBatches
from gateway.simulator.anthropic_wire import AnthropicWire
from gateway.simulator.batches import BATCH_SECONDS, BatchBooks
from gateway.simulator.bill import Bill
from gateway.simulator.control import Control
from gateway.simulator.delivery import Books, Delivery, Faults
from gateway.simulator.errors import WireError
from gateway.simulator.faults import FaultBook, FaultKind
from gateway.simulator.http import IDLE_SECONDS, Connection, Request
from gateway.simulator.log import LogRow, RequestLog
from gateway.simulator.openai_batches import OpenAIBatches
from gateway.simulator.openai_embeddings import EmbeddingsWire
from gateway.simulator.openai_responses import ResponsesWire
from gateway.simulator.openai_wire import OpenAIWire
from gateway.simulator.reply import Reply

logger = logging.getLogger(__name__)

_SWEEP_SECONDS = 15.0
_BACKLOG = 2048
_JSON = b"content-type: application/json\r\n"
_PREFIXES = {"/openai/v1/": "openai", "/anthropic/v1/": "anthropic"}
_WITHHELD = (FaultKind.STATUS, FaultKind.RESET)
_SUFFIX_CHARACTERS = 4
_LEAST_KEY_CHARACTERS = 12  # shorter keys show nothing, since a suffix would be much of them


class Wire(Protocol):
    """One endpoint of a provider: `OpenAIWire`, `ResponsesWire`, `EmbeddingsWire`, `AnthropicWire`. ``name`` is the
    provider's.
    """

    name: str

    def reset(self) -> None: ...
    def key(self, headers: Any) -> str: ...
    def authenticate(self, headers: Any) -> None: ...
    def parse(self, raw: bytes) -> dict[str, Any]: ...
    def tag(self, body: Any) -> str | None: ...
    def prepare(self, body: dict[str, Any], raw: bytes, headers: Any) -> Reply: ...
    def count_tokens(self, body: dict[str, Any], headers: Any) -> bytes: ...
    def error(self, error: WireError) -> tuple[bytes, bytes]: ...
    def models(self) -> bytes: ...
    def model(self, name: str) -> bytes: ...


class Simulator:
    """A server to start and stop in an event loop.

    ``log``, ``bill``, ``faults`` and ``reset`` may be used from any thread.

    Time is told by ``clock`` (monotonic seconds) and passed by ``sleep``; ``seed`` begins the draw of faults'
    shares. With port 0 the system chooses one, shown by ``url`` after `start`.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        seed: int = 0,
        max_log_rows: int = 100_000,
        batch_seconds: float = BATCH_SECONDS,
    ) -> None:
        self._host = host
        self._port = port
        self._clock = clock
        self.log = RequestLog(max_rows=max_log_rows)
        self.faults = FaultBook(clock=clock, seed=seed)
        self._bill = Bill()
        self._books = Books(self.log, self._bill, clock, sleep)
        self._wires: dict[str, Wire] = {
            "openai": OpenAIWire(clock),
            "responses": ResponsesWire(clock),
            "embeddings": EmbeddingsWire(clock),
            "anthropic": AnthropicWire(clock),
        }
        self.batches = BatchBooks(self._bill, self.faults, clock, batch_seconds)
        endpoints = {
            "/v1/chat/completions": self._wires["openai"],
            "/v1/responses": self._wires["responses"],
            "/v1/embeddings": self._wires["embeddings"],
        }
        self._desks: dict[str, OpenAIBatches | AnthropicBatches] = {
            "openai": OpenAIBatches(self.batches, endpoints),
            "anthropic": AnthropicBatches(self.batches, self._wires["anthropic"]),
        }
        self._control = Control(self)
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._handle, self._connections, loop),
            self._host,
            self._port,
            backlog=_BACKLOG,
        )
        self._port = self._server.sockets[0].getsockname()[1]
        self._sweep(loop)

    async def stop(self) -> None:
        """Stop listening and end what is under way."""
        if self._server is None:
            return
        self._server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        open_connections = list(self._connections)
        for connection in open_connections:
            connection.close()
        tasks = [connection.task for connection in open_connections if connection.task is not None]
        await asyncio.sleep(0)  # a task just made gets its first step, so that it can enter its own end
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._server = None
        await asyncio.sleep(0)

    @property
    def url(self) -> str:
        """``http://host:port``; base URLs are this with ``/openai/v1`` and with ``/anthropic``."""
        return f"http://{self._host}:{self._port}"

    def bill(self) -> Bill:
        return self._bill

    def reset(self) -> None:
        """No faults, an empty log and bill, cold prompt caches."""
        self.faults.clear()
        self.log.clear()
        self._bill.clear()
        for wire in self._wires.values():
            wire.reset()
        for desk in self._desks.values():
            desk.clear()
        self.batches.charged.clear()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        moment = loop.time() - IDLE_SECONDS
        for connection in [one for one in self._connections if one.idle_since(moment)]:
            connection.close()
        self._sweeper = loop.call_later(_SWEEP_SECONDS, self._sweep, loop)

    def _handle(self, request: Request, connection: Connection) -> Coroutine[Any, Any, None] | None:
        if request.path.startswith("/control/"):
            status, body = self._control.handle(request)
            connection.respond(status, body, _JSON)
            return None
        endpoint, operation = _route(request)
        wire = self._wires[endpoint]
        row = self._open_row(request, wire)
        delivery = Delivery(self._books, wire, row, connection)
        try:
            return self._serve(request, operation, wire, row, delivery)
        except WireError as error:
            delivery.refuse(error)
        except Exception:
            logger.exception("simulator: %s %s failed", request.method, request.path)
            delivery.refuse(WireError(500, "api_error", "The simulator failed; its log says why."))
        return None

    def _open_row(self, request: Request, wire: Wire) -> LogRow:
        key = wire.key(request.headers)
        suffix = key[-_SUFFIX_CHARACTERS:] if len(key) >= _LEAST_KEY_CHARACTERS else ""

        def make(seq: int) -> LogRow:
            return LogRow(seq, wire.name, request.method, request.path, time.time(), self._clock(), suffix)

        return self.log.open(make, request.headers, request.body)

    def _serve(
        self, request: Request, operation: str, wire: Wire, row: LogRow, delivery: Delivery
    ) -> Coroutine[Any, Any, None] | None:
        wire.authenticate(request.headers)
        if request.too_large:
            raise _too_large(wire)
        if _is_batch(operation, wire.name):
            return self._serve_batches(request, operation, wire, row, delivery)
        if request.method in ("GET", "DELETE"):
            return self._serve_document(request, operation, wire, row, delivery)
        if operation not in ("complete", "count_tokens") or request.method != "POST":
            raise _unknown(request, wire)
        body = wire.parse(request.body)
        row.model = body["model"] if isinstance(body.get("model"), str) else ""
        row.stream = body.get("stream") is True
        faults = self._faults(request, wire, row, wire.tag(body))
        if any(kind in faults for kind in _WITHHELD):
            return delivery.withhold(faults, _reply_if_billed(faults, wire, body, request))
        if operation == "count_tokens":
            delivery.document(wire.count_tokens(body, request.headers), _JSON)
            return None
        reply = wire.prepare(body, request.body, request.headers)
        if faults or reply.stream:
            return delivery.deliver(reply, faults)
        delivery.answer(reply)
        return None

    def _serve_document(
        self, request: Request, operation: str, wire: Wire, row: LogRow, delivery: Delivery
    ) -> Coroutine[Any, Any, None] | None:
        faults = self._faults(request, wire, row, None)
        if any(kind in faults for kind in _WITHHELD):
            return delivery.withhold(faults, None)
        body = _document(request.method, operation, wire)
        if body is None:
            raise _unknown(request, wire)
        delivery.document(body, _JSON)
        return None

    def _serve_batches(
        self, request: Request, operation: str, wire: Wire, row: LogRow, delivery: Delivery
    ) -> Coroutine[Any, Any, None] | None:
        """Files and batches. With the fault `cut` the act is done, and nobody is told."""
        faults = self._faults(request, wire, row, None)
        if any(kind in faults for kind in _WITHHELD):
            return delivery.withhold(faults, None)
        body = self._desks[wire.name].serve(request, operation, faults)
        if body is None:
            raise _unknown(request, wire)
        if FaultKind.CUT in faults:
            return delivery.withhold({FaultKind.RESET: faults[FaultKind.CUT]}, None)
        delivery.document(body, _JSON)
        return None

    def _faults(self, request: Request, wire: Wire, row: LogRow, tag: str | None) -> Faults:
        faults = self.faults.match(wire.name, row.model, request.headers, tag)
        if faults:
            row.fault = ",".join(faults)
        return faults


def _document(method: str, operation: str, wire: Wire) -> bytes | None:
    """What is there to be shown or deleted without being billed; nothing where there is no such place."""
    kind, _, name = operation.partition("/")
    if "/" in name:
        return None
    if kind == "responses" and name and isinstance(wire, ResponsesWire):
        return wire.delete(name) if method == "DELETE" else wire.retrieve(name)
    if method != "GET" or kind != "models":
        return None
    return wire.model(name) if name else wire.models()


def _reply_if_billed(faults: Faults, wire: Wire, body: dict[str, Any], request: Request) -> Reply | None:
    if any(fault.billed for fault in faults.values()):
        return wire.prepare(body, request.body, request.headers)
    return None


_OPERATIONS = {
    ("openai", "chat/completions"): ("openai", "complete"),
    ("openai", "responses"): ("responses", "complete"),
    ("openai", "embeddings"): ("embeddings", "complete"),
    ("anthropic", "messages"): ("anthropic", "complete"),
    ("anthropic", "messages/count_tokens"): ("anthropic", "count_tokens"),
}
_OPENAI_ONLY = ("chat/completions", "responses", "embeddings")
_BATCH_PLACES = {"openai": ("files", "batches"), "anthropic": ("messages/batches",)}


def _route(request: Request) -> tuple[str, str]:
    """Which wire, and the operation (``complete``, ``count_tokens``, ``models``, ``models/{id}``, ``responses/{id}``,
    else the path as it is).
    """
    path = request.path
    for prefix, provider in _PREFIXES.items():
        if path.startswith(prefix):
            return _operation(provider, path[len(prefix) :])
    rest = path.removeprefix("/v1/")
    anthropic = rest.startswith("messages") or "anthropic-version" in request.headers
    openai_only = rest in _OPENAI_ONLY or rest.startswith("responses/")
    return _operation("anthropic" if anthropic and not openai_only else "openai", rest)


def _operation(provider: str, rest: str) -> tuple[str, str]:
    if provider == "openai" and rest.startswith("responses/"):
        return "responses", rest
    return _OPERATIONS.get((provider, rest), (provider, rest))


def _is_batch(operation: str, provider: str) -> bool:
    places = _BATCH_PLACES.get(provider, ())
    return any(operation == place or operation.startswith(f"{place}/") for place in places)


def _unknown(request: Request, wire: Wire) -> WireError:
    if wire.name == "anthropic":
        return WireError(404, "not_found_error", "Not Found")
    return WireError(
        404,
        "invalid_request_error",
        f"Unknown request URL: {request.method} {request.path}. Please check the URL for typos, or see the "
        f"docs at "
        "https://platform.openai.com/docs/api-reference/.",
        code="unknown_url",
    )


def _too_large(wire: Wire) -> WireError:
    kind = "request_too_large" if wire.name == "anthropic" else "invalid_request_error"
    return WireError(413, kind, "Request exceeds the maximum size")
