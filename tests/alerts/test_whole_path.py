"""From an agent's request to the message in the channel, with two processes that sweep at the same time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.models.words import AlertEvent
from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from gateway.simulator.thread import SimulatorThread
from tests.alerts.conftest import Receiver
from tests.gateway_process import (
    AGENT_KEY,
    OTHER_TEAM_KEY,
    ROOT,
    GatewayProcess,
    configuration,
    environment,
    gateway_process,
    provider,
)

PATIENCE_SECONDS = 40.0
# Sweeps, as the worker's task does every second, until its input ends.
SWEEPER = """
import select, sys
from gateway.tasks import alerts_sweep
while not select.select([sys.stdin], [], [], 0.1)[0]:
    alerts_sweep()
alerts_sweep()
"""
BUDGETS = [
    {"name": "small", "scope": "team", "subject": "research", "limit_usd": "0.000001", "enforcement": "alert"},
    {"name": "none", "scope": "team", "subject": "sales", "limit_usd": "0.000001"},
]


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with SimulatorThread() as simulator:
        yield simulator


@pytest.fixture
def gateway(simulator: Simulator, receiver: Receiver, tmp_path: Path) -> Iterator[GatewayProcess]:
    breaker = {"failure_threshold": 5, "cooldown_seconds": 1}
    document = configuration(
        simulator.url,
        providers=[
            provider("openai", f"{simulator.url}/openai/v1", breaker=breaker),
            provider("anthropic", f"{simulator.url}/anthropic"),
        ],
        budgets=BUDGETS,
        alert_channels=[{"name": "ops", "url": receiver.url, "events": list(AlertEvent)}],
    )
    with gateway_process(tmp_path, document) as gateway:
        yield gateway


@contextmanager
def two_sweepers(gateway: GatewayProcess) -> Iterator[None]:
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", SWEEPER]
    options: dict[str, Any] = {"cwd": ROOT, "env": environment(gateway.data_dir), "stdin": subprocess.PIPE}
    with subprocess.Popen(command, **options) as first, subprocess.Popen(command, **options) as second:
        yield
        for sweeper in (first, second):
            assert sweeper.stdin is not None
            sweeper.stdin.close()
        assert (first.wait(PATIENCE_SECONDS), second.wait(PATIENCE_SECONDS)) == (0, 0)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ask(gateway: GatewayProcess, *, model: str = "default", key: str = AGENT_KEY) -> httpx2.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "[[say: Yes.]]"}]}
    headers = {"authorization": f"Bearer {key}"}
    return httpx2.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers)


def test_everything_is_told_once_although_two_processes_look(
    gateway: GatewayProcess, simulator: Simulator, receiver: Receiver
) -> None:
    with two_sweepers(gateway):
        outage = simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=503))
        for _ in range(6):
            assert ask(gateway).status_code == 200
        until(lambda: "breaker_opened: openai" in receiver.titles)
        simulator.faults.remove(outage)
        until(lambda: ask(gateway).headers["x-llmops-provider"] == "openai")
        until(lambda: "breaker_closed: openai" in receiver.titles)
        assert ask(gateway, key=OTHER_TEAM_KEY).status_code == 429
        rejection = simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="anthropic", status=401))
        assert [ask(gateway, model="anthropic-only").status_code for _ in range(2)] == [502, 502]
        until(lambda: "provider_auth_failed: anthropic" in receiver.titles)
        simulator.faults.remove(rejection)
        assert ask(gateway, model="anthropic-only").status_code == 200
        until(lambda: len(gateway.get("/api/alerts?open=true")) == 4)
    assert sorted(receiver.titles) == [
        "breaker_closed: openai",
        "breaker_opened: openai",
        "budget_blocked: none (sales)",
        *(f"budget_threshold: small (research): {percent} %" for percent in (100, 50, 80)),
        "provider_auth_failed: anthropic",
    ]
