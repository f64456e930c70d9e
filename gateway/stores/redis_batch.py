"""One script, one connection, many askers: what is asked while a round trip is under way travels with the next one."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from gateway.stores.redis_line import CLOSE_TIMEOUT_SECONDS, CONNECT_TIMEOUT_SECONDS, GRACE_TURNS, LineDown, Reply

logger = logging.getLogger("gateway.limits")

ASKS_PER_TRIP = 200
# What nobody waits for is dropped beyond this; each is worth a lease or a correction at most.
MAX_WAITING = 20_000


@dataclass(slots=True, eq=False)
class _Ask:
    keys: Sequence[str]
    argument: str
    answer: asyncio.Future[Reply]


class RedisBatch:
    """`connect` and `ask` raise LineDown and nothing else. After a LineDown: `hang_up`, then `connect` anew."""

    def __init__(self, url: str, script: str, timeout_seconds: float) -> None:
        self._url = url
        self._script = script
        self._timeout_seconds = timeout_seconds
        self._client: Redis | None = None
        self._to_close: Redis | None = None  # also one that never got as far as being used
        self._sha = ""
        self._waiting: list[_Ask] = []
        self._carrier: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                client = self._to_close = Redis.from_url(
                    self._url,
                    protocol=2,
                    decode_responses=True,
                    retry=Retry(NoBackoff(), 0),
                    socket_timeout=None,
                    socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
                )
                self._sha = str(await client.script_load(self._script))
        except TimeoutError:
            raise LineDown(f"no connection within {CONNECT_TIMEOUT_SECONDS:g} s") from None
        except ValueError:  # its text may quote a part of the URL, password included
            raise LineDown("REDIS_URL is not an address that can be connected to") from None
        except Exception as error:
            raise LineDown(f"{type(error).__name__}: {error}"[:300]) from None
        self._client = client

    async def ask(self, keys: Sequence[str], argument: dict[str, Any]) -> Reply:
        """The script's answer, waited for as long as a request may wait."""
        answer = self._queue(keys, argument)
        answer.add_done_callback(_heard)  # also where whoever asked has left
        await asyncio.wait((answer,), timeout=self._timeout_seconds)
        for _ in range(GRACE_TURNS):
            if answer.done():
                break
            await asyncio.sleep(0)
        if not answer.done():
            answer.cancel()
            raise LineDown(f"no answer within {self._timeout_seconds * 1000:g} ms")
        return answer.result()

    def tell(self, keys: Sequence[str], argument: dict[str, Any]) -> None:
        """For what nobody waits for; lost when the line breaks."""
        if len(self._waiting) < MAX_WAITING:
            self._queue(keys, argument).add_done_callback(_heard)

    def _queue(self, keys: Sequence[str], argument: dict[str, Any]) -> asyncio.Future[Reply]:
        if self._client is None:
            raise LineDown("not connected")
        ask = _Ask(keys, json.dumps(argument), asyncio.get_running_loop().create_future())
        self._waiting.append(ask)
        if self._carrier is None or self._carrier.done():
            self._carrier = asyncio.ensure_future(self._carry(self._client))
        return ask.answer

    async def _carry(self, client: Redis) -> None:
        while self._waiting:
            asks, self._waiting = self._waiting[:ASKS_PER_TRIP], self._waiting[ASKS_PER_TRIP:]
            try:
                replies = await self._trip(client, asks)
            except Exception as error:
                replies = [error] * len(asks)
            for ask, reply in zip(asks, replies, strict=True):
                _answer(ask.answer, reply)

    async def _trip(self, client: Redis, asks: list[_Ask]) -> list[Any]:
        pipeline = client.pipeline(transaction=False)
        for ask in asks:
            pipeline.execute_command("EVALSHA", self._sha, len(ask.keys), *ask.keys, ask.argument)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        for position, reply in enumerate(replies):
            if isinstance(reply, NoScriptError):  # somebody flushed the scripts
                ask = asks[position]
                replies[position] = await client.eval(self._script, len(ask.keys), *ask.keys, ask.argument)
        return replies

    async def hang_up(self) -> None:
        """Closes the connection; who is cancelled meanwhile hangs up once more."""
        self._client = None
        carrier, self._carrier = self._carrier, None
        waiting, self._waiting = self._waiting, []
        for ask in waiting:
            _answer(ask.answer, LineDown("the line was hung up"))
        if carrier is not None:
            carrier.cancel()
            await asyncio.gather(carrier, return_exceptions=True)
        if self._to_close is None:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await self._to_close.aclose()
        except (RedisError, OSError, TimeoutError) as error:
            logger.debug("closing a broken connection: %s", type(error).__name__)
        self._to_close = None


def _answer(answer: asyncio.Future[Reply], reply: Any) -> None:
    if answer.done():
        return
    if isinstance(reply, Exception):
        down = reply if isinstance(reply, LineDown) else LineDown(f"{type(reply).__name__}: {reply}"[:300])
        answer.set_exception(down)
    else:
        answer.set_result(json.loads(reply))


def _heard(answer: asyncio.Future[Reply]) -> None:
    if not answer.cancelled():
        answer.exception()  # where nobody waits for it, the next request finds out that the line is down
