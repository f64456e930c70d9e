"""Memory while a server holds many open streams."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from bench import load
from bench.machine import memory_mb
from bench.scenarios import HELD
from bench.systems import Missing, System

OPEN_WITHIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Held:
    """`open_streams` had got their first bytes, and not their last, when the memory of the process tree was read."""

    open_streams: int
    memory_mb: float


class _Count:
    """Streams that are open, and an event for when all are."""

    def __init__(self, wanted: int) -> None:
        self.open = 0
        self._wanted = wanted
        self.complete = asyncio.Event()

    def add(self) -> None:
        self.open += 1
        if self.open == self._wanted:
            self.complete.set()


async def held(
    system: System, count: int = HELD.connections, within_seconds: float = OPEN_WITHIN_SECONDS
) -> Held | None:
    """None where the system has no process of its own or no such stream. The clients hang up afterwards."""
    call = system.call(HELD)
    if isinstance(call, Missing) or system.pid is None:
        return None
    opened = _Count(count)
    streams = [asyncio.create_task(_stream(call, opened)) for _ in range(count)]
    with suppress(TimeoutError):
        await asyncio.wait_for(opened.complete.wait(), within_seconds)
    found = Held(opened.open, memory_mb(system.pid))
    for stream in streams:
        stream.cancel()
    await asyncio.gather(*streams, return_exceptions=True)
    return found


async def _stream(call: load.Call, opened: _Count) -> None:
    """Reads until it is cancelled or the stream ends; whatever is no stream is not counted."""
    reader, writer = await asyncio.open_connection(call.host, call.port)
    try:
        writer.write(call.request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200") or not await reader.read(1):
            return
        opened.add()
        try:
            while call.expected not in await reader.readuntil(b"\n"):
                pass
        finally:
            opened.open -= 1
    finally:
        writer.close()
