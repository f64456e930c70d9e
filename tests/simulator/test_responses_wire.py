"""The Responses API as the official SDK and a raw reader see it."""

import json
from typing import Any

import jsonschema
import openai
import orjson
import pytest
from openai.types.responses import Response

from gateway.simulator import Fault, FaultKind, Simulator

MODEL = "gpt-4-turbo"
REASONER = "gpt-6-luna"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS: Any = [
    {"type": "function", "name": name, "parameters": SCHEMA, "strict": True} for name in ("get_weather", "book_hotel")
]


def _events(text: str) -> list[Any]:
    """The stream's events, each checked to be named as its data is typed."""
    events = []
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        events.append(orjson.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def _calls(response: Response) -> list[tuple[str, str]]:
    return [(item.name, item.arguments) for item in response.output if item.type == "function_call"]


def test_a_plain_response_says_what_it_was_told_to(openai_sdk: openai.OpenAI) -> None:
    response = openai_sdk.responses.create(model=MODEL, input="[[say: Paris, of course.]]")
    assert (response.output_text, response.status, response.model) == ("Paris, of course.", "completed", MODEL)
    assert [(item.type, item.id[:4]) for item in response.output if item.type == "message"] == [("message", "msg_")]


def test_the_same_request_gets_the_same_text(openai_sdk: openai.OpenAI) -> None:
    assert len({openai_sdk.responses.create(model=MODEL, input="Hello").output_text for _ in range(3)}) == 1


def test_usage_adds_up_and_is_what_is_billed(openai_sdk: openai.OpenAI, simulator: Simulator) -> None:
    usage = openai_sdk.responses.create(model=MODEL, input="[[tokens: 41]]", instructions="Be brief.").usage
    assert usage is not None
    assert (usage.output_tokens, usage.total_tokens) == (41, usage.input_tokens + 41)
    line = simulator.bill().line("openai", MODEL)
    assert (line.requests, line.input_tokens, line.output_tokens) == (1, usage.input_tokens, 41)


def test_instructions_are_input_tokens(openai_sdk: openai.OpenAI) -> None:
    bare = openai_sdk.responses.create(model=MODEL, input="Hi").usage
    told = openai_sdk.responses.create(model=MODEL, input="Hi", instructions="Be brief.").usage
    assert bare is not None
    assert told is not None
    assert told.input_tokens > bare.input_tokens


def test_a_response_cut_at_its_limit_is_incomplete(openai_sdk: openai.OpenAI) -> None:
    response = openai_sdk.responses.create(model=MODEL, input="[[tokens: 50]]", max_output_tokens=16)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.usage is not None
    assert response.usage.output_tokens == 16


def test_a_response_repeats_what_was_asked(responses_raw: Any) -> None:
    asked = {
        "temperature": 0.5,
        "metadata": {"team": "a"},
        "max_output_tokens": 99,
        "text": {"format": {"type": "text"}},
        "tools": TOOLS,
        "tool_choice": "none",
        "truncation": "auto",
    }
    body = responses_raw.post(asked).json()
    assert {name: body[name] for name in asked if name != "text"} | {"text": asked["text"]} == asked
    assert body["text"]["verbosity"] == "medium"


def test_the_head_carries_openais_headers(responses_raw: Any) -> None:
    headers = responses_raw.post().headers
    assert headers["x-request-id"].startswith("req_")


def test_the_root_serves_the_same_path(responses_raw: Any) -> None:
    responses_raw.path = "/v1/responses"
    assert responses_raw.post(anthropic_version="2023-06-01").json()["object"] == "response"


def test_a_text_streams_in_openais_order(responses_raw: Any) -> None:
    events = _events(responses_raw.post({"stream": True, "input": "[[say: Hi there]]"}).text)
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(10))
    assert events[0]["response"] | {"output": []} == events[0]["response"]
    assert (events[-1]["response"]["usage"]["output_tokens"], events[-1]["response"]["status"]) == (2, "completed")


def test_an_incomplete_stream_ends_with_its_own_event(responses_raw: Any) -> None:
    last = _events(responses_raw.post({"stream": True, "input": "[[tokens: 50]]", "max_output_tokens": 16}).text)[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["output"][-1]["status"] == "incomplete"


def test_the_sdks_stream_helper_builds_the_response_up(openai_sdk: openai.OpenAI) -> None:
    said: list[str] = []
    with openai_sdk.responses.stream(model=MODEL, input="[[say: one two three]]") as stream:
        said += [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert (said, final.output_text) == (["one", " two", " three"], "one two three")


def test_the_sdks_stream_helper_builds_tool_calls_up(openai_sdk: openai.OpenAI) -> None:
    order = '[[tool: get_weather {"city": "Rome", "days": 2}]] [[tool: book_hotel {"city": "Oslo", "days": 1}]]'
    with openai_sdk.responses.stream(model=MODEL, input=order, tools=TOOLS) as stream:
        joined = "".join(event.delta for event in stream if event.type == "response.function_call_arguments.delta")
        final = stream.get_final_response()
    calls = [(item.name, item.arguments) for item in final.output if item.type == "function_call"]
    assert calls == [("get_weather", '{"city": "Rome", "days": 2}'), ("book_hotel", '{"city": "Oslo", "days": 1}')]
    assert joined == calls[0][1] + calls[1][1]


def test_a_mentioned_tool_is_called_with_valid_arguments(openai_sdk: openai.OpenAI) -> None:
    calls = _calls(openai_sdk.responses.create(model=MODEL, input="use get_weather", tools=TOOLS))
    assert [name for name, _ in calls] == ["get_weather"]
    jsonschema.validate(json.loads(calls[0][1]), SCHEMA)


BOTH = "get_weather and book_hotel"
ALLOWED = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "book_hotel"}]}


@pytest.mark.parametrize(
    ("text", "extra", "names"),
    [
        (BOTH, {}, ["get_weather", "book_hotel"]),
        (BOTH, {"parallel_tool_calls": False}, ["get_weather"]),
        ("get_weather", {"tool_choice": "none"}, []),
        ("hello", {"tool_choice": "required"}, ["get_weather"]),
        ("hello", {"tool_choice": {"type": "function", "name": "book_hotel"}}, ["book_hotel"]),
        ("hello", {"tool_choice": ALLOWED}, ["book_hotel"]),
    ],
)
def test_tool_choice_decides_which_tools_are_called(
    openai_sdk: openai.OpenAI, text: str, extra: dict[str, Any], names: list[str]
) -> None:
    response = openai_sdk.responses.create(model=MODEL, input=text, tools=TOOLS, **extra)
    assert [name for name, _ in _calls(response)] == names


def test_a_built_in_tool_is_accepted_and_not_called(openai_sdk: openai.OpenAI) -> None:
    response = openai_sdk.responses.create(model=MODEL, input="web search please", tools=[{"type": "web_search"}])
    assert [item.type for item in response.output] == ["message"]


def test_after_a_tools_output_it_answers_in_text(openai_sdk: openai.OpenAI) -> None:
    items: Any = [
        {"role": "user", "content": "get_weather"},
        {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
    ]
    response = openai_sdk.responses.create(model=MODEL, input=items, tools=TOOLS)
    assert [item.type for item in response.output] == ["message"]


def test_a_json_schema_answer_satisfies_it(openai_sdk: openai.OpenAI) -> None:
    form: Any = {"format": {"type": "json_schema", "name": "trip", "strict": True, "schema": SCHEMA}}
    response = openai_sdk.responses.create(model=MODEL, input="plan", text=form)
    jsonschema.validate(json.loads(response.output_text), SCHEMA)


def test_a_json_object_answer_is_an_object(openai_sdk: openai.OpenAI) -> None:
    response = openai_sdk.responses.create(model=MODEL, input="as JSON", text={"format": {"type": "json_object"}})
    assert isinstance(json.loads(response.output_text), dict)


def test_reasoning_is_an_item_and_counted_in_output(openai_sdk: openai.OpenAI) -> None:
    response = openai_sdk.responses.create(
        model=REASONER, input="[[tokens: 9]]", reasoning={"effort": "low"}, include=["reasoning.encrypted_content"]
    )
    item = response.output[0]
    assert (item.type, item.type == "reasoning" and bool(item.encrypted_content)) == ("reasoning", True)
    assert response.usage is not None
    assert response.usage.output_tokens == 9 + response.usage.output_tokens_details.reasoning_tokens > 9


def test_a_reasoning_summary_is_streamed_when_asked_for(responses_raw: Any) -> None:
    asked = {"model": REASONER, "reasoning": {"effort": "low", "summary": "auto"}, "stream": True}
    events = _events(responses_raw.post(asked).text)
    deltas = [event["delta"] for event in events if event["type"] == "response.reasoning_summary_text.delta"]
    assert "".join(deltas) == events[-1]["response"]["output"][0]["summary"][0]["text"] != ""


def test_logprobs_are_given_when_included(responses_raw: Any) -> None:
    body = responses_raw.post({"include": ["message.output_text.logprobs"], "input": "[[say: one two]]"}).json()
    assert [one["token"] for one in body["output"][0]["content"][0]["logprobs"]] == ["one", " two"]


def test_a_long_prompt_is_cached_the_second_time(openai_sdk: openai.OpenAI) -> None:
    def cached() -> int:
        usage = openai_sdk.responses.create(model=MODEL, input="word " * 2000).usage
        assert usage is not None
        return usage.input_tokens_details.cached_tokens

    assert cached() == 0
    assert cached() >= 1920


def test_a_previous_response_is_gone_on_from(openai_sdk: openai.OpenAI) -> None:
    first = openai_sdk.responses.create(model=MODEL, input="[[tool: get_weather]]", tools=TOOLS)
    call = next(item for item in first.output if item.type == "function_call")
    output: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "[[say: sunny]]"}]
    second = openai_sdk.responses.create(model=MODEL, input=output, tools=TOOLS, previous_response_id=first.id)
    assert (second.output_text, second.previous_response_id) == ("sunny", first.id)


def test_an_item_is_referred_to_by_its_id(openai_sdk: openai.OpenAI) -> None:
    first = openai_sdk.responses.create(model=MODEL, input="[[tokens: 300]]")
    reference: Any = [{"type": "item_reference", "id": first.output[0].id}, {"role": "user", "content": "Hi"}]
    usage = openai_sdk.responses.create(model=MODEL, input=reference).usage
    assert usage is not None
    assert usage.input_tokens > 300


@pytest.mark.parametrize("stream", [False, True])
def test_a_stored_response_is_shown_and_deleted(openai_sdk: openai.OpenAI, stream: bool) -> None:
    if stream:
        with openai_sdk.responses.stream(model=MODEL, input="Hello") as events:
            made: Any = events.get_final_response()
    else:
        made = openai_sdk.responses.create(model=MODEL, input="Hello")
    assert openai_sdk.responses.retrieve(made.id).output_text == made.output_text
    openai_sdk.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        openai_sdk.responses.retrieve(made.id)


def test_what_is_not_to_be_stored_is_not(openai_sdk: openai.OpenAI) -> None:
    made = openai_sdk.responses.create(model=MODEL, input="Hello", store=False)
    with pytest.raises(openai.BadRequestError) as caught:
        openai_sdk.responses.create(model=MODEL, input="And?", previous_response_id=made.id)
    assert caught.value.code == "previous_response_not_found"


def test_showing_a_response_costs_nothing(openai_sdk: openai.OpenAI, simulator: Simulator) -> None:
    made = openai_sdk.responses.create(model=MODEL, input="Hello")
    openai_sdk.responses.retrieve(made.id)
    assert simulator.bill().line("openai", MODEL).requests == 1


def test_truncation_drops_the_oldest_items(openai_sdk: openai.OpenAI) -> None:
    items: Any = [{"role": "user", "content": "word " * 9000}, {"role": "user", "content": "[[say: kept]]"}]
    response = openai_sdk.responses.create(model="gpt-4", input=items, truncation="auto")
    assert response.output_text == "kept"


def test_an_error_event_is_followed_by_the_failed_response(responses_raw: Any, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.ERROR_EVENT, after_tokens=3, code="rate_limit_exceeded"))
    error, failed = _events(responses_raw.post({"stream": True, "input": "[[tokens: 9]]"}).text)[-2:]
    assert (error["type"], error["error"]["code"]) == ("error", "rate_limit_exceeded")
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert failed["response"]["error"]["code"] == "rate_limit_exceeded"
    assert failed["sequence_number"] == error["sequence_number"] + 1


def test_an_error_event_raises_in_the_sdk(openai_sdk: openai.OpenAI, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.ERROR_EVENT, after_tokens=3))
    with pytest.raises(openai.APIError):
        list(openai_sdk.responses.create(model=MODEL, input="[[tokens: 9]]", stream=True))
