"""Real processes on a real Redis, with Redis' own clock."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from gateway.engine.breaker import Outcome
from gateway.engine.clock import SYSTEM_CLOCK
from gateway.stores.redis_breakers import RedisBreakers
from tests.stores.conftest import QUICK, Ear, attempt, until

pytestmark = pytest.mark.redis

ROOT = Path(__file__).resolve().parents[2]
PROCESSES, TASKS = 4, 50


@contextmanager
def prober(url: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.stores.prober", url, str(TASKS)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_four_processes_with_fifty_tasks_each_get_exactly_one_probe(empty_redis: str) -> None:
    store = RedisBreakers(empty_redis, SYSTEM_CLOCK, Ear(), timeout_seconds=10.0)
    await store.start([QUICK])
    for _ in range(5):
        await attempt(store, Outcome.FAILURE, QUICK)
    with ExitStack() as stack:
        processes = [stack.enter_context(prober(empty_redis)) for _ in range(PROCESSES)]
        assert [line_of(process) for process in processes] == ["ready"] * PROCESSES
        await until(lambda: cooled_down(store), "the cool-down is over")
        await store.aclose()
        for process in processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        assert sorted(line_of(process) for process in processes) == ["0", "0", "0", "1"]


def cooled_down(store: RedisBreakers) -> bool:
    next_probe_at = store.reading(QUICK).next_probe_at
    return next_probe_at is not None and SYSTEM_CLOCK.now() > next_probe_at + 0.01


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()
