"""A reply whose length is known leaves in one piece: its head waits for its body.

uvicorn writes the head as soon as it has it, which for a plain answer is a system call, a packet and a waking of the
client too many. A stream's head still leaves at once.
"""

from __future__ import annotations

import asyncio

_LENGTH = b"\r\ncontent-length: "


class WholeReply:
    """One reply's way to the transport: what uvicorn's cycle uses of it."""

    __slots__ = ("_begun", "_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._begun = False
        self._head = b""

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
