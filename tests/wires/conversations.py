"""Generated conversations: valid requests on each wire, for properties that hold for all of them."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import strategies as st

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=12).filter(
    lambda words: bool(words.strip())
)
NAMES = st.sampled_from(["look", "book", "pay-now", "get_weather_2"])
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS
INPUTS = st.dictionaries(WORDS, SCALARS | st.lists(SCALARS, max_size=2), max_size=2)
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
ANTHROPIC_IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
TOOLS = ["look", "book", "pay-now", "get_weather_2"]


@st.composite
def openai_round(draw: st.DrawFn, number: int) -> list[dict[str, Any]]:
    """A user's message, perhaps calls with their results, perhaps an answer."""
    content = draw(WORDS | st.just([{"type": "text", "text": "see"}, IMAGE]))
    turns: list[dict[str, Any]] = [{"role": "user", "content": content}]
    calls = draw(st.lists(st.tuples(NAMES, INPUTS), max_size=3))
    if calls:
        ids = [f"call_{draw(st.integers(0, 10**9))}_{number}_{at}" for at in range(len(calls))]
        turns.append(
            {
                "role": "assistant",
                "content": draw(st.none() | st.just("") | WORDS),
                "tool_calls": [
                    {
                        "id": key,
                        "type": "function",
                        "function": {"name": name, "arguments": orjson.dumps(data).decode()},
                    }
                    for key, (name, data) in zip(ids, calls, strict=True)
                ],
            }
        )
        turns += [{"role": "tool", "tool_call_id": key, "content": draw(WORDS)} for key in ids]
    if draw(st.booleans()):
        turns.append({"role": "assistant", "content": draw(WORDS)})
    return turns


@st.composite
def openai_requests(draw: st.DrawFn) -> dict[str, Any]:
    system = draw(st.lists(st.builds(lambda words: {"role": "system", "content": words}, WORDS), max_size=2))
    rounds = [draw(openai_round(number)) for number in range(draw(st.integers(1, 3)))]
    request: dict[str, Any] = {"model": "default", "messages": system + [turn for each in rounds for turn in each]}
    request["tools"] = [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
        for name in TOOLS
    ]
    request.update(draw(openai_options()))
    return request


def openai_options() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.floats(0, 2),
            "top_p": st.floats(0, 1),
            "max_tokens": st.integers(1, 200_000),
            "max_completion_tokens": st.integers(1, 200_000),
            "stop": WORDS | st.lists(WORDS, max_size=4),
            "stream": st.booleans(),
            "user": WORDS,
            "tool_choice": st.sampled_from(
                ["auto", "none", "required", {"type": "function", "function": {"name": "look"}}]
            ),
            "parallel_tool_calls": st.booleans(),
            "reasoning_effort": st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh"]),
            "response_format": st.sampled_from(
                [
                    {"type": "text"},
                    {"type": "json_object"},
                    {"type": "json_schema", "json_schema": {"name": "a b", "schema": {"type": "object"}}},
                ]
            ),
            "seed": st.integers(0, 9),
        },
    )


@st.composite
def anthropic_round(draw: st.DrawFn, number: int) -> list[dict[str, Any]]:
    content = draw(WORDS | st.just([{"type": "text", "text": "see"}, ANTHROPIC_IMAGE]))
    calls = draw(st.lists(st.tuples(NAMES, INPUTS), max_size=3))
    turns: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if calls:
        ids = [f"toolu_{draw(st.integers(0, 10**9))}_{number}_{at}" for at in range(len(calls))]
        said = draw(st.lists(st.builds(lambda words: {"type": "text", "text": words}, WORDS), max_size=1))
        uses = [
            {"type": "tool_use", "id": key, "name": name, "input": data}
            for key, (name, data) in zip(ids, calls, strict=True)
        ]
        turns.append({"role": "assistant", "content": said + uses})
        results = [
            {"type": "tool_result", "tool_use_id": key, "content": draw(WORDS), "is_error": draw(st.booleans())}
            for key in ids
        ]
        turns.append({"role": "user", "content": results})
    turns.append({"role": "assistant", "content": draw(WORDS)})
    return turns


@st.composite
def anthropic_requests(draw: st.DrawFn) -> dict[str, Any]:
    rounds = [draw(anthropic_round(number)) for number in range(draw(st.integers(1, 3)))]
    turns = [turn for each in rounds for turn in each]
    if draw(st.booleans()):
        turns.pop()
    request: dict[str, Any] = {
        "model": "default",
        "max_tokens": draw(st.integers(1, 200_000)),
        "messages": turns,
        "tools": [{"name": name, "input_schema": {"type": "object", "properties": {}}} for name in TOOLS],
    }
    request.update(draw(anthropic_options()))
    return request


def anthropic_options() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "system": WORDS | st.lists(st.builds(lambda words: {"type": "text", "text": words}, WORDS), max_size=2),
            "temperature": st.floats(0, 1),
            "top_k": st.integers(1, 50),
            "stop_sequences": st.lists(WORDS, max_size=4),
            "stream": st.booleans(),
            "metadata": st.just({"user_id": "u"}),
            "tool_choice": st.sampled_from(
                [{"type": "auto"}, {"type": "none"}, {"type": "any", "disable_parallel_tool_use": True}]
            ),
            "thinking": st.sampled_from(
                [{"type": "enabled", "budget_tokens": 2048}, {"type": "adaptive"}, {"type": "disabled"}]
            ),
            "output_config": st.just({"effort": "max"})
            | st.just({"format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}}}),
        },
    )
