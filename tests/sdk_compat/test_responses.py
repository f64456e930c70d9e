"""The Responses API through the official OpenAI SDK: passed through, metered, and with a fallback between accounts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx2
import openai
import pytest

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from tests.gateway_process import AGENT_KEY, GatewayProcess
from tests.two_accounts import FIRST_ACCOUNT

MODEL = "two-accounts"
TOOLS: Any = [
    {
        "type": "function",
        "name": "get_weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    }
]
ASK_FOR_TWO = '[[tool: get_weather {"city": "Oslo"}]] [[tool: get_weather {"city": "Rome"}]]'


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=AGENT_KEY, max_retries=0) as client:
        yield client


@pytest.fixture(params=["first", "second"])
def through(request: pytest.FixtureRequest, simulator: Simulator, client: openai.OpenAI) -> str:
    """Which account answers: for the second one, the first answers 503."""
    if request.param == "second":
        simulator.faults.add(Fault(kind=FaultKind.STATUS, tag=FIRST_ACCOUNT, status=503))
    return str(request.param)


def billed_usd(simulator: Simulator) -> Decimal:
    """What OpenAI would charge for all it was asked."""
    line = simulator.bill().line("openai", "gpt-4-turbo")
    return (Decimal(line.input_tokens) * 10 + Decimal(line.output_tokens) * 30) / 1_000_000


def test_a_plain_response_is_whole_and_costs_what_the_provider_bills(
    client: openai.OpenAI, simulator: Simulator, through: str
) -> None:
    raw = client.responses.with_raw_response.create(model=MODEL, input="[[say: The answer is 42.]]")
    response = raw.parse()
    assert (response.output_text, response.status) == ("The answer is 42.", "completed")
    assert response.model == "gpt-4-turbo"
    assert raw.headers["x-llmops-provider"] == through
    assert raw.headers["x-llmops-fallback"] == ("true" if through == "second" else "false")
    assert Decimal(raw.headers["x-llmops-cost-usd"]) == billed_usd(simulator) > 0


def test_a_stream_gives_the_api_s_events_in_their_order(client: openai.OpenAI, through: str) -> None:
    events = list(client.responses.create(model=MODEL, input="[[say: A streamed answer.]]", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    texts = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(texts) == "A streamed answer."


def test_the_sdk_s_stream_helper_puts_the_response_together(client: openai.OpenAI, through: str) -> None:
    with client.responses.stream(model=MODEL, input="[[say: Helped along.]]") as stream:
        response = stream.get_final_response()
    assert response.output_text == "Helped along."
    assert response.usage is not None


def test_a_stream_s_cost_stands_before_its_last_event(
    gateway: GatewayProcess, simulator: Simulator, through: str
) -> None:
    reply = httpx2.post(
        f"{gateway.url}/v1/responses",
        json={"model": MODEL, "input": "[[say: Counted.]]", "stream": True},
        headers={"authorization": f"Bearer {AGENT_KEY}"},
    )
    comment, last = reply.text.strip().split("\n\n")[-2:]
    assert last.startswith("event: response.completed\n")
    told = json.loads(comment.removeprefix(": llmops "))
    assert Decimal(told["cost_usd"]) == billed_usd(simulator) > 0
    assert told["provider"] == through


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_loop_ends_in_an_answer(client: openai.OpenAI, through: str, streamed: bool) -> None:
    def ask(items: list[Any]) -> Any:
        if not streamed:
            return client.responses.create(model=MODEL, input=items, tools=TOOLS)
        with client.responses.stream(model=MODEL, input=items, tools=TOOLS) as stream:
            return stream.get_final_response()

    items: list[Any] = [{"role": "user", "content": ASK_FOR_TWO}]
    first = ask(items)
    calls = [item for item in first.output if item.type == "function_call"]
    assert [json.loads(call.arguments)["city"] for call in calls] == ["Oslo", "Rome"]
    items += [
        {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments}
        for call in calls
    ]
    items += [{"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"} for call in calls]
    assert ask(items).output_text


def test_a_tool_call_s_end_is_told_to_operations(client: openai.OpenAI, gateway: GatewayProcess) -> None:
    raw = client.responses.with_raw_response.create(model=MODEL, input=ASK_FOR_TWO, tools=TOOLS)
    told = gateway.get(f"/api/completions/{raw.headers['x-request-id']}")
    assert (told["operation"], told["finish_reason"]) == ("responses", "tool_calls")


def test_a_cut_response_says_so(client: openai.OpenAI) -> None:
    response = client.responses.create(model=MODEL, input="[[tokens: 60]]", max_output_tokens=16)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


def test_targets_of_the_other_kind_are_left_out_and_the_explanation_says_so(
    client: openai.OpenAI, gateway: GatewayProcess
) -> None:
    raw = client.responses.with_raw_response.create(model="claude", input="[[say: Here.]]")
    assert raw.parse().output_text == "Here."
    assert (raw.headers["x-llmops-provider"], raw.headers["x-llmops-fallback"]) == ("openai", "false")
    told = gateway.get(f"/api/completions/{raw.headers['x-request-id']}")
    assert told["decision"]["left_out_without_responses"] == ["anthropic/claude-3-5-sonnet-20241022"]


def test_a_route_without_any_target_of_the_kind_is_a_clear_400(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="anthropic-only", input="Hi")
    assert "kind openai" in caught.value.message
    assert caught.value.param == "model"


def test_the_provider_s_own_400_is_passed_on(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODEL, input="Hi", extra_body={"no_such_parameter": 1})
    assert "no_such_parameter" in caught.value.message


def test_all_accounts_failing_is_told_with_their_attempts(client: openai.OpenAI, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=503))
    with pytest.raises(openai.InternalServerError) as caught:
        client.responses.create(model=MODEL, input="Hi")
    assert caught.value.code == "all_targets_failed"


@pytest.mark.parametrize("kind", [FaultKind.CUT, FaultKind.ERROR_EVENT])
def test_a_stream_that_breaks_before_content_falls_back_unseen(
    client: openai.OpenAI, simulator: Simulator, kind: FaultKind
) -> None:
    simulator.faults.add(Fault(kind=kind, tag=FIRST_ACCOUNT, after_tokens=0))
    events = list(client.responses.create(model=MODEL, input="[[say: Still here.]]", stream=True))
    assert [event.type for event in events].count("response.created") == 1
    assert events[-1].type == "response.completed"


@pytest.mark.parametrize("kind", [FaultKind.CUT, FaultKind.ERROR_EVENT])
def test_a_stream_that_breaks_after_content_raises(
    client: openai.OpenAI, simulator: Simulator, kind: FaultKind
) -> None:
    simulator.faults.add(Fault(kind=kind, provider="openai", after_tokens=5))
    stream = client.responses.create(model=MODEL, input="[[tokens: 60]]", stream=True)
    with pytest.raises(openai.APIError):
        list(stream)


def test_responses_are_not_kept(client: openai.OpenAI) -> None:
    response = client.responses.create(model=MODEL, input="Hi")
    for call in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        with pytest.raises(openai.NotFoundError, match="keeps no responses"):
            call(response.id)


def test_background_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="background"):
        client.responses.create(model=MODEL, input="Hi", background=True)


def test_a_blocking_budget_bounds_the_output(client: openai.OpenAI) -> None:
    assert client.responses.create(model="bounded", input="Hi").max_output_tokens == 300
    assert client.responses.create(model="bounded", input="Hi", max_output_tokens=20).max_output_tokens == 20
    assert client.responses.create(model=MODEL, input="Hi").max_output_tokens is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_0"}, "previous_response_id"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://x.test/a"}]}]}, "input"),
    ],
)
def test_what_a_blocking_budget_can_t_bound_is_refused(
    client: openai.OpenAI, simulator: Simulator, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError, match="can't be bounded") as caught:
        client.responses.create(**{"model": "bounded", "input": "Hi", **fields})
    assert caught.value.param == param
    assert simulator.log.rows() == []
