"""Answers shared by a fleet through Redis; one process at a time makes the one that is missing, under a lease.

With Redis away there is nothing to be found and nothing is kept (docs/decisions/0018-response-cache.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
from redis import Redis
from redis.exceptions import RedisError

from gateway.stores.answers import ALONE, LEAD_UNKEPT, WAIT, CachedAnswer, Lead, Looked, Slot
from gateway.stores.redis_line import TIMEOUT_SECONDS, LineDown, Reply
from gateway.stores.redis_shared import SharedScript, Told

TOLD = Told(
    logging.getLogger("gateway.cache"), "answers are not cached: Redis is away (%s)", "answers are cached again"
)

SCRIPT = Path(__file__).with_name("redis_answers.lua").read_text(encoding="utf-8")
PREFIX = "llmops:cache:answer:"
LEASE_PREFIX = "llmops:cache:lease:"
INDEX = "llmops:cache:index"
PURGES = "llmops:cache:purges"
MAX_ENTRIES = 200_000
# A process that dies while it makes an answer is noticed after so long.
LEASE_SECONDS = 10.0
RENEW_SECONDS = LEASE_SECONDS / 4
# After an answer that could not be kept nobody waits for the next one for so long.
ALONE_SECONDS = 2.0
# Of an answer made without a look; a purge in between is not noticed.
ANY_GENERATION = -1
PURGE_CHUNK = 500
PURGE_TIMEOUT_SECONDS = 2.0


class RedisAnswers:
    """An `AnswerStore`. A request waits at most `timeout_seconds` for Redis; then there is no answer for it."""

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._script = SharedScript(url, SCRIPT, timeout_seconds, TOLD)
        self._leases: dict[str, tuple[Slot, str]] = {}

    @property
    def away_reason(self) -> str | None:
        return self._script.away_reason

    @property
    def generation(self) -> int | None:
        return None if self.away_reason is not None else ANY_GENERATION

    async def start(self) -> None:
        """Connect; without Redis the process begins without a cache and has it later."""
        await self._script.start()
        self._script.spawn(self._renew())

    async def aclose(self) -> None:
        await self._script.aclose()

    async def look(self, slot: Slot, token: str) -> Looked:
        told = await self._script.ask(_keys(slot), {"act": "look", "token": token, "lease_ms": _ms(LEASE_SECONDS)})
        if told is None:
            return LEAD_UNKEPT
        looked = _looked(told)
        if isinstance(looked, Lead):
            self._leases[slot.digest] = slot, token
        return looked

    def keep(self, slot: Slot, token: str, generation: int, answer: CachedAnswer) -> None:
        told = {
            "act": "keep",
            "generation": generation,
            "answer": answer_encode(answer),
            "member": f"{slot.route_id} {answer.target} {slot.digest}",
            "ttl_ms": _ms(slot.ttl_seconds),
            "max_entries": MAX_ENTRIES,
            "prefix": PREFIX,
        }
        self._give_back(slot, token, told)

    def release(self, slot: Slot, token: str, *, alone: bool) -> None:
        self._give_back(slot, token, {"act": "release", "alone": alone, "alone_ms": _ms(ALONE_SECONDS)})

    def _give_back(self, slot: Slot, token: str, told: dict[str, Any]) -> None:
        self._leases.pop(slot.digest, None)
        self._script.tell(_keys(slot), {**told, "token": token})

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            for slot, token in list(self._leases.values()):
                self._script.tell(_keys(slot), {"act": "renew", "token": token, "lease_ms": _ms(LEASE_SECONDS)})


def purge_redis(url: str, route_id: int | None, model: str | None) -> int:
    """Forget the fleet's answers of a route, of a model, or all; how many there were. For synchronous callers.

    First the counter: what is being made now is not kept. Raises LineDown.
    """
    timeout_seconds = PURGE_TIMEOUT_SECONDS
    try:
        with Redis.from_url(
            url, decode_responses=True, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds
        ) as client:
            client.incr(PURGES)
            members: list[str] = client.zrange(INDEX, 0, -1)
            gone = [member for member in members if _is_of(member, route_id, model)]
            chunks = (gone[at : at + PURGE_CHUNK] for at in range(0, len(gone), PURGE_CHUNK))
            return sum(_unlink(client, chunk) for chunk in chunks)
    except (RedisError, OSError, ValueError) as error:
        raise LineDown(type(error).__name__) from None


def peek_redis(url: str, digests: Sequence[str]) -> dict[str, CachedAnswer]:
    """Those of the fleet's answers that are there now, by digest. For synchronous callers; raises LineDown."""
    timeout_seconds = PURGE_TIMEOUT_SECONDS
    try:
        with Redis.from_url(
            url, decode_responses=True, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds
        ) as client:
            texts: list[str | None] = client.mget([PREFIX + digest for digest in digests])
    except (RedisError, OSError, ValueError) as error:
        raise LineDown(type(error).__name__) from None
    return {digest: answer_decode(text) for digest, text in zip(digests, texts, strict=True) if text is not None}


def _is_of(member: str, route_id: int | None, model: str | None) -> bool:
    route, rest = member.split(" ", 1)
    target = rest.rsplit(" ", 1)[0]
    return route_id in (None, int(route)) and model in (None, target, target.split("/", 1)[1])


def _unlink(client: Redis, members: list[str]) -> int:
    unlinked = client.unlink(*(PREFIX + member.rsplit(" ", 1)[1] for member in members))
    client.zrem(INDEX, *members)
    return int(unlinked)


def answer_encode(answer: CachedAnswer) -> str:
    fields = (answer.request_id, answer.provider, answer.model, answer.finish_reason, str(answer.cost_usd))
    return orjson.dumps([*fields, answer.made_at, answer.dropped_params, answer.body.decode()]).decode()


def answer_decode(text: str) -> CachedAnswer:
    *fields, cost_usd, made_at, dropped, body = orjson.loads(text)
    request_id, provider, model, finish_reason = fields
    cost = Decimal(cost_usd)
    return CachedAnswer(body.encode(), request_id, provider, model, finish_reason, cost, made_at, tuple(dropped))


def _keys(slot: Slot) -> tuple[str, str, str, str]:
    return PREFIX + slot.digest, LEASE_PREFIX + slot.digest, INDEX, PURGES


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _looked(told: Reply) -> Looked:
    if "hit" in told:
        return answer_decode(told["hit"])
    if "lead" in told:
        return Lead(int(told["lead"]))
    return ALONE if "alone" in told else WAIT
