"""A server that answers with the very bytes a test says, for what no well-behaved simulator would do."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

CLOSE, RESET, HANG = object(), object(), object()
WAIT_SECONDS = 5.0  # a bound for what comes at once or never


@dataclass(frozen=True)
class Seen:
    """A request as it arrived; header names in lower case, `connection` counts from 0."""

    line: str
    headers: Mapping[str, str]
    body: bytes
    connection: int


class RawServer:
    """Each request takes the next script (bytes, an Event to wait for, CLOSE, RESET, HANG); the last one repeats."""

    def __init__(self) -> None:
        self.scripts: list[tuple[Any, ...]] = []
        self.requests: list[Seen] = []
        self.connections = 0
        self.client_gone = asyncio.Event()
        self.received = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self, ssl: SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1000, ssl=ssl)
        self.url = f"http{'s' if ssl else ''}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def will(self, *steps: Any) -> None:
        self.scripts.append(steps)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        number, self.connections = self.connections, self.connections + 1
        try:
            while await self._exchange(reader, writer, number):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            self.client_gone.set()
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        """One request and what is scripted for it; whether the connection lives on."""
        self.requests.append(await _read_request(reader, number))
        self.received.set()
        for step in self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif isinstance(step, asyncio.Event):
                await step.wait()
            elif step is HANG:
                await reader.read()
                self.client_gone.set()
                return False
            elif step is RESET:
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return False
            else:
                return False
        return True


async def _read_request(reader: asyncio.StreamReader, connection: int) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in rest)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(line, headers, body, connection)


def reply(status: int, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(*pieces: bytes, end: bool = True) -> bytes:
    """Pieces of a chunked body; the head is `STREAM_HEAD`."""
    out = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return out + (b"0\r\n\r\n" if end else b"")


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
