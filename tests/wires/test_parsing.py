"""What a client may send, and what it is told when it may not."""

from __future__ import annotations

import time
import timeit
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.engine.errors import InvalidRequest
from gateway.engine.words import Wire
from gateway.wires import Untranslatable, parse_request
from gateway.wires.splice import repeated_keys

from .helpers import ANTHROPIC, NEW_CLAUDE, OLD_GPT, OPENAI, chat, messages, send, user

SURFACES = pytest.mark.parametrize("surface", list(Wire))


def parsed(surface: Wire, payload: Any) -> Any:
    return parse_request(surface, orjson.dumps(payload))


def test_all_that_matters_is_read_from_a_chat() -> None:
    request = chat(
        stream=True,
        n=2,
        max_tokens=5,
        max_completion_tokens=7,
        metadata={"conversation_id": "c-1"},
        stream_options={"include_usage": True},
        tools=[{"type": "function", "function": {"name": "f"}}],
    )
    read = parsed(OPENAI, request)
    assert (read.model, read.stream, read.choices, read.max_output_tokens) == ("default", True, 2, 7)
    assert (read.conversation_id, read.has_tools, read.unbounded, read.wants_usage) == ("c-1", True, None, True)


def test_all_that_matters_is_read_from_a_message() -> None:
    read = parsed(ANTHROPIC, messages(stream=True))
    assert (read.model, read.stream, read.choices, read.max_output_tokens) == ("default", True, 1, 100)
    assert (read.conversation_id, read.has_tools, read.wants_usage) == (None, False, True)


def test_a_count_of_tokens_needs_no_output_limit() -> None:
    body = orjson.dumps({"model": "default", "messages": [user("hi")]})
    assert parse_request(ANTHROPIC, body, counting=True).max_output_tokens is None


@SURFACES
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"{", "not valid JSON"),
        (b"[]", "JSON object"),
        (b'"text"', "JSON object"),
        (b"null", "JSON object"),
        (b'{"model":"\xff"}', "UTF-8"),
        (b'{"model":"a","messages":[{"role":"user","content":"\\ud800"}]}', "not valid JSON"),
        (b'{"model":"a","messages":[{"role":"user","content":"\\u0000"}]}', "NUL"),
        (b'{"model":"a","messages":' + b"[" * 500 + b"]" * 500 + b"}", "deeper than 128"),
        (b'{"model":"a","messages":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "deeper than 128"),
        (b'{"model":"a","model":"b","messages":[]}', "twice"),
        (b'{"model":"a","m\\u006fdel":"b","messages":[]}', "twice"),
        (b'{"model":"a","messages":[],"max_tokens":1,"max_tokens":9}', "twice"),
        (b'{"model":"a","x":NaN}', "not valid JSON"),
    ],
)
def test_what_is_no_sound_json_object_is_told_apart(surface: Wire, body: bytes, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        parse_request(surface, body)


def test_a_backslash_before_u0000_is_text() -> None:
    assert parsed(OPENAI, chat(user("\\u0000"))).model == "default"


@pytest.mark.parametrize(
    ("surface", "change", "param"),
    [
        (OPENAI, {"model": None}, "model"),
        (OPENAI, {"model": 5}, "model"),
        (OPENAI, {"model": ""}, "model"),
        (OPENAI, {"model": "a\r\nx-evil: 1"}, "model"),
        (OPENAI, {"model": "m" * 1000}, "model"),
        (OPENAI, {"messages": None}, "messages"),
        (OPENAI, {"messages": []}, "messages"),
        (OPENAI, {"messages": {}}, "messages"),
        (OPENAI, {"messages": ["hi"]}, "messages[0]"),
        (OPENAI, {"messages": [{"content": "hi"}]}, "messages[0].role"),
        (OPENAI, {"messages": [{"role": 1, "content": "hi"}]}, "messages[0].role"),
        (OPENAI, {"messages": [user(5)]}, "messages[0].content"),
        (OPENAI, {"messages": [user(["x"])]}, "messages[0].content[0]"),
        (OPENAI, {"messages": [user([{"text": "x"}])]}, "messages[0].content[0]"),
        (ANTHROPIC, {"messages": [user(None)]}, "messages[0].content"),
        (OPENAI, {"stream": "yes"}, "stream"),
        (OPENAI, {"stream": 1}, "stream"),
        (OPENAI, {"max_tokens": "5"}, "max_tokens"),
        (OPENAI, {"max_tokens": 0}, "max_tokens"),
        (OPENAI, {"max_tokens": 1.5}, "max_tokens"),
        (OPENAI, {"max_tokens": True}, "max_tokens"),
        (OPENAI, {"max_completion_tokens": -1}, "max_completion_tokens"),
        (OPENAI, {"max_completion_tokens": 2**40}, "max_completion_tokens"),
        (ANTHROPIC, {"max_tokens": None}, "max_tokens"),
        (ANTHROPIC, {"max_tokens": -1}, "max_tokens"),
        (OPENAI, {"n": 0}, "n"),
        (OPENAI, {"n": 129}, "n"),
        (OPENAI, {"n": "2"}, "n"),
        (OPENAI, {"tools": {}}, "tools"),
        (OPENAI, {"tools": ["f"]}, "tools[0]"),
        (OPENAI, {"metadata": "x"}, "metadata"),
        (OPENAI, {"metadata": {"conversation_id": 5}}, "metadata.conversation_id"),
        (OPENAI, {"stream_options": True}, "stream_options"),
        (OPENAI, {"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ],
)
def test_a_wrong_field_is_named(surface: Wire, change: dict[str, Any], param: str) -> None:
    request = (chat() if surface is OPENAI else messages()) | change
    with pytest.raises(InvalidRequest) as refusal:
        parsed(surface, request)
    assert refusal.value.param == param
    assert param in refusal.value.message


@SURFACES
def test_unknown_fields_roles_and_parts_are_no_errors(surface: Wire) -> None:
    turn = {"role": "narrator", "content": [{"type": "hologram", "x": 1}], "future": {}}
    assert parsed(surface, messages(turn, future=[1])).model == "default"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    [
        "messages", "stream", "stop", "stop_sequences", "tools", "tool_choice", "functions", "function_call", "system",
        "thinking", "output_config", "response_format", "metadata", "user", "temperature", "reasoning_effort", "n",
        "service_tier", "parallel_tool_calls", "stream_options", "output_format", "modalities", "max_tokens",
    ]
)  # fmt: skip
PARTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image_url", "image", "document", "file", "tool_use", "tool_result", "x"])},
    optional=dict.fromkeys(("text", "image_url", "source", "file", "content", "id", "name", "tool_use_id"), JSON),
)
TURNS = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "tool", "function", "x"])},
    optional={
        "content": JSON | st.lists(PARTS, max_size=2),
        "tool_calls": JSON | st.lists(st.fixed_dictionaries({"id": JSON, "function": JSON}), max_size=2),
        "function_call": JSON,
        "thinking_blocks": JSON,
        "tool_call_id": JSON,
    },
)


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(list(Wire)), st.sampled_from([OLD_GPT, NEW_CLAUDE]), st.lists(TURNS, max_size=3), st.data())
def test_wrong_types_anywhere_are_refused_or_taken_but_never_crash(
    surface: Wire, model: str, turns: list[dict[str, Any]], data: st.DataObject
) -> None:
    request = messages(*turns) | data.draw(st.dictionaries(FIELDS, JSON, max_size=3))
    with suppress(InvalidRequest, Untranslatable):
        send(surface, request, model)


@pytest.mark.parametrize("filling", [b"[],", b'"a",', b'{"n":1},'])
def test_a_large_hostile_body_takes_bounded_time(filling: bytes) -> None:
    body = b'{"model":"a","messages":[{"role":"user","content":"x"}],"n":1,"x":[' + filling * 100_000 + b"0]}"
    started = time.process_time()
    with suppress(InvalidRequest):
        parse_request(OPENAI, body)
    assert time.process_time() - started < 1.5  # linear in its size; an idle machine takes a tenth


@pytest.mark.parametrize(
    "filling", [b"[],", b'{"role":"user","content":"a\\u0041"},', b'{"text":"\\u006d\\u006fdel"},']
)
def test_an_escape_that_is_in_no_key_costs_less_than_reading_the_body(filling: bytes) -> None:
    body = b'{"model":"a","z":"\\u0041","x":[' + filling * 200_000 + b"0]}"
    reading = min(timeit.repeat(lambda: orjson.loads(body), number=1, repeat=3, timer=time.process_time))
    looking = min(timeit.repeat(lambda: repeated_keys(body), number=1, repeat=3, timer=time.process_time))
    assert looking < reading


@pytest.mark.parametrize("key", [b"mod\\u0065l", b"\\u006d\\u006f\\u0064\\u0065\\u006c", b"\\u006Dodel"])
def test_a_key_given_twice_is_found_behind_values_of_any_kind(key: bytes) -> None:
    values = b'"x":[[{"model":"c"}]],"y":"\\"model\\":","z" : -1.5e3 , "\xc3\xa4":{"n":12345678901234567890},"t":true'
    assert repeated_keys(b'{ "model":"a",' + values + b',"' + key + b'" : null }') == "model"
    assert repeated_keys(b'{ "model":"a",' + values + b',"' + key + b's" : null }') is None


def test_a_small_chat_is_parsed_in_microseconds() -> None:
    body = orjson.dumps(chat({"role": "system", "content": "Be brief."}, user("Hello"), temperature=0.5))
    best = min(timeit.repeat(lambda: parse_request(OPENAI, body), number=200, repeat=5, timer=time.process_time)) / 200
    assert best < 100e-6  # ten times what it takes on an idle machine


def test_a_key_that_means_nothing_to_us_may_come_twice() -> None:
    body = b'{"model":"a","messages":[{"role":"user","content":"hi","model":"x"}],"future":1,"future":2}'
    assert repeated_keys(body) is None
