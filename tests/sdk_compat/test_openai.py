"""The official OpenAI SDK, unmodified, against the running gateway: through the primary and through the fallback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from tests.gateway_process import AGENT_KEY, NARROW_KEY, GatewayProcess

WEATHER_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["C", "F"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
ASK_FOR_TWO = '[[tool: get_weather {"city": "Oslo", "unit": "C"}]] [[tool: get_weather {"city": "Rome", "unit": "C"}]]'


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=AGENT_KEY, max_retries=0) as client:
        yield client


@pytest.fixture(params=["primary", "fallback"])
def through(request: pytest.FixtureRequest, simulator: Simulator, client: openai.OpenAI) -> str:
    """Which provider answers: with the fallback, the simulator's OpenAI answers 503."""
    if request.param == "fallback":
        simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=503))
    return "anthropic" if request.param == "fallback" else "openai"


def said(text: str) -> list[Any]:
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"[[say: {text}]]"}]


def test_a_plain_answer_is_whole_and_names_who_gave_it(client: openai.OpenAI, through: str) -> None:
    raw = client.chat.completions.with_raw_response.create(model="gpt-4-turbo", messages=said("The answer is 42."))
    completion = raw.parse()
    assert completion.choices[0].message.content == "The answer is 42."
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model.startswith("gpt-4-turbo" if through == "openai" else "claude-3-5-sonnet")
    assert raw.headers["x-llmops-provider"] == through


def test_a_plain_answer_carries_usage_whose_sum_is_right(client: openai.OpenAI, through: str) -> None:
    completion = client.chat.completions.create(model="gpt-4-turbo", messages=said("One two three."))
    assert completion.usage is not None
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    assert completion.usage.completion_tokens > 0


def test_a_stream_gives_the_same_text_and_ends_well(client: openai.OpenAI, through: str) -> None:
    stream = client.chat.completions.create(model="gpt-4-turbo", messages=said("A streamed answer."), stream=True)
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "A streamed answer."
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]


def test_a_stream_tells_its_usage_only_to_who_asked(client: openai.OpenAI, through: str) -> None:
    without = list(client.chat.completions.create(model="default", messages=said("Hi."), stream=True))
    asked = list(
        client.chat.completions.create(
            model="default", messages=said("Hi."), stream=True, stream_options={"include_usage": True}
        )
    )
    assert not any(chunk.usage for chunk in without)
    assert asked[-1].usage is not None
    assert asked[-1].choices == []


def test_parallel_tool_calls_arrive_with_ids_and_whole_arguments(client: openai.OpenAI, through: str) -> None:
    completion = client.chat.completions.create(
        model="gpt-4-turbo", messages=[{"role": "user", "content": ASK_FOR_TWO}], tools=[WEATHER_TOOL]
    )
    choice = completion.choices[0]
    calls: list[Any] = choice.message.tool_calls or []
    assert choice.finish_reason == "tool_calls"
    assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Oslo", "Rome"]
    assert len({call.id for call in calls}) == 2


def test_streamed_tool_calls_can_be_put_together_again(client: openai.OpenAI, through: str) -> None:
    stream = client.chat.completions.create(
        model="gpt-4-turbo", messages=[{"role": "user", "content": ASK_FOR_TWO}], tools=[WEATHER_TOOL], stream=True
    )
    arguments: dict[int, str] = {}
    for chunk in stream:
        for call in chunk.choices[0].delta.tool_calls or []:
            arguments[call.index] = arguments.get(call.index, "") + ((call.function and call.function.arguments) or "")
    assert [json.loads(text)["city"] for _, text in sorted(arguments.items())] == ["Oslo", "Rome"]


def test_a_tool_loop_ends_in_an_answer(client: openai.OpenAI, through: str) -> None:
    messages: list[Any] = [{"role": "user", "content": ASK_FOR_TWO}]
    first = client.chat.completions.create(model="gpt-4-turbo", messages=messages, tools=[WEATHER_TOOL])
    messages.append(first.choices[0].message.model_dump(exclude_none=True))
    for call in first.choices[0].message.tool_calls or []:
        messages.append({"role": "tool", "tool_call_id": call.id, "content": '{"celsius": 21}'})
    second = client.chat.completions.create(model="gpt-4-turbo", messages=messages, tools=[WEATHER_TOOL])
    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.content


def test_a_tool_conversation_begun_on_one_provider_goes_on_at_the_other(
    client: openai.OpenAI, simulator: Simulator
) -> None:
    messages: list[Any] = [{"role": "user", "content": ASK_FOR_TWO}]
    first = client.chat.completions.create(model="gpt-4-turbo", messages=messages, tools=[WEATHER_TOOL])
    simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=503))
    messages.append(first.choices[0].message.model_dump(exclude_none=True))
    for call in first.choices[0].message.tool_calls or []:
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "sunny"})
    second = client.chat.completions.create(model="gpt-4-turbo", messages=messages, tools=[WEATHER_TOOL])
    assert second.model.startswith("claude")
    assert second.choices[0].message.content


def test_models_lists_the_routes_of_the_key(gateway: GatewayProcess) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=NARROW_KEY, max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["claude", "claude-3-5-sonnet-20241022"]
        assert client.models.retrieve("claude").id == "claude"


def test_a_conversation_s_cost_adds_up_in_the_headers(client: openai.OpenAI, gateway: GatewayProcess) -> None:
    costs = []
    for _ in range(3):
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-4-turbo", messages=said("Again."), extra_headers={"X-Conversation-Id": "adds-up"}
        )
        costs.append(raw.headers)
    from decimal import Decimal

    total = sum(Decimal(headers["x-llmops-cost-usd"]) for headers in costs)
    assert Decimal(costs[-1]["x-llmops-conversation-cost-usd"]) == total
    assert gateway.get("/api/conversations/adds-up")["cost_usd"] == costs[-1]["x-llmops-conversation-cost-usd"]
