"""One set of rules: whatever happens, the breaker in Redis does what the one in memory does."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from gateway.engine.breaker import BreakerReading, Outcome, Permit, Refusal
from gateway.engine.configuration import BreakerPolicy
from gateway.stores.memory import MemoryBreakers
from gateway.stores.redis_breakers import RedisBreakers
from tests.stores.conftest import OPENAI, Ear, Hand

pytestmark = pytest.mark.redis

OUTCOMES = {"S": Outcome.SUCCESS, "F": Outcome.FAILURE, "N": Outcome.NONE}


class Pair:
    """Both stores, given the same; every step checks that they answered and announced the same."""

    def __init__(self, url: str, hand: Hand) -> None:
        self.hand, self.ears = hand, (Ear(), Ear())
        self.memory = MemoryBreakers(hand.clock, self.ears[0])
        self.shared = RedisBreakers(url, hand.clock, self.ears[1], timeout_seconds=2.0, server_now=hand.now)
        self.out: list[tuple[Permit, Permit]] = []
        self.provider = OPENAI

    async def ask(self) -> bool:
        one, other = await self.memory.admit(self.provider, 30), await self.shared.admit(self.provider, 30)
        if isinstance(one, Refusal) or isinstance(other, Refusal):
            assert one == other
            return False
        assert one.probe == other.probe
        self.out.append((one, other))
        return True

    async def end(self, index: int, outcome: Outcome) -> None:
        one, other = self.out.pop(index)
        await self.memory.report(self.provider, one, outcome, error="boom", request_id="req-9")
        await self.shared.report(self.provider, other, outcome, error="boom", request_id="req-9")

    async def reset(self) -> None:
        await self.memory.reset(self.provider, "reset by ada")
        await self.shared.reset(self.provider, "reset by ada")

    def agree(self) -> None:
        one, other = self.ears
        assert [change.request_id for change in one.heard] == [change.request_id for change in other.heard]
        assert one.steps() == other.steps()
        assert seen(self.memory.reading(self.provider)) == seen(self.shared.reading(self.provider))
        assert self.shared.status.away_reason is None


def seen(reading: BreakerReading) -> BreakerReading:
    """Without the last error: of a late failure, which moves nothing, only the process that had it knows."""
    return replace(reading, last_error="")


@pytest.mark.parametrize(
    "story",
    [
        "S S S",
        "F F F F F",
        "F F F F S F F F F F",
        "F F F F N F",
        "F F F F F 59 ask 1 S",
        "F F F F F 60 F 59 ask 1 S F",
        "F F F F F 60 N S",
        "F F F F F 60 ask 35 ask end-S end-S",
        "F F F F F 60 ask 34 ask 1 ask end-F end-N",
        "ask F F F F F end-F end-S 60 S",
        "ask F F F F F 60 S end-F F F F F F",
        "ask ask ask ask ask 1 S end-F end-F end-F end-F end-F F",
        "ask ask ask ask ask 1 ask end-F end-F end-F end-F end-S end-S F F F F F",
        "F F F F F reset F F F F F 60 S",
        "F F F F F 60 ask reset end-F F",
        "F F force-closed F F F F F F release F F F",
        "F F F F F force-closed S S release ask",
        "force-open ask release S",
        "F F F F F force-open 60 ask release S",
        "F F force-open reset release F F F F F",
    ],
)
async def test_every_story_ends_the_same_in_both(story: str, empty_redis: str, hand: Hand) -> None:
    pair = Pair(empty_redis, hand)
    await pair.shared.start([OPENAI])
    try:
        for word in story.split():
            await play(pair, word)
            pair.agree()
    finally:
        await pair.shared.aclose()


async def play(pair: Pair, word: str) -> None:
    if word in OUTCOMES:
        if await pair.ask():
            await pair.end(len(pair.out) - 1, OUTCOMES[word])
    elif word.isdigit():
        pair.hand.move(int(word))
    elif word == "ask":
        await pair.ask()
    elif word.startswith("end-"):
        if pair.out:
            await pair.end(0, OUTCOMES[word[-1]])
    elif word == "reset":
        await pair.reset()
    else:
        pair.provider = replace(OPENAI, forced_breaker=word.removeprefix("force-") if word != "release" else None)


@pytest.mark.parametrize("threshold", [1, 2, 10])
async def test_the_threshold_is_the_settings_in_both(threshold: int, empty_redis: str, hand: Hand) -> None:
    pair = Pair(empty_redis, hand)
    pair.provider = replace(OPENAI, breaker=BreakerPolicy(failure_threshold=threshold))
    await pair.shared.start([OPENAI])
    try:
        for _ in range(threshold + 1):
            await play(pair, "F")
            pair.agree()
    finally:
        await pair.shared.aclose()


class AnyStory(RuleBasedStateMachine):
    """Any order of admissions, reports, waits, forced states and resets."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        with redis.Redis.from_url(self.url) as client:
            client.flushall()
        self.pair = Pair(self.url, Hand())
        self.runner.run(self.pair.shared.start([OPENAI]))

    def teardown(self) -> None:
        self.runner.run(self.pair.shared.aclose())
        self.runner.close()

    @rule(word=st.sampled_from(["ask", "F", "F", "F", "S", "N", "reset"]))
    def play(self, word: str) -> None:
        self.runner.run(play(self.pair, word))

    @rule(forced=st.sampled_from(["release", "release", "force-open", "force-closed"]))
    def order(self, forced: str) -> None:
        self.runner.run(play(self.pair, forced))

    @precondition(lambda self: self.pair.out)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome))
    def end(self, data: st.DataObject, outcome: Outcome) -> None:
        self.runner.run(self.pair.end(data.draw(st.integers(0, len(self.pair.out) - 1)), outcome))

    @rule(seconds=st.sampled_from([1, 34, 36, 59, 61]))
    def wait(self, seconds: int) -> None:
        self.pair.hand.move(seconds)

    @invariant()
    def they_agree(self) -> None:
        self.pair.agree()


def test_any_story_ends_the_same_in_both(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AnyStory, "url", redis_url)
    run_state_machine_as_test(AnyStory, settings=settings(max_examples=30, stateful_step_count=30, deadline=None))
