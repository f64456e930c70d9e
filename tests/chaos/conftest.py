"""One fleet for all of chaos: four processes, a Redis of their own, the simulator, and every story's configuration.

`CHAOS=long` (`make chaos`) runs the long forms; `CHAOS_SEED` replaces the seed, which is printed with every storm.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.chaos import faults, half_open, storm
from tests.chaos.fleet import Fleet, fleet
from tests.chaos.pace import FAST

LONG = os.environ.get("CHAOS") == "long"
collect_ignore = [] if LONG else ["test_workers.py", "test_postgres.py"]
# So that on a busy machine only a Redis that is really away counts as away.
PATIENT = {"LLMOPS_REDIS_TIMEOUT_MS": "250"}


@dataclass(frozen=True, slots=True)
class Length:
    """How much of each story is told."""

    half_open_rounds: int
    storm_requests: int
    away_seconds: float


LENGTH = Length(8, 4000, 10.0) if LONG else Length(1, 160, 0.8)


@pytest.fixture(scope="session")
def seed() -> int:
    return int(os.environ.get("CHAOS_SEED", storm.SEED))


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, seed: int) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("chaos"), document, seed=seed, env=PATIENT) as started:
        yield started


def document(simulator_url: str) -> dict[str, Any]:
    made = faults.document(simulator_url, FAST)
    for story in (half_open, storm):
        for name, more in story.sections(simulator_url).items():
            made[name] += more
    return made
