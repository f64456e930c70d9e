"""Server-sent events: bytes split anywhere in, whole events out.

Source: WHATWG, "HTML Living Standard: 9.2 Server-sent events".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import repeat

from gateway.engine.errors import UpstreamError
from gateway.engine.words import FailureKind

# Far above any real event; bounds what a broken or hostile upstream can make us hold.
MAX_EVENT_BYTES = 8 * 1024 * 1024

_BLANK_LINE = re.compile(rb"(?:\r\n?+|\n)(?:\r\n?+|\n)")
_KEPT_BLANK_LINE = re.compile(rb"(%b)" % _BLANK_LINE.pattern)
_END = b"\n\n"
_BOM = b"\xef\xbb\xbf"


class EventSplitter:
    """Collects bytes and gives out whole events, each without the blank line that ends it.

    `feed` returns the bytes of all events completed so far in one piece, `split` cuts that piece into events.
    """

    __slots__ = ("_buffer", "_scanned", "_started")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._started = False

    def feed(self, data: bytes) -> bytes:
        """The whole events so far, b"" if there is none. Raises UpstreamError(UNREADABLE) past the bound."""
        if not self._started and data:
            data = self._start(data)
        if not self._buffer and data.endswith(b"\n\n") and b"\r" not in data:
            return data
        self._buffer += data
        end = self._last_boundary()
        if end == 0:
            self._check_size()
            return b""
        head = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._scanned = len(self._buffer)
        self._check_size()
        return head

    def rest(self) -> bytes:
        """What is left when the stream has ended: an event whose blank line is missing, or part of one."""
        rest = bytes(self._buffer).strip(b"\r\n")
        self._buffer.clear()
        return rest

    def _start(self, data: bytes) -> bytes:
        if self._buffer or data[:1] == _BOM[:1]:
            self._buffer += data
            data = bytes(self._buffer)
            if len(data) < len(_BOM) and _BOM.startswith(data):
                return b""
            self._buffer.clear()
        self._started = True
        return data.removeprefix(_BOM)

    def _last_boundary(self) -> int:
        """The end of the last blank line, 0 if there is none. A final CR may be half of a CRLF: not looked at yet."""
        start = max(self._scanned - 3, 0)
        self._scanned = len(self._buffer)
        if b"\r" not in self._buffer[start:]:
            found = self._buffer.rfind(b"\n\n", start)
            return found + 2 if found >= 0 else 0
        limit = len(self._buffer) - (1 if self._buffer.endswith(b"\r") else 0)
        end = 0
        for match in _BLANK_LINE.finditer(self._buffer, start, limit):
            end = match.end()
        return end

    def _check_size(self) -> None:
        if len(self._buffer) > MAX_EVENT_BYTES:
            raise oversized()


def oversized() -> UpstreamError:
    return UpstreamError(
        FailureKind.UNREADABLE,
        f"The provider sent an event of more than {MAX_EVENT_BYTES} bytes.",
        retryable=True,
        counts_against_breaker=True,
        may_be_billed=True,
    )


def split(head: bytes) -> list[bytes]:
    """The events of a piece that `feed` gave out; empty ones may be among them."""
    if b"\r" not in head:
        return head.split(b"\n\n")
    return _BLANK_LINE.split(head)


def split_with_ends(head: bytes) -> Iterable[tuple[bytes, bytes]]:
    """The events of such a piece, each with the line ends that close it."""
    if b"\r" not in head:
        return zip(head.split(_END), repeat(_END), strict=False)
    parts = _KEPT_BLANK_LINE.split(head)
    return zip(parts[::2], [*parts[1::2], _END], strict=True)


def is_comment(event: bytes) -> bool:
    """Whether nothing but comments is in it: what a provider sends to keep the connection open."""
    return all(line.startswith(b":") for line in event.splitlines())


def event_data(event: bytes) -> bytes | None:
    """The `data` of one event; None if it has none (a comment, an empty event)."""
    if event.startswith(b"data:") and b"\n" not in event and b"\r" not in event:
        return event[5:].strip(b" ")
    if event.startswith(b"event:") and event.count(b"\n") == 1 and b"\r" not in event:
        at = event.find(b"\ndata:")
        return event[at + 6 :].strip(b" ") if at >= 0 else None
    lines = [line[5:].removeprefix(b" ") for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
