"""Providers that fail a fifth of what they are asked, in all their ways; `make chaos` lasts longer."""

from __future__ import annotations

import pytest

from tests.chaos.conftest import LENGTH, LONG
from tests.chaos.fleet import Fleet
from tests.chaos.storm import AVAILABILITY, FALLBACK_SUCCESS, blow, report

pytestmark = [pytest.mark.chaos, pytest.mark.alone, pytest.mark.redis]


async def test_agents_get_whole_answers_or_clear_errors_and_the_books_agree_with_the_calls(
    running: Fleet, seed: int
) -> None:
    weather = await blow(running, seed, requests=LENGTH.storm_requests)
    print(f"\nSeed {seed}.\n{report(weather)}")
    assert weather.problems == [], report(weather)
    # Of a few hundred requests a single one is more than a thousandth.
    assert weather.availability > (AVAILABILITY if LONG else 0.98), report(weather)
    assert weather.fallback_success > (FALLBACK_SUCCESS if LONG else 0.8), report(weather)
