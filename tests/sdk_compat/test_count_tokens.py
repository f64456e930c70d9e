"""`count_tokens` through the official Anthropic SDK: every target has an answer, and none costs anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from tests.gateway_process import AGENT_KEY, NARROW_KEY, GatewayProcess

TEXT = "How many tokens are there in a sentence of some length, such as this one? " * 20
MESSAGES: list[Any] = [{"role": "user", "content": TEXT}]
TOOL: Any = {"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key=AGENT_KEY, max_retries=0) as client:
        yield client


def test_an_anthropic_target_is_asked_itself(client: anthropic.Anthropic, simulator: Simulator) -> None:
    raw = client.messages.with_raw_response.count_tokens(
        model="claude", messages=MESSAGES, system="Brief.", tools=[TOOL]
    )
    assert raw.headers["x-llmops-provider"] == "anthropic"
    assert [row.path for row in simulator.log.rows()] == ["/anthropic/v1/messages/count_tokens"]
    message = client.messages.create(
        model="claude", max_tokens=5, messages=MESSAGES, system="Brief.", tools=[TOOL], tool_choice={"type": "auto"}
    )
    assert raw.parse().input_tokens == message.usage.input_tokens


def test_an_openai_target_is_estimated_without_a_call(client: anthropic.Anthropic, simulator: Simulator) -> None:
    raw = client.messages.with_raw_response.count_tokens(model="openai-only", messages=MESSAGES)
    assert len(TEXT) / 6 < raw.parse().input_tokens < len(TEXT) / 2
    assert "x-llmops-provider" not in raw.headers
    assert simulator.log.rows() == []


@pytest.mark.parametrize("kind", [FaultKind.STATUS, FaultKind.RESET, FaultKind.EMPTY_BODY])
def test_a_provider_that_fails_leaves_an_estimate(
    client: anthropic.Anthropic, simulator: Simulator, gateway: GatewayProcess, kind: FaultKind
) -> None:
    simulator.faults.add(Fault(kind=kind, provider="anthropic"))
    assert client.messages.count_tokens(model="claude", messages=MESSAGES).input_tokens > 0
    assert gateway.get("/api/breakers/anthropic")["consecutive_failures"] == 0


def test_a_provider_whose_breaker_is_open_is_not_asked(
    client: anthropic.Anthropic, simulator: Simulator, gateway: GatewayProcess
) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="anthropic", status=529))
    for _ in range(2):
        client.messages.create(model="claude", max_tokens=5, messages=MESSAGES)
    assert gateway.get("/api/breakers/anthropic")["state"] == "open"
    asked_before = len(simulator.log.rows())
    assert client.messages.count_tokens(model="claude", messages=MESSAGES).input_tokens > 0
    assert len(simulator.log.rows()) == asked_before


def test_what_the_provider_finds_wrong_with_the_request_is_passed_on(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="no_such_parameter"):
        client.messages.count_tokens(model="claude", messages=MESSAGES, extra_body={"no_such_parameter": 1})


def test_keys_routes_and_bodies_are_checked_as_elsewhere(gateway: GatewayProcess) -> None:
    with anthropic.Anthropic(base_url=gateway.url, api_key=NARROW_KEY, max_retries=0) as client:
        with pytest.raises(anthropic.PermissionDeniedError):
            client.messages.count_tokens(model="default", messages=MESSAGES)
        with pytest.raises(anthropic.NotFoundError):
            client.messages.count_tokens(model="no-such-route", messages=MESSAGES)
        with pytest.raises(anthropic.BadRequestError, match="messages"):
            client.messages.count_tokens(model="claude", messages=[])
        with pytest.raises(anthropic.AuthenticationError):
            client.with_options(api_key="sk-unknown").messages.count_tokens(model="claude", messages=MESSAGES)


def test_counting_costs_nothing(client: anthropic.Anthropic, gateway: GatewayProcess) -> None:
    before = gateway.get("/api/spend?group_by=none")["total"]
    client.messages.count_tokens(model="claude", messages=MESSAGES)
    assert gateway.get("/api/spend?group_by=none")["total"] == before
