"""What a process shares with others, or has to itself: in Redis where there is one, else in its own memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.engine.breaker import ChangeListener
from gateway.engine.clock import Clock
from gateway.stores.answers import AnswerStore, MemoryAnswers
from gateway.stores.key_limits import LimitStore
from gateway.stores.memory import MemoryBreakers
from gateway.stores.memory_limits import MemoryLimits

if TYPE_CHECKING:
    from gateway.stores.redis_breakers import RedisBreakers


@dataclass(frozen=True, slots=True)
class Stores:
    breakers: MemoryBreakers | RedisBreakers
    limits: LimitStore
    answers: AnswerStore


def stores_in_memory(clock: Clock, on_change: ChangeListener) -> Stores:
    return Stores(MemoryBreakers(clock, on_change), MemoryLimits(clock), MemoryAnswers(clock))


def stores_in_redis(url: str, clock: Clock, on_change: ChangeListener, *, timeout_seconds: float) -> Stores:
    # Redis' client takes 8 MB, for whoever has a Redis.
    from gateway.stores.redis_answers import RedisAnswers
    from gateway.stores.redis_breakers import RedisBreakers
    from gateway.stores.redis_limits import RedisLimits

    return Stores(
        RedisBreakers(url, clock, on_change, timeout_seconds=timeout_seconds),
        RedisLimits(url, clock, timeout_seconds=timeout_seconds),
        RedisAnswers(url, timeout_seconds=timeout_seconds),
    )
