"""The benchmark's own arithmetic, and that it refuses to measure errors."""

from __future__ import annotations

import json
import os

import pytest

from bench import load
from bench.__main__ import failed_checks
from bench.machine import cpu_seconds, memory_mb
from bench.scenarios import SCENARIOS
from gateway.simulator import SimulatorThread


def simulator_call(simulator: SimulatorThread, body: bytes, expected: bytes) -> load.Call:
    host, _, port = simulator.url.removeprefix("http://").partition(":")
    return load.post(host, int(port), "/openai/v1/chat/completions", body, "sk-test", expected)


@pytest.mark.parametrize("scenario", [scenario for scenario in SCENARIOS if scenario.model], ids=lambda it: it.name)
async def test_upstream_answers_what_the_scenario_expects(scenario: object) -> None:
    with SimulatorThread() as simulator:
        call = simulator_call(simulator, scenario.body(scenario.model), scenario.expected)  # type: ignore[attr-defined]
        assert len(await load.run(call, requests=6, connections=2)) == 6


async def test_error_is_no_result() -> None:
    with SimulatorThread() as simulator:
        call = simulator_call(simulator, json.dumps({"model": "nobody", "messages": []}).encode(), b'"usage"')
        with pytest.raises(load.BadAnswer, match=r"HTTP/1\.1 40"):
            await load.run(call, requests=1, connections=1)


def test_cpu_time_of_a_process_grows_with_its_work() -> None:
    before = cpu_seconds(os.getpid())
    while cpu_seconds(os.getpid()) - before < 0.02:
        sum(range(100_000))
    assert memory_mb(os.getpid()) > 1


@pytest.mark.parametrize(("gateway_ms", "failed"), [(2.0, 0), (20.0, 1)])
def test_guard_fails_above_its_multiple_of_the_pass_through(gateway_ms: float, failed: int) -> None:
    assert failed_checks({("gateway", "a"): [gateway_ms], ("pass-through", "a"): [0.2]}) == failed
