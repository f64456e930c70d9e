"""Which requests count as the same, and which never do."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.engine.words import Operation
from gateway.wires import parse_call
from gateway.wires.identity import bypass_reason, request_digest

TERMS = {"route": 1, "targets": "f", "for": "team 1", "headers": [None]}
PIXEL = "data:image/png;base64,aGk="
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def digest(body: bytes, operation: Operation = Operation.CHAT, **terms: Any) -> str | None:
    return request_digest(operation, parse_call(operation, body), body, TERMS | terms)


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "cached", "messages": [{"role": "user", "content": "hi"}], **fields}


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
turns = st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": text})
requests = st.fixed_dictionaries(
    {"messages": st.lists(turns, min_size=1, max_size=3)},
    optional={
        "seed": st.integers(0, 2**63),
        "max_tokens": st.integers(1, 100),
        "top_p": st.floats(0, 1),
        "stop": st.lists(text, max_size=2),
        "tools": st.just([TOOL]),
        "response_format": st.just({"type": "json_object"}),
    },
)


@given(requests, requests)
@settings(max_examples=300, deadline=None)
def test_different_requests_never_share_an_answer(one: dict[str, Any], other: dict[str, Any]) -> None:
    digests = {digest(orjson.dumps({"model": "cached", **body})) for body in (one, other)}
    assert None not in digests
    assert len(digests) == (1 if one == other else 2)


@given(requests, st.booleans(), st.integers(0, 2))
@settings(max_examples=200, deadline=None)
def test_spelling_order_and_form_change_nothing(body: dict[str, Any], ascii_only: bool, indent: int) -> None:
    other = dict(reversed(list(body.items()))) | {"model": "alias", "stream": True, "user": "u", "metadata": {"a": "b"}}
    spelled = json.dumps(other, ensure_ascii=ascii_only, indent=indent).encode()
    assert digest(spelled) in (digest(orjson.dumps({"model": "cached", **body})), None)


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": 1},
        {"tools": [TOOL]},
        {"tools": [TOOL], "tool_choice": "required"},
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PIXEL}}]}]},
        {"max_tokens": 5},
        {"n": 2},
        {"unheard_of": True},
    ],
    ids=lambda fields: ",".join(fields),
)
def test_whatever_may_change_the_answer_makes_another_request(fields: dict[str, Any]) -> None:
    assert digest(orjson.dumps(chat(**fields))) != digest(orjson.dumps(chat()))


@pytest.mark.parametrize("terms", [{"route": 2}, {"targets": "g"}, {"for": "team 2"}, {"headers": ["beta"]}], ids=str)
def test_route_targets_audience_and_headers_tell_answers_apart(terms: dict[str, Any]) -> None:
    body = orjson.dumps(chat())
    assert digest(body, **terms) != digest(body)


def test_surfaces_tell_answers_apart() -> None:
    body = orjson.dumps(chat(max_tokens=5))
    assert digest(body) != digest(body, Operation.MESSAGES)


@pytest.mark.parametrize(
    "content",
    [b'"a", "content": "b"', b'"a\\\\", "content": "b\\""', b'"\\u005c", "content": "\\u0022"'],
    ids=["plain", "escapes", "code points"],
)
def test_a_key_that_comes_twice_is_the_same_as_nothing(content: bytes) -> None:
    assert digest(b'{"model": "cached", "messages": [{"role": "user", "content": ' + content + b"}]}") is None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, None),
        ({"temperature": 0}, None),
        ({"temperature": 0.2}, "temperature"),
        ({"store": True}, "kept at the provider"),
        ({"web_search_options": {}}, "depends on more than the request"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a"}}]}
                ]
            },
            "depends on more than the request",
        ),
        ({"seed": 2**70}, "seed"),
    ],
    ids=str,
)
def test_what_bypasses_the_cache(fields: dict[str, Any], reason: str | None) -> None:
    body = orjson.dumps(chat()) if not fields else json.dumps(chat(**fields)).encode()
    assert bypass_reason(Operation.CHAT, parse_call(Operation.CHAT, body), body) == reason


def test_responses_bypass_since_they_are_kept_at_the_provider() -> None:
    body = b'{"model": "cached", "input": "hi"}'
    assert bypass_reason(Operation.RESPONSES, parse_call(Operation.RESPONSES, body), body) == "operation"
