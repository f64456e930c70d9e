"""The response cache through whole gateway processes: one upstream call, both forms, both SDKs, money to the digit."""

from __future__ import annotations

import json
import random
import sqlite3
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from tests.gateway_process import (
    AGENT_KEY,
    CLAUDE,
    GPT_4_TURBO,
    OPERATOR_KEY,
    OTHER_TEAM_KEY,
    GatewayProcess,
    another_gateway,
    configuration,
    gateway_process,
)

CLIENTS: list[httpx2.Client] = []
Fleet = tuple[GatewayProcess, ...]
CACHED = {"enabled": True, "ttl_seconds": 300, "scope": "team"}
TOOL: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


def document(url: str) -> dict[str, Any]:
    routes = [
        {"name": "cached", "targets": [GPT_4_TURBO], "cache": CACHED},
        {"name": "cached-claude", "targets": [CLAUDE], "cache": CACHED},
        {"name": "shared", "targets": [GPT_4_TURBO], "cache": {**CACHED, "scope": "route"}},
        {"name": "plain", "targets": [GPT_4_TURBO]},
    ]
    told = configuration(url, routes=routes)
    told["api_keys"] = [key for key in told["api_keys"] if key["name"] != "narrow"]
    return told


@pytest.fixture(scope="module")
def _alone(_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with gateway_process(tmp_path_factory.mktemp("cache"), document(_simulator.url)) as gateway:
        yield (gateway,)


@pytest.fixture(scope="module")
def _two(_simulator: Simulator, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    env = {"REDIS_URL": redis_url, "LLMOPS_REDIS_TIMEOUT_MS": "1000"}
    folder = tmp_path_factory.mktemp("cache-pair")
    with (
        gateway_process(folder, document(_simulator.url), env=env) as first,
        another_gateway(first.data_dir, folder / "second.log", env=env) as second,
    ):
        yield first, second


@pytest.fixture(params=["one process", pytest.param("two with Redis", marks=pytest.mark.redis)])
def fleet(request: pytest.FixtureRequest, simulator: Simulator) -> Fleet:
    name = "_alone" if request.param == "one process" else "_two"
    processes: Fleet = request.getfixturevalue(name)
    return processes


@pytest.fixture
def alone(_alone: Fleet, simulator: Simulator) -> GatewayProcess:
    return _alone[0]


@pytest.fixture(scope="module", autouse=True)
def http() -> Iterator[None]:
    """Connections that are kept: making them would take longer than the answers."""
    with httpx2.Client(timeout=30, limits=httpx2.Limits(max_connections=100)) as client:
        CLIENTS.append(client)
        yield
        CLIENTS.clear()


def ask(model: str = "cached", text: str | None = None, **fields: Any) -> dict[str, Any]:
    """A question nobody has asked before, unless `text` says which."""
    content = f"[[say: Forty-two.]] {text or uuid.uuid4()}"
    return {"model": model, "messages": [{"role": "user", "content": content}], **fields}


def post(gateway: GatewayProcess, body: dict[str, Any], key: str = AGENT_KEY, **headers: str) -> httpx2.Response:
    told = {"authorization": f"Bearer {key}", **headers}
    return CLIENTS[-1].post(gateway.url + "/v1/chat/completions", json=body, headers=told)


def rows(gateway: GatewayProcess) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(gateway.data_dir / "llmops.sqlite3")) as database:
        return database.execute(
            "SELECT id, cache, cost_usd, saved_usd, attempt_count, status FROM llmops_completion"
        ).fetchall()


def test_the_second_time_the_answer_comes_from_the_cache_and_costs_nothing(fleet: Fleet, simulator: Simulator) -> None:
    body = ask()
    first, second = post(fleet[0], body), post(fleet[-1], body)
    assert [reply.headers["x-llmops-cache"] for reply in (first, second)] == ["miss", "hit"]
    assert second.content == first.content
    assert Decimal(second.headers["x-llmops-cost-usd"]) == 0
    assert second.headers["x-llmops-attempts"] == "0"
    assert len(simulator.log.rows()) == 1


def said(reply: httpx2.Response) -> str:
    """The words of an answer, in one piece or streamed."""
    if not reply.headers["content-type"].startswith("text/event-stream"):
        return str(reply.json()["choices"][0]["message"]["content"])
    events = (line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: {"))
    choices = (choice for event in events for choice in json.loads(event)["choices"])
    return "".join(choice["delta"].get("content") or "" for choice in choices)


@pytest.mark.parametrize("form", ["plain", "stream", "mixed"])
def test_200_identical_requests_at_once_make_one_upstream_call(fleet: Fleet, simulator: Simulator, form: str) -> None:
    simulator.faults.add(Fault(kind=FaultKind.SLOW_HEADERS, provider="openai", seconds=0.5))
    body = ask()

    def one(number: int) -> httpx2.Response:
        streamed = form == "stream" or (form == "mixed" and number % 2 == 1)
        return post(fleet[number % len(fleet)], {**body, "stream": streamed})

    with ThreadPoolExecutor(40) as pool:
        replies = list(pool.map(one, range(200)))
    assert {reply.status_code for reply in replies} == {200}
    assert {said(reply) for reply in replies} == {"Forty-two."}
    assert len(simulator.log.rows()) == 1
    assert [reply.headers["x-llmops-cache"] for reply in replies].count("miss") == 1


def test_one_teams_answer_never_reaches_another_team(fleet: Fleet, simulator: Simulator) -> None:
    body = ask()
    replies = [post(fleet[0], body), post(fleet[-1], body, OTHER_TEAM_KEY)]
    assert [reply.headers["x-llmops-cache"] for reply in replies] == ["miss", "miss"]
    assert len(simulator.log.rows()) == 2


def test_keys_without_a_team_share_with_nobody(alone: GatewayProcess) -> None:
    body = ask()
    replies = [post(alone, body), post(alone, body, OPERATOR_KEY)]
    assert [reply.headers["x-llmops-cache"] for reply in replies] == ["miss", "miss"]


def test_a_route_may_share_answers_among_teams(fleet: Fleet) -> None:
    body = ask("shared")
    post(fleet[0], body)
    assert post(fleet[-1], body, OTHER_TEAM_KEY).headers["x-llmops-cache"] == "hit"


@pytest.mark.parametrize(
    ("fields", "headers", "words"),
    [
        pytest.param({"temperature": 0.1}, {}, ["bypass", "bypass"], id="temperature"),
        pytest.param({"temperature": 0}, {}, ["miss", "hit"], id="temperature 0"),
        pytest.param({}, {"cache-control": "no-store"}, ["bypass", "bypass"], id="no-store"),
        pytest.param({}, {"cache-control": "no-cache"}, ["miss", "miss"], id="no-cache"),
        pytest.param({"max_tokens": 1}, {}, ["miss", "miss"], id="cut at its limit"),
        pytest.param({"model": "plain"}, {}, ["bypass", "bypass"], id="a route without a cache"),
        pytest.param({"store": True}, {}, ["bypass", "bypass"], id="kept at the provider"),
    ],
)
def test_what_is_read_and_kept(
    alone: GatewayProcess, fields: dict[str, Any], headers: dict[str, str], words: list[str]
) -> None:
    body = ask(**fields)
    assert [post(alone, body, **headers).headers["x-llmops-cache"] for _ in range(2)] == words


def test_no_cache_puts_a_new_answer_in_the_place_of_the_kept_one(fleet: Fleet, simulator: Simulator) -> None:
    body = ask()
    replies = [post(fleet[0], body), post(fleet[0], body, **{"cache-control": "no-cache"}), post(fleet[0], body)]
    assert [reply.headers["x-llmops-cache"] for reply in replies] == ["miss", "miss", "hit"]
    assert replies[2].content == replies[1].content
    assert len(simulator.log.rows()) == 2


def test_an_error_is_never_kept(alone: GatewayProcess, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=400, times=1))
    body = ask()
    assert [post(alone, body).status_code for _ in range(2)] == [400, 200]


def test_a_failed_leader_leaves_nobody_behind(fleet: Fleet, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=400, times=1))
    simulator.faults.add(Fault(kind=FaultKind.SLOW_HEADERS, provider="openai", seconds=0.2))
    body = ask()
    with ThreadPoolExecutor(10) as pool:
        replies = list(pool.map(lambda number: post(fleet[number % len(fleet)], body), range(10)))
    assert sorted(reply.status_code for reply in replies) == [200] * 9 + [400]


def test_a_leader_that_leaves_takes_nobody_elses_answer(alone: GatewayProcess, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.SLOW_HEADERS, provider="openai", seconds=1.0))
    body = ask()

    def impatient() -> None:
        with pytest.raises(httpx2.TimeoutException):
            httpx2.post(
                alone.url + "/v1/chat/completions",
                json=body,
                headers={"authorization": f"Bearer {AGENT_KEY}"},
                timeout=0.5,
            )

    with ThreadPoolExecutor(6) as pool:
        left = pool.submit(impatient)
        while not any(row[-1] == "pending" for row in rows(alone)):
            pass
        replies = list(pool.map(lambda _: post(alone, body), range(4)))
        left.result()
    assert [reply.headers["x-llmops-cache"] for reply in replies] == ["hit"] * 4
    assert len(simulator.log.rows()) == 1


@pytest.mark.parametrize("first", ["plain", "stream"])
def test_the_openai_sdk_reads_either_form_of_either(alone: GatewayProcess, simulator: Simulator, first: str) -> None:
    messages: Any = [{"role": "user", "content": f"[[say: Forty-two.]] {uuid.uuid4()}"}]
    usage: Any = {"include_usage": True}
    texts, tokens = [], []
    with openai.OpenAI(base_url=f"{alone.url}/v1", api_key=AGENT_KEY, max_retries=0) as client:
        for form in (first, "plain", "stream"):
            if form == "plain":
                answer = client.chat.completions.create(model="cached", messages=messages)
                assert answer.usage is not None
                texts.append(answer.choices[0].message.content)
                tokens.append(answer.usage.total_tokens)
            else:
                chunks = list(
                    client.chat.completions.create(model="cached", messages=messages, stream=True, stream_options=usage)
                )
                texts.append("".join(c.choices[0].delta.content or "" for c in chunks if c.choices))
                tokens += [c.usage.total_tokens for c in chunks if c.usage]
    assert texts == ["Forty-two."] * 3
    assert len(tokens) == 3
    assert len(set(tokens)) == 1
    assert len(simulator.log.rows()) == 1


def test_a_kept_tool_call_is_replayed_as_a_stream(alone: GatewayProcess, simulator: Simulator) -> None:
    body = ask(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "weather"}})
    plain = post(alone, body).json()["choices"][0]
    with (
        openai.OpenAI(base_url=f"{alone.url}/v1", api_key=AGENT_KEY, max_retries=0) as client,
        client.chat.completions.stream(**body) as stream,
    ):
        streamed = stream.get_final_completion().choices[0]
    assert streamed.finish_reason == plain["finish_reason"]
    assert streamed.message.tool_calls is not None
    call = streamed.message.tool_calls[0]
    assert (call.id, call.function.name, call.function.arguments) == (
        plain["message"]["tool_calls"][0]["id"],
        plain["message"]["tool_calls"][0]["function"]["name"],
        plain["message"]["tool_calls"][0]["function"]["arguments"],
    )
    assert len(simulator.log.rows()) == 1


@pytest.mark.parametrize("model", ["cached", "cached-claude"], ids=["translated", "own wire"])
@pytest.mark.parametrize("first", ["plain", "stream"])
def test_the_anthropic_sdk_reads_either_form_of_either(
    alone: GatewayProcess, simulator: Simulator, first: str, model: str
) -> None:
    asked: Any = {
        "model": model,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": f"[[say: Forty-two.]] {uuid.uuid4()}"}],
    }
    answers = []
    with anthropic.Anthropic(base_url=alone.url, api_key=AGENT_KEY, max_retries=0) as client:
        for form in (first, "plain", "stream"):
            if form == "plain":
                answers.append(client.messages.create(**asked))
            else:
                with client.messages.stream(**asked) as stream:
                    answers.append(stream.get_final_message())
    assert [answer.content[0].text for answer in answers if answer.content[0].type == "text"] == ["Forty-two."] * 3
    assert {(a.id, a.stop_reason, a.usage.input_tokens, a.usage.output_tokens) for a in answers} == {
        (answers[0].id, "end_turn", answers[0].usage.input_tokens, answers[0].usage.output_tokens)
    }
    assert len(simulator.log.rows()) == 1


def test_a_realistic_mix_saves_what_the_log_implies(alone: GatewayProcess, simulator: Simulator) -> None:
    before = alone.get("/api/spend")["total"]
    draw = random.Random(7)
    mix = str(uuid.uuid4())
    questions = [min(int(draw.paretovariate(0.7)), 400) for _ in range(1000)]
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda question: post(alone, ask(text=f"{mix} {question}")), questions))
    hits = [reply for reply in replies if reply.headers["x-llmops-cache"] == "hit"]
    different = len(set(questions))
    assert len(simulator.log.rows()) == different
    assert len(hits) == 1000 - different
    cost_of = {
        reply.json()["id"]: Decimal(reply.headers["x-llmops-cost-usd"]) for reply in replies if reply not in hits
    }
    saved = sum(cost_of[reply.json()["id"]] for reply in hits)
    ids = {reply.headers["x-request-id"] for reply in hits}
    kept = [row for row in rows(alone) if row[0] in ids]
    assert {(cache, cost, tries, status) for _, cache, cost, _, tries, status in kept} == {("hit", 0, 0, "answered")}
    assert sum(row[3] for row in kept) == saved * 10**12
    spent = Decimal(alone.get("/api/spend")["total"]["cost_usd"]) - Decimal(before["cost_usd"])
    assert spent == sum(cost_of.values())


def test_a_hit_counts_in_its_conversation(alone: GatewayProcess) -> None:
    body, conversation = ask(), f"c-{uuid.uuid4()}"
    replies = [post(alone, body, **{"x-conversation-id": conversation}) for _ in range(3)]
    assert alone.get(f"/api/conversations/{conversation}")["completions"] == 3
    assert replies[2].headers["x-llmops-conversation-cost-usd"] == replies[0].headers["x-llmops-cost-usd"]


def test_a_purge_counts_what_it_forgets(fleet: Fleet) -> None:
    fleet[0].post("/api/cache/purge", {"route": None})
    asked = [ask(), ask(), ask("shared")]
    for body in asked:
        post(fleet[0], body)
    assert fleet[-1].post("/api/cache/purge", {"route": "shared"}) == {"purged": 1}
    assert [post(fleet[0], body).headers["x-llmops-cache"] for body in asked] == ["hit", "hit", "miss"]
    assert fleet[-1].post("/api/cache/purge", {"route": None, "model": "gpt-4-turbo"}) == {"purged": 3}


def test_a_change_of_the_targets_ends_the_kept_answers(alone: GatewayProcess, simulator: Simulator) -> None:
    body = ask()
    post(alone, body)
    changed = document(simulator.url)
    changed["routes"][0]["targets"] = [GPT_4_TURBO, CLAUDE]
    alone.apply(changed)
    while post(alone, body).headers["x-llmops-cache"] == "hit":
        pass
    assert len(simulator.log.rows()) == 2


def test_what_the_cache_answers_is_counted_in_the_metrics(alone: GatewayProcess) -> None:
    def hits() -> float:
        text = CLIENTS[-1].get(alone.url + "/metrics").text
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return sum(
            one.value for one in samples if one.name == "llmops_completions_total" and one.labels["cache"] == "hit"
        )

    body, before = ask(), hits()
    post(alone, body)
    assert hits() == before
    post(alone, body)
    assert hits() == before + 1
