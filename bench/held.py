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


async def held(system: System) -> Held | None:
    """None where the system has no process of its own or no such stream. The clients hang up afterwards."""
    call = system.call(HELD)
    if isinstance(call, Missing) or system.pid is None:
        return None
    opened: set[int] = set()
    all_open = asyncio.Event()
    streams = [asyncio.create_task(_stream(call, number, opened, all_open)) for number in range(HELD.connections)]
    with suppress(TimeoutError):
        await asyncio.wait_for(all_open.wait(), OPEN_WITHIN_SECONDS)
    found = Held(len(opened), memory_mb(system.pid))
    for stream in streams:
        stream.cancel()
    await asyncio.gather(*streams, return_exceptions=True)
    return found


async def _stream(call: load.Call, number: int, opened: set[int], all_open: asyncio.Event) -> None:
    """Reads until it is cancelled or the stream ends."""
    reader, writer = await asyncio.open_connection(call.host, call.port)
    try:
        writer.write(call.request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise load.BadAnswer(head.decode(errors="replace"))
        ended = False
        while not ended:
            piece = await reader.read(2**16)
            ended = not piece or call.expected in piece
            opened.add(number)
            if len(opened) == HELD.connections:
                all_open.set()
    finally:
        opened.discard(number)
        writer.close()
