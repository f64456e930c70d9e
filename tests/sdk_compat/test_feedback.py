"""Feedback through a whole gateway: kept, shown to operators, refused in the shape of the caller's SDK."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest

from gateway.simulator.server import Simulator
from tests.gateway_process import AGENT_KEY, OTHER_TEAM_KEY, GatewayProcess
from tests.sdk_compat.conftest import Chat

MESSAGES: Any = [{"role": "user", "content": "How was it?"}]


def asked(gateway: GatewayProcess, chat: Chat) -> str:
    reply = chat(gateway, AGENT_KEY).chat.completions.with_raw_response.create(model="default", messages=MESSAGES)
    return str(reply.headers["x-request-id"])


def test_feedback_is_shown_with_its_request(gateway: GatewayProcess, chat: Chat) -> None:
    request_id = asked(gateway, chat)
    word = {"request_id": request_id, "score": -1, "note": "Not what I asked."}
    assert gateway.post("/v1/feedback", word, AGENT_KEY) == {"object": "feedback", **word}
    told = gateway.get(f"/api/completions/{request_id}")["feedback"]
    assert [(one["score"], one["note"], one["api_key"]) for one in told] == [(-1, "Not what I asked.", "agents")]


def test_another_teams_key_finds_no_such_request_in_openais_words(gateway: GatewayProcess, chat: Chat) -> None:
    word = {"request_id": asked(gateway, chat), "score": 1}
    with pytest.raises(openai.NotFoundError) as refused:
        chat(gateway, OTHER_TEAM_KEY).post("/feedback", body=word, cast_to=object)
    assert refused.value.code == "not_found"
    assert refused.value.param == "request_id"


def test_a_wrong_score_is_refused_in_anthropics_words(gateway: GatewayProcess, simulator: Simulator) -> None:
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key=AGENT_KEY, max_retries=0) as client,
        pytest.raises(anthropic.BadRequestError) as refused,
    ):
        client.post("/v1/feedback", body={"request_id": "req_1", "score": 5}, cast_to=object)
    assert refused.value.body["error"]["type"] == "invalid_request_error"  # type: ignore[index]
