"""A storm over one pool: a server that does everything wrong at random, callers that leave at random.

No reply may come to another's caller, no place and no socket may be lost.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator

import httpx2
import pytest

from gateway.providers.http1 import Endpoint
from gateway.providers.transport import HttpTransport

CALLS = 1_500
AT_ONCE = 50
CONNECTIONS = 40
PATIENCE_SECONDS = 20.0
OK = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b"
CLOSING = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
EARLY = b"HTTP/1.1 413 Too Large\r\ncontent-length: %d\r\n\r\n%b"
WAYS = (
    "whole",
    "whole",
    "chunks",
    "cut",
    "dribble",
    "closing",
    "early",
    "reset",
    "twice",
    "noise",
    "quits",
    "unlength",
)


class Unruly:
    """Echoes each request's mark, in a way that `chance` chooses."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1000)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"

    async def stop(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, RuntimeError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the caller left; uvloop says so by a RuntimeError
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection lives on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length, mark = (int(head.split(f"{name}: ")[1].split("\r")[0]) for name in ("content-length", "x-mark"))
        way, payload = self._chance.choice(WAYS), b"<%06d>" % mark * self._chance.choice((1, 9, 4000))
        if way == "early":
            writer.write(EARLY % (len(payload), payload))
        assert (await reader.readexactly(length)).startswith(b"<%06d>" % mark)
        await self._answer(way, payload, writer)
        await writer.drain()
        return way not in ("cut", "closing", "reset", "quits", "unlength", "late")

    async def _answer(self, way: str, payload: bytes, writer: asyncio.StreamWriter) -> None:
        whole = OK % (len(payload), payload)
        if way == "late":
            for _ in range(100):
                await asyncio.sleep(0)
        if way in ("whole", "quits", "late"):
            writer.write(whole)
        elif way == "closing":
            writer.write(CLOSING % (len(payload), payload))
        elif way == "twice":
            writer.write(whole + whole)
        elif way == "unlength":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + payload)
        elif way == "dribble":
            for byte in OK % (8, payload[:8]):
                writer.write(bytes([byte]))
                await asyncio.sleep(0)
        elif way == "noise":
            writer.write(whole)
            await asyncio.sleep(0)
            writer.write(b"<999999>" * 3)
        elif way == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        elif way in ("chunks", "cut"):
            await self._chunks(payload, writer, whole=way == "chunks")

    async def _chunks(self, payload: bytes, writer: asyncio.StreamWriter, *, whole: bool) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for start in range(0, len(payload), 997):
            piece = payload[start : start + 997]
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if self._chance.random() < 0.2:
                await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n" if whole else b"")


@pytest.fixture
def chance() -> random.Random:
    return random.Random(20261123)


@pytest.fixture
async def unruly(chance: random.Random) -> AsyncIterator[Unruly]:
    server = Unruly(chance)
    await server.start()
    yield server
    await server.stop()


async def called(transport: HttpTransport, url: str, number: int, size: int) -> str:
    """How it ended; fails when anything of the reply is another's."""
    mark = b"<%06d>" % number
    try:
        reply = await transport.send("POST", Endpoint.of(url), {"x-mark": f"{number}"}, mark + b"x" * size)
        got = bytearray()
        try:
            while piece := await reply.read():
                got += piece
        finally:
            reply.release()
    except httpx2.HTTPError as error:
        return type(error).__name__
    assert {bytes(got[i : i + 8]) for i in range(0, len(got), 8)} == {mark}
    return "answered"


async def test_in_a_storm_every_reply_comes_to_its_own_caller_and_no_place_is_lost(
    unruly: Unruly, chance: random.Random
) -> None:
    transport = HttpTransport(max_connections=CONNECTIONS, connect_timeout_seconds=PATIENCE_SECONDS)
    loop, calls, running = asyncio.get_running_loop(), list[asyncio.Task[str]](), set[asyncio.Task[str]]()
    for number in range(CALLS):
        size = chance.choice((0, 10, 3_000, 600_000 if chance.random() < 0.1 else 0))
        call = loop.create_task(called(transport, unruly.url, number, size))
        calls.append(call)
        running.add(call)
        call.add_done_callback(running.discard)
        if chance.random() < 0.2:
            loop.call_later(chance.random() * 0.01, call.cancel)
        if len(running) >= AT_ONCE:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait(calls, timeout=PATIENCE_SECONDS)

    ends = Counter("left" if call.cancelled() else call.result() for call in calls)
    assert set(ends) <= {"answered", "left", "ReadError", "ConnectError"}
    assert ends["answered"] > CALLS / 3
    (way,) = transport._ways.values()
    assert not way.pool._waiting
    assert way.pool._places <= CONNECTIONS
    everything = [connection.closed for connection in way.pool._open]
    await transport.aclose()
    assert all(closed.done() for closed in everything)
