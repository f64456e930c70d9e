"""Where answers wait for somebody who asks the same: what a store of them promises, and the one of a single process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from gateway.engine.clock import Clock

MAX_ENTRIES = 20_000
MAX_TOTAL_BYTES = 64 * 1024 * 1024
MAX_ENTRY_BYTES = 256 * 1024
# What an entry costs beside its body, roughly.
ENTRY_OVERHEAD_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one answer. `digest` names everything that makes its request what it is."""

    digest: str
    route_id: int
    ttl_seconds: int


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A whole plain answer in its surface's wire. `cost_usd` is what it cost to make, `made_at` seconds since 1970."""

    body: bytes
    request_id: str
    provider: str
    model: str
    finish_reason: str
    cost_usd: Decimal
    made_at: float
    dropped_params: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True)
class Lead:
    """Nobody has the answer: whoever asked makes it. `generation` None: it can't be kept."""

    generation: int | None


@dataclass(frozen=True, slots=True)
class Wait:
    """Another process is making it."""


@dataclass(frozen=True, slots=True)
class Alone:
    """The last one made was not fit to be kept: each makes its own for now."""


Looked = CachedAnswer | Lead | Wait | Alone
LEAD_UNKEPT, WAIT, ALONE = Lead(None), Wait(), Alone()


class AnswerStore(Protocol):
    """`look` never raises and waits 20 ms at most. A Lead is followed by `keep` or `release`, each with its token."""

    @property
    def generation(self) -> int | None:
        """As far as this process knows it, for an answer nobody looked for; None: it can't be kept."""
        ...

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    async def look(self, slot: Slot, token: str) -> Looked: ...

    def keep(self, slot: Slot, token: str, generation: int, answer: CachedAnswer) -> None:
        """Nothing is kept that was begun before a purge."""
        ...

    def release(self, slot: Slot, token: str, *, alone: bool) -> None:
        """There is no answer to keep. `alone`: nor will the next one be."""
        ...


class MemoryAnswers:
    """An `AnswerStore` of one process, the least recently used leaves first. `purge` may come from any thread."""

    def __init__(self, clock: Clock, *, max_entries: int = MAX_ENTRIES, max_total_bytes: int = MAX_TOTAL_BYTES) -> None:
        self._clock = clock
        self._max_entries, self._max_total_bytes = max_entries, max_total_bytes
        self._entries: OrderedDict[str, tuple[float, int, CachedAnswer]] = OrderedDict()
        self._bytes = 0
        self._generation = 0
        self._lock = threading.Lock()

    @property
    def generation(self) -> int | None:
        return self._generation

    async def start(self) -> None:
        """Nothing to connect to."""

    async def aclose(self) -> None:
        """What is kept ends with the process."""

    async def look(self, slot: Slot, token: str) -> Looked:
        with self._lock:
            found = self._entries.get(slot.digest)
            if found is None:
                return Lead(self._generation)
            if found[0] <= self._clock.monotonic():
                self._drop(slot.digest)
                return Lead(self._generation)
            self._entries.move_to_end(slot.digest)
            return found[2]

    def keep(self, slot: Slot, token: str, generation: int, answer: CachedAnswer) -> None:
        with self._lock:
            if generation != self._generation:
                return
            self._drop(slot.digest)
            self._entries[slot.digest] = (self._clock.monotonic() + slot.ttl_seconds, slot.route_id, answer)
            self._bytes += _size(answer)
            while len(self._entries) > self._max_entries or self._bytes > self._max_total_bytes:
                self._drop(next(iter(self._entries)))

    def release(self, slot: Slot, token: str, *, alone: bool) -> None:
        """In one process those who wait are told by whoever led."""

    def purge(self, route_id: int | None, model: str | None) -> int:
        """Forget the answers of a route, of a model, or all; how many there were."""
        with self._lock:
            self._generation += 1
            now = self._clock.monotonic()
            gone = [
                (digest, until)
                for digest, (until, route, answer) in self._entries.items()
                if route_id in (None, route) and model in (None, answer.model, answer.target)
            ]
            for digest, _ in gone:
                self._drop(digest)
            return sum(until > now for _, until in gone)

    def _drop(self, digest: str) -> None:
        found = self._entries.pop(digest, None)
        if found is not None:
            self._bytes -= _size(found[2])


def _size(answer: CachedAnswer) -> int:
    return len(answer.body) + ENTRY_OVERHEAD_BYTES
