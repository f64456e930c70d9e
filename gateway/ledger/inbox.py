"""What waits for the writer's thread, and the bell that wakes it."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """Any thread puts, one takes. What was put is seen at once by whoever looks; who sleeps is woken by the bell.

    Two steps, because an event loop begins many things in one turn: were the thread woken by the first of them, both
    would hand Python's lock to and fro until the turn is over, and the first would be written in a transaction of its
    own.
    """

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        """To be followed by `ring`."""
        self._items.append(item)

    def ring(self) -> None:
        """A bell that rings already does: whoever hears it takes what was put before."""
        if self._bell.empty():
            self._bell.put(None)

    def take(self, *, wait: bool, timeout_seconds: float | None = None) -> list[T]:
        """All there is, in order of arrival. Where there is nothing, and with `wait`, sleep until the bell or the
        time-out (None: none) first; that may have been about what was taken before."""
        with suppress(Empty):  # silenced first: what is put from here on rings again
            self._bell.get(wait and not self._items, timeout_seconds)
        taken: list[T] = []
        while self._items:
            taken.append(self._items.popleft())
        return taken
