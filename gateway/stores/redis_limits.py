"""Limits of keys shared by a fleet through Redis: one atomic script for each request of a limited key.

While Redis is away each process counts for itself (docs/decisions/0014-limits-of-keys.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.engine.clock import Clock
from gateway.stores.key_limits import LEASE_SECONDS, PLACE_RETRY_SECONDS, Asked, Standing, Verdict
from gateway.stores.memory_limits import MemoryLimits
from gateway.stores.redis_line import TIMEOUT_SECONDS, Reply
from gateway.stores.redis_shared import SharedScript, Told

TOLD = Told(
    logging.getLogger("gateway.limits"),
    "limits of keys are counted by this process alone: Redis is away (%s)",
    "limits of keys are shared again",
)

SCRIPT = Path(__file__).with_name("redis_limits.lua").read_text(encoding="utf-8")
RENEW_SECONDS = LEASE_SECONDS / 4


class RedisLimits:
    """A `LimitStore`. A request waits at most `timeout_seconds` for Redis and then counts here.

    What Redis lets in is counted here too, so that this process's own share is known when Redis goes away.
    `server_now` replaces Redis' clock (seconds since 1970).
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        server_now: Callable[[], float] | None = None,
    ) -> None:
        self._script = SharedScript(url, SCRIPT, timeout_seconds, TOLD, on_return=self._renew_now)
        self._own = MemoryLimits(clock)
        self._server_now = server_now

    @property
    def away_reason(self) -> str | None:
        return self._script.away_reason

    async def start(self) -> None:
        """Connect; without Redis the process begins alone and joins later."""
        await self._script.start()
        self._script.spawn(self._renew())

    async def aclose(self) -> None:
        """What ends afterwards is only counted here; its places in Redis are free after their lease."""
        await self._script.aclose()

    async def take(self, asked: Asked) -> Verdict:
        try:
            told = await self._script.ask(_keys(asked.key_id), self._dated(_take(asked)))
        except asyncio.CancelledError:  # its client has left, and the place may be taken all the same
            self._tell(asked.key_id, _finish(asked, second=0, more=0, less=0))
            raise
        if told is None:
            return self._own.take_now(asked)
        verdict = _verdict(asked, told)
        if verdict.refused_by is None:
            self._own.count(asked)
        return verdict

    def finish(self, asked: Asked, verdict: Verdict, tokens: int | None) -> None:
        self._own.finish(asked, verdict, tokens)
        more = 0 if tokens is None or asked.limits.tokens_per_minute is None else tokens - asked.tokens
        if more or asked.limits.max_parallel is not None:
            told = _finish(asked, second=verdict.second, more=max(0, more), less=max(0, -more))
            self._tell(asked.key_id, told)

    def _tell(self, key_id: int, told: dict[str, Any]) -> None:
        self._script.tell(_keys(key_id), self._dated(told))

    async def _renew(self) -> None:
        while True:
            self._renew_now()
            await asyncio.sleep(RENEW_SECONDS)

    def _renew_now(self) -> None:
        self._own.renew()
        for key_id, request_ids in self._own.held().items():
            self._tell(key_id, {"act": "renew", "ids": request_ids, "lease_ms": round(LEASE_SECONDS * 1000)})

    def _dated(self, told: dict[str, Any]) -> dict[str, Any]:
        return told if self._server_now is None else {**told, "now_ms": round(self._server_now() * 1000)}


def _keys(key_id: int) -> tuple[str, str]:
    return f"llmops:limit:{{{key_id}}}", f"llmops:limit:{{{key_id}}}:held"


def _take(asked: Asked) -> dict[str, Any]:
    limits = asked.limits
    told = {
        "act": "take",
        "id": asked.request_id,
        "tokens": asked.tokens,
        "requests": limits.requests_per_minute,
        "tokens_limit": limits.tokens_per_minute,
        "parallel": limits.max_parallel,
        "lease_ms": round(LEASE_SECONDS * 1000),
        "place_retry_ms": round(PLACE_RETRY_SECONDS * 1000),
    }
    return {name: value for name, value in told.items() if value is not None}


def _finish(asked: Asked, *, second: int, more: int, less: int) -> dict[str, Any]:
    """`more` tokens than guessed count now, `less` are given back to `second`."""
    return {"act": "finish", "id": asked.request_id, "second": second, "more": more, "less": less}


def _verdict(asked: Asked, told: Reply) -> Verdict:
    return Verdict(
        second=int(told["second"]),
        requests=_standing(asked.limits.requests_per_minute, told["r"]),
        tokens=_standing(asked.limits.tokens_per_minute, told["t"]),
        refused_by=told["refused"] or None,
        retry_after_seconds=told["retry_ms"] / 1000,
    )


def _standing(limit: int | None, told: Reply) -> Standing | None:
    return None if limit is None else Standing(limit, int(told["used"]), told["reset_ms"] / 1000)
