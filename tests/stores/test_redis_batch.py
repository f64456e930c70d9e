"""The line that many askers share, before it can be used."""

from __future__ import annotations

import asyncio
import gc

import pytest

from gateway.stores.redis_batch import RedisBatch
from gateway.stores.redis_line import LineDown


async def refuse_scripts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, closed: asyncio.Event) -> None:
    """A Redis whose account may connect, and may load no script."""
    while asked := await reader.read(4096):
        for command in asked.split(b"*")[1:]:
            writer.write(b"-NOPERM no permissions\r\n" if b"SCRIPT" in command else b"+OK\r\n")
    writer.close()
    closed.set()


async def test_hanging_up_closes_a_connection_on_which_no_script_could_be_loaded() -> None:
    closed = asyncio.Event()
    server = await asyncio.start_server(lambda *streams: refuse_scripts(*streams, closed), "127.0.0.1", 0)
    batch = RedisBatch(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", "return 1", 0.02)
    gc.disable()  # collecting the client would close it too, at some time
    try:
        with pytest.raises(LineDown, match="NoPermissionError"):
            await batch.connect()
        await batch.hang_up()
        await asyncio.wait_for(closed.wait(), 2)
    finally:
        gc.enable()
        server.close()
