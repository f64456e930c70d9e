"""The official Anthropic SDK, unmodified, against the running gateway: through the primary and through the fallback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from tests.gateway_process import AGENT_KEY, GatewayProcess

MODEL = "claude-3-5-sonnet-20241022"
WEATHER_TOOL: Any = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
ASK_FOR_TWO = '[[tool: get_weather {"city": "Oslo"}]] [[tool: get_weather {"city": "Rome"}]]'


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key=AGENT_KEY, max_retries=0) as client:
        yield client


@pytest.fixture(params=["primary", "fallback"])
def through(request: pytest.FixtureRequest, simulator: Simulator, client: anthropic.Anthropic) -> str:
    """Which provider answers: with the fallback, the simulator's Anthropic answers 529."""
    if request.param == "fallback":
        simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="anthropic", status=529))
    return "openai" if request.param == "fallback" else "anthropic"


def said(text: str) -> list[Any]:
    return [{"role": "user", "content": f"[[say: {text}]]"}]


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_a_plain_answer_is_whole(client: anthropic.Anthropic, through: str) -> None:
    message = client.messages.create(
        model=MODEL, max_tokens=100, system="Be brief.", messages=said("The answer is 42.")
    )
    assert text_of(message) == "The answer is 42."
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens > 0
    assert message.model.startswith("claude" if through == "anthropic" else "gpt-4-turbo")


def test_a_stream_gives_the_same_text_in_the_wire_s_order_of_events(client: anthropic.Anthropic, through: str) -> None:
    stream = client.messages.create(model=MODEL, max_tokens=100, messages=said("A streamed answer."), stream=True)
    events: list[Any] = list(stream)
    kinds = [event.type for event in events if event.type != "content_block_delta"]
    assert kinds == ["message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop"]
    assert "".join(event.delta.text for event in events if event.type == "content_block_delta") == "A streamed answer."


def test_the_sdk_s_stream_helper_puts_the_message_together(client: anthropic.Anthropic, through: str) -> None:
    with client.messages.stream(model=MODEL, max_tokens=100, messages=said("Helped along.")) as stream:
        message = stream.get_final_message()
    assert text_of(message) == "Helped along."
    assert message.usage.output_tokens > 0


def test_parallel_tool_use_and_its_results(client: anthropic.Anthropic, through: str) -> None:
    messages: list[Any] = [{"role": "user", "content": ASK_FOR_TWO}]
    first = client.messages.create(model=MODEL, max_tokens=200, messages=messages, tools=[WEATHER_TOOL])
    uses = [block for block in first.content if block.type == "tool_use"]
    assert first.stop_reason == "tool_use"
    assert [use.input for use in uses] == [{"city": "Oslo"}, {"city": "Rome"}]
    messages.append({"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]})
    results = [{"type": "tool_result", "tool_use_id": use.id, "content": "21 degrees"} for use in uses]
    messages.append({"role": "user", "content": results})
    second = client.messages.create(model=MODEL, max_tokens=200, messages=messages, tools=[WEATHER_TOOL])
    assert second.stop_reason == "end_turn"
    assert text_of(second)


def test_streamed_tool_use_keeps_its_arguments(client: anthropic.Anthropic, through: str) -> None:
    with client.messages.stream(
        model=MODEL, max_tokens=200, messages=[{"role": "user", "content": ASK_FOR_TWO}], tools=[WEATHER_TOOL]
    ) as stream:
        message = stream.get_final_message()
    assert [block.input for block in message.content if block.type == "tool_use"] == [
        {"city": "Oslo"},
        {"city": "Rome"},
    ]


def test_models_lists_routes(client: anthropic.Anthropic) -> None:
    assert "claude" in [model.id for model in client.models.list()]


def test_the_tool_runner_goes_on_where_no_provider_keeps_its_thread(
    client: anthropic.Anthropic, simulator: Simulator
) -> None:
    """Its SDK sends only what is new, and the whole conversation once it is told that nobody has the rest."""

    @anthropic.beta_tool
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return f"21 degrees in {city}"

    simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="anthropic", status=529))
    runner = client.beta.messages.tool_runner(
        model=MODEL, max_tokens=200, tools=[get_weather], messages=[{"role": "user", "content": ASK_FOR_TWO}]
    )
    assert [message.stop_reason for message in runner] == ["tool_use", "end_turn"]


def test_tools_that_the_model_can_t_take_are_the_next_target_s(gateway: GatewayProcess) -> None:
    """GPT-6.1 takes no function tools in Chat Completions."""
    with anthropic.Anthropic(base_url=gateway.url, api_key=AGENT_KEY, max_retries=0) as client:
        message = client.messages.create(
            model="always-reasoning", max_tokens=100, messages=said("hi"), tools=[WEATHER_TOOL]
        )
    assert message.model.startswith("claude")
