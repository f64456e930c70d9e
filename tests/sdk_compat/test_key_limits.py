"""Limits of API keys, as the official SDKs see them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import anthropic
import httpx2
import openai
import pytest

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from tests.gateway_process import GatewayProcess
from tests.sdk_compat.conftest import LIMITS, Chat, Pair, limited_key

pytestmark = pytest.mark.redis

MESSAGES = [{"role": "user", "content": "[[say: Yes.]]"}]
LONG = [{"role": "user", "content": f"[[say: {'word ' * 80}]]"}]


@pytest.fixture
def gateway(pair: Pair) -> GatewayProcess:
    return pair[0]


def test_openais_sdk_raises_its_rate_limit_error(gateway: GatewayProcess, chat: Chat, simulator: Simulator) -> None:
    client = chat(gateway, limited_key("slow"))
    for remaining in ("1", "0"):
        reply = client.chat.completions.with_raw_response.create(model="default", messages=MESSAGES)
        assert reply.headers["x-ratelimit-limit-requests"] == "2"
        assert reply.headers["x-ratelimit-remaining-requests"] == remaining
    asked = len(simulator.log.rows())
    with pytest.raises(openai.RateLimitError, match="'slow' has reached its limit requests_per_minute: at most 2") as e:
        client.chat.completions.create(model="default", messages=MESSAGES)
    assert e.value.code == "rate_limited"
    assert 1 <= int(e.value.response.headers["retry-after"]) <= 60
    assert e.value.response.headers["x-should-retry"] == "true"
    assert len(simulator.log.rows()) == asked


def test_anthropics_sdk_raises_its_rate_limit_error(gateway: GatewayProcess) -> None:
    with anthropic.Anthropic(base_url=gateway.url, api_key=limited_key("counted"), max_retries=0) as client:
        first = client.messages.with_raw_response.create(model="default", max_tokens=9, messages=MESSAGES)
        assert first.headers["anthropic-ratelimit-requests-remaining"] == "0"
        assert first.headers["anthropic-ratelimit-requests-reset"].endswith("Z")
        with pytest.raises(anthropic.RateLimitError, match="requests_per_minute"):
            client.messages.count_tokens(model="default", messages=MESSAGES)


def test_an_answers_tokens_count_once_they_are_known(gateway: GatewayProcess, chat: Chat) -> None:
    client = chat(gateway, limited_key("wordy"))
    reply = client.chat.completions.with_raw_response.create(model="default", messages=LONG)
    assert reply.parse().usage.total_tokens > LIMITS["wordy"]["tokens_per_minute"]
    with pytest.raises(openai.RateLimitError, match="at most 60 tokens per minute"):
        client.chat.completions.create(model="default", messages=MESSAGES)


def test_a_stream_holds_its_place_until_its_client_leaves(
    gateway: GatewayProcess, chat: Chat, simulator: Simulator
) -> None:
    simulator.faults.add(Fault(kind=FaultKind.SLOW_TOKENS, seconds=0.2, times=1))
    client = chat(gateway, limited_key("narrow place"))
    stream = client.chat.completions.create(model="default", messages=LONG, stream=True)
    next(iter(stream))
    with pytest.raises(openai.RateLimitError, match="at most 1 requests at a time"):
        client.chat.completions.create(model="default", messages=MESSAGES)
    stream.close()
    with client.with_options(max_retries=5) as patient:
        reply = patient.chat.completions.create(model="default", messages=MESSAGES)
    assert reply.choices[0].message.content == "Yes."


def test_a_refused_body_gives_its_place_back(gateway: GatewayProcess) -> None:
    for _ in range(2):
        reply = httpx2.post(
            f"{gateway.url}/v1/chat/completions",
            json={"model": "nowhere", "messages": MESSAGES},
            headers={"authorization": f"Bearer {limited_key('narrow place')}"},
        )
        assert reply.status_code == 404


def test_a_fleet_shares_one_limit(pair: Pair) -> None:
    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(lambda n: status(pair[n % 2], "fleet"), range(30)))
    assert (statuses.count(200), statuses.count(429)) == (10, 20)


def status(gateway: GatewayProcess, name: str) -> int:
    headers = {"authorization": f"Bearer {limited_key(name)}"}
    body = {"model": "default", "messages": MESSAGES}
    return httpx2.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=30).status_code
