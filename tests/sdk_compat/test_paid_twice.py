"""Attempts that a provider may bill although they gave no answer never carry a blocking budget past its limit."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import openai
import pytest

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from tests.gateway_process import (
    AGENT_KEY,
    CLAUDE,
    GPT_4_TURBO,
    GatewayProcess,
    configuration,
    gateway_process,
    provider,
)

LIMIT_USD = Decimal("0.05")
HELLO: list[Any] = [{"role": "user", "content": "[[say: Still here.]]"}]


def _document(simulator_url: str) -> dict[str, Any]:
    document = configuration(simulator_url)
    openai_url, anthropic_url = f"{simulator_url}/openai/v1", f"{simulator_url}/anthropic"
    document["providers"] = [
        provider("openai", openai_url, attempt_timeout_seconds=0.3),
        provider("anthropic", anthropic_url, attempt_timeout_seconds=0.3),
        {**provider("anthropic", anthropic_url), "name": "broke"},
    ]
    broke = {**CLAUDE, "provider": "broke"}
    document["routes"] += [
        {"name": "broke-first", "targets": [broke, GPT_4_TURBO]},
        {"name": "broke-only", "targets": [broke]},
    ]
    document["budgets"] = [
        {"name": "per conversation", "scope": "conversation", "window": "total", "limit_usd": str(LIMIT_USD)},
        {"name": "broke", "scope": "provider", "subject": "broke", "window": "total", "limit_usd": "0.000001"},
        {"name": "openai", "scope": "provider", "subject": "openai", "window": "total", "limit_usd": "100"},
        {"name": "anthropic", "scope": "provider", "subject": "anthropic", "window": "total", "limit_usd": "100"},
    ]
    return document


@pytest.fixture(scope="module")
def _tight(_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with gateway_process(tmp_path_factory.mktemp("tight"), _document(_simulator.url)) as gateway:
        yield gateway


@pytest.fixture
def tight(_tight: GatewayProcess, simulator: Simulator) -> GatewayProcess:
    """A gateway with $0.05 for each conversation; every breaker is closed."""
    for name in ("openai", "anthropic"):
        _tight.post(f"/api/breakers/{name}", {"action": "reset", "reason": "a new test"})
    return _tight


@pytest.fixture
def conversation(request: pytest.FixtureRequest) -> str:
    """One of the test's own."""
    return re.sub("[^a-z_]", ":", str(request.node.name))


def ask(gateway: GatewayProcess, conversation: str, *, model: str = "default", output_tokens: int = 1_000) -> Any:
    headers = {"x-conversation-id": conversation}
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=AGENT_KEY, max_retries=0) as client:
        return client.chat.completions.with_raw_response.create(
            model=model, messages=HELLO, max_tokens=output_tokens, extra_headers=headers
        )


def status_of(gateway: GatewayProcess, conversation: str, output_tokens: int) -> int:
    try:
        return int(ask(gateway, conversation, output_tokens=output_tokens).status_code)
    except openai.APIStatusError as error:
        return error.status_code


def rows(gateway: GatewayProcess, sql: str, *values: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(gateway.data_dir / "llmops.sqlite3")) as books:
        return books.execute(sql, values).fetchall()


def spent_and_reserved(gateway: GatewayProcess, conversation: str) -> tuple[Decimal, Decimal]:
    sql = "SELECT spent_usd, reserved_usd FROM llmops_budget_window WHERE subject LIKE '%:' || ?"
    ((spent, reserved),) = rows(gateway, sql, conversation)
    return Decimal(spent).scaleb(-12), Decimal(reserved).scaleb(-12)


def attempts(gateway: GatewayProcess, conversation: str) -> list[tuple[Any, ...]]:
    sql = (
        "SELECT a.provider, a.outcome, a.billing FROM llmops_attempt a JOIN llmops_completion c"
        " ON c.id = a.completion_id WHERE c.conversation = ? ORDER BY a.number"
    )
    return rows(gateway, sql, conversation)


@pytest.mark.parametrize(
    ("kind", "output_tokens"), [(FaultKind.RESET, 1_000), (FaultKind.HANG, 1_200)], ids=["reset", "hang"]
)
def test_a_budget_without_room_for_a_second_attempt_ends_the_request(
    tight: GatewayProcess, simulator: Simulator, conversation: str, kind: FaultKind, output_tokens: int
) -> None:
    simulator.faults.add(Fault(kind=kind, provider="openai"))

    with pytest.raises(openai.RateLimitError) as refused:
        ask(tight, conversation, output_tokens=output_tokens)

    spent, reserved = spent_and_reserved(tight, conversation)
    assert refused.value.code == "budget_exceeded"
    assert attempts(tight, conversation) == [("openai", "failed", "estimated")]
    assert reserved == 0
    assert 0 < spent <= LIMIT_USD
    assert refused.value.response.headers["x-llmops-fallback"] == "false"


@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.HANG], ids=str)
def test_whatever_is_asked_the_budget_holds(
    tight: GatewayProcess, simulator: Simulator, conversation: str, kind: FaultKind
) -> None:
    simulator.faults.add(Fault(kind=kind, provider="openai"))

    statuses = {status_of(tight, conversation, output_tokens) for output_tokens in (100, 300, 700, 1_200)}

    assert statuses <= {200, 429, 503}
    spent, reserved = spent_and_reserved(tight, conversation)
    assert reserved == 0
    assert 0 < spent <= LIMIT_USD


def test_a_second_attempt_that_fits_is_made_and_both_are_charged(
    tight: GatewayProcess, simulator: Simulator, conversation: str
) -> None:
    simulator.faults.add(Fault(kind=FaultKind.HANG, provider="openai", times=1))

    headers = ask(tight, conversation, output_tokens=900).headers

    spent, reserved = spent_and_reserved(tight, conversation)
    assert attempts(tight, conversation) == [
        ("openai", "failed", "estimated"),
        ("anthropic", "succeeded", "reported"),
    ]
    assert (str(spent), reserved) == (str(Decimal(headers["x-llmops-cost-usd"]).quantize(spent)), 0)


def test_each_providers_budget_pays_for_its_own_attempts(
    tight: GatewayProcess, simulator: Simulator, conversation: str
) -> None:
    sql = (
        "SELECT b.name, w.spent_usd FROM llmops_budget_window w JOIN llmops_budget b ON b.id = w.budget_id"
        " WHERE b.name IN ('openai', 'anthropic')"
    )
    before = {"openai": 0, "anthropic": 0, **dict(rows(tight, sql))}
    simulator.faults.add(Fault(kind=FaultKind.HANG, provider="openai", times=1))
    ask(tight, conversation, output_tokens=900)

    after = dict(rows(tight, sql))
    costs = (
        "SELECT a.provider, a.cost_usd FROM llmops_attempt a JOIN llmops_completion c ON c.id = a.completion_id"
        " WHERE c.conversation = ?"
    )
    assert {name: after[name] - before[name] for name in before} == dict(rows(tight, costs, conversation))


def test_a_full_provider_budget_leaves_that_provider_out(tight: GatewayProcess, conversation: str) -> None:
    headers = ask(tight, conversation, model="broke-first", output_tokens=10).headers

    assert headers["x-llmops-provider"] == "openai"
    assert headers["x-llmops-attempts"] == "1"


def test_where_every_targets_provider_budget_is_full_the_request_is_refused(
    tight: GatewayProcess, conversation: str
) -> None:
    with pytest.raises(openai.RateLimitError) as refused:
        ask(tight, conversation, model="broke-only", output_tokens=10)

    assert refused.value.code == "budget_exceeded"
    assert "'broke'" in refused.value.message
