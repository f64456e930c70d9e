"""What one gateway process says of itself, and what it writes of its breakers."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.engine.breaker import Outcome, Permit
from gateway.services.runtime import NEWS_INTERVAL_SECONDS, Runtime
from tests.engine.scripted import PRIMARY
from tests.virtual_time import VirtualClock, VirtualLoop


def test_what_is_missing_repeats_nothing_of_the_databases_own_words() -> None:
    """Anybody may read it, and they may name hosts, users and databases."""
    holder: Any = SimpleNamespace(loaded=True, current=SimpleNamespace(routes={"default": object()}))
    ledger: Any = SimpleNamespace(
        healthy=False, answers_from_spool=False, away_reason='connection to "10.0.0.7", user "llmops" failed'
    )
    (missing,) = Runtime(holder, ledger).missing()
    assert missing.startswith("the ledger cannot write")
    assert "10.0.0.7" not in missing


async def report(runtime: Runtime, *outcomes: Outcome) -> None:
    for outcome in outcomes:
        permit = await runtime.breakers.admit(PRIMARY, 30)
        assert isinstance(permit, Permit)
        await runtime.breakers.report(PRIMARY, permit, outcome, error="boom")


@pytest.mark.parametrize(
    ("outcomes", "told"),
    [
        ([Outcome.FAILURE], [1]),
        ([Outcome.FAILURE] * 4 + [Outcome.SUCCESS], [1, 0]),
        ([Outcome.FAILURE] * 3, [1, 3]),
        ([Outcome.FAILURE] * 5, [1, 5]),
    ],
    ids=["one", "back to none", "three", "opened"],
)
def test_the_last_news_of_an_interval_are_told_at_its_end(outcomes: list[Outcome], told: list[int]) -> None:
    """Not each one, but never is an older count the last that the row gets."""
    noted: list[int] = []
    ledger: Any = SimpleNamespace(note=lambda event: noted.append(event.consecutive_failures))
    holder: Any = SimpleNamespace()

    async def run() -> None:
        await report(Runtime(holder, ledger, VirtualClock().clock), *outcomes)
        await asyncio.sleep(NEWS_INTERVAL_SECONDS)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())
    assert noted == told
