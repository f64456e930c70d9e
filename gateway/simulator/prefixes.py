"""The prompt cache both providers keep: which beginnings of a prompt were seen lately."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import NamedTuple

MAX_ENTRIES = 10_000


class Boundary(NamedTuple):
    """A place in a prompt: the digest of everything before it, and how many tokens that is."""

    digest: bytes
    tokens: int


def boundaries(model: str, blocks: Iterable[tuple[bytes, int]]) -> list[Boundary]:
    """The boundary after each block, from each block's canonical bytes and token count."""
    running = hashlib.blake2b(model.encode(), digest_size=16)
    total = 0
    found = []
    for content, tokens in blocks:
        running.update(len(content).to_bytes(8, "big"))
        running.update(content)
        total += tokens
        found.append(Boundary(running.copy().digest(), total))
    return found


class PrefixCache:
    """Digests with the time they are forgotten; reading one renews it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def longest(self, places: list[Boundary]) -> int:
        """How many tokens of the prompt are remembered, counted from its start."""
        now = self._clock()
        for place in reversed(places):
            entry = self._entries.get(place.digest)
            if entry is not None and entry[0] > now:
                self.remember(place, entry[1])
                return place.tokens
        return 0

    def remember(self, place: Boundary, ttl_seconds: float) -> None:
        self._entries[place.digest] = (self._clock() + ttl_seconds, ttl_seconds)
        self._entries.move_to_end(place.digest)
        if len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        self._entries.clear()
