"""A conversation begun on one provider continues on the other, and what is said survives both translations."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings

from gateway.engine.words import Wire
from gateway.wires import count_tokens_estimate, input_token_bound, translate_answer

from .conversations import TOOLS, anthropic_requests, openai_requests
from .helpers import (
    ANTHROPIC,
    NEW_CLAUDE,
    NEW_GPT,
    OLD_CLAUDE,
    OLD_GPT,
    OPENAI,
    PAIRS,
    Streamed,
    block,
    call,
    call_delta,
    chat,
    chunk,
    collect_anthropic,
    collect_openai,
    completion,
    context,
    end,
    function_tool,
    message,
    messages,
    send,
    sent,
    start,
    text,
    text_block,
    tool,
    tool_block,
    tool_result,
    tool_use,
    user,
)

THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "sig"}
SIGNING = [{"type": "thinking_delta", "thinking": "hm"}, {"type": "signature_delta", "signature": "sig"}]
Call = tuple[str, str, dict[str, Any]]


def plain_answer(kind: Wire, calls: list[Call], said: str) -> bytes:
    if kind is OPENAI:
        asked = [call(key, name, orjson.dumps(value).decode()) for key, name, value in calls]
        body = completion(
            {"content": said, **({"tool_calls": asked} if calls else {})}, "tool_calls" if calls else "stop"
        )
    else:
        uses = [tool_use(*each) for each in calls]
        body = message(THOUGHT, text(said), *uses, stop="tool_use" if calls else "end_turn")
    return orjson.dumps(body)


def streamed_answer(kind: Wire, calls: list[Call], said: str) -> bytes:
    if kind is OPENAI:
        asked = [
            chunk(call_delta(at, orjson.dumps(value).decode(), id=key, name=name))
            for at, (key, name, value) in enumerate(calls)
        ]
        return b"".join([chunk({"content": said}), *asked, chunk({}, "tool_calls" if calls else "stop")])
    uses = [tool_block(at + 2, key, name, orjson.dumps(value).decode()) for at, (key, name, value) in enumerate(calls)]
    thought = block(0, {"type": "thinking", "thinking": "", "signature": ""}, *SIGNING)
    return b"".join([start(), thought, text_block(1, said), *uses, end("tool_use" if calls else "end_turn")])


def next_turn(surface: Wire, kind: Wire, streamed: bool, calls: list[Call], said: str) -> list[dict[str, Any]]:
    """The assistant's turn as an agent on this surface remembers it, and its tools' results."""
    if surface is OPENAI:
        remembered = _openai_turn(kind, streamed, calls, said)
        return [remembered, *(tool(each["id"], "done") for each in remembered.get("tool_calls") or ())]
    content = _anthropic_content(kind, streamed, calls, said)
    results = [tool_result(each["id"], "done") for each in content if each["type"] == "tool_use"]
    return [{"role": "assistant", "content": content}, *([user(results)] if results else [])]


def _openai_turn(kind: Wire, streamed: bool, calls: list[Call], said: str) -> dict[str, Any]:
    if not streamed:
        answer = translate_answer(OPENAI, kind, plain_answer(kind, calls, said), context(OPENAI, kind))
        told: dict[str, Any] = orjson.loads(answer.body)["choices"][0]["message"]
        return told
    whole = collect_openai(Streamed(OPENAI, [streamed_answer(kind, calls, said)]).events)
    asked = [call(each["id"], each["name"], each["arguments"]) for each in whole["calls"].values()]
    return {"role": "assistant", "content": whole["text"], **({"tool_calls": asked} if asked else {})}


def _anthropic_content(kind: Wire, streamed: bool, calls: list[Call], said: str) -> list[dict[str, Any]]:
    if not streamed:
        answer = translate_answer(ANTHROPIC, kind, plain_answer(kind, calls, said), context(ANTHROPIC, kind))
        told: list[dict[str, Any]] = orjson.loads(answer.body)["content"]
        return told
    blocks = collect_anthropic(Streamed(ANTHROPIC, [streamed_answer(kind, calls, said)]).events)["blocks"]
    return [
        {**{name: value for name, value in each.items() if name != "json"}}
        | ({"input": orjson.loads(each["json"])} if each["type"] == "tool_use" else {})
        for each in blocks
    ]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("last_model", [OLD_GPT, NEW_GPT, OLD_CLAUDE, NEW_CLAUDE])
@pytest.mark.parametrize(("surface", "kind"), PAIRS)
def test_an_agents_loop_continues_on_any_provider(surface: Wire, kind: Wire, last_model: str, streamed: bool) -> None:
    """One call, then two at once, answered by `kind`; the next request goes to `last_model`, perhaps a fallback."""
    turns = [user("plan my trip")]
    turns += next_turn(surface, kind, streamed, [("toolu_1", "look", {"city": "Wien"})], "first")
    turns += next_turn(surface, kind, streamed, [("toolu_2", "look", {}), ("call_3", "book", {"n": 2})], "then")
    tools = [function_tool(name) for name in ("look", "book")]
    if surface is ANTHROPIC:
        tools = [{"name": name, "input_schema": {"type": "object"}} for name in ("look", "book")]
    request = (chat if surface is OPENAI else messages)(*turns, tools=tools)
    body = sent(surface, request, last_model)
    assert calls_in(body["messages"]) == [
        ("toolu_1", "look", {"city": "Wien"}, "done"),
        ("toolu_2", "look", {}, "done"),
        ("call_3", "book", {"n": 2}, "done"),
    ]
    assert b"llmops-unsigned" not in orjson.dumps(body)
    assert ("thinking_blocks" in str(body)) is False


def calls_in(turns: list[dict[str, Any]]) -> list[tuple[str, str, Any, Any]]:
    """Every call with its result, on either wire."""
    results: dict[str, Any] = {}
    calls: list[tuple[str, str, Any]] = []
    for turn in turns:
        if turn["role"] == "tool":
            results[turn["tool_call_id"]] = turn["content"]
        for each in turn.get("tool_calls") or ():
            calls.append((each["id"], each["function"]["name"], orjson.loads(each["function"]["arguments"])))
        for each in turn["content"] if isinstance(turn["content"], list) else ():
            if each["type"] == "tool_use":
                calls.append((each["id"], each["name"], each["input"]))
            if each["type"] == "tool_result":
                results[each["tool_use_id"]] = each.get("content")
    return [(*each, results[each[0]]) for each in calls]


def test_signed_thinking_returns_to_the_anthropic_model_that_made_it() -> None:
    turns = [user("a"), *next_turn(OPENAI, ANTHROPIC, False, [("toolu_1", "look", {})], "so")]
    content = sent(OPENAI, chat(*turns), NEW_CLAUDE)["messages"][1]["content"]
    assert content[0] == THOUGHT


def texts_in(turns: list[dict[str, Any]]) -> str:
    """All that is said in a conversation, in its order, system prompts and results of tools left out."""
    said = []
    for turn in turns:
        if turn["role"] in ("system", "tool"):
            continue
        content = turn["content"] if isinstance(turn["content"], list) else [text(turn["content"] or "")]
        said += [each["text"] for each in content if each["type"] == "text"]
    return "".join(said)


@settings(max_examples=60, deadline=None)
@given(openai_requests())
def test_any_openai_conversation_survives_both_translations(request: dict[str, Any]) -> None:
    there = sent(OPENAI, {**request, "stream": False}, OLD_CLAUDE)
    assert calls_in(there["messages"]) == calls_in(request["messages"])
    assert [turn["role"] for turn in there["messages"]] == (["user", "assistant"] * len(there["messages"]))[
        : len(there["messages"])
    ]
    back = sent(ANTHROPIC, {**there, "model": "default"}, OLD_GPT)
    assert calls_in(back["messages"]) == calls_in(request["messages"])
    assert texts_in(request["messages"]).rstrip() in texts_in(back["messages"])
    declared = [each["function"]["name"] for each in back["tools"] if each["function"]["name"] in TOOLS]
    assert declared == TOOLS


@settings(max_examples=60, deadline=None)
@given(anthropic_requests())
def test_any_anthropic_conversation_survives_both_translations(request: dict[str, Any]) -> None:
    there = sent(ANTHROPIC, {**request, "stream": False}, NEW_GPT)
    assert [each[:3] for each in calls_in(there["messages"])] == [each[:3] for each in calls_in(request["messages"])]
    assert texts_in(request["messages"]) in texts_in(there["messages"])
    back = sent(OPENAI, {**there, "model": "default"}, NEW_CLAUDE)
    assert [each[:3] for each in calls_in(back["messages"])] == [each[:3] for each in calls_in(request["messages"])]


@settings(max_examples=40, deadline=None)
@given(openai_requests())
def test_a_pass_through_changes_the_model_and_nothing_else(request: dict[str, Any]) -> None:
    body = sent(OPENAI, request, OLD_GPT)
    changed = {"model": OLD_GPT} | ({"stream_options": {"include_usage": True}} if request.get("stream") else {})
    assert body == request | changed


def test_the_input_bound_is_one_token_a_byte() -> None:
    body = send(OPENAI, chat(), OLD_CLAUDE).body
    assert input_token_bound(body) == len(body)


@pytest.mark.parametrize(
    ("payload", "low", "high"),
    [
        (messages(user("word " * 700)), 700, 1400),
        (messages(user([{"type": "image", "source": {"data": "a" * 100_000}}])), 1000, 3000),
        (messages(), 1, 30),
        ({}, 1, 1),
        (messages(user(None), system=5, tools=[{"input_schema": {"a": [1.5, True, None]}}]), 1, 50),
    ],
)
def test_the_estimate_is_fair(payload: dict[str, Any], low: int, high: int) -> None:
    assert low <= count_tokens_estimate(payload) <= high
