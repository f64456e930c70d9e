"""API keys of a running fleet: made, rotated, disabled, last used, and models named directly."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest

from tests.gateway_process import AGENT_KEY, OPERATOR_KEY, GatewayProcess
from tests.sdk_compat.conftest import Chat, Pair

pytestmark = pytest.mark.redis

EVERYWHERE_WITHIN_SECONDS = 2.0
WRITTEN_WITHIN_SECONDS = 10.0
MESSAGES: Any = [{"role": "user", "content": "[[say: Yes.]]"}]


@pytest.fixture
def name() -> str:
    return f"key {uuid.uuid4().hex[:8]}"


def make(gateway: GatewayProcess, name: str, **fields: Any) -> str:
    return str(gateway.post("/api/keys", {"name": name, **fields})["key"])


def order(gateway: GatewayProcess, name: str, action: str) -> Any:
    return gateway.post(f"/api/keys/{name.replace(' ', '%20')}", {"action": action})


def statuses(pair: Pair, key: str) -> list[int]:
    headers = {"authorization": f"Bearer {key}"}
    return [httpx2.get(f"{gateway.url}/v1/models", headers=headers).status_code for gateway in pair]


def within(seconds: float, fact: Callable[[], bool]) -> bool:
    give_up_at = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > give_up_at:
            return False
    return True


def test_a_disabled_key_is_refused_by_every_process_within_two_seconds(pair: Pair, name: str) -> None:
    key = make(pair[0], name)
    assert within(EVERYWHERE_WITHIN_SECONDS, lambda: statuses(pair, key) == [200, 200])
    order(pair[1], name, "disable")
    assert within(EVERYWHERE_WITHIN_SECONDS, lambda: statuses(pair, key) == [401, 401])


def test_a_rotated_key_overlaps_and_one_rotated_now_does_not(pair: Pair, name: str) -> None:
    oldest = make(pair[0], name)
    told = order(pair[0], name, "rotate")
    assert told["overlap_until"] is not None
    assert within(EVERYWHERE_WITHIN_SECONDS, lambda: statuses(pair, told["key"]) == [200, 200])
    assert statuses(pair, oldest) == [200, 200]
    order(pair[0], name, "rotate_now")
    assert within(EVERYWHERE_WITHIN_SECONDS, lambda: statuses(pair, told["key"]) == statuses(pair, oldest) == [401] * 2)


def test_a_keys_last_use_is_written_and_its_text_is_not_told(pair: Pair, chat: Chat, name: str) -> None:
    key = make(pair[0], name)
    assert within(EVERYWHERE_WITHIN_SECONDS, lambda: statuses(pair, key) == [200, 200])
    client = chat(pair[0], key)
    client.chat.completions.create(model="default", messages=MESSAGES)
    assert within(WRITTEN_WITHIN_SECONDS, lambda: listed(pair[0], name)["last_used_at"] is not None)
    row = listed(pair[0], name)
    assert row["prefix"] == key[:14] + "…"
    assert key not in str(row)


def test_a_models_provider_may_be_named_where_the_key_allows_it(pair: Pair, chat: Chat, name: str) -> None:
    key = make(pair[0], name, direct_models=True)
    assert within(EVERYWHERE_WITHIN_SECONDS, lambda: statuses(pair, key) == [200, 200])
    client = chat(pair[0], key)
    model = "anthropic/claude-3-5-sonnet-20241022"
    reply = client.chat.completions.with_raw_response.create(model=model, messages=MESSAGES)
    assert reply.headers["x-llmops-model"] == "claude-3-5-sonnet-20241022"
    assert float(reply.headers["x-llmops-cost-usd"]) > 0
    with pytest.raises(openai.NotFoundError):
        chat(pair[0], AGENT_KEY).chat.completions.create(model=model, messages=MESSAGES)


def test_a_model_without_a_price_is_refused_also_when_named_directly(pair: Pair, chat: Chat, name: str) -> None:
    key = make(pair[0], name, direct_models=True)
    assert within(EVERYWHERE_WITHIN_SECONDS, lambda: statuses(pair, key) == [200, 200])
    client = chat(pair[0], key)
    with pytest.raises(openai.InternalServerError, match="has a price: openai/of-unknown-price"):
        client.chat.completions.create(model="openai/of-unknown-price", messages=MESSAGES)


def test_a_key_without_routes_is_refused_with_a_sentence(pair: Pair, name: str) -> None:
    body = {"name": name, "routes": []}
    headers = {"authorization": f"Bearer {OPERATOR_KEY}"}
    reply = httpx2.post(f"{pair[0].url}/api/keys", json=body, headers=headers)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "routes")


def listed(gateway: GatewayProcess, name: str) -> Any:
    return next(row for row in gateway.get("/api/keys") if row["name"] == name)
