"""Providers that do what a test says, attempt by attempt, and an engine around them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.engine.breaker import BreakerChange, Outcome
from gateway.engine.catalogue import ModelTraits
from gateway.engine.completion import Completion, Engine
from gateway.engine.configuration import Provider, RetryPolicy, Target
from gateway.engine.errors import UpstreamError
from gateway.engine.exchange import Answer, Ask, Seam, StreamBatch
from gateway.engine.routing import Plan
from gateway.engine.usage import Usage
from gateway.engine.words import BreakerState, FailureKind, FinishReason, StreamRecovery, Wire
from gateway.stores.memory import MemoryBreakers
from tests.virtual_time import VirtualClock

HANG = object()
USAGE = Usage(input_tokens=7, output_tokens=3)
ANSWER = Answer(b"{}", USAGE, FinishReason.STOP, "model", upstream_id="up-1")


@dataclass(frozen=True)
class Wait:
    """Seconds that pass before the next step."""

    seconds: float


def failure(kind: FailureKind = FailureKind.SERVER_ERROR, **facts: Any) -> UpstreamError:
    """A failure as the error tables make it: retryable and held against the provider unless said otherwise."""
    plain = {"retryable": True, "counts_against_breaker": True, "message": kind.value, **facts}
    return UpstreamError(kind, **plain)


def unavailable() -> UpstreamError:
    return failure(status=503)


def rate_limited(retry_after_seconds: float | None = None) -> UpstreamError:
    return failure(FailureKind.RATE_LIMITED, status=429, retry_after_seconds=retry_after_seconds)


def refused(kind: FailureKind, status: int, *, counts: bool = False) -> UpstreamError:
    return failure(kind, status=status, retryable=False, counts_against_breaker=counts, message=f"refused: {kind}")


def text(data: bytes) -> StreamBatch:
    return StreamBatch(data, has_content=True)


def frame(data: bytes) -> StreamBatch:
    """An event without content, like a role or a ping."""
    return StreamBatch(data, has_content=False)


class ScriptedStream:
    """An `AnswerStream` made of batches, waits and an end. Its text is what content it gave, after `said`."""

    terminator = b"[end]"

    def __init__(self, steps: tuple[Any, ...], said: str = "") -> None:
        self._steps = list(steps)
        self._said = said
        self.usage: Usage | None = None
        self.finish_reason: FinishReason | None = None
        self.model = "model"
        self.upstream_id: str | None = "up-stream"
        self.bytes_received = 0
        self.dropped_params: tuple[str, ...] = ()
        self.rate_limits: dict[str, str] = {}
        self.closed = False
        self.continuable = True

    @property
    def seam(self) -> Seam | None:
        return Seam(self._said, "id", "model") if self._said and self.continuable else None

    async def read(self) -> StreamBatch | None:
        while self._steps:
            step = self._steps.pop(0)
            if isinstance(step, FinishReason):
                self.finish_reason = step
                return frame(b"")
            if isinstance(step, StreamBatch):
                self.bytes_received += len(step.data)
                self._said += step.data.decode() if step.has_content else ""
                return step
            await perform(step)
        self.usage, self.finish_reason = USAGE, FinishReason.STOP
        return None

    def end(self) -> StreamBatch:
        self._steps.clear()
        return StreamBatch(b" end", has_content=False)

    async def aclose(self) -> None:
        self.closed = True


@dataclass(frozen=True)
class Stream:
    """A script of one stream: batches, `Wait`s, errors, HANG."""

    steps: tuple[Any, ...]

    @classmethod
    def of(cls, *steps: Any) -> Stream:
        return cls(steps)


async def perform(step: Any) -> None:
    if isinstance(step, Wait):
        await asyncio.sleep(step.seconds)
    elif step is HANG:
        await asyncio.Event().wait()
    elif isinstance(step, BaseException):
        raise step
    else:
        raise AssertionError(f"no step of a script: {step!r}")


class ScriptedCaller:
    """A `Caller`; each attempt takes the next step of its script, and a step may be a list of steps."""

    def __init__(self) -> None:
        self.script: list[Any] = []
        self.called_at: list[float] = []
        self.called_models: list[str] = []
        self.streams: list[ScriptedStream] = []
        self.asks: list[Ask] = []
        self.under_way = 0
        self.most_under_way = 0

    @property
    def calls(self) -> int:
        return len(self.called_at)

    async def answer(self, ask: Ask, target: Target) -> Any:
        assert not ask.stream
        return await self._next(ask, target)

    async def stream(self, ask: Ask, target: Target) -> Any:
        assert ask.stream
        return await self._next(ask, target)

    async def aclose(self) -> None:
        return None

    async def _next(self, ask: Ask, target: Target) -> Any:
        self.asks.append(ask)
        self.called_at.append(asyncio.get_running_loop().time())
        self.called_models.append(target.model)
        self.under_way += 1
        self.most_under_way = max(self.under_way, self.most_under_way)
        try:
            return await self._perform(self.script.pop(0) if self.script else ANSWER)
        finally:
            self.under_way -= 1

    async def _perform(self, step: Any) -> Any:
        if isinstance(step, list):
            for before in step[:-1]:
                await perform(before)
            return await self._perform(step[-1])
        if isinstance(step, Answer):
            return step
        if isinstance(step, Stream):
            continuation = self.asks[-1].continuation
            self.streams.append(ScriptedStream(step.steps, continuation.seam.text if continuation else ""))
            return self.streams[-1]
        if callable(step):
            return step()
        return await perform(step)


def provider(name: str = "primary", **settings: Any) -> Provider:
    return Provider(name, settings.pop("kind", Wire.OPENAI), f"http://{name}.invalid", **settings)


def target(owner: Provider, model: str = "model", *, window_tokens: int | None = None, **overrides: Any) -> Target:
    made = Target(owner, model, owner.timeouts, owner.retry, ModelTraits(context_window_tokens=window_tokens))
    return replace(made, **overrides)


PRIMARY = provider("primary")
FALLBACK = provider("fallback", kind=Wire.ANTHROPIC)
ROUTE = (target(PRIMARY), target(FALLBACK))
NO_RETRIES = RetryPolicy(retries=0)


@dataclass
class World:
    """An engine in virtual time, and everything that can be observed of it. Jitter is none (factor 1)."""

    virtual: VirtualClock
    changes: list[BreakerChange] = field(default_factory=list)
    callers: dict[str, ScriptedCaller] = field(default_factory=dict)
    random: Callable[[], float] = lambda: 0.5

    def __post_init__(self) -> None:
        self.breakers = MemoryBreakers(self.virtual.clock, self.changes.append)
        self.engine = Engine(
            lambda asked: self.caller(asked.name), self.breakers, self.virtual.clock, lambda: self.random()
        )

    def caller(self, name: str) -> ScriptedCaller:
        return self.callers.setdefault(name, ScriptedCaller())

    @property
    def primary(self) -> ScriptedCaller:
        return self.caller("primary")

    @property
    def fallback(self) -> ScriptedCaller:
        return self.caller("fallback")

    @property
    def sleeps(self) -> list[float]:
        return self.virtual.sleeps

    def script(self, name: str, *steps: Any) -> ScriptedCaller:
        caller = self.caller(name)
        caller.script = list(steps)
        return caller

    def completion(
        self,
        *targets: Target,
        stream: bool = False,
        deadline_seconds: float = 90,
        request_id: str = "req-1",
        recovery: StreamRecovery = StreamRecovery.ERROR,
    ) -> Completion:
        ask = Ask(request_id, Wire.OPENAI, {}, b"{}", stream)
        plan = Plan(targets or ROUTE, {})
        return Completion(self.engine, ask, plan, deadline_seconds=deadline_seconds, recovery=recovery)

    def time(self) -> float:
        return self.virtual.monotonic()

    def state(self, owner: Provider = PRIMARY) -> BreakerState:
        return self.breakers.reading(owner).state

    async def open_breaker(self, owner: Provider = PRIMARY) -> None:
        """Five failures in a row, as other requests would report them."""
        for _ in range(owner.breaker.failure_threshold):
            permit = await self.breakers.admit(owner, 30)
            await self.breakers.report(owner, permit, Outcome.FAILURE, error="boom")  # type: ignore[arg-type]
        assert self.state(owner) is BreakerState.OPEN
        self.changes.clear()

    async def open_breaker_of_others(self, owner: Provider = PRIMARY) -> None:
        """Failures of other requests until it is open, whatever was counted before."""
        while self.state(owner) is BreakerState.CLOSED:
            permit = await self.breakers.admit(owner, 30)
            await self.breakers.report(owner, permit, Outcome.FAILURE, error="boom")  # type: ignore[arg-type]
