"""A reply whose length is known leaves in one piece: its head waits for its body.

uvicorn writes the head as soon as it has it, which for a plain answer is a system call, a packet and a waking of the
client too many. A stream's head still leaves at once.

An application that has all of its answer may hand it over in one piece as well, by the scope's extension
`llmops.answer`: two messages, and two searches through each header, cost as much as half of Django's response.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

ANSWER = "llmops.answer"

_LENGTH = b"\r\ncontent-length: "
_NOT_IN_NAMES = re.compile(r"[^a-z0-9_-]")
_NOT_IN_VALUES = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class WholeReply:
    """One reply's way to the transport: what uvicorn's cycle uses of it, and `answer`, which does a cycle's work."""

    __slots__ = ("_begun", "_cycle", "_head", "_transport")

    def __init__(self, transport: asyncio.Transport, cycle: RequestResponseCycle) -> None:
        self._transport = transport
        self._cycle = cycle
        self._begun = False
        self._head = b""

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole answer, whose length is told for it. Names are in lower case.

        Raises RuntimeError for a header that can't be sent or an answer that has begun, UnicodeEncodeError for one
        beyond Latin-1.
        """
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        if cycle.response_started:
            raise RuntimeError("This request has an answer already.")
        head = self._whole_head(status, headers, len(body))
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        self._transport.write(head + body)
        if not cycle.keep_alive:
            self._transport.close()
        cycle.on_response()

    def _whole_head(self, status: int, headers: Mapping[str, str], body_bytes: int) -> bytes:
        if _NOT_IN_NAMES.search("".join(headers)) or _NOT_IN_VALUES.search("".join(headers.values())):
            raise RuntimeError("A header of this answer can't be sent.")
        cycle = self._cycle
        lines = [STATUS_LINE[status]]
        lines += [b"%b: %b\r\n" % header for header in cycle.default_headers]
        if (b"connection", b"close") in cycle.default_headers:  # as all are told while we drain
            cycle.keep_alive = False
        elif not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
        told = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        lines.append(told.encode("latin-1"))
        lines.append(b"content-length: %d\r\n\r\n" % body_bytes)
        return b"".join(lines)

    def write(self, data: bytes) -> None:
        if self._begun:
            head, self._head = self._head, b""
            self._transport.write(head + data if head else data)
            return
        self._begun = not data.startswith(b"HTTP/1.1 100 ")
        if self._begun and _LENGTH in data:
            self._head = data
        else:
            self._transport.write(data)

    def close(self) -> None:
        """After what was written: a head whose body failed included."""
        head, self._head = self._head, b""
        if head:
            self._transport.write(head)
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()
