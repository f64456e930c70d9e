"""What a budget makes of a request that doesn't fit as it was asked: less output, or the cheap target."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from tests.gateway_process import AGENT_KEY, CLAUDE, GPT_4_TURBO, GatewayProcess, configuration, gateway_process

CHEAP = {"provider": "openai", "model": "gpt-3.5-turbo"}
LIMIT_USD = Decimal("0.05")
HELLO: list[Any] = [{"role": "user", "content": "[[say: Still here.]]"}]
STEPPING = ("reached", "dear", "rescued", "no-cheap", "tight")


def _route_budget(route: str, limit_usd: str, **fields: Any) -> dict[str, Any]:
    return {"name": route, "scope": "route", "subject": route, "window": "total", "limit_usd": limit_usd, **fields}


@pytest.fixture(scope="module")
def _thrifty(_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Every conversation may cost $0.05 and is shrunk to it; each route of `STEPPING` is for one test."""
    document = configuration(_simulator.url)
    targets = {"targets": [GPT_4_TURBO, CLAUDE], "simple_target": CHEAP, "simple_mode": "off"}
    document["routes"] += [{"name": name, **targets} for name in STEPPING]
    del next(route for route in document["routes"] if route["name"] == "no-cheap")["simple_target"]
    document["routes"].append({"name": "raised", "targets": [GPT_4_TURBO]})
    document["prices"] += [
        {"kind": "openai", "model": "gpt-3.5-turbo", "input_per_mtok": "0.5", "output_per_mtok": "1.5"},
        {"kind": "openai", "model": "text-embedding-3-small", "input_per_mtok": "20", "output_per_mtok": "0"},
    ]
    document["routes"].append({"name": "words", "targets": [{"provider": "openai", "model": "text-embedding-3-small"}]})
    document["budgets"] = [
        {
            "name": "per conversation",
            "scope": "conversation",
            "window": "total",
            "limit_usd": str(LIMIT_USD),
            "shrink_output": True,
        },
        _route_budget("reached", "0.02", step_down_at_percent=1),
        _route_budget("dear", "0.02", step_down_at_percent=90),
        _route_budget("rescued", "0.02", step_down_at_percent=90),
        _route_budget("no-cheap", "0.02", step_down_at_percent=90),
        _route_budget("tight", "0.01", step_down_at_percent=90, shrink_output=True),
        _route_budget("raised", "0.000001"),
    ]
    with gateway_process(tmp_path_factory.mktemp("thrifty"), document) as gateway:
        yield gateway


@pytest.fixture
def thrifty(_thrifty: GatewayProcess, simulator: Simulator) -> GatewayProcess:
    for name in ("openai", "anthropic"):
        _thrifty.post(f"/api/breakers/{name}", {"action": "reset", "reason": "a new test"})
    return _thrifty


@pytest.fixture
def conversation(request: pytest.FixtureRequest) -> str:
    """One of the test's own."""
    return re.sub("[^a-z_]", ":", str(request.node.name))


def ask(gateway: GatewayProcess, conversation: str, *, model: str = "default", **fields: Any) -> Any:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=AGENT_KEY, max_retries=0) as client:
        return client.chat.completions.with_raw_response.create(
            model=model, messages=HELLO, extra_headers={"x-conversation-id": conversation}, **fields
        )


def sent(simulator: Simulator) -> dict[str, Any]:
    """The body of the last request that reached a provider."""
    body = simulator.log.rows()[-1].body
    return dict(json.loads(body) if isinstance(body, (str, bytes)) else body or {})


def explained(gateway: GatewayProcess, response: Any) -> dict[str, Any]:
    return dict(gateway.get(f"/api/completions/{response.headers['x-request-id']}"))


@pytest.mark.parametrize("choices", [1, 3])
def test_a_budget_shrinks_the_output_to_what_it_can_pay(
    thrifty: GatewayProcess, simulator: Simulator, conversation: str, choices: int
) -> None:
    response = ask(thrifty, conversation, max_tokens=50_000, n=choices)

    limit = int(response.headers["x-llmops-output-limit"])
    assert sent(simulator)["max_tokens"] == limit
    # At $30 a million tokens $0.05 pay for 1,666 of them; the request itself takes its share.
    assert 1_000 < limit * choices <= 1_666
    assert explained(thrifty, response)["decision"]["shrunk_output"] == {
        "budget": "per conversation",
        "output_limit_tokens": limit,
    }


def test_one_token_more_would_not_have_fitted(thrifty: GatewayProcess, conversation: str) -> None:
    response = ask(thrifty, conversation, model="openai-only", max_tokens=50_000)

    checks = explained(thrifty, response)["budget_checks"]
    assert [check["verdict"] for check in checks] == ["no_room", "fits"]
    assert Decimal(checks[1]["room_usd"]) - Decimal(checks[1]["claimed_usd"]) < Decimal("0.00003")


def test_a_request_without_a_limit_is_shrunk_as_well(
    thrifty: GatewayProcess, simulator: Simulator, conversation: str
) -> None:
    limit = int(ask(thrifty, conversation).headers["x-llmops-output-limit"])

    assert sent(simulator)["max_tokens"] == limit < 1_666


def test_a_request_that_fits_is_left_as_it_is(thrifty: GatewayProcess, simulator: Simulator, conversation: str) -> None:
    headers = ask(thrifty, conversation, max_tokens=100).headers

    assert "x-llmops-output-limit" not in headers
    assert sent(simulator)["max_tokens"] == 100


def test_the_output_shrinks_on_the_anthropic_surface_too(
    thrifty: GatewayProcess, simulator: Simulator, conversation: str
) -> None:
    with anthropic.Anthropic(base_url=thrifty.url, api_key=AGENT_KEY, max_retries=0) as client:
        response = client.messages.with_raw_response.create(
            model="anthropic-only",
            max_tokens=8_000,
            messages=HELLO,
            extra_headers={"x-conversation-id": conversation},
        )

    assert sent(simulator)["max_tokens"] == int(response.headers["x-llmops-output-limit"]) < 3_333


def test_the_output_shrinks_in_the_responses_api_too(
    thrifty: GatewayProcess, simulator: Simulator, conversation: str
) -> None:
    with openai.OpenAI(base_url=f"{thrifty.url}/v1", api_key=AGENT_KEY, max_retries=0) as client:
        response = client.responses.with_raw_response.create(
            model="openai-only", input="Hello", extra_headers={"x-conversation-id": conversation}
        )

    assert sent(simulator)["max_output_tokens"] == int(response.headers["x-llmops-output-limit"]) < 1_666


def test_a_stream_tells_its_shrunk_limit_in_its_headers(thrifty: GatewayProcess, conversation: str) -> None:
    headers = ask(thrifty, conversation, max_tokens=50_000, stream=True).headers

    assert 1_000 < int(headers["x-llmops-output-limit"]) <= 1_666


def test_where_not_even_the_least_output_fits_the_request_is_refused_with_the_facts(
    thrifty: GatewayProcess, conversation: str
) -> None:
    text = "word " * 1_000  # its bytes alone could cost $0.05
    with (
        openai.OpenAI(base_url=f"{thrifty.url}/v1", api_key=AGENT_KEY, max_retries=0) as client,
        pytest.raises(openai.RateLimitError) as refused,
    ):
        client.chat.completions.create(
            model="openai-only",
            messages=[{"role": "user", "content": text}],
            extra_headers={"x-conversation-id": conversation},
        )

    details = refused.value.body["details"]  # type: ignore[index]
    assert (refused.value.code, details["budget"], details["limit_usd"]) == (
        "budget_exceeded",
        "per conversation",
        "0.05",
    )
    assert {"spent_usd", "reserved_usd", "requested_usd", "resets_at"} < set(details)


def test_from_the_step_down_share_on_the_cheap_target_is_asked_first(
    thrifty: GatewayProcess, simulator: Simulator, conversation: str
) -> None:
    before = ask(thrifty, conversation, model="reached", max_tokens=100)
    after = ask(thrifty, conversation, model="reached", max_tokens=100)

    assert [one.headers["x-llmops-model"] for one in (before, after)] == ["gpt-4-turbo", "gpt-3.5-turbo"]
    assert [one.headers.get("x-llmops-stepped-down") for one in (before, after)] == [None, "true"]
    decision = explained(thrifty, after)["decision"]
    assert decision["stepped_down"]["because"] == "share_reached"
    assert decision["targets"] == ["openai/gpt-3.5-turbo", "openai/gpt-4-turbo", "anthropic/claude-3-5-sonnet-20241022"]


def test_where_only_the_cheap_target_fits_it_is_asked(thrifty: GatewayProcess, conversation: str) -> None:
    response = ask(thrifty, conversation, model="dear", max_tokens=1_500)

    assert response.headers["x-llmops-model"] == "gpt-3.5-turbo"
    decision = explained(thrifty, response)["decision"]
    assert decision["stepped_down"]["because"] == "no_room"
    assert decision["left_out_for_room"] == ["openai/gpt-4-turbo", "anthropic/claude-3-5-sonnet-20241022"]


def test_the_cheap_targets_failure_falls_back_to_what_fits(
    thrifty: GatewayProcess, simulator: Simulator, conversation: str
) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=503))

    response = ask(thrifty, conversation, model="rescued", max_tokens=700)

    assert response.headers["x-llmops-model"] == "claude-3-5-sonnet-20241022"
    assert explained(thrifty, response)["decision"]["left_out_for_room"] == ["openai/gpt-4-turbo"]


def test_without_a_cheap_target_the_routes_cheapest_is_asked(thrifty: GatewayProcess, conversation: str) -> None:
    headers = ask(thrifty, conversation, model="no-cheap", max_tokens=700).headers

    assert (headers["x-llmops-model"], headers["x-llmops-stepped-down"]) == ("claude-3-5-sonnet-20241022", "true")


def test_what_does_not_fit_the_cheap_target_either_is_shrunk(thrifty: GatewayProcess, conversation: str) -> None:
    headers = ask(thrifty, conversation, model="tight", max_tokens=4_000, n=2).headers

    assert (headers["x-llmops-model"], headers["x-llmops-stepped-down"]) == ("gpt-3.5-turbo", "true")
    assert 2_500 < int(headers["x-llmops-output-limit"]) <= 3_333


def test_a_raise_is_live_within_two_seconds_and_told_wherever_the_limit_is(
    thrifty: GatewayProcess, conversation: str
) -> None:
    with pytest.raises(openai.RateLimitError):
        ask(thrifty, conversation, model="raised", max_tokens=100)
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    order = {"amount_usd": "2", "until": until, "reason": "the quarter's report"}

    raised = thrifty.post("/api/budgets/raised/raise", order)

    deadline = time.monotonic() + 2
    assert (raised["limit_usd"], raised["made_by"]) == ("2.000001", "API key operator")
    assert _answered_by(thrifty, conversation, deadline)
    budget = next(one for one in thrifty.get("/api/budgets") if one["name"] == "raised")
    assert (budget["limit_usd"], budget["raised_usd"]) == ("2.000001", "2.00")


def _answered_by(gateway: GatewayProcess, conversation: str, deadline: float) -> bool:
    while time.monotonic() < deadline:
        try:
            return bool(ask(gateway, conversation, model="raised", max_tokens=100).headers["x-llmops-cost-usd"])
        except openai.RateLimitError:
            continue
    return False


@pytest.mark.parametrize("kind", ["chat", "stream", "responses", "embeddings"])
async def test_fifty_requests_at_once_never_pass_a_conversations_cap(
    thrifty: GatewayProcess, simulator: Simulator, conversation: str, kind: str
) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{thrifty.url}/v1",
        api_key=AGENT_KEY,
        max_retries=0,
        default_headers={"x-conversation-id": conversation},
    ) as client:
        statuses = await asyncio.gather(*(_status(client, kind) for _ in range(50)))

    assert set(statuses) <= {200, 429}
    assert 200 in statuses
    told = thrifty.get(f"/api/conversations/{conversation}")
    assert 0 < Decimal(told["cost_usd"]) <= LIMIT_USD
    assert Decimal(told["cap"]["left_usd"]) == LIMIT_USD - Decimal(told["cost_usd"])


async def _status(client: openai.AsyncOpenAI, kind: str) -> int:
    try:
        if kind == "responses":
            await client.responses.create(model="openai-only", input="Say something long. " * 20, max_output_tokens=200)
        elif kind == "embeddings":
            await client.embeddings.create(model="words", input="word " * 60)
        elif kind == "stream":
            stream = await client.chat.completions.create(
                model="openai-only", messages=HELLO * 5, max_tokens=200, stream=True
            )
            async for _ in stream:
                pass
        else:
            await client.chat.completions.create(model="openai-only", messages=HELLO * 5, max_tokens=200)
    except openai.APIStatusError as error:
        return error.status_code
    return 200
