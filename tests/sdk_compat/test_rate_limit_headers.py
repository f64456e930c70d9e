"""A provider's hints about its rate limits reach the client that speaks its wire, in answers, streams and refusals."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from tests.gateway_process import AGENT_KEY, GatewayProcess

MESSAGES: Any = [{"role": "user", "content": "hello"}]


def hints(headers: Any) -> set[str]:
    return {name for name in headers if "ratelimit" in name}


@pytest.mark.parametrize("stream", [False, True])
def test_openais_reach_its_sdk(gateway: GatewayProcess, stream: bool) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=AGENT_KEY, max_retries=0) as client:
        calls: Any = client.chat.completions.with_raw_response
        reply = calls.create(model="openai-only", messages=MESSAGES, stream=stream)
        assert reply.headers["x-ratelimit-remaining-requests"] == "9999"
        reply.http_response.close()


def test_anthropics_reach_its_sdk(gateway: GatewayProcess) -> None:
    with anthropic.Anthropic(base_url=gateway.url, api_key=AGENT_KEY, max_retries=0) as client:
        reply = client.messages.with_raw_response.create(model="anthropic-only", max_tokens=9, messages=MESSAGES)
        assert reply.headers["anthropic-ratelimit-requests-remaining"] == "3999"


def test_those_of_another_wire_stay_behind(gateway: GatewayProcess) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=AGENT_KEY, max_retries=0) as client:
        reply = client.chat.completions.with_raw_response.create(model="anthropic-only", messages=MESSAGES)
        assert hints(reply.headers) == set()


def test_a_refusals_reach_the_client_too(gateway: GatewayProcess, simulator: Simulator) -> None:
    simulator.faults.add(Fault(provider="openai", kind=FaultKind.STATUS, status=429, retry_after="120"))
    with (
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=AGENT_KEY, max_retries=0) as client,
        pytest.raises(openai.RateLimitError) as caught,
    ):
        client.chat.completions.create(model="openai-only", messages=MESSAGES)
    assert caught.value.response.headers["retry-after"] == "120"
