"""What a request's bytes don't tell of its cost is noticed, wherever it stands."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.engine.words import Operation, Wire
from gateway.wires import ParsedRequest, parse_call, parse_request

from .helpers import ANTHROPIC, OPENAI, assistant, chat, function_tool, messages, text, tool_result, user

DATA_URL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}}
FIRST = "messages[0].content[0]"


def parsed(surface: Wire, payload: dict[str, Any]) -> ParsedRequest:
    return parse_request(surface, orjson.dumps(payload))


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": "https://example.com/a.png"},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}},
        {"type": "a_part_of_next_year"},
    ],
)
def test_a_part_of_a_chat_without_a_known_bound_is_named(part: dict[str, Any]) -> None:
    assert parsed(OPENAI, chat(user([text("look"), part]))).unbounded == "messages[0].content[1]"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        PDF,
        {"type": "container_upload", "file_id": "file_1"},
        tool_result("t", [{"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}]),
        {"type": "document", "source": {"type": "content", "content": [PDF]}},
    ],
)
def test_a_part_of_a_message_without_a_known_bound_is_named(part: dict[str, Any]) -> None:
    assert parsed(ANTHROPIC, messages(user([part]))).unbounded == FIRST


@pytest.mark.parametrize(
    ("surface", "payload", "unbounded"),
    [
        (ANTHROPIC, messages(tools=[{"name": "f"}, {"type": "code_execution_20250825", "name": "c"}]), "tools[1]"),
        (ANTHROPIC, messages(mcp_servers=[{"url": "https://example.com"}]), "mcp_servers"),
        (OPENAI, chat(web_search_options={"search_context_size": "low"}), "web_search_options"),
        (OPENAI, chat(web_search_options={}), "web_search_options"),
        (OPENAI, chat(audio={"voice": "alloy", "format": "wav"}), "audio"),
    ],
)
def test_what_the_provider_does_beside_writing_is_named_and_has_fees(
    surface: Wire, payload: dict[str, Any], unbounded: str
) -> None:
    read = parsed(surface, payload)
    assert (read.unbounded, read.has_fees) == (unbounded, True)


@pytest.mark.parametrize("kind", ["web_search_20250305", "web_fetch_20250910"])
def test_a_tool_whose_uses_the_usage_counts_has_no_unknown_fees(kind: str) -> None:
    read = parsed(ANTHROPIC, messages(tools=[{"type": kind, "name": "web"}]))
    assert (read.unbounded, read.has_fees) == ("tools[0]", False)


@pytest.mark.parametrize(
    ("surface", "payload"),
    [
        (
            OPENAI,
            chat(user('an "image_url" in a "file"'), tools=[function_tool("f"), {"type": "custom", "custom": {}}]),
        ),
        (OPENAI, chat(user([text("hi")]), assistant([{"type": "refusal", "refusal": "no"}]))),
        (ANTHROPIC, messages(user([text("hi"), tool_result("t", [text("x")])]), tools=[{"name": "f"}])),
        (ANTHROPIC, messages(tools=[{"type": "bash_20250124", "name": "bash"}, {"type": "custom", "name": "f"}])),
        (ANTHROPIC, messages(user([{"type": "document", "source": {"type": "text", "data": "long"}}]))),
    ],
)
def test_text_and_the_clients_own_tools_are_bounded_by_their_bytes(surface: Wire, payload: dict[str, Any]) -> None:
    read = parsed(surface, payload)
    assert (read.unbounded, read.has_fees, read.inline_images, read.surcharges) == (None, False, 0, ())


@pytest.mark.parametrize(
    ("surface", "payload", "images"),
    [
        (OPENAI, chat(user([DATA_URL, text("and"), DATA_URL])), 2),
        (ANTHROPIC, messages(user([IMAGE])), 1),
        (ANTHROPIC, messages(user([tool_result("t", [IMAGE, IMAGE]), IMAGE])), 3),
        (ANTHROPIC, messages(user([{"type": "document", "source": {"type": "content", "content": [IMAGE]}}])), 1),
    ],
)
def test_images_sent_along_are_counted(surface: Wire, payload: dict[str, Any], images: int) -> None:
    read = parsed(surface, payload)
    assert (read.unbounded, read.inline_images) == (None, images)


@pytest.mark.parametrize(
    ("surface", "payload", "surcharges"),
    [
        (OPENAI, chat(service_tier="priority"), ("service_tier",)),
        (OPENAI, chat(service_tier="flex"), ("service_tier",)),
        (OPENAI, chat(service_tier="auto"), ()),
        (OPENAI, chat(service_tier=None), ()),
        (ANTHROPIC, messages(speed="fast"), ("speed",)),
        (ANTHROPIC, messages(speed="fast", inference_geo="us"), ("speed", "inference_geo")),
        (ANTHROPIC, messages(service_tier="standard_only", speed="standard", inference_geo="global"), ()),
    ],
)
def test_parameters_with_a_price_of_their_own_are_named(
    surface: Wire, payload: dict[str, Any], surcharges: tuple[str, ...]
) -> None:
    assert parsed(surface, payload).surcharges == surcharges


def test_a_response_has_the_same_surcharges_and_fees() -> None:
    body = b'{"model":"m","input":"hi","service_tier":"priority","tools":[{"type":"web_search"}]}'
    read = parse_call(Operation.RESPONSES, body)
    assert (read.surcharges, read.has_fees) == (("service_tier",), True)


@pytest.mark.parametrize(
    ("thread", "unbounded"),
    [({"type": "continue", "previous_message_id": "msg_1"}, "thread"), ({"type": "create"}, None), ("x", None)],
)
def test_turns_that_lie_at_the_provider_have_no_known_bound(thread: Any, unbounded: str | None) -> None:
    assert parsed(ANTHROPIC, messages(thread=thread)).unbounded == unbounded
