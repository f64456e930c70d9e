"""Same wire in and out: every byte survives but what must change."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.engine.catalogue import model_traits
from gateway.engine.words import Wire
from gateway.wires import parse_request, translate_request
from gateway.wires.passthrough import UNSIGNED
from gateway.wires.splice import top_level, with_values

from .helpers import (
    ANTHROPIC,
    NEW_CLAUDE,
    NEW_GPT,
    OLD_GPT,
    OPENAI,
    assistant,
    messages,
    text,
    tool_result,
    tool_use,
    user,
)


def forward(surface: Wire, body: bytes, model: str, **options: Any) -> bytes:
    parsed = parse_request(surface, body)
    return translate_request(
        surface,
        surface,
        parsed.payload,
        model=model,
        traits=model_traits(surface, model),
        stream=parsed.stream,
        default_output_tokens=50,
        body=body,
        **options,
    ).body


ODD = b'{ "x_future" : [1.0, 12345678901234567890123, "\\u00e9\\/" ],\n "model":"default" , "messages":[%b]  }'
TURN = b'{"role":"user","content":"\\"model\\": \\"x\\"","odd":1.50}'


def test_only_the_models_bytes_change() -> None:
    body = ODD % TURN
    assert forward(OPENAI, body, OLD_GPT) == body.replace(b'"default"', b'"gpt-4-turbo"')


def test_nothing_changes_where_the_model_is_already_the_targets() -> None:
    body = b'{"messages":[%b],"model":"gpt-4-turbo"}' % TURN
    assert forward(OPENAI, body, OLD_GPT) == body


@pytest.mark.parametrize(
    "body",
    [
        b'{"metadata":{"model":"inner"},"model":"default","messages":[%b]}' % TURN,
        b'{"m\\u006fdel":"default","metadata":{"model":"inner"},"messages":[%b]}' % TURN,
        b'{"model":"default","messages":[%b],"tools":[{"type":"x","model":"inner"}]}' % TURN,
    ],
)
def test_the_top_levels_model_is_replaced_and_no_other(body: bytes) -> None:
    expected = orjson.loads(body) | {"model": OLD_GPT}
    assert orjson.loads(forward(OPENAI, body, OLD_GPT)) == expected


def test_streams_ask_for_usage() -> None:
    body = b'{"model":"default","stream":true,"messages":[%b]}' % TURN
    assert forward(OPENAI, body, OLD_GPT) == (
        b'{"model":"gpt-4-turbo","stream":true,"messages":[%b],"stream_options":{"include_usage":true}}' % TURN
    )


def test_other_stream_options_are_kept() -> None:
    body = b'{"model":"default","stream":true,"stream_options":{"include_obfuscation":false},"messages":[%b]}' % TURN
    options = orjson.loads(forward(OPENAI, body, OLD_GPT))["stream_options"]
    assert options == {"include_obfuscation": False, "include_usage": True}


def test_a_stream_that_asks_for_usage_itself_is_left_alone() -> None:
    body = b'{"model":"gpt-4-turbo","stream":true,"stream_options":{"include_usage":true},"messages":[%b]}' % TURN
    assert forward(OPENAI, body, OLD_GPT) == body


def test_anthropic_streams_need_nothing_added() -> None:
    body = b'{"model":"%b","stream":true,"max_tokens":5,"messages":[%b]}' % (NEW_CLAUDE.encode(), TURN)
    assert forward(ANTHROPIC, body, NEW_CLAUDE) == body


@pytest.mark.parametrize(
    ("given_limit", "model", "options", "limits"),
    [
        ({}, OLD_GPT, {}, {}),
        ({}, OLD_GPT, {"bound_output": True}, {"max_tokens": 50}),
        ({}, NEW_GPT, {"bound_output": True}, {"max_completion_tokens": 50}),
        ({"max_tokens": 70}, OLD_GPT, {"bound_output": True}, {"max_tokens": 70}),
        ({"max_tokens": 70}, OLD_GPT, {"output_limit_tokens": 9}, {"max_tokens": 9}),
        ({"max_tokens": 7}, OLD_GPT, {"output_limit_tokens": 9}, {"max_tokens": 7}),
    ],
)
def test_a_budget_may_set_or_lower_the_output_limit(
    given_limit: dict[str, int], model: str, options: dict[str, Any], limits: dict[str, int]
) -> None:
    body = orjson.dumps({"model": "default", "messages": [user("hi")], **given_limit})
    sent = orjson.loads(forward(OPENAI, body, model, **options))
    assert {name: value for name, value in sent.items() if name.startswith("max")} == limits


def test_thoughts_we_added_to_an_earlier_answer_do_not_reach_openai() -> None:
    spoken = assistant("hi", reasoning_content="hm", thinking_blocks=[{"type": "thinking"}], x_future=1)
    body = orjson.dumps({"model": "default", "messages": [user("a"), spoken, user("b")]})
    assert orjson.loads(forward(OPENAI, body, OLD_GPT))["messages"][1] == assistant("hi", x_future=1)


def test_another_providers_reasoning_content_is_left_alone() -> None:
    body = orjson.dumps({"model": OLD_GPT, "messages": [user("a"), assistant("hi", reasoning_content="hm"), user("b")]})
    assert forward(OPENAI, body, OLD_GPT) == body


def test_unsigned_thinking_does_not_reach_anthropic() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": UNSIGNED}
    signed = {"type": "thinking", "thinking": "hm", "signature": "abc"}
    body = orjson.dumps(
        messages(user("a"), assistant([thought, text("b")]), user("c"), assistant([thought]), user("d"))
    )
    turns = orjson.loads(forward(ANTHROPIC, body, NEW_CLAUDE))["messages"]
    assert turns == [user("a"), assistant([text("b")]), user("c"), user("d")]
    kept = orjson.dumps(messages(user("a"), assistant([signed, text("b")]), user("c"), model=NEW_CLAUDE))
    assert forward(ANTHROPIC, kept, NEW_CLAUDE) == kept


def test_a_call_made_without_thinking_goes_on_without_it() -> None:
    body = orjson.dumps(
        messages(
            user("a"),
            assistant([tool_use("call_1", "f", {})]),
            user([tool_result("call_1", "x")]),
            thinking={"type": "enabled", "budget_tokens": 1024},
        )
    )
    assert "thinking" not in orjson.loads(forward(ANTHROPIC, body, NEW_CLAUDE))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4) | st.sampled_from(['"', "}", "{", "\\", ",:"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4), st.sampled_from([0, orjson.OPT_INDENT_2]))
def test_every_top_level_value_is_found(payload: dict[str, Any], layout: int) -> None:
    body = orjson.dumps(payload, option=layout)
    found = {key: orjson.loads(body[start:end]) for key, start, end in top_level(body)}
    assert found == payload


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4), st.sampled_from([0, orjson.OPT_INDENT_2]))
def test_values_are_replaced_added_and_removed_without_harm(payload: dict[str, Any], layout: int) -> None:
    body = orjson.dumps({"gone": 1, **payload}, option=layout)
    changed = with_values(body, {"model": b'"m"', "a": b"[1]", "gone": None})
    expected = {**payload, "model": "m", "a": [1]}
    expected.pop("gone", None)
    assert orjson.loads(changed) == expected


def told_metadata(surface: Wire, metadata: dict[str, str], **more: Any) -> Any:
    body = orjson.dumps({"model": "default", "messages": [user("hi")], "max_tokens": 9, "metadata": metadata, **more})
    parsed = parse_request(surface, body)
    model = OLD_GPT if surface is OPENAI else NEW_CLAUDE
    sent = translate_request(
        surface,
        surface,
        parsed.payload,
        model=model,
        traits=model_traits(surface, model),
        stream=False,
        default_output_tokens=50,
        body=body,
    )
    return orjson.loads(sent.body).get("metadata", "left out")


@pytest.mark.parametrize("surface", [OPENAI, ANTHROPIC])
def test_the_conversation_in_the_metadata_is_not_told_to_the_provider(surface: Wire) -> None:
    assert told_metadata(surface, {"conversation_id": "c-1"}) == "left out"
    assert told_metadata(surface, {"conversation_id": "c-1", "user_id": "u"}) == {"user_id": "u"}


def test_openai_gets_the_whole_metadata_of_what_it_is_asked_to_store() -> None:
    metadata = {"conversation_id": "c-1", "task": "t"}
    assert told_metadata(OPENAI, metadata, store=True) == metadata
