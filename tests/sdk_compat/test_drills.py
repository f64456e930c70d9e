"""Fire drills against a whole gateway: agents notice nothing, operations see everything, nothing lingers."""

from __future__ import annotations

import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import openai
import pytest

from gateway.simulator.server import Simulator
from tests.gateway_process import (
    AGENT_KEY,
    CLAUDE,
    GPT_4_TURBO,
    OTHER_TEAM_KEY,
    GatewayProcess,
    configuration,
    gateway_process,
    manage,
    provider,
)

FAULTS = ("503", "429", "timeout", "slow_first_token", "cut_stream", "malformed")
FREE = ("503", "429", "timeout")
SAID = " ".join(f"Line {number} is still here, word for word." for number in range(40))
HELLO: Any = [{"role": "user", "content": f"[[say: {SAID}]]"}]
PATIENCE_SECONDS = 5.0
REACHED_BY_ONE: dict[str, Any] = {"window": "total", "limit_usd": "1", "step_down_at_percent": 1}


@pytest.fixture(scope="module")
def _drilled(_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway whose first provider is given up after less than a second."""
    short = {"attempt_timeout_seconds": 0.5, "first_token_timeout_seconds": 0.5}
    document = configuration(
        _simulator.url,
        providers=[
            provider("openai", f"{_simulator.url}/openai/v1", **short),
            provider("anthropic", f"{_simulator.url}/anthropic"),
        ],
    )
    cheap = {"provider": "cheap", "model": "gpt-3.5-turbo"}
    document["providers"].append(provider("cheap", f"{_simulator.url}/openai/v1", kind="openai"))
    document["routes"].append({"name": "thrifty", "targets": [GPT_4_TURBO, CLAUDE], "simple_target": cheap})
    document["prices"].append(
        {"kind": "openai", "model": "gpt-3.5-turbo", "input_per_mtok": "0.5", "output_per_mtok": "1.5"}
    )
    document["budgets"] = [{"name": "thrifty", "scope": "route", "subject": "thrifty", **REACHED_BY_ONE}]
    with gateway_process(tmp_path_factory.mktemp("drilled"), document) as gateway:
        yield gateway


@pytest.fixture
def gateway(_drilled: GatewayProcess, simulator: Simulator) -> GatewayProcess:
    return _drilled


@contextmanager
def drill(gateway: GatewayProcess, kind: str, **order: Any) -> Iterator[int]:
    """A drill of the default route's first provider that takes every request unless said otherwise."""
    body = {"provider": "openai", "route": "default", "fault": kind, "share_percent": 100, "duration_seconds": 600}
    started = gateway.post("/api/drills", body | order)
    try:
        yield started["id"]
    finally:
        gateway.post(f"/api/drills/{started['id']}/stop", {})


def ask(gateway: GatewayProcess, key: str = AGENT_KEY, model: str = "default") -> tuple[str | None, dict[str, str]]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as client:
        reply = client.chat.completions.with_raw_response.create(model=model, messages=HELLO)
        return reply.parse().choices[0].message.content, dict(reply.headers)


def ask_streamed(gateway: GatewayProcess) -> str:
    with (
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=AGENT_KEY, max_retries=0) as client,
        client.chat.completions.create(model="default", messages=HELLO, stream=True) as stream,
    ):
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def ask_anthropic(gateway: GatewayProcess) -> str:
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key=AGENT_KEY, max_retries=0) as client,
        client.messages.stream(model="default", max_tokens=2000, messages=HELLO) as stream,
    ):
        return stream.get_final_text()


def calls(simulator: Simulator, name: str) -> int:
    return sum(row.provider == name for row in simulator.log.rows())


def eventually(find: Callable[[], Any]) -> Any:
    """What `find` gives once it is there: the ledger writes news of breakers a moment later."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := find()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


@pytest.mark.parametrize("fault", FAULTS)
def test_a_plain_answer_is_rescued_by_the_fallback(gateway: GatewayProcess, fault: str) -> None:
    with drill(gateway, fault) as drill_id:
        text, headers = ask(gateway)
    assert text == SAID
    assert headers["x-llmops-provider"] == "anthropic"
    told = gateway.get(f"/api/completions/{headers['x-request-id']}")
    assert told["drill_id"] == drill_id
    assert {attempt["fault"] for attempt in told["attempts"][:-1]} == {fault}
    assert told["attempts"][-1]["fault"] == ""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_stream_is_rescued_whole(gateway: GatewayProcess, fault: str) -> None:
    with drill(gateway, fault):
        assert ask_streamed(gateway) == SAID
        assert ask_anthropic(gateway) == SAID


def test_the_cheap_target_that_a_budget_puts_first_is_drilled_too(gateway: GatewayProcess) -> None:
    ask(gateway, model="thrifty")
    with drill(gateway, "503", provider="cheap", route=None) as drill_id:
        text, headers = ask(gateway, model="thrifty")
    told = gateway.get(f"/api/completions/{headers['x-request-id']}")
    assert (text, headers["x-llmops-stepped-down"]) == (SAID, "true")
    assert [attempt["provider"] for attempt in told["attempts"] if attempt["fault"]][:1] == ["cheap"]
    assert told["drill_id"] == drill_id


@pytest.mark.parametrize("fault", FREE)
def test_what_never_reaches_the_provider_costs_nothing(
    gateway: GatewayProcess, simulator: Simulator, fault: str
) -> None:
    with drill(gateway, fault):
        _, headers = ask(gateway)
    assert calls(simulator, "openai") == 0
    told = gateway.get(f"/api/completions/{headers['x-request-id']}")
    assert {(attempt["cost_usd"], attempt["billing"]) for attempt in told["attempts"][:-1]} == {("0.00", "none")}


@pytest.mark.parametrize("fault", ["cut_stream", "malformed"])
def test_an_answer_that_was_spoiled_is_charged_as_the_provider_bills_it(
    gateway: GatewayProcess, simulator: Simulator, fault: str
) -> None:
    with drill(gateway, fault):
        _, headers = ask(gateway)
    billed = [row for row in simulator.log.rows() if row.provider == "openai"]
    told = gateway.get(f"/api/completions/{headers['x-request-id']}")
    spoiled = [attempt for attempt in told["attempts"] if attempt["fault"]]
    assert [one["billing"] for one in spoiled] == ["reported"] * len(billed)
    assert sum(one["output_tokens"] for one in spoiled) == sum(row.output_tokens for row in billed)


def test_after_five_failures_the_drills_breaker_opens_and_the_real_one_stays_closed(gateway: GatewayProcess) -> None:
    with drill(gateway, "503") as drill_id:
        for _ in range(3):
            assert ask(gateway)[0] == SAID
        (own,) = [one for one in gateway.get("/api/breakers?drills=true") if one["drill"] is not None]
        report = eventually(lambda: next(iter(gateway.get(f"/api/drills/{drill_id}")["transitions"]), None))
    assert (own["provider"], own["state"], own["drill"]) == ("openai", "open", drill_id)
    assert (report["provider"], report["to_state"]) == ("openai", "open")
    real = gateway.get("/api/breakers/openai")
    assert (real["state"], real["consecutive_failures"], real["drill"]) == ("closed", 0, None)
    assert [one["provider"] for one in gateway.get("/api/breakers")] == ["anthropic", "cheap", "openai"]


def test_nothing_lingers_after_the_stop(gateway: GatewayProcess) -> None:
    with drill(gateway, "503") as drill_id:
        ask(gateway)
    _, headers = ask(gateway)
    assert (headers["x-llmops-provider"], headers["x-llmops-attempts"]) == ("openai", "1")
    assert gateway.get(f"/api/drills/{drill_id}")["drill"]["running"] is False


def test_a_drill_ends_by_its_own_clock(gateway: GatewayProcess) -> None:
    with drill(gateway, "503", duration_seconds=1) as drill_id:
        assert ask(gateway)[1]["x-llmops-provider"] == "anthropic"
        assert eventually(lambda: not gateway.get(f"/api/drills/{drill_id}")["drill"]["running"])
        assert ask(gateway)[1]["x-llmops-provider"] == "openai"
        assert gateway.get(f"/api/drills/{drill_id}")["drill"]["stopped_at"] is None


def test_only_the_named_keys_are_drilled(gateway: GatewayProcess) -> None:
    with drill(gateway, "503", api_keys=["sales agents"]):
        assert ask(gateway, AGENT_KEY)[1]["x-llmops-provider"] == "openai"
        assert ask(gateway, OTHER_TEAM_KEY)[1]["x-llmops-provider"] == "anthropic"


def test_other_routes_are_not_drilled(gateway: GatewayProcess) -> None:
    with drill(gateway, "503"):
        assert ask(gateway, model="openai-only")[1]["x-llmops-provider"] == "openai"


def test_without_a_provider_the_first_target_of_the_route_is_drilled(gateway: GatewayProcess) -> None:
    with drill(gateway, "503", provider=None, route="claude"):
        assert ask(gateway, model="claude")[1]["x-llmops-provider"] == "openai"


def test_a_drill_of_the_only_target_fails_with_the_providers_error(gateway: GatewayProcess) -> None:
    with drill(gateway, "429", route="openai-only"), pytest.raises(openai.RateLimitError) as refused:
        ask(gateway, model="openai-only")
    assert "injected by fire drill" in str(refused.value)


def test_a_share_of_the_requests_is_drilled(gateway: GatewayProcess) -> None:
    with drill(gateway, "503", share_percent=50) as drill_id:
        answers = [ask(gateway)[1]["x-llmops-provider"] for _ in range(40)]
    drilled = answers.count("anthropic")
    assert 5 <= drilled <= 35  # outside of it once in a million runs
    assert gateway.get(f"/api/drills/{drill_id}")["affected"] == drilled


def test_objectives_do_not_count_what_a_drill_touched(gateway: GatewayProcess) -> None:
    def levels() -> Any:
        told = gateway.get("/api/status")["objectives"]
        return [told[name]["last_24h"]["counted"] for name in ("availability_percent", "fallback_success_percent")]

    before = levels()
    with drill(gateway, "503"):
        ask(gateway)
    assert levels() == before


def test_the_report_counts_what_was_rescued_injected_and_paid(gateway: GatewayProcess) -> None:
    with drill(gateway, "503", note="practice") as drill_id:
        ask(gateway)
        ask(gateway)
    report = gateway.get(f"/api/drills/{drill_id}")
    assert (report["affected"], report["answered"], report["rescued"], report["failed"]) == (2, 2, 2, 0)
    assert report["rescued_percent"] == 100
    assert report["faults"] == {"503": 5}
    assert report["latency"]["enough"] is False
    assert report["spoiled_usd"] == "0.00"
    assert report["drill"]["note"] == "practice"


def test_a_drill_started_by_command_is_live_within_two_seconds(gateway: GatewayProcess) -> None:
    started = manage(gateway.data_dir, "drill", "start", "--provider=openai", "--fault=503", "--share=100")
    try:
        began = time.monotonic()
        assert eventually(lambda: ask(gateway)[1]["x-llmops-provider"] == "anthropic")
        assert time.monotonic() - began < 2
    finally:
        gateway.post(f"/api/drills/{started.split()[1]}/stop", {})


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"provider": "nobody"}, "There are: anthropic, cheap, openai"),
        ({"provider": None, "route": None}, "a provider, a route, or both"),
        ({"api_keys": ["nobody"]}, "There is no API key 'nobody'"),
        ({"provider": "openai", "route": "anthropic-only"}, "no target at openai"),
        ({"duration_seconds": 3601}, "duration_seconds"),
        ({"share_percent": 0}, "share_percent"),
        ({"fault": "fire"}, "fault"),
    ],
)
def test_a_wrong_order_is_refused_with_what_would_be_right(
    gateway: GatewayProcess, wrong: dict[str, Any], told: str
) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused, drill(gateway, "503", **wrong):
        pass
    assert refused.value.code == 400
    assert told in refused.value.read().decode()
