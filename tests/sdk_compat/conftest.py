"""One gateway and one simulator for all tests that drive it with the official SDKs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.simulator.server import Simulator
from gateway.simulator.thread import SimulatorThread
from tests.gateway_process import CLAUDE, OPERATOR_KEY, GatewayProcess, gateway_process
from tests.two_accounts import with_two_openai_accounts

GPT_6_1 = {"provider": "openai", "model": "gpt-6.1-sol"}


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
