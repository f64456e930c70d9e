"""`Idempotency-Key` through two whole gateway processes, with the official SDKs: one upstream call, one charge."""

from __future__ import annotations

import os
import signal
import sqlite3
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from tests.gateway_process import AGENT_KEY, OTHER_TEAM_KEY, GatewayProcess, another_gateway
from tests.sdk_compat.conftest import Chat, Pair

MESSAGES: Any = [{"role": "user", "content": "[[say: Only once.]]"}]
pytestmark = pytest.mark.redis


@pytest.fixture
def key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())}


def test_the_same_request_again_gives_the_stored_answer(
    pair: Pair, chat: Chat, simulator: Simulator, key: dict[str, str]
) -> None:
    replies = [
        chat(gateway, AGENT_KEY).chat.completions.with_raw_response.create(
            model="default", messages=MESSAGES, extra_headers=key
        )
        for gateway in pair
    ]
    assert replies[0].content == replies[1].content
    assert "idempotent-replayed" not in replies[0].headers
    assert replies[1].headers["idempotent-replayed"] == "true"
    assert replies[1].headers["x-llmops-cost-usd"] == replies[0].headers["x-llmops-cost-usd"]
    assert replies[1].headers["x-llmops-replayed-request-id"] == replies[0].headers["x-request-id"]
    assert len(simulator.log.rows()) == 1


def test_a_repeated_request_is_charged_once(pair: Pair, chat: Chat, key: dict[str, str]) -> None:
    before = pair[0].get("/api/spend")["total"]["completions"]
    for gateway in pair:
        chat(gateway, AGENT_KEY).chat.completions.create(model="default", messages=MESSAGES, extra_headers=key)
    assert pair[0].get("/api/spend")["total"]["completions"] == before + 1


def test_a_stream_is_replayed_as_the_same_stream(
    pair: Pair, chat: Chat, simulator: Simulator, key: dict[str, str]
) -> None:
    streams = [
        [
            chunk.model_dump()
            for chunk in chat(gateway, AGENT_KEY).chat.completions.create(
                model="default", messages=MESSAGES, stream=True, extra_headers=key
            )
        ]
        for gateway in pair
    ]
    assert streams[0] == streams[1]
    assert len(streams[0]) > 2
    assert len(simulator.log.rows()) == 1


def test_anthropics_stream_is_replayed_too(pair: Pair, simulator: Simulator, key: dict[str, str]) -> None:
    texts = []
    for gateway in pair:
        with (
            anthropic.Anthropic(base_url=gateway.url, api_key=AGENT_KEY, max_retries=0) as client,
            client.messages.stream(model="claude", max_tokens=50, messages=MESSAGES, extra_headers=key) as stream,
        ):
            texts.append(stream.get_final_text())
    assert texts == ["Only once."] * 2
    assert len(simulator.log.rows()) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_concurrent_duplicates_of_two_processes_wait_for_the_first(
    pair: Pair, simulator: Simulator, key: dict[str, str], stream: bool
) -> None:
    simulator.faults.add(Fault(kind=FaultKind.SLOW_HEADERS, provider="openai", seconds=0.3))
    body = {"model": "default", "messages": MESSAGES, "stream": stream}
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda n: post(pair[n % 2], body, key), range(8)))
    assert [reply.status_code for reply in replies] == [200] * 8
    assert len({events_of(reply) for reply in replies}) == 1
    assert len(simulator.log.rows()) == 1


def test_another_body_is_a_mismatch(pair: Pair, chat: Chat, key: dict[str, str]) -> None:
    chat(pair[0], AGENT_KEY).chat.completions.create(model="default", messages=MESSAGES, extra_headers=key)
    other: Any = [{"role": "user", "content": "Something else."}]
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        chat(pair[1], AGENT_KEY).chat.completions.create(model="default", messages=other, extra_headers=key)
    assert refused.value.code == "idempotency_mismatch"


def test_another_api_key_or_operation_has_idempotency_keys_of_its_own(
    pair: Pair, chat: Chat, simulator: Simulator, key: dict[str, str]
) -> None:
    for api_key in (AGENT_KEY, OTHER_TEAM_KEY):
        chat(pair[0], api_key).chat.completions.create(model="default", messages=MESSAGES, extra_headers=key)
    with anthropic.Anthropic(base_url=pair[0].url, api_key=AGENT_KEY, max_retries=0) as client:
        client.messages.create(model="default", max_tokens=50, messages=MESSAGES, extra_headers=key)
    assert len(simulator.log.rows()) == 3


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_after_a_failure_the_next_one_may_try(
    pair: Pair, simulator: Simulator, key: dict[str, str], stream: bool
) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=503))
    body = {"model": "openai-only", "messages": MESSAGES, "stream": stream}
    assert post(pair[0], body, key).status_code == 503
    simulator.reset()
    pair[1].post("/api/breakers/openai", {"action": "reset", "reason": "well again"})
    assert post(pair[1], body, key).status_code == 200


def test_a_client_that_leaves_keeps_nobody_from_trying(pair: Pair, simulator: Simulator, key: dict[str, str]) -> None:
    simulator.faults.add(Fault(kind=FaultKind.SLOW_HEADERS, provider="openai", seconds=5))
    body = {"model": "default", "messages": MESSAGES}
    with pytest.raises(httpx2.TimeoutException):
        post(pair[0], body, key, timeout=0.3)
    simulator.reset()
    assert post(pair[1], body, key).status_code == 200


def test_the_claim_of_a_process_that_died_ends_with_its_lease(
    pair: Pair, simulator: Simulator, key: dict[str, str], tmp_path: Path
) -> None:
    simulator.faults.add(Fault(kind=FaultKind.SLOW_HEADERS, provider="openai", seconds=20))
    body = {"model": "default", "messages": MESSAGES}
    with ThreadPoolExecutor(1) as pool, another_gateway(pair[0].data_dir, tmp_path / "third.log") as third:
        cut = pool.submit(post, third, body, key)
        while not any(row.endswith(" ") for row in stored(pair[0].data_dir)):  # no answer yet
            assert not cut.done()
        os.kill(third.pid, signal.SIGKILL)
        assert isinstance(cut.exception(), httpx2.TransportError)
    simulator.reset()
    with closing(sqlite3.connect(pair[0].data_dir / "llmops.sqlite3")) as database, database:  # the lease is over
        database.execute("UPDATE llmops_idempotency_record SET claimed_until = '2020-01-01 00:00:00' WHERE answer = ''")
    assert post(pair[1], body, key).status_code == 200


def test_what_is_stored_can_be_read_by_nobody_without_the_key(pair: Pair, chat: Chat, key: dict[str, str]) -> None:
    chat(pair[0], AGENT_KEY).chat.completions.create(model="default", messages=MESSAGES, extra_headers=key)
    rows = stored(pair[0].data_dir)
    assert rows
    assert not any("Only once" in row or key["Idempotency-Key"] in row for row in rows)


@pytest.mark.parametrize("bad", ["x" * 256, ""], ids=["too long", "empty"])
def test_a_key_that_is_none_is_refused(pair: Pair, bad: str) -> None:
    reply = post(pair[0], {"model": "default", "messages": MESSAGES}, {"Idempotency-Key": bad})
    assert reply.status_code == 400
    assert "Idempotency-Key must be 1 to 255" in reply.json()["error"]["message"]


def post(gateway: GatewayProcess, body: Any, key: dict[str, str], timeout: float = 30) -> httpx2.Response:
    headers = {"authorization": f"Bearer {AGENT_KEY}", **key}
    return httpx2.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=timeout)


def events_of(reply: httpx2.Response) -> str:
    """Without signs of life, which no stream is the poorer for."""
    return "\n".join(line for line in reply.text.splitlines() if line and line != ": keep-alive")


def stored(data_dir: Path) -> list[str]:
    with closing(sqlite3.connect(data_dir / "llmops.sqlite3")) as database:
        rows = database.execute(
            "SELECT scope, body_hash, owner, claimed_until, expires_at, answer FROM llmops_idempotency_record"
        )
        return [" ".join(map(str, row)) for row in rows]
