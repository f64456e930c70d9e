"""Two gateway processes on one Redis, seen from outside: one breaker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx2
import pytest
import redis

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from tests.gateway_process import (
    AGENT_KEY,
    GatewayProcess,
    another_gateway,
    configuration,
    gateway_process,
    provider,
)

pytestmark = pytest.mark.redis

THRESHOLD = 5
# So that on a busy machine only a Redis that is really away counts as away.
PATIENT = {"LLMOPS_REDIS_TIMEOUT_MS": "1000"}
IN_FLIGHT = 8
PATIENCE_SECONDS = 10.0
# For the fleet to know of an opening; the promise of docs/architecture.md.
KNOWN_WITHIN_SECONDS = 1.0
BODY = {"model": "default", "messages": [{"role": "user", "content": "[[say: Yes.]]"}]}


@dataclass(frozen=True)
class Fleet:
    first: GatewayProcess
    second: GatewayProcess
    simulator: Simulator


@pytest.fixture(scope="module")
def _fleet(_simulator: Simulator, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    providers = [
        provider("openai", f"{_simulator.url}/openai/v1", breaker={"failure_threshold": THRESHOLD}),
        provider("anthropic", f"{_simulator.url}/anthropic"),
    ]
    document, env = configuration(_simulator.url, providers=providers), {"REDIS_URL": redis_url, **PATIENT}
    folder = tmp_path_factory.mktemp("fleet")
    with (
        gateway_process(folder, document, env=env) as first,
        another_gateway(first.data_dir, folder / "second.log", env=env) as second,
    ):
        yield Fleet(first, second, _simulator)


@pytest.fixture
def fleet(_fleet: Fleet, simulator: Simulator) -> Fleet:
    """Two processes, with every breaker closed and known to be."""
    _fleet.first.post("/api/breakers/openai", {"action": "reset", "reason": "a new test"})
    until(lambda: state(_fleet.second) == "closed", KNOWN_WITHIN_SECONDS)
    return _fleet


def test_a_breaker_opened_through_one_process_is_refused_by_the_other(fleet: Fleet) -> None:
    fleet.simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=503))
    for _ in range(2):
        assert ask(fleet.first) == "anthropic"
    until(lambda: state(fleet.second) == "open", KNOWN_WITHIN_SECONDS)
    assert [ask(fleet.second) for _ in range(5)] == ["anthropic"] * 5
    assert asked_openai(fleet) == THRESHOLD


def test_a_dead_provider_is_asked_no_more_than_the_threshold_and_what_was_in_flight(fleet: Fleet) -> None:
    fleet.simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=503))
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        gateways = [fleet.first, fleet.second] * 20
        assert list(pool.map(ask, gateways)) == ["anthropic"] * 40
    assert THRESHOLD <= asked_openai(fleet) <= THRESHOLD + IN_FLIGHT - 1


def test_an_opening_and_a_reset_are_one_row_each(fleet: Fleet) -> None:
    fleet.simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=503))
    before = len(fleet.first.log()), len(fleet.second.log())
    for gateway in (fleet.first, fleet.second, fleet.first):
        ask(gateway)
    until(lambda: state(fleet.second) == "open", KNOWN_WITHIN_SECONDS)
    fleet.second.post("/api/breakers/openai", {"action": "reset", "reason": "well again"})
    until(lambda: state(fleet.first) == "closed", KNOWN_WITHIN_SECONDS)
    logs = fleet.first.log()[before[0] :] + fleet.second.log()[before[1] :]
    assert logs.count("from=closed to=open") == 1
    assert logs.count("from=open to=closed") == 1


def test_readiness_and_status_tell_that_redis_is_used(fleet: Fleet) -> None:
    assert fleet.first.get("/readyz")["redis"] == "connected"
    assert fleet.second.get("/api/status")["redis"] == "connected"


def ask(gateway: GatewayProcess) -> str:
    """Who answered."""
    headers = {"authorization": f"Bearer {AGENT_KEY}"}
    reply = httpx2.post(f"{gateway.url}/v1/chat/completions", json=BODY, headers=headers, timeout=30)
    assert reply.status_code == 200
    return str(reply.headers["x-llmops-provider"])


def state(gateway: GatewayProcess) -> str:
    return str(gateway.get("/api/breakers/openai")["state"])


def asked_openai(fleet: Fleet) -> int:
    return sum(row.provider == "openai" for row in fleet.simulator.log.rows())


def until(fact: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
