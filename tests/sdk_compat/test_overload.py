"""More requests at once than a provider may have in flight: some wait, the rest are told to come back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from tests.gateway_process import AGENT_KEY, GatewayProcess, configuration, gateway_process

MESSAGES: Any = [{"role": "user", "content": "[[tokens: 5]]"}]


@pytest.fixture
def narrow(simulator: Simulator, tmp_path: Path) -> Iterator[GatewayProcess]:
    """Two in flight, one in the queue for half a second, in front of a provider that takes a second."""
    document = configuration(simulator.url)
    document["providers"][0] |= {"max_in_flight": 2, "max_queued": 1, "queue_timeout_seconds": 0.5}
    simulator.faults.add(Fault(provider="openai", kind=FaultKind.SLOW_FIRST_TOKEN, seconds=1.5))
    with gateway_process(tmp_path, document) as gateway:
        yield gateway


def test_beyond_the_bound_requests_get_a_429_that_says_when_to_come_back(
    narrow: GatewayProcess, simulator: Simulator
) -> None:
    def ask(_: int) -> tuple[int, str, str]:
        with openai.OpenAI(base_url=f"{narrow.url}/v1", api_key=AGENT_KEY, max_retries=0) as client:
            try:
                client.chat.completions.create(model="openai-only", messages=MESSAGES)
            except openai.RateLimitError as error:
                return error.status_code, str(error.code), error.response.headers["retry-after"]
        return 200, "", ""

    with ThreadPoolExecutor(6) as threads:
        results = sorted(threads.map(ask, range(6)))
    assert results == [(200, "", "")] * 2 + [(429, "overloaded", "1")] * 4
    assert len(simulator.log.rows()) == 2
