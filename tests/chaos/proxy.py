"""A wire between the gateways and their PostgreSQL that can be cut: the database is gone, whatever it does itself."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress


class Wire:
    """`with Wire(port) as wire:` passes on what comes to `wire.port`. Cut, it ends every connection and takes none."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._cut = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="wire", daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    def __enter__(self) -> Wire:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    def cut(self) -> None:
        self._cut = True
        self._loop.call_soon_threadsafe(self._end_all)

    def mend(self) -> None:
        self._cut = False

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = int(server.sockets[0].getsockname()[1])
        self._ready.set()
        await self._over.wait()
        server.close()
        await asyncio.sleep(0.1)  # what was cut has its ends closed

    def _end_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        self._writers |= {writer, their_writer}
        await asyncio.gather(_pass_on(reader, their_writer), _pass_on(their_reader, writer))
        self._writers -= {writer, their_writer}


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
