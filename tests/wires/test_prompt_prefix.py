"""The mark for Anthropic's prompt cache: where it is put, and where it isn't."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.wires.prompt_prefix import EPHEMERAL, with_prompt_prefix

TEXT: dict[str, Any] = {"type": "text", "text": "You are terse."}
EMPTY: dict[str, Any] = {"type": "text", "text": ""}
TOOL: dict[str, Any] = {"name": "f", "input_schema": {"type": "object"}}
LATER: dict[str, Any] = {**TOOL, "defer_loading": True}


def marked(block: dict[str, Any]) -> dict[str, Any]:
    return {**block, "cache_control": EPHEMERAL}


def request(**fields: Any) -> dict[str, Any]:
    return {"model": "claude", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}], **fields}


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param({"system": "You are terse."}, {"system": [marked(TEXT)]}, id="system as text"),
        pytest.param({"system": [TEXT, TEXT]}, {"system": [TEXT, marked(TEXT)]}, id="the last system block"),
        pytest.param({"system": [TEXT, EMPTY]}, {"system": [marked(TEXT), EMPTY]}, id="no empty block"),
        pytest.param({"system": [TEXT], "tools": [TOOL]}, {"system": [marked(TEXT)]}, id="system covers tools"),
        pytest.param({"tools": [TOOL, TOOL]}, {"tools": [TOOL, marked(TOOL)]}, id="the last tool"),
        pytest.param({"system": "", "tools": [TOOL]}, {"tools": [marked(TOOL)]}, id="empty system prompt"),
        pytest.param({"tools": [TOOL, LATER]}, {"tools": [marked(TOOL), LATER]}, id="no deferred tool"),
    ],
)
def test_the_end_of_the_stable_prefix_is_marked(sent: dict[str, Any], expected: dict[str, Any]) -> None:
    found = orjson.loads(with_prompt_prefix(orjson.dumps(request(**sent))))
    assert found == request(**{**sent, **expected})


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="nothing stable"),
        pytest.param({"tools": []}, id="no tools"),
        pytest.param({"system": [marked(TEXT), TEXT]}, id="the client's own mark"),
        pytest.param({"system": "You are terse.", "cache_control": EPHEMERAL}, id="the client's own mark on the whole"),
    ],
)
def test_what_needs_no_mark_goes_on_byte_for_byte(fields: dict[str, Any]) -> None:
    body = orjson.dumps(request(**fields), option=orjson.OPT_INDENT_2)
    assert with_prompt_prefix(body) == body


def test_the_rest_of_the_body_keeps_its_bytes() -> None:
    body = b'{"model":"m",  "odd" : 1.50, "system":"S", "messages":[]}'
    assert with_prompt_prefix(body).startswith(b'{"model":"m",  "odd" : 1.50, "system":[')
