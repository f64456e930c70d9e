"""The official SDKs' own accumulators put a translated stream together as if their provider had sent it."""

from __future__ import annotations

import anthropic
import openai

from .conftest import Scripted
from .helpers import (
    ANTHROPIC,
    ANTHROPIC_STREAM,
    OPENAI,
    OPENAI_STREAM,
    Streamed,
    block,
    end,
    start,
    text_block,
    tool_block,
    user,
)

HEADERS = {"content-type": "text/event-stream"}


def test_the_openai_sdk_accumulates_an_anthropic_answer(openai_client: openai.OpenAI) -> None:
    deltas = [{"type": "thinking_delta", "thinking": "hm"}, {"type": "signature_delta", "signature": "abc"}]
    thought = block(0, {"type": "thinking", "thinking": "", "signature": ""}, *deltas)
    hidden = block(1, {"type": "redacted_thinking", "data": "zzz"})
    calls = tool_block(3, "toolu_1", "look", '{"a":', "1}") + tool_block(4, "toolu_2", "book")
    streamed = Streamed(OPENAI, [start() + thought + hidden + text_block(2, "Grüß ", "Gott") + calls + end("tool_use")])
    Scripted.reply = (200, HEADERS, streamed.data + streamed.translator.terminator)
    options = {"include_usage": True}
    with openai_client.chat.completions.stream(model="m", messages=[user("hi")], stream_options=options) as stream:  # type: ignore[list-item,arg-type]
        whole = stream.get_final_completion()
    message = whole.choices[0].message
    assert (message.content, whole.choices[0].finish_reason) == ("Grüß Gott", "tool_calls")
    called = [(each.id, each.function.name, each.function.arguments) for each in message.tool_calls or ()]
    assert called == [("toolu_1", "look", '{"a":1}'), ("toolu_2", "book", "{}")]
    assert whole.usage is not None
    assert whole.usage.total_tokens == 15
    extra = message.model_extra or {}
    assert extra["reasoning_content"] == "hm"
    assert [(each["type"], each.get("signature")) for each in extra["thinking_blocks"]] == [
        ("thinking", "abc"),
        ("redacted_thinking", None),
    ]


def test_the_anthropic_sdk_accumulates_an_openai_answer(anthropic_client: anthropic.Anthropic) -> None:
    streamed = Streamed(ANTHROPIC, [OPENAI_STREAM])
    Scripted.reply = (200, HEADERS, streamed.data + streamed.translator.terminator)
    with anthropic_client.messages.stream(model="m", max_tokens=5, messages=[user("hi")]) as stream:  # type: ignore[list-item]
        whole = stream.get_final_message()
    assert [each.type for each in whole.content] == ["text", "tool_use", "tool_use"]
    assert [each.input for each in whole.content if each.type == "tool_use"] == [{"city": "Wien"}, {"n": 1}]
    assert (whole.stop_reason, whole.usage.input_tokens, whole.usage.output_tokens) == ("tool_use", 10, 5)


def test_the_openai_sdk_sees_no_usage_it_did_not_ask_for(openai_client: openai.OpenAI) -> None:
    streamed = Streamed(OPENAI, [ANTHROPIC_STREAM], wants_usage=False)
    Scripted.reply = (200, HEADERS, streamed.data + streamed.translator.terminator)
    chunks = list(openai_client.chat.completions.create(model="m", messages=[user("hi")], stream=True))  # type: ignore[list-item]
    assert all(each.usage is None for each in chunks)
    assert all(each.choices for each in chunks)
