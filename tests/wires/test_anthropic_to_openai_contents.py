"""Documents, images and tools of an Anthropic client, in the shape that OpenAI takes.

Sources: OpenAI, "File inputs" (a file name with its ending), "Function calling" (at most 128 tools) and its 400s
"object schema missing properties", "array schema missing items"; Anthropic, "PDF support", "Citations: document
types" (title and context), "Data residency".
"""

from __future__ import annotations

from typing import Any

import pytest

from gateway.engine.errors import InvalidRequest
from gateway.wires import Untranslatable

from .helpers import ANTHROPIC, OLD_GPT, messages, send, sent, text, user

PDF = {"type": "base64", "media_type": "application/pdf", "data": "aGk="}
PLAIN = {"type": "text", "media_type": "text/plain", "data": "D"}
BLOCKS = {"type": "content", "content": [text("D")]}
FILE = "data:application/pdf;base64,aGk="


def content_of(block: dict[str, Any]) -> Any:
    [message] = sent(ANTHROPIC, messages(user([block])), OLD_GPT)["messages"]
    return message["content"]


@pytest.mark.parametrize(
    ("title", "name"),
    [
        (None, "document.pdf"),
        ("", "document.pdf"),
        ("Q3 report", "Q3 report.pdf"),
        ("a.PDF", "a.PDF"),
        (5, "document.pdf"),
    ],
)
def test_a_pdf_has_a_name_with_its_ending(title: Any, name: str) -> None:
    [part] = content_of({"type": "document", "source": PDF, "title": title})
    assert part == {"type": "file", "file": {"filename": name, "file_data": FILE}}


@pytest.mark.parametrize(
    ("source", "expected"),
    [(PLAIN, "T\n\nC\n\nD"), (BLOCKS, [text("T\n\nC"), text("D")]), ({**BLOCKS, "content": "D"}, "T\n\nC\n\nD")],
)
def test_a_document_s_title_and_context_reach_the_model(source: Any, expected: Any) -> None:
    assert content_of({"type": "document", "source": source, "title": "T", "context": "C"}) == expected


def test_a_pdf_s_context_stands_before_it() -> None:
    [first, second] = content_of({"type": "document", "source": PDF, "context": "C"})
    assert (first, second["type"]) == (text("C"), "file")


@pytest.mark.parametrize(
    ("block", "param"),
    [
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png"}}, "source"),
        ({"type": "image", "source": {"type": "base64", "data": "aGk="}}, "source"),
        ({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": 5}}, "source"),
        ({"type": "document", "source": {"type": "text", "media_type": "text/plain"}}, "source.data"),
        ({"type": "document", "source": {"type": "content", "content": 5}}, "source.content"),
        ({"type": "document", "source": {"type": "content", "content": [5]}}, "source.content[0]"),
    ],
)
def test_a_source_without_its_data_is_refused_by_name(block: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        send(ANTHROPIC, messages(user([block])), OLD_GPT)
    assert refusal.value.param == f"messages[0].content[0].{param}"


LIST_OF_ANYTHING = {"type": "array", "description": "d"}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object"}, {"type": "object", "properties": {}}),
        (
            {"type": "object", "properties": {"a": LIST_OF_ANYTHING, "b": {"type": "object"}}},
            {"type": "object", "properties": {"a": {**LIST_OF_ANYTHING, "items": {}}, "b": {"type": "object"}}},
        ),
        (
            {"type": "object", "properties": {"a": {"anyOf": [{"type": ["array", "null"]}]}}},
            {"type": "object", "properties": {"a": {"anyOf": [{"type": ["array", "null"], "items": {}}]}}},
        ),
    ],
)
def test_what_openai_demands_of_a_schema_is_added(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    tools = [{"name": "f", "input_schema": schema}]
    assert sent(ANTHROPIC, messages(tools=tools), OLD_GPT)["tools"][0]["function"]["parameters"] == expected


def test_more_tools_than_openai_takes_skip_it() -> None:
    tools = [{"name": f"f{number}", "input_schema": {"type": "object"}} for number in range(129)]
    with pytest.raises(Untranslatable) as refusal:
        send(ANTHROPIC, messages(tools=tools), OLD_GPT)
    assert refusal.value.param == "tools"


def test_the_geography_that_anyone_has_is_no_bound() -> None:
    assert send(ANTHROPIC, messages(inference_geo="global"), OLD_GPT).dropped == ()
