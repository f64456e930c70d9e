"""Carries a reply to the client, with the faults that hit it, and enters in log and bill how it ended.

What is billed: an answered plain request whole; a stream as far as it was generated, with its input; a
request that hangs its input; errors, resets, empty bodies and foreign pages nothing, unless the fault says
``billed``. Log and bill are written before a reply's last bytes, so whoever has read the reply finds it
there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.simulator.bill import Bill
from gateway.simulator.errors import WireError
from gateway.simulator.fault_errors import event_error, status_error
from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.http import Connection
from gateway.simulator.log import BROKEN, DISCONNECTED, FINISHED, LogRow, RequestLog
from gateway.simulator.reply import Event, Part, Reply

Faults = Mapping[FaultKind, Fault]

# How many events go out before other connections get their turn and a departed client is noticed.
_EVENTS_PER_TURN = 8
_HTML = (
    b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head>"
    b"<body><h1>Bad gateway</h1><p>The web server reported a bad gateway error.</p></body></html>"
)


class ErrorShape(Protocol):
    """The part of a wire that delivery needs."""

    name: str

    def error(self, error: WireError) -> tuple[bytes, bytes]: ...


@dataclass(frozen=True, slots=True)
class Books:
    """Where deliveries are entered, and the time they are told."""

    log: RequestLog
    bill: Bill
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[object]]


class Delivery:
    """One request's way back."""

    __slots__ = ("_books", "_connection", "_generated", "_row", "_wire")

    def __init__(self, books: Books, wire: ErrorShape, row: LogRow, connection: Connection) -> None:
        self._books = books
        self._wire = wire
        self._row = row
        self._connection = connection
        self._generated = 0

    # --- at once

    def refuse(self, error: WireError) -> None:
        headers, body = self._wire.error(error)
        self._row.status = error.status
        self._close(FINISHED)
        self._connection.respond(error.status, body, headers)

    def document(self, body: bytes, headers: bytes) -> None:
        """A reply that costs nothing: a model list, a token count."""
        self._row.status = 200
        self._close(FINISHED)
        self._connection.respond(200, body, headers)

    def answer(self, reply: Reply) -> None:
        """A plain answer, whole."""
        self._row.status = 200
        self._charge(reply, reply.usage.output_tokens)
        self._close(FINISHED)
        self._connection.respond(200, reply.plain(True), reply.headers)

    # --- with waits

    async def withhold(self, faults: Faults, reply: Reply | None) -> None:
        """The faults that need no answer: an error status, after its delay, or a reset."""
        try:
            await self._slow_headers(faults)
        except asyncio.CancelledError:
            self._close(DISCONNECTED)
            raise
        fault = faults.get(FaultKind.RESET) or faults[FaultKind.STATUS]
        if fault.billed and reply is not None:
            self._charge(reply, reply.usage.output_tokens)
        if FaultKind.RESET in faults:
            self._close(BROKEN)
            self._connection.reset()
        else:
            self.refuse(status_error(self._wire.name, fault))

    async def deliver(self, reply: Reply, faults: Faults) -> None:
        """An answer, with its faults."""
        try:
            if not reply.stream:
                self._generated = reply.usage.output_tokens
            if FaultKind.HANG in faults:
                self._generated = 0
                await _forever()
            await self._slow_headers(faults)
            if FaultKind.EMPTY_BODY in faults or FaultKind.WRONG_CONTENT_TYPE in faults:
                self._foreign(reply, faults)
            elif reply.stream:
                await self._stream(reply, faults)
            else:
                await self._plain(reply, faults)
        except asyncio.CancelledError:
            self._finish(reply, DISCONNECTED)
            raise
        except Exception:
            self._finish(reply, BROKEN)
            raise

    async def _slow_headers(self, faults: Faults) -> None:
        if FaultKind.SLOW_HEADERS in faults:
            await self._books.sleep(faults[FaultKind.SLOW_HEADERS].seconds)

    def _foreign(self, reply: Reply, faults: Faults) -> None:
        """What a proxy in front of the provider answers when it breaks."""
        self._row.status = 200
        fault = faults.get(FaultKind.EMPTY_BODY) or faults[FaultKind.WRONG_CONTENT_TYPE]
        if fault.billed:
            self._charge(reply, reply.usage.output_tokens)
        self._close(BROKEN)
        if FaultKind.EMPTY_BODY in faults:
            self._connection.respond(200, b"", reply.headers)
        else:
            self._connection.respond(200, _HTML, b"content-type: text/html; charset=utf-8\r\n")

    async def _plain(self, reply: Reply, faults: Faults) -> None:
        await self._generate_slowly(reply, faults)
        body = reply.plain(FaultKind.NO_USAGE not in faults)
        self._row.status = 200
        if FaultKind.CUT in faults:
            self._finish(reply, BROKEN)
            self._connection.respond_partly(body[: len(body) // 2], len(body) - len(body) // 2, reply.headers)
        elif FaultKind.STALL in faults:
            self._connection.begin(reply.headers)
            self._connection.chunk(body[: len(body) // 2])
            await _forever()
        elif FaultKind.MALFORMED_CHUNK in faults:
            self._finish(reply, BROKEN)
            self._connection.respond(200, body[: len(body) // 2], reply.headers)
        else:
            self._finish(reply, FINISHED)
            self._connection.respond(200, body, reply.headers)

    async def _generate_slowly(self, reply: Reply, faults: Faults) -> None:
        if FaultKind.SLOW_FIRST_TOKEN in faults:
            self._generated = 0
            await self._books.sleep(faults[FaultKind.SLOW_FIRST_TOKEN].seconds)
        if FaultKind.SLOW_TOKENS in faults:
            for done in range(reply.usage.output_tokens):
                self._generated = done
                await self._books.sleep(faults[FaultKind.SLOW_TOKENS].seconds)
        self._generated = reply.usage.output_tokens

    async def _stream(self, reply: Reply, faults: Faults) -> None:
        self._row.status = 200
        self._connection.begin(reply.headers)
        troubles = _Troubles(faults)
        for sent, event in enumerate(reply.events(FaultKind.NO_USAGE not in faults), start=1):
            if troubles and event.part is not Part.START and await self._trouble(troubles, event, reply, faults):
                return
            if event.part is Part.END:
                self._finish(reply, FINISHED)
            self._generated += event.tokens
            if not troubles.drops(event):
                self._connection.chunk(event.data)
            if sent % _EVENTS_PER_TURN == 0:
                await asyncio.sleep(0)
                await self._connection.drain()
        self._connection.end()

    async def _trouble(self, troubles: "_Troubles", event: Event, reply: Reply, faults: Faults) -> bool:
        """What happens before this event; whether it was the end."""
        if event.part is Part.TOKEN:
            await self._pause(troubles, faults)
        due = troubles.due(self._generated, event)
        if due is FaultKind.MALFORMED_CHUNK:
            self._connection.chunk(reply.malformed_event)
        elif due is FaultKind.STALL:
            await _forever()
        elif due is FaultKind.CUT:
            self._finish(reply, BROKEN)
            self._connection.close()
            return True
        elif due is FaultKind.ERROR_EVENT:
            self._finish(reply, BROKEN)
            self._connection.chunk(reply.failure(event_error(self._wire.name, faults[due])))
            self._connection.end()
            return True
        return False

    async def _pause(self, troubles: "_Troubles", faults: Faults) -> None:
        if troubles.first_token_due:
            troubles.first_token_due = False
            await self._books.sleep(faults[FaultKind.SLOW_FIRST_TOKEN].seconds)
        if FaultKind.SLOW_TOKENS in faults:
            await self._books.sleep(faults[FaultKind.SLOW_TOKENS].seconds)

    def _finish(self, reply: Reply, outcome: str) -> None:
        """Enter the end once: the bill as far as generated, then the log."""
        if self._row.ended_monotonic is None:
            self._charge(reply, self._generated)
            self._close(outcome)

    def _charge(self, reply: Reply, output_tokens: int) -> None:
        self._books.bill.add(self._wire.name, reply.model, reply.usage, output_tokens)
        self._row.charge(reply.usage, output_tokens)

    def _close(self, outcome: str) -> None:
        self._books.log.close(self._row, outcome, self._books.clock())


class _Troubles:
    """Which of a stream's faults are still to come."""

    _AT_TOKEN = (FaultKind.MALFORMED_CHUNK, FaultKind.ERROR_EVENT, FaultKind.CUT, FaultKind.STALL)

    def __init__(self, faults: Faults) -> None:
        self._coming = {kind: faults[kind] for kind in self._AT_TOKEN if kind in faults}
        self._any = bool(faults)
        self._unended = faults.get(FaultKind.NO_TERMINATOR)
        self.first_token_due = FaultKind.SLOW_FIRST_TOKEN in faults

    def __bool__(self) -> bool:
        return self._any

    def due(self, generated: int, event: Event) -> FaultKind | None:
        """The fault whose moment is just before this event; a shorter answer brings it forward to the
        finish.
        """
        for kind, fault in self._coming.items():
            if generated >= fault.after_tokens or event.part is not Part.TOKEN:
                del self._coming[kind]
                return kind
        return None

    def drops(self, event: Event) -> bool:
        if self._unended is None:
            return False
        return event.part is Part.END or (self._unended.drop_finish and event.part in (Part.FINISH, Part.USAGE))


async def _forever() -> None:
    """Until the client leaves, which cancels."""
    await asyncio.get_running_loop().create_future()
