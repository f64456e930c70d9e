"""What a request's limits cost it, and how a refusal is told."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from gateway.engine.errors import RateLimited
from gateway.engine.words import Operation
from gateway.services.call import Call
from gateway.services.limits import limits_admit
from gateway.services.snapshot import ApiKey
from gateway.stores.key_limits import Asked, Limits, Verdict
from gateway.stores.memory_limits import MemoryLimits
from tests.virtual_time import VirtualClock


def call(limits: Limits | None, *, body: bytes = b"{}", operation: Operation = Operation.CHAT) -> Call:
    key = ApiKey(1, "agents", None, "", None, "agent", None, disabled=False)
    if limits is not None:
        key = replace(key, **asdict(limits))
    return Call(operation, body, {}, key, "req_1")


@pytest.fixture
def store() -> MemoryLimits:
    return MemoryLimits(VirtualClock().clock)


async def test_a_key_without_limits_asks_no_store() -> None:
    nobody: Any = None
    assert (await limits_admit(nobody, call(None))).headers == {}


async def test_a_request_larger_than_a_minutes_tokens_may_have_a_whole_minute(store: MemoryLimits) -> None:
    large = call(Limits(tokens_per_minute=10), body=b"x" * 4000)
    await limits_admit(store, large)
    with pytest.raises(RateLimited, match="at most 10 tokens per minute are allowed; there is room in 60 s"):
        await limits_admit(store, large)


async def test_counting_tokens_uses_none(store: MemoryLimits) -> None:
    counting = call(Limits(tokens_per_minute=1), body=b"x" * 400, operation=Operation.COUNT_TOKENS)
    for _ in range(3):
        await limits_admit(store, counting)


async def test_an_admission_is_given_back_once() -> None:
    class Recorder(MemoryLimits):
        finished: list[int | None]

        def finish(self, asked: Asked, verdict: Verdict, tokens: int | None) -> None:
            self.finished.append(tokens)

    recorder = Recorder(VirtualClock().clock)
    recorder.finished = []
    admission = await limits_admit(recorder, call(Limits(max_parallel=1)))
    admission.finish(7)
    admission.finish(9)
    assert recorder.finished == [7]


async def test_a_refusal_waits_at_least_a_second(store: MemoryLimits) -> None:
    await limits_admit(store, call(Limits(max_parallel=1)))
    with pytest.raises(RateLimited) as refused:
        await limits_admit(store, call(Limits(max_parallel=1)))
    assert refused.value.retry_after_seconds == 1
    assert refused.value.details["limit"] == "max_parallel"
