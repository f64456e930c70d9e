"""A process's place in a fleet: its mirrors follow Redis while Redis can be reached, and Redis hears of them when it is
back (docs/decisions/0008-breaker-in-redis.md)."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from gateway.engine.clock import Clock
from gateway.stores.mirror import Mirror, to_ms
from gateway.stores.redis_line import LineDown, RedisLine, Reply

logger = logging.getLogger("gateway.breaker")
T = TypeVar("T")

# In case a published change gets lost: a breaker that something is happening to is read this often, others less.
READ_SECONDS = 0.5
READS_WHILE_QUIET = 4
REJOIN_FIRST_SECONDS = 0.1
REJOIN_MAX_SECONDS = 2.0
# A line that broke sooner than this after it was made is flapping: the next try waits longer.
STABLE_SECONDS = 10.0
# Longer than any cool-down anybody waits for; a breaker that nobody touches for so long is forgotten.
KEEP_SECONDS = 86_400.0


class Membership:
    """The mirrors and the line that keeps them equal to everybody else's. `away_reason` is None while Redis can be
    reached; else this process goes on alone and tries to rejoin. `call` alone raises, and LineDown only."""

    def __init__(
        self, url: str, clock: Clock, *, timeout_seconds: float, server_now: Callable[[], float] | None
    ) -> None:
        self._line = RedisLine(url, timeout_seconds)
        self._clock = clock
        self._server_now = server_now
        self._ahead_seconds = 0.0  # Redis' clock minus ours
        self._owner = secrets.token_hex(8)
        self._mirrors: dict[str, Mirror] = {}
        self._joined_at = float("-inf")
        self._rejoin_seconds = REJOIN_FIRST_SECONDS
        self._tasks: set[asyncio.Task[Any]] = set()
        self._listener: asyncio.Task[None] | None = None
        self.away_reason: str | None = "not connected yet"

    async def start(self, names: Iterable[str]) -> None:
        """Connect and learn these providers' breakers; without Redis the process begins alone."""
        for name in names:
            self.mirror(name)
        try:
            await self._join("read")
        except LineDown as down:
            self.away_reason = None
            self._lose(str(down))
        self.spawn(self._watch())

    async def aclose(self) -> None:
        """Whatever is still asked or reported afterwards is this process's alone."""
        self.away_reason = "this process is stopping"
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._line.hang_up()

    @property
    def is_away(self) -> bool:
        return self.away_reason is not None

    def now(self) -> float:
        """Redis' time, as far as it is known."""
        return self._clock.now() + self._ahead_seconds

    def in_our_time(self, redis_seconds: float) -> float:
        return redis_seconds - self._ahead_seconds

    def mirror(self, name: str) -> Mirror:
        mirror = self._mirrors.get(name)
        return mirror if mirror is not None else self._mirrors.setdefault(name, Mirror(name))

    def forget(self, is_over: Callable[[str], bool]) -> None:
        """Drop the mirrors of these names, unless something is under way with them; Redis forgets them by itself."""
        for mirror in [mirror for mirror in self._mirrors.values() if is_over(mirror.name)]:
            if mirror.reporter is None and mirror.learning is None and not mirror.asking:
                del self._mirrors[mirror.name]

    async def learn(self, mirror: Mirror) -> None:
        """Ask Redis about a provider that this process has just heard of; all who need it wait for the same answer."""
        if mirror.learning is None:
            mirror.learning = self.spawn(self._read(mirror))
        await asyncio.shield(mirror.learning)

    async def call(self, mirror: Mirror, ask: dict[str, Any]) -> Reply:
        """One step in Redis; the mirror knows its result. Raises LineDown, from then on this process is alone."""
        if self.away_reason is not None:
            raise LineDown(self.away_reason)
        try:
            return await self._run(mirror, ask)
        except LineDown as down:
            self._lose(str(down))
            raise

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Work in the background that ends with this process's membership at the latest."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("the breakers' work in the background failed: %s", error, exc_info=error)

    async def _read(self, mirror: Mirror) -> None:
        try:
            with suppress(LineDown):
                await self.call(mirror, {"act": "read"})
        finally:
            mirror.learning = None

    async def _run(self, mirror: Mirror, ask: dict[str, Any]) -> Reply:
        constants: dict[str, Any] = {"provider": mirror.name, "owner": self._owner, "keep": to_ms(KEEP_SECONDS)}
        now = {} if self._server_now is None else {"now": to_ms(self._server_now())}
        constants["counted"] = mirror.rate.take()
        reply = await self._line.run(mirror.name, mirror.view(), {**ask, **constants, **now})
        mirror.rate.learn(reply["rate"])
        self._ahead_seconds = float(reply["now"]) / 1000 - self._clock.now()
        mirror.learn(reply["breaker"])
        return reply

    def _lose(self, reason: str) -> None:
        if self.away_reason is not None:
            return
        self.away_reason = reason
        for mirror in self._mirrors.values():
            mirror.rate.alone()
        if self._listener is not None:
            self._listener.cancel()
        logger.warning("Redis is away (%s): this process goes on with breakers of its own", reason)
        if self._clock.monotonic() - self._joined_at >= STABLE_SECONDS:
            self._rejoin_seconds = REJOIN_FIRST_SECONDS
        self.spawn(self._rejoin())

    async def _rejoin(self) -> None:
        while True:
            await self._line.hang_up()
            await asyncio.sleep(self._rejoin_seconds * random.uniform(0.8, 1.2))
            self._rejoin_seconds = min(self._rejoin_seconds * 2, REJOIN_MAX_SECONDS)
            try:
                await self._join("rejoin")
            except LineDown as down:
                self.away_reason = str(down)
            else:
                logger.warning("Redis is back: this process shares its breakers again")
                return

    async def _join(self, act: str) -> None:
        """Connect, and bring every mirror and Redis to the same state. Raises LineDown."""
        await self._line.connect()
        for mirror in list(self._mirrors.values()):
            await self._run(mirror, {"act": act})
        self.away_reason = None
        self._joined_at = self._clock.monotonic()
        self._listener = self.spawn(self._listen())

    async def _listen(self) -> None:
        try:
            await self._line.listen(self._heard)
        except LineDown as down:
            self._lose(str(down))

    def _heard(self, told: Reply) -> None:
        mirror = self._mirrors.get(str(told["provider"]))
        if mirror is not None and self.away_reason is None:
            mirror.learn(told)

    async def _watch(self) -> None:
        turn = 0
        while True:
            await asyncio.sleep(READ_SECONDS)
            turn += 1
            for mirror in list(self._mirrors.values()):
                if not self.is_away and (turn % READS_WHILE_QUIET == 0 or not mirror.quiet):
                    await self._read(mirror)
