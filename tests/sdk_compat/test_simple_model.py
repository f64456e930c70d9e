"""The cheap model for simple queries, through a running gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from gateway.simulator.server import Simulator
from tests.gateway_process import AGENT_KEY, GatewayProcess, configuration, gateway_process

CHEAP = {"provider": "openai", "model": "gpt-3.5-turbo"}
EASY: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def easy(_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    _simulator.reset()
    document = configuration(_simulator.url)
    document["routes"][0].update(simple_target=CHEAP, simple_mode="on")
    document["routes"][1].update(simple_target=CHEAP)  # shadow
    document["prices"].append({**PRICE, "kind": "openai", "model": CHEAP["model"]})
    with (
        gateway_process(tmp_path_factory.mktemp("easy"), document) as gateway,
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=AGENT_KEY, max_retries=0) as client,
    ):
        client.gateway = gateway  # type: ignore[attr-defined]
        yield client


PRICE = {"input_per_mtok": "0.5", "output_per_mtok": "1.5"}


def asked(client: openai.OpenAI, model: str = "default", **fields: Any) -> Any:
    return client.chat.completions.with_raw_response.create(model=model, messages=EASY, **fields).headers


def test_a_simple_query_is_answered_by_the_cheap_model(easy: openai.OpenAI) -> None:
    assert asked(easy)["x-llmops-model"] == "gpt-3.5-turbo"


def test_the_callers_word_gets_the_strong_model(easy: openai.OpenAI) -> None:
    headers = asked(easy, extra_headers={"X-LLMOps-Tier": "complex"})
    assert headers["x-llmops-model"] == "gpt-4-turbo"


def test_shadow_changes_nothing_and_keeps_the_decision(easy: openai.OpenAI) -> None:
    headers = asked(easy, "claude")
    gateway: GatewayProcess = easy.gateway  # type: ignore[attr-defined]
    told = gateway.get(f"/api/completions/{headers['x-request-id']}")["decision"]["simple"]
    assert (headers["x-llmops-model"], told["choice"]) == ("claude-3-5-sonnet-20241022", "shadow")


def test_a_length_stop_is_asked_of_the_strong_model_and_both_are_charged(easy: openai.OpenAI) -> None:
    headers = asked(easy, max_tokens=2)
    assert (headers["x-llmops-model"], headers["x-llmops-attempts"]) == ("gpt-4-turbo", "2")


def test_an_unknown_tier_is_a_400_that_names_both(easy: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="'simple' or 'complex'"):
        asked(easy, extra_headers={"X-LLMOps-Tier": "cheap"})
