"""The main job: a provider fails, the agent notices nothing, and operations can see why."""

from __future__ import annotations

import openai

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from tests.gateway_process import AGENT_KEY, GatewayProcess

HELLO = [{"role": "user", "content": "[[say: Still here.]]"}]


def ask(gateway: GatewayProcess) -> openai._legacy_response.LegacyAPIResponse[openai.types.chat.ChatCompletion]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=AGENT_KEY, max_retries=0) as client:
        return client.chat.completions.with_raw_response.create(model="default", messages=HELLO)


def calls(simulator: Simulator, provider: str) -> int:
    return sum(row.provider == provider for row in simulator.log.rows())


def test_the_primary_gets_three_retries_and_then_the_fallback_answers(
    gateway: GatewayProcess, simulator: Simulator
) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=503))
    headers = ask(gateway).headers
    assert (calls(simulator, "openai"), calls(simulator, "anthropic")) == (4, 1)
    assert headers["x-llmops-fallback"] == "true"
    assert headers["x-llmops-attempts"] == "5"


def test_one_failure_is_retried_without_a_fallback(gateway: GatewayProcess, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=500, times=1))
    headers = ask(gateway).headers
    assert headers["x-llmops-provider"] == "openai"
    assert headers["x-llmops-attempts"] == "2"


def test_after_five_failures_the_primary_is_left_alone(gateway: GatewayProcess, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=503))
    for _ in range(10):
        assert ask(gateway).parse().choices[0].message.content == "Still here."
    assert calls(simulator, "openai") == 5
    assert calls(simulator, "anthropic") == 10
    assert gateway.get("/api/breakers/openai")["state"] == "open"


def test_the_explanation_tells_each_attempt_its_reason_and_cost(gateway: GatewayProcess, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=503))
    headers = ask(gateway).headers
    told = gateway.get(f"/api/completions/{headers['x-request-id']}")
    assert [attempt["outcome"] for attempt in told["attempts"]] == ["failed"] * 4 + ["succeeded"]
    assert [attempt["status"] for attempt in told["attempts"][:4]] == [503] * 4
    assert told["cost_usd"] == headers["x-llmops-cost-usd"]
    assert told["fallbacks"][0]["from_target"] == "openai/gpt-4-turbo"
    assert told["fallbacks"][0]["to_target"] == "anthropic/claude-3-5-sonnet-20241022"


def test_what_the_ledger_charges_is_what_the_provider_bills(gateway: GatewayProcess, simulator: Simulator) -> None:
    from decimal import Decimal

    headers = ask(gateway).headers
    billed = next(row for row in simulator.log.rows() if row.provider == "openai")
    expected = (Decimal(billed.input_tokens) * 10 + Decimal(billed.output_tokens) * 30) / 1_000_000
    assert Decimal(headers["x-llmops-cost-usd"]) == expected
