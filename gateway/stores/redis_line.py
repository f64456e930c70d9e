"""The line to Redis: one connection for the breakers' script, one for the news, and a bound on every wait."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

SCRIPT = Path(__file__).with_name("redis_breakers.lua").read_text(encoding="utf-8")
CHANNEL = "llmops:breakers"
KEY_PREFIX = "llmops:breaker:"
RATE_KEY_PREFIX = "llmops:breaker-rate:"
# A request waits this long for Redis and then goes on without it; on one network an answer takes a millisecond.
TIMEOUT_SECONDS = 0.02
# Connecting happens in the background and at start-up, where a little patience costs nobody anything.
CONNECT_TIMEOUT_SECONDS = 1.0
CLOSE_TIMEOUT_SECONDS = 0.5
# Turns of the event loop for an answer that arrived while the loop was busy with something else.
GRACE_TURNS = 5

Reply = dict[str, Any]

logger = logging.getLogger("gateway.breaker")


class LineDown(Exception):
    """Redis can't be used at this moment; the text says why. It never holds the URL, which may have a password."""


class RedisLine:
    """`connect`, `run` and `listen` raise LineDown and nothing else, whatever goes wrong below them. After a LineDown:
    `hang_up`, then `connect` anew."""

    def __init__(self, url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._client: Redis | None = None
        self._news: PubSub | None = None
        self._to_close: list[Redis | PubSub] = []
        self._sha = ""
        self._abandoned: set[asyncio.Task[Any]] = set()

    async def connect(self) -> None:
        """Ready for commands and subscribed to the news; Redis has just answered within the bound."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                client = self._new_client(single_connection_client=True)
                self._sha = str(await client.script_load(SCRIPT))
                self._news = self._new_client().pubsub()
                self._to_close.append(self._news)
                await self._news.subscribe(CHANNEL)
        except TimeoutError:
            raise LineDown(f"no connection within {CONNECT_TIMEOUT_SECONDS:g} s") from None
        except ValueError:  # its text may quote a part of the URL, password included
            raise LineDown("REDIS_URL is not an address that can be connected to") from None
        except Exception as error:
            raise LineDown(_reason(error)) from None
        self._client = client
        await self._bounded(client.execute_command("PING"))  # type: ignore[no-untyped-call]

    async def run(self, provider: str, view: Mapping[str, Any], ask: Mapping[str, Any]) -> Reply:
        """One atomic step of one provider's breaker (see redis_breakers.lua)."""
        if self._client is None:
            raise LineDown("not connected")
        arguments = (2, KEY_PREFIX + provider, RATE_KEY_PREFIX + provider, CHANNEL, json.dumps(view), json.dumps(ask))
        reply: Reply = json.loads(await self._bounded(self._evaluate(self._client, arguments)))
        return reply

    async def listen(self, heard: Callable[[Reply], None]) -> None:
        """Pass on every change that is published, until the connection breaks, which raises LineDown."""
        if self._news is None:
            raise LineDown("not connected")
        try:
            async for message in self._news.listen():
                if message["type"] == "message":
                    heard(json.loads(message["data"]))
        except Exception as error:
            raise LineDown(_reason(error)) from None
        raise LineDown("the subscription has ended")

    async def hang_up(self) -> None:
        """Close both connections without waiting for anything Redis would have to say.

        Whatever goes wrong with one of them, the others are closed; who is cancelled meanwhile hangs up once more.
        """
        self._client, self._news = None, None
        while self._to_close:
            await _close(self._to_close[-1])
            self._to_close.pop()

    def _new_client(self, *, single_connection_client: bool = False) -> Redis:
        client = Redis.from_url(
            self._url,
            single_connection_client=single_connection_client,
            protocol=2,
            decode_responses=True,
            encoding_errors="replace",
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        )
        self._to_close.append(client)
        return client

    async def _evaluate(self, client: Redis, arguments: tuple[int | str, ...]) -> str:
        try:
            return str(await client.execute_command("EVALSHA", self._sha, *arguments))  # type: ignore[no-untyped-call]
        except NoScriptError:  # somebody flushed the scripts
            return str(await client.execute_command("EVAL", SCRIPT, *arguments))  # type: ignore[no-untyped-call]

    async def _bounded(self, command: Coroutine[Any, Any, Any]) -> Any:
        task = asyncio.ensure_future(command)
        try:
            await asyncio.wait((task,), timeout=self._timeout_seconds)
            for _ in range(GRACE_TURNS):
                if task.done():
                    break
                await asyncio.sleep(0)
        finally:
            if not task.done():
                self._abandon(task)
        if task.cancelled() or not task.done():
            raise LineDown(f"no answer within {self._timeout_seconds * 1000:g} ms")
        try:
            return task.result()
        except Exception as error:
            raise LineDown(_reason(error)) from None

    def _abandon(self, task: asyncio.Task[Any]) -> None:
        self._abandoned.add(task)
        task.add_done_callback(self._forget)
        task.cancel()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()  # nobody is left to hear of it


async def _close(connection: Redis | PubSub) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
            await connection.aclose()
    except (RedisError, OSError, TimeoutError) as error:
        logger.debug("closing a broken connection: %s", _reason(error))


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]
