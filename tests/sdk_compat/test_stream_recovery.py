"""A provider breaks a stream midway; the official SDKs get the whole text all the same, or an error they raise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from gateway.simulator.text import text_of_length
from tests.gateway_process import (
    AGENT_KEY,
    CLAUDE,
    GPT_4_TURBO,
    GatewayProcess,
    configuration,
    gateway_process,
    provider,
)

NEW_CLAUDE = {"provider": "anthropic", "model": "claude-sonnet-5-5"}
ROUTES = {
    "gpt-claude": [GPT_4_TURBO, CLAUDE],
    "gpt-newclaude": [GPT_4_TURBO, NEW_CLAUDE],
    "claude-gpt": [CLAUDE, GPT_4_TURBO],
    "claude-claude": [CLAUDE, {"provider": "spare", "model": "claude-3-5-sonnet-20241022"}],
    "gpt-gpt": [GPT_4_TURBO, {"provider": "second", "model": "gpt-4-turbo"}],
    "three": [GPT_4_TURBO, CLAUDE, {"provider": "second", "model": "gpt-4-turbo"}],
}
TEXT = text_of_length(60)
ASK: Any = [{"role": "user", "content": "[[tokens: 60]]"}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ASK_FOR_TOOL: Any = [{"role": "user", "content": '[[tool: get_weather {"city": "Oslo, in the south of Norway"}]]'}]
BREAKS = [
    Fault(kind=FaultKind.CUT, after_tokens=40, times=1),
    Fault(kind=FaultKind.STALL, after_tokens=40, times=1),
    Fault(kind=FaultKind.ERROR_EVENT, after_tokens=40, times=1),
]


@pytest.fixture(scope="module")
def _recovering(_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway whose streams may stand still for a moment only, and whose breakers stay closed."""
    openai_url, anthropic_url = f"{_simulator.url}/openai/v1", f"{_simulator.url}/anthropic"
    patience = {"stall_timeout_seconds": 0.5, "breaker": {"failure_threshold": 1000}}
    document = configuration(
        _simulator.url,
        providers=[
            provider("openai", openai_url, **patience),
            provider("anthropic", anthropic_url, **patience),
            provider("second", openai_url, kind="openai", **patience),
            provider("spare", anthropic_url, kind="anthropic", **patience),
        ],
        routes=[
            *({"name": name, "targets": targets} for name, targets in ROUTES.items()),
            {"name": "ends", "targets": [GPT_4_TURBO, CLAUDE], "stream_recovery": "error"},
            {"name": "waits", "targets": [GPT_4_TURBO, CLAUDE], "stream_recovery": "buffer"},
        ],
    )
    document["api_keys"] = [key for key in document["api_keys"] if "routes" not in key]
    with gateway_process(Path(tmp_path_factory.mktemp("recovering")), document) as gateway:
        yield gateway


@pytest.fixture
def gateway(_recovering: GatewayProcess, simulator: Simulator) -> GatewayProcess:
    return _recovering


@pytest.fixture
def by_openai(gateway: GatewayProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=AGENT_KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def by_anthropic(gateway: GatewayProcess) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key=AGENT_KEY, max_retries=0) as client:
        yield client


@pytest.fixture(params=["openai", "anthropic"])
def read(request: pytest.FixtureRequest, gateway: GatewayProcess) -> Callable[..., str]:
    """Stream an answer of a route through either official SDK and give its text, with the shape checked on the way."""
    if request.param == "openai":
        client = request.getfixturevalue("by_openai")
        return lambda route, messages=ASK: _openai_text(client, route, messages)
    sdk = request.getfixturevalue("by_anthropic")
    return lambda route, messages=ASK: _anthropic_text(sdk, route, messages)


def _openai_text(client: openai.OpenAI, route: str, messages: Any) -> str:
    chunks = list(client.chat.completions.create(model=route, messages=messages, stream=True, max_tokens=300))
    assert len({chunk.id for chunk in chunks}) == 1
    assert len({chunk.model for chunk in chunks}) == 1
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert [choice.delta.role for choice in choices if choice.delta.role] == ["assistant"]
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]
    assert not any(chunk.usage for chunk in chunks)
    return "".join(choice.delta.content or "" for choice in choices)


def _anthropic_text(client: anthropic.Anthropic, route: str, messages: Any) -> str:
    events: list[Any] = list(client.messages.create(model=route, messages=messages, stream=True, max_tokens=300))
    kinds = [event.type for event in events if event.type != "content_block_delta"]
    assert kinds == ["message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop"]
    assert {event.index for event in events if event.type.startswith("content_block")} == {0}
    return "".join(event.delta.text for event in events if event.type == "content_block_delta")


def broken_by(simulator: Simulator, fault: Fault, **facts: Any) -> None:
    from dataclasses import replace

    simulator.faults.add(replace(fault, **facts))


def calls(simulator: Simulator) -> int:
    return len(simulator.log.rows())


@pytest.mark.parametrize("fault", BREAKS, ids=lambda fault: fault.kind.value)
@pytest.mark.parametrize("route", ["gpt-claude", "gpt-newclaude", "claude-gpt"])
def test_a_stream_that_breaks_is_continued_without_a_seam(
    read: Callable[..., str], simulator: Simulator, route: str, fault: Fault
) -> None:
    broken_by(simulator, fault)
    assert read(route) == TEXT
    assert calls(simulator) == 2


@pytest.mark.parametrize("route", ["gpt-claude", "gpt-newclaude", "claude-gpt"])
def test_a_stream_that_breaks_when_all_was_said_ends_with_that(
    read: Callable[..., str], simulator: Simulator, route: str
) -> None:
    """Only its finish was missing: whoever is asked for the rest has nothing to say."""
    broken_by(simulator, BREAKS[0], after_tokens=60)
    assert read(route) == TEXT


@pytest.mark.parametrize("route", ["claude-claude", "gpt-gpt"])
def test_providers_of_the_same_wire_continue_each_other(
    read: Callable[..., str], simulator: Simulator, route: str
) -> None:
    broken_by(simulator, BREAKS[0])
    assert read(route) == TEXT


@pytest.mark.parametrize("after_tokens", range(1, 24))
def test_it_does_not_matter_where_it_breaks(read: Callable[..., str], simulator: Simulator, after_tokens: int) -> None:
    text = "One  two,\n\n  three: 3.14  3.14 — ÄÖÜ 🌍🌍!\n- a\n- a\n\n- b  "
    broken_by(simulator, BREAKS[0], after_tokens=after_tokens)
    assert read("gpt-claude", [{"role": "user", "content": f"[[say: {text}]]"}]) == text


def test_several_breaks_in_a_row_are_continued(read: Callable[..., str], simulator: Simulator) -> None:
    broken_by(simulator, BREAKS[0], after_tokens=20, times=2)
    assert read("three") == TEXT
    assert calls(simulator) == 3


def test_a_target_that_refuses_prefill_is_asked_once_more_with_an_instruction(
    read: Callable[..., str], simulator: Simulator
) -> None:
    broken_by(simulator, BREAKS[0])
    sentence = "This model does not support assistant message prefill. The conversation must end with a user message."
    simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="anthropic", status=400, message=sentence, times=1))
    assert read("gpt-claude") == TEXT
    assert calls(simulator) == 3


@pytest.mark.parametrize(
    ("fault", "rescued"),
    [
        (Fault(kind=FaultKind.NO_TERMINATOR), False),
        (Fault(kind=FaultKind.CUT, after_tokens=0, times=1), True),
    ],
    ids=["no terminator", "before the first content"],
)
def test_what_needs_no_continuation_gets_none(
    read: Callable[..., str], simulator: Simulator, fault: Fault, rescued: bool
) -> None:
    simulator.faults.add(fault)
    assert read("gpt-claude") == TEXT
    assert calls(simulator) == 1 + rescued


def test_a_malformed_chunk_is_skipped(read: Callable[..., str], simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.MALFORMED_CHUNK, after_tokens=40))
    assert read("gpt-claude") == TEXT
    assert calls(simulator) == 1


@pytest.mark.parametrize("fault", BREAKS, ids=lambda fault: fault.kind.value)
def test_buffered_answers_begin_anew_and_are_whole(
    read: Callable[..., str], simulator: Simulator, fault: Fault
) -> None:
    broken_by(simulator, fault)
    assert read("waits") == TEXT
    assert calls(simulator) == 2


def test_error_ends_the_stream_with_an_error_that_the_sdk_raises(
    by_openai: openai.OpenAI, by_anthropic: anthropic.Anthropic, simulator: Simulator
) -> None:
    broken_by(simulator, BREAKS[0], times=2)
    with pytest.raises(openai.APIError):
        _openai_text(by_openai, "ends", ASK)
    with pytest.raises(anthropic.APIStatusError):
        _anthropic_text(by_anthropic, "ends", ASK)
    assert calls(simulator) == 2


def test_a_tool_call_that_breaks_is_an_error_that_openais_sdk_raises(
    by_openai: openai.OpenAI, simulator: Simulator
) -> None:
    broken_by(simulator, BREAKS[0], after_tokens=4)
    tools: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]
    stream = by_openai.chat.completions.create(model="gpt-claude", messages=ASK_FOR_TOOL, tools=tools, stream=True)
    with pytest.raises(openai.APIError):
        list(stream)
    assert calls(simulator) == 1


def test_a_tool_call_that_breaks_is_an_error_that_anthropics_sdk_raises(
    by_anthropic: anthropic.Anthropic, simulator: Simulator
) -> None:
    broken_by(simulator, BREAKS[0], after_tokens=4)
    tools: Any = [{"name": "get_weather", "input_schema": WEATHER}]
    stream = by_anthropic.messages.create(
        model="claude-gpt", messages=ASK_FOR_TOOL, tools=tools, stream=True, max_tokens=100
    )
    with pytest.raises(anthropic.APIStatusError):
        list(stream)
    assert calls(simulator) == 1


def test_structured_output_that_breaks_is_an_error(by_openai: openai.OpenAI, simulator: Simulator) -> None:
    broken_by(simulator, BREAKS[0], after_tokens=4)
    stream = by_openai.chat.completions.create(
        model="gpt-claude",
        messages=[{"role": "user", "content": "Answer in JSON."}],
        response_format={"type": "json_object"},
        stream=True,
    )
    with pytest.raises(openai.APIError):
        list(stream)
    assert calls(simulator) == 1


def test_the_explanation_and_the_books_tell_of_the_continuation(gateway: GatewayProcess, simulator: Simulator) -> None:
    broken_by(simulator, BREAKS[0])
    with httpx2.stream(
        "POST",
        f"{gateway.url}/v1/chat/completions",
        json={"model": "gpt-claude", "messages": ASK, "stream": True},
        headers={"authorization": f"Bearer {AGENT_KEY}"},
    ) as reply:
        body = reply.read().decode()
    headers = reply.headers
    told = gateway.get(f"/api/completions/{headers['x-request-id']}")
    cut, continued = told["attempts"]
    assert headers["x-llmops-attempts"] == "1"
    assert '"attempts":2' in body
    assert (cut["outcome"], cut["billing"]) == ("failed", "estimated")
    assert (continued["outcome"], continued["billing"]) == ("succeeded", "reported")
    assert Decimal(told["cost_usd"]) == Decimal(cut["cost_usd"]) + Decimal(continued["cost_usd"])
    assert f'"cost_usd":"{told["cost_usd"]}"' in body
    (fallback,) = told["fallbacks"]
    assert fallback["reason"].startswith(f"stream broke after {len(text_of_length(40))} characters; continued")
    assert told["status"] == "answered"
