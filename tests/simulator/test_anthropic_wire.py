"""Messages as the official SDK and a raw reader see them."""

import json
from typing import Any

import anthropic
import jsonschema
import orjson
import pytest

MODEL = "claude-3-5-sonnet-20241022"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [{"name": name, "input_schema": SCHEMA} for name in ("get_weather", "book_hotel")]


def _user(text: str) -> Any:
    return [{"role": "user", "content": text}]


def _events(text: str) -> list[tuple[str, Any]]:
    pairs = [block.split("\ndata: ") for block in text.strip().split("\n\n")]
    return [(kind.removeprefix("event: "), orjson.loads(data)) for kind, data in pairs]


def test_a_plain_answer_says_what_it_was_told_to(anthropic_sdk: anthropic.Anthropic) -> None:
    reply = anthropic_sdk.messages.create(model=MODEL, max_tokens=50, messages=_user("[[say: Paris, of course.]]"))
    assert [block.model_dump(include={"type", "text"}) for block in reply.content] == [
        {"type": "text", "text": "Paris, of course."}
    ]
    assert reply.stop_reason == "end_turn"


def test_an_answer_is_cut_at_max_tokens(anthropic_sdk: anthropic.Anthropic) -> None:
    reply = anthropic_sdk.messages.create(model=MODEL, max_tokens=7, messages=_user("[[tokens: 50]]"))
    assert (reply.stop_reason, reply.usage.output_tokens) == ("max_tokens", 7)


def test_a_stop_sequence_is_named(anthropic_sdk: anthropic.Anthropic) -> None:
    reply = anthropic_sdk.messages.create(
        model=MODEL, max_tokens=50, messages=_user("[[say: one two three]]"), stop_sequences=["two"]
    )
    assert (reply.stop_reason, reply.stop_sequence, reply.content[0].text) == ("stop_sequence", "two", "one ")  # type: ignore[union-attr]


def test_a_stream_has_every_event_in_order(anthropic_raw: Any) -> None:
    events = _events(anthropic_raw.post({"stream": True, "messages": _user("[[say: Hi there]]")}).text)
    assert [kind for kind, _ in events] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert all(kind == data["type"] for kind, data in events)
    assert events[-2][1]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert events[-2][1]["usage"]["output_tokens"] == 2
    assert events[0][1]["message"]["usage"]["input_tokens"] > 0


@pytest.mark.parametrize(
    ("text", "choice", "names"),
    [
        ("get_weather and book_hotel", {"type": "auto"}, ["get_weather", "book_hotel"]),
        ("get_weather and book_hotel", {"type": "auto", "disable_parallel_tool_use": True}, ["get_weather"]),
        ("get_weather", {"type": "none"}, []),
        ("hello", {"type": "auto"}, []),
        ("hello", {"type": "any"}, ["get_weather"]),
        ("hello", {"type": "tool", "name": "book_hotel"}, ["book_hotel"]),
    ],
)
def test_tool_choice_decides_which_tools_are_used(
    anthropic_sdk: anthropic.Anthropic, text: str, choice: Any, names: list[str]
) -> None:
    reply = anthropic_sdk.messages.create(
        model=MODEL, max_tokens=500, messages=_user(text), tools=TOOLS, tool_choice=choice
    )
    uses = [block for block in reply.content if block.type == "tool_use"]
    assert [use.name for use in uses] == names
    assert reply.stop_reason == ("tool_use" if names else "end_turn")
    for use in uses:
        jsonschema.validate(use.input, SCHEMA)


def test_streamed_parallel_tool_uses_arrive_in_fragments(anthropic_sdk: anthropic.Anthropic) -> None:
    order = '[[say: Both.]] [[tool: get_weather {"city": "Rome"}]] [[tool: book_hotel {"city": "Oslo"}]]'
    with anthropic_sdk.messages.stream(model=MODEL, max_tokens=90, messages=_user(order), tools=TOOLS) as stream:
        fragments = [event for event in stream if event.type == "input_json"]
        message = stream.get_final_message()
    assert [getattr(block, "input", None) for block in message.content] == [
        None,
        {"city": "Rome"},
        {"city": "Oslo"},
    ]
    assert len(fragments) > 4
    assert message.stop_reason == "tool_use"


def test_after_tool_results_it_answers_in_text(anthropic_sdk: anthropic.Anthropic) -> None:
    messages: Any = [
        *_user("get_weather"),
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t1", "name": "get_weather", "input": {}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "sunny"}]},
    ]
    reply = anthropic_sdk.messages.create(model=MODEL, max_tokens=90, messages=messages, tools=TOOLS)
    assert [block.type for block in reply.content] == ["text"]


@pytest.mark.parametrize("thinking", [{"type": "enabled", "budget_tokens": 1024}, {"type": "adaptive"}])
def test_thinking_comes_first_and_may_be_sent_back(anthropic_sdk: anthropic.Anthropic, thinking: Any) -> None:
    model = "claude-sonnet-5-5"
    with anthropic_sdk.messages.stream(
        model=model, max_tokens=2000, thinking=thinking, messages=_user("[[say: Done.]]")
    ) as stream:
        message = stream.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text"]
    back: Any = [*_user("hi"), {"role": "assistant", "content": message.content}, *_user("and?")]
    assert anthropic_sdk.messages.create(model=model, max_tokens=2000, messages=back).content


def test_structured_output_satisfies_its_schema(anthropic_sdk: anthropic.Anthropic) -> None:
    reply: Any = anthropic_sdk.messages.create(
        model="claude-sonnet-5-5",
        max_tokens=200,
        messages=_user("plan"),
        output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
    )
    jsonschema.validate(json.loads(reply.content[0].text), SCHEMA)


def test_a_prefill_is_continued(anthropic_sdk: anthropic.Anthropic) -> None:
    messages: Any = [*_user("[[say: one two three]]"), {"role": "assistant", "content": "one two"}]
    reply: Any = anthropic_sdk.messages.create(model=MODEL, max_tokens=50, messages=messages)
    assert reply.content[0].text == " three"


def test_counted_tokens_are_the_tokens_charged(anthropic_sdk: anthropic.Anthropic) -> None:
    asked: Any = {"model": MODEL, "messages": _user("How far is it?"), "system": "Be brief.", "tools": TOOLS}
    counted = anthropic_sdk.messages.count_tokens(**asked)
    used = anthropic_sdk.messages.create(max_tokens=50, **asked).usage
    assert counted.input_tokens == used.input_tokens > 346


def test_models_are_listed_and_shown(anthropic_sdk: anthropic.Anthropic) -> None:
    assert {"claude-sonnet-5-5", MODEL} <= {model.id for model in anthropic_sdk.models.list()}
    assert anthropic_sdk.models.retrieve("claude-sonnet-5-5").display_name == "Claude Sonnet 5.5"


def _marked(text: str, ttl: str = "5m") -> Any:
    return {"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": ttl}}


def _usage(client: anthropic.Anthropic, *system: Any) -> tuple[int, int, int]:
    reply = client.messages.create(model=MODEL, max_tokens=5, system=list(system), messages=_user("hi"))
    usage = reply.usage
    assert usage.cache_creation is not None
    written = (usage.cache_creation.ephemeral_5m_input_tokens, usage.cache_creation.ephemeral_1h_input_tokens)
    assert sum(written) == usage.cache_creation_input_tokens
    return usage.cache_read_input_tokens or 0, *written


def test_a_marked_prefix_is_written_then_read(anthropic_sdk: anthropic.Anthropic) -> None:
    long = _marked("word " * 1500)
    _, written, _ = _usage(anthropic_sdk, long)
    assert written >= 1500
    assert _usage(anthropic_sdk, long) == (written, 0, 0)


def test_a_longer_prefix_reads_the_shorter_and_writes_the_rest(anthropic_sdk: anthropic.Anthropic) -> None:
    first, second = _marked("word " * 1500, "1h"), _marked("more " * 500)
    _, _, written_1h = _usage(anthropic_sdk, first)
    assert written_1h >= 1500
    read, written_5m, again_1h = _usage(anthropic_sdk, first, second)
    assert (read, again_1h) == (written_1h, 0)
    assert written_5m >= 500


def test_a_cached_prefix_is_forgotten_after_its_time(anthropic_sdk: anthropic.Anthropic, moving_time: Any) -> None:
    long = _marked("word " * 1500)
    _usage(anthropic_sdk, long)
    moving_time.now += 301
    assert _usage(anthropic_sdk, long)[0] == 0


def test_a_short_prefix_is_not_cached(anthropic_sdk: anthropic.Anthropic) -> None:
    assert _usage(anthropic_sdk, _marked("word " * 100)) == (0, 0, 0)


def test_the_bill_of_cached_tokens_equals_the_usage(anthropic_sdk: anthropic.Anthropic, simulator: Any) -> None:
    read, written = 0, 0
    for _ in range(3):
        one = _usage(anthropic_sdk, _marked("word " * 1500))
        read, written = read + one[0], written + one[1]
    line = simulator.bill().line("anthropic", MODEL)
    assert (line.cached_input_tokens, line.cache_write_tokens, line.cache_write_1h_tokens) == (
        read,
        written,
        0,
    )
