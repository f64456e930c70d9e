"""The connections to one server: opened on demand, used again, never more than allowed."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NoReturn

import httpx2

from gateway.providers.dialling import Dialler
from gateway.providers.http1 import Connection

KEEPALIVE_SECONDS = 30.0
CLOSE_SECONDS = 1.0
CLOSED = "this provider's connections were closed"


class Pool:
    """At most `max_connections`. Who finds none free waits for a turn, first come, first served.

    `connect_timeout_seconds` bounds finding the address, connecting and the TLS handshake together.
    """

    def __init__(self, dialler: Dialler, *, max_connections: int, connect_timeout_seconds: float) -> None:
        self._dialler = dialler
        self._max_connections = max_connections
        self._connect_timeout_seconds = connect_timeout_seconds
        self._places = 0  # taken by connections, idle ones too, and by those being opened
        self._idle: deque[Connection] = deque()  # the longest idle first
        self._open: set[Connection] = set()
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    async def take(self) -> Connection:
        """One that is ready for a request; to be given back once. Raises httpx2.HTTPError."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_ready:
                return connection
            self._give_up(connection)
        if self._closed:
            raise RuntimeError("This provider's connections have been closed.")
        if self._places < self._max_connections:
            self._places += 1
        elif (connection_or_place := await self._turn()) is not None:
            return connection_or_place
        return await self._connected()

    def give_back(self, connection: Connection) -> None:
        """Use it again if that can be done; close it otherwise."""
        if self._closed or not connection.is_reusable:
            self._give_up(connection)
            return
        connection.resume_reading()
        waiter = self._next_waiting()
        if waiter is not None:
            waiter.set_result(connection)
            return
        connection.idle_since = connection.loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = connection.loop.call_later(KEEPALIVE_SECONDS, self._close_idle)

    async def aclose(self) -> None:
        """Close all of them, those in use as well."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        self._dialler.stop()
        while (waiter := self._next_waiting()) is not None:
            waiter.set_exception(httpx2.ConnectError(CLOSED))
        for connection in self._open:
            connection.close()
        if self._open:
            await asyncio.wait([connection.closed for connection in self._open], timeout=CLOSE_SECONDS)
        for connection in self._open:
            connection.close()  # at once, the second time: its server doesn't answer TLS's goodbye

    def _next_waiting(self) -> asyncio.Future[Connection | None] | None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None

    async def _turn(self) -> Connection | None:
        """A connection that somebody gave back, or None for a place to open one in."""
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            connection = await waiter
        except asyncio.CancelledError:
            if not waiter.done() or waiter.cancelled():
                with_it = [other for other in self._waiting if other is not waiter]
                self._waiting = deque(with_it)
            elif waiter.exception() is not None:
                pass  # there was no turn, all is being closed
            elif (unused := waiter.result()) is not None:
                self.give_back(unused)
            else:
                self._free_place()
            raise
        if connection is None or connection.is_ready:
            return connection
        connection.close()  # it was closed from the other side in this very moment; its place is ours
        return None

    def _give_up(self, connection: Connection) -> None:
        connection.close()
        self._free_place()

    def _free_place(self) -> None:
        waiter = self._next_waiting()
        if waiter is not None:
            waiter.set_result(None)
        else:
            self._places -= 1

    def _close_idle(self) -> None:
        """Those that nobody has used for so long that their server may be about to close them."""
        self._sweep, loop = None, asyncio.get_running_loop()
        oldest_kept = loop.time() - KEEPALIVE_SECONDS
        while self._idle and self._idle[0].idle_since <= oldest_kept:
            self._give_up(self._idle.popleft())
        if self._idle:
            self._sweep = loop.call_at(self._idle[0].idle_since + KEEPALIVE_SECONDS, self._close_idle)

    async def _connected(self) -> Connection:
        """In the place that was taken for it, which is freed when it fails."""
        try:
            async with asyncio.timeout(self._connect_timeout_seconds):
                connection = await self._dialler.dial(self._new)
            if self._closed:
                connection.close()
                raise httpx2.ConnectError(CLOSED)
        except BaseException as error:
            self._free_place()
            if isinstance(error, OSError):
                _raise_as_httpx2(error, self._dialler.server)
            raise
        self._open.add(connection)
        connection.closed.add_done_callback(lambda _: self._lost(connection))
        return connection

    def _new(self) -> Connection:
        return Connection(self.give_back)

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
            self._free_place()


def _raise_as_httpx2(error: OSError, server: str) -> NoReturn:
    words = f"{server}: {error.strerror or str(error) or type(error).__name__}"
    if isinstance(error, TimeoutError):
        raise httpx2.ConnectTimeout(words) from error
    raise httpx2.ConnectError(words) from error
