"""Chat Completions as the official SDK and a raw reader see them."""

import json
from typing import Any

import jsonschema
import openai
import orjson
import pytest

MODEL = "gpt-4-turbo"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in ("get_weather", "book_hotel")
]


def _user(text: str) -> Any:
    return [{"role": "user", "content": text}]


def _events(text: str) -> list[Any]:
    return [orjson.loads(line[6:]) for line in text.split("\n\n") if line and line != "data: [DONE]"]


def test_a_plain_answer_says_what_it_was_told_to(openai_sdk: openai.OpenAI) -> None:
    reply = openai_sdk.chat.completions.create(model=MODEL, messages=_user("[[say: Paris, of course.]]"))
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == ("Paris, of course.", "stop")
    assert reply.model == MODEL


def test_the_same_request_gets_the_same_text(openai_raw: Any) -> None:
    texts = {openai_raw.post().json()["choices"][0]["message"]["content"] for _ in range(3)}
    assert len(texts) == 1


def test_usage_adds_up(openai_sdk: openai.OpenAI) -> None:
    usage = openai_sdk.chat.completions.create(model=MODEL, messages=_user("[[tokens: 41]]")).usage
    assert usage is not None
    assert (usage.completion_tokens, usage.total_tokens) == (41, usage.prompt_tokens + 41)


def test_an_answer_is_cut_at_max_tokens(openai_sdk: openai.OpenAI) -> None:
    reply = openai_sdk.chat.completions.create(model=MODEL, messages=_user("[[tokens: 50]]"), max_tokens=7)
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 7


def test_a_stop_sequence_ends_the_answer_before_itself(openai_sdk: openai.OpenAI) -> None:
    reply = openai_sdk.chat.completions.create(
        model=MODEL, messages=_user("[[say: one two three]]"), stop=[" three", " two"]
    )
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == ("one", "stop")


def test_n_choices_are_billed_together(openai_sdk: openai.OpenAI) -> None:
    reply = openai_sdk.chat.completions.create(model=MODEL, messages=_user("[[tokens: 10]]"), n=3)
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 30


def test_the_head_carries_openais_headers(openai_raw: Any) -> None:
    headers = openai_raw.post().headers
    assert headers["x-request-id"].startswith("req_")
    assert {"openai-processing-ms", "x-ratelimit-remaining-tokens"} <= set(headers)


def test_a_stream_opens_with_the_role_and_ends_with_done(openai_raw: Any) -> None:
    text = openai_raw.post({"stream": True, "messages": _user("[[say: Hi there]]")}).text
    assert text.endswith("data: [DONE]\n\n")
    deltas = [event["choices"][0]["delta"] for event in _events(text)]
    assert deltas == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "Hi"},
        {"content": " there"},
        {},
    ]
    assert "usage" not in _events(text)[0]


def test_a_stream_gives_usage_only_when_asked(openai_raw: Any) -> None:
    body = {"stream": True, "stream_options": {"include_usage": True}, "messages": _user("[[tokens: 3]]")}
    events = _events(openai_raw.post(body).text)
    assert (events[-1]["choices"], events[-1]["usage"]["completion_tokens"]) == ([], 3)
    assert all(event["usage"] is None for event in events[:-1])


def test_a_mentioned_tool_is_called_with_valid_arguments(openai_sdk: openai.OpenAI) -> None:
    reply = openai_sdk.chat.completions.create(model=MODEL, messages=_user("use get_weather"), tools=TOOLS)
    calls: Any = reply.choices[0].message.tool_calls
    assert reply.choices[0].finish_reason == "tool_calls"
    assert [call.function.name for call in calls] == ["get_weather"]
    jsonschema.validate(json.loads(calls[0].function.arguments), SCHEMA)


@pytest.mark.parametrize(
    ("text", "extra", "names"),
    [
        ("get_weather and book_hotel", {}, ["get_weather", "book_hotel"]),
        ("get_weather and book_hotel", {"parallel_tool_calls": False}, ["get_weather"]),
        ("get_weather", {"tool_choice": "none"}, []),
        ("hello", {}, []),
        ("hello", {"tool_choice": "required"}, ["get_weather"]),
        ("hello", {"tool_choice": {"type": "function", "function": {"name": "book_hotel"}}}, ["book_hotel"]),
        (
            '[[tool: book_hotel {"city": "Rome", "days": 2}]] [[tool: get_weather]]',
            {},
            ["book_hotel", "get_weather"],
        ),
    ],
)
def test_tool_choice_decides_which_tools_are_called(
    openai_sdk: openai.OpenAI, text: str, extra: dict[str, Any], names: list[str]
) -> None:
    reply = openai_sdk.chat.completions.create(model=MODEL, messages=_user(text), tools=TOOLS, **extra)
    calls: Any = reply.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls] == names


def test_streamed_tool_calls_arrive_name_first_then_fragments(openai_raw: Any) -> None:
    order = '[[tool: get_weather {"city": "Rome"}]] [[tool: book_hotel {"city": "Oslo"}]]'
    events = _events(openai_raw.post({"stream": True, "tools": TOOLS, "messages": _user(order)}).text)
    deltas = [call for event in events for call in event["choices"][0]["delta"].get("tool_calls", ())]
    heads = [delta for delta in deltas if "id" in delta]
    joined = ["".join(d["function"]["arguments"] for d in deltas if d["index"] == index) for index in (0, 1)]
    assert [(head["index"], head["function"]["name"]) for head in heads] == [
        (0, "get_weather"),
        (1, "book_hotel"),
    ]
    assert joined == ['{"city": "Rome"}', '{"city": "Oslo"}']
    assert len(deltas) > 4
    assert events[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_after_tool_results_it_answers_in_text(openai_sdk: openai.OpenAI) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages: Any = [
        *_user("get_weather"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ]
    choice = openai_sdk.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS).choices[0]
    assert (choice.finish_reason, bool(choice.message.content)) == ("stop", True)


def test_a_json_schema_answer_satisfies_it(openai_sdk: openai.OpenAI) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "trip", "strict": True, "schema": SCHEMA}}
    reply = openai_sdk.chat.completions.create(model="gpt-4o", messages=_user("plan"), response_format=form)
    jsonschema.validate(json.loads(reply.choices[0].message.content or ""), SCHEMA)


def test_a_json_object_answer_is_an_object(openai_sdk: openai.OpenAI) -> None:
    form: Any = {"type": "json_object"}
    reply = openai_sdk.chat.completions.create(model=MODEL, messages=_user("as JSON"), response_format=form)
    assert isinstance(json.loads(reply.choices[0].message.content or ""), dict)


def test_reasoning_tokens_are_output_tokens(openai_sdk: openai.OpenAI) -> None:
    usage = openai_sdk.chat.completions.create(
        model="gpt-6-luna", messages=_user("[[tokens: 9]]"), reasoning_effort="low"
    ).usage
    assert usage is not None
    assert usage.completion_tokens_details is not None
    assert usage.completion_tokens == 9 + (usage.completion_tokens_details.reasoning_tokens or 0) > 9


def test_a_long_prompt_is_cached_the_second_time(openai_sdk: openai.OpenAI) -> None:
    def ask() -> Any:
        return openai_sdk.chat.completions.create(model=MODEL, messages=_user("word " * 2000)).usage

    assert ask().prompt_tokens_details.cached_tokens == 0
    assert ask().prompt_tokens_details.cached_tokens >= 1920


def test_an_interrupted_text_is_continued_where_it_broke_off(openai_sdk: openai.OpenAI) -> None:
    messages: Any = [
        *_user("[[say: one two three]]"),
        {"role": "assistant", "content": "one tw"},
        {"role": "user", "content": "Go on exactly where you stopped."},
    ]
    reply = openai_sdk.chat.completions.create(model=MODEL, messages=messages)
    assert reply.choices[0].message.content == "o three"


def test_models_are_listed_and_shown(openai_sdk: openai.OpenAI) -> None:
    assert {"gpt-4-turbo", "gpt-6.1-sol", "gpt-6-luna"} <= {model.id for model in openai_sdk.models.list()}
    assert openai_sdk.models.retrieve("gpt-4o").id == "gpt-4o"


def test_the_root_serves_the_same_paths(openai_raw: Any, simulator: Any) -> None:
    openai_raw.path = "/v1/chat/completions"
    assert openai_raw.post().json()["object"] == "chat.completion"
