"""A real agent loop through each surface and provider, streamed and not, and through a fallback in its middle.

Two turns, three tool calls (one alone, then two in parallel), each answered by the agent's own tools; the official SDKs
keep the conversation as their users do.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from tests.gateway_process import AGENT_KEY, GatewayProcess

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FIRST_TURN = 'What is the weather in Oslo? [[tool: get_weather {"city": "Oslo"}]]'
SECOND_TURN = 'And in Rome and Cairo? [[tool: get_weather {"city": "Rome"}]] [[tool: get_weather {"city": "Cairo"}]]'
Agent = Callable[[str], tuple[str, list[str]]]  # a user's turn in; the final text and the cities asked for out
PAIRS = [("openai", "openai"), ("openai", "anthropic"), ("anthropic", "openai"), ("anthropic", "anthropic")]


def weather(arguments: dict[str, Any]) -> str:
    return json.dumps({"city": arguments["city"], "celsius": len(arguments["city"]) + 10})


def openai_agent(gateway: GatewayProcess, route: str, *, stream: bool) -> Agent:
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=AGENT_KEY, max_retries=0)
    tools: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": CITY}}]
    messages: list[Any] = [{"role": "system", "content": "Use the tools."}]

    def step() -> Any:
        if not stream:
            return client.chat.completions.create(model=route, messages=messages, tools=tools).choices[0].message
        with client.chat.completions.stream(model=route, messages=messages, tools=tools) as events:
            return events.get_final_completion().choices[0].message

    def turn(text: str) -> tuple[str, list[str]]:
        messages.append({"role": "user", "content": text})
        cities: list[str] = []
        while True:
            message = step()
            messages.append(sendable(message))
            if not message.tool_calls:
                return message.content, cities
            for call in message.tool_calls:
                arguments = json.loads(call.function.arguments)
                cities.append(arguments["city"])
                messages.append({"role": "tool", "tool_call_id": call.id, "content": weather(arguments)})

    return turn


def sendable(message: Any) -> dict[str, Any]:
    """The assistant's message as it is sent back: what the API takes, nothing the SDK added."""
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.function.name, "arguments": call.function.arguments},
        }
        for call in message.tool_calls or []
    ]
    return {"role": "assistant", "content": message.content, **({"tool_calls": calls} if calls else {})}


def anthropic_agent(gateway: GatewayProcess, route: str, *, stream: bool) -> Agent:
    client = anthropic.Anthropic(base_url=gateway.url, api_key=AGENT_KEY, max_retries=0)
    asked: dict[str, Any] = {
        "model": route,
        "max_tokens": 400,
        "system": "Use the tools.",
        "tools": [{"name": "get_weather", "input_schema": CITY}],
    }
    messages: list[Any] = []

    def step() -> Any:
        if not stream:
            return client.messages.create(messages=messages, **asked)
        with client.messages.stream(messages=messages, **asked) as events:
            return events.get_final_message()

    def turn(text: str) -> tuple[str, list[str]]:
        messages.append({"role": "user", "content": text})
        cities: list[str] = []
        while True:
            message = step()
            content = [block.model_dump(include=SENT_BACK[block.type]) for block in message.content]
            messages.append({"role": "assistant", "content": content})
            uses = [block for block in message.content if block.type == "tool_use"]
            if not uses:
                return "".join(block.text for block in message.content if block.type == "text"), cities
            cities += [use.input["city"] for use in uses]
            results = [{"type": "tool_result", "tool_use_id": use.id, "content": weather(use.input)} for use in uses]
            messages.append({"role": "user", "content": results})

    return turn


SENT_BACK = {"text": {"type", "text"}, "tool_use": {"type", "id", "name", "input"}}
AGENTS = {"openai": openai_agent, "anthropic": anthropic_agent}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize(("surface", "provider"), PAIRS)
def test_an_agent_gets_through_two_turns_and_three_tool_calls(
    gateway: GatewayProcess, simulator: Simulator, surface: str, provider: str, stream: bool
) -> None:
    turn = AGENTS[surface](gateway, f"{provider}-only", stream=stream)
    first_text, first_cities = turn(FIRST_TURN)
    second_text, second_cities = turn(SECOND_TURN)
    assert (first_cities, second_cities) == (["Oslo"], ["Rome", "Cairo"])
    assert first_text
    assert second_text
    assert {row.provider for row in simulator.log.rows()} == {provider}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize(("surface", "failing"), PAIRS)
def test_an_agent_does_not_notice_a_fallback_in_the_middle_of_its_work(
    gateway: GatewayProcess, simulator: Simulator, surface: str, failing: str, stream: bool
) -> None:
    route = "default" if failing == "openai" else "claude"
    turn = AGENTS[surface](gateway, route, stream=stream)
    turn(FIRST_TURN)
    simulator.faults.add(Fault(kind=FaultKind.STATUS, provider=failing, status=503))
    second_text, second_cities = turn(SECOND_TURN)
    assert second_cities == ["Rome", "Cairo"]
    assert second_text
    answered = {row.provider for row in simulator.log.rows() if row.status == 200}
    assert answered == {"openai", "anthropic"}
