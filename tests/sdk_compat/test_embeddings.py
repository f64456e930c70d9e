"""The Embeddings API through the official OpenAI SDK: passed through, metered, and with a fallback between accounts."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import openai
import pytest

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from tests.gateway_process import AGENT_KEY, GatewayProcess
from tests.two_accounts import EMBEDDING_MODEL, FIRST_ACCOUNT


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=AGENT_KEY, max_retries=0) as client:
        yield client


@pytest.mark.parametrize("through", ["first", "second"])
def test_embeddings_arrive_and_cost_what_the_provider_bills(
    client: openai.OpenAI, simulator: Simulator, through: str
) -> None:
    if through == "second":
        simulator.faults.add(Fault(kind=FaultKind.STATUS, tag=FIRST_ACCOUNT, status=503))
    raw = client.embeddings.with_raw_response.create(model="embeddings", input=["one text", "and another"])
    embeddings = raw.parse()
    assert [len(each.embedding) for each in embeddings.data] == [1536, 1536]
    assert embeddings.model == EMBEDDING_MODEL
    assert raw.headers["x-llmops-provider"] == through
    line = simulator.bill().line("openai", EMBEDDING_MODEL)
    assert embeddings.usage.prompt_tokens == line.input_tokens
    expected_usd = Decimal(line.input_tokens) * Decimal("0.02") / 1_000_000
    assert Decimal(raw.headers["x-llmops-cost-usd"]) == expected_usd > 0


def test_they_are_told_to_operations_as_what_they_are(client: openai.OpenAI, gateway: GatewayProcess) -> None:
    raw = client.embeddings.with_raw_response.create(model="embeddings", input="a text")
    told = gateway.get(f"/api/completions/{raw.headers['x-request-id']}")
    assert told["operation"] == "embeddings"
    assert told["output_tokens"] == 0
    assert told["cost_usd"] == raw.headers["x-llmops-cost-usd"]


def test_parameters_the_gateway_doesn_t_know_are_passed_on(client: openai.OpenAI) -> None:
    embeddings = client.embeddings.create(model="embeddings", input="a text", dimensions=8, encoding_format="float")
    assert len(embeddings.data[0].embedding) == 8


def test_a_route_without_any_target_of_the_kind_is_a_clear_400(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="kind openai"):
        client.embeddings.create(model="anthropic-only", input="a text")


def test_the_provider_s_own_400_is_passed_on(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="embeddings", input="a text", dimensions=0)
    assert "dimensions" in caught.value.message
