"""One gateway and one simulator for all tests that drive it with the official SDKs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import openai
import pytest

from gateway.simulator.server import Simulator
from gateway.simulator.thread import SimulatorThread
from tests.gateway_process import (
    CLAUDE,
    GPT_4_TURBO,
    OPERATOR_KEY,
    GatewayProcess,
    another_gateway,
    configuration,
    gateway_process,
)
from tests.servers import redis_server
from tests.two_accounts import with_two_openai_accounts

GPT_6_1 = {"provider": "openai", "model": "gpt-6.1-sol"}


TIERED = {
    "kind": "openai",
    "model": "gpt-4o",
    "input_per_mtok": "2",
    "output_per_mtok": "10",
    "long_context": {"above_input_tokens": 200, "input_per_mtok": "4", "output_per_mtok": "15"},
}


@pytest.fixture(scope="session")
def _simulator() -> Iterator[Simulator]:
    with SimulatorThread() as simulator:
        yield simulator


@pytest.fixture(scope="session")
def _gateway(_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    document = with_two_openai_accounts(_simulator.url)
    document["routes"].append({"name": "always-reasoning", "targets": [GPT_6_1, CLAUDE]})
    document["prices"].append(
        {"kind": "openai", "model": GPT_6_1["model"], "input_per_mtok": "2", "output_per_mtok": "10"}
    )
    document["routes"].append({"name": "tiered", "targets": [{"provider": "openai", "model": "gpt-4o"}]})
    document["prices"].append(TIERED)
    document["routes"].append({"name": "kept", "store_content": True, "targets": [GPT_4_TURBO, CLAUDE]})
    with gateway_process(tmp_path_factory.mktemp("gateway"), document) as gateway:
        yield gateway


@pytest.fixture
def simulator(_simulator: Simulator) -> Simulator:
    """The simulator, without faults and with an empty log and bill."""
    _simulator.reset()
    return _simulator


@pytest.fixture
def gateway(_gateway: GatewayProcess, simulator: Simulator) -> GatewayProcess:
    """The gateway, with every breaker closed."""
    for name in ("openai", "anthropic", "first", "second"):
        _gateway.post(f"/api/breakers/{name}", {"action": "reset", "reason": "a new test"}, OPERATOR_KEY)
    return _gateway


Pair = tuple[GatewayProcess, GatewayProcess]
# Each test of a limit has a key of its own.
LIMITS: dict[str, dict[str, int]] = {
    "slow": {"requests_per_minute": 2},
    "counted": {"requests_per_minute": 1},
    "wordy": {"tokens_per_minute": 60},
    "narrow place": {"max_parallel": 1},
    "fleet": {"requests_per_minute": 10},
}


def limited_key(name: str) -> str:
    return f"sk-llmops-test-{name.replace(' ', '-')}-0123456789abcdef"


@pytest.fixture(scope="session")
def _pair(_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """On a Redis of its own, since it lives on while other tests use theirs. Patient with it, so that on a busy machine
    only one that is really away counts as away."""
    document = configuration(_simulator.url)
    document["api_keys"] += [{"name": name, "key": limited_key(name), **limits} for name, limits in LIMITS.items()]
    folder = tmp_path_factory.mktemp("pair")
    with redis_server(folder) as redis_url:
        env = {"REDIS_URL": redis_url, "LLMOPS_REDIS_TIMEOUT_MS": "1000"}
        with (
            gateway_process(folder, document, env=env) as first,
            another_gateway(first.data_dir, folder / "second.log", env=env) as second,
        ):
            yield first, second


@pytest.fixture
def pair(_pair: Pair, simulator: Simulator) -> Pair:
    """Two processes of one installation on one Redis, with every breaker closed."""
    for gateway in _pair:
        for name in ("openai", "anthropic"):
            gateway.post(f"/api/breakers/{name}", {"action": "reset", "reason": "a new test"})
    return _pair


Chat = Callable[[GatewayProcess, str], openai.OpenAI]


@pytest.fixture
def chat() -> Iterator[Chat]:
    """Makes clients that never try again by themselves, and closes them at the end."""
    with ExitStack() as clients:
        yield lambda gateway, key: clients.enter_context(
            openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0)
        )
