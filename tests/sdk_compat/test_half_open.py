"""The breaker's cool-down, seen from outside, with a provider whose cool-down is short."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from tests.gateway_process import AGENT_KEY, GatewayProcess, configuration, gateway_process, provider

COOLDOWN_SECONDS = 1.0
PATIENCE_SECONDS = 10.0
BODY = {"model": "default", "messages": [{"role": "user", "content": "[[say: Yes.]]"}]}


@pytest.fixture
def quick(simulator: Simulator, tmp_path: Path) -> Iterator[GatewayProcess]:
    breaker = {"failure_threshold": 5, "cooldown_seconds": COOLDOWN_SECONDS}
    providers = [
        provider("openai", f"{simulator.url}/openai/v1", breaker=breaker),
        provider("anthropic", f"{simulator.url}/anthropic"),
    ]
    with gateway_process(tmp_path, configuration(simulator.url, providers=providers)) as gateway:
        yield gateway


def test_after_the_cool_down_exactly_one_request_probes_and_its_success_closes(
    quick: GatewayProcess, simulator: Simulator
) -> None:
    fault = simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=503))
    with httpx2.Client(base_url=quick.url, headers={"authorization": f"Bearer {AGENT_KEY}"}) as client:
        served = [provider_of(client) for _ in range(6)]
        opened_with = asked_openai(simulator)
        simulator.faults.remove(fault)
        probed_at = ask_until_openai_serves(client)
        served_after = [provider_of(client) for _ in range(3)]
    assert served == ["anthropic"] * 6
    assert len(opened_with) == 5
    probe = asked_openai(simulator)[5]
    assert probe - opened_with[-1] >= COOLDOWN_SECONDS
    assert probed_at
    assert served_after == ["openai"] * 3


def provider_of(client: httpx2.Client) -> str:
    reply = client.post("/v1/chat/completions", json=BODY)
    assert reply.status_code == 200
    return str(reply.headers["x-llmops-provider"])


def asked_openai(simulator: Simulator) -> list[float]:
    return [row.at_monotonic for row in simulator.log.rows() if row.provider == "openai"]


def ask_until_openai_serves(client: httpx2.Client) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if provider_of(client) == "openai":
            return True
    return False
