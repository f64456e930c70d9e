"""Bad input and failures: each official SDK raises its own class, with a sentence that says what is wrong."""

from __future__ import annotations

import anthropic
import httpx2
import openai
import pytest

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from tests.gateway_process import AGENT_KEY, NARROW_KEY, GatewayProcess

HELLO = [{"role": "user", "content": "Hello"}]


def openai_client(gateway: GatewayProcess, key: str = AGENT_KEY) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0)


def anthropic_client(gateway: GatewayProcess, key: str = AGENT_KEY) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=gateway.url, api_key=key, max_retries=0)


@pytest.mark.parametrize("key", ["sk-llmops-unknown", "not-a-key"])
def test_an_unknown_key_is_an_authentication_error(gateway: GatewayProcess, key: str) -> None:
    with openai_client(gateway, key) as client, pytest.raises(openai.AuthenticationError) as caught:
        client.chat.completions.create(model="default", messages=HELLO)
    assert caught.value.code == "invalid_api_key"
    with anthropic_client(gateway, key) as client, pytest.raises(anthropic.AuthenticationError):
        client.messages.create(model="claude", max_tokens=10, messages=HELLO)


def test_a_missing_key_says_how_to_send_one(gateway: GatewayProcess) -> None:
    reply = httpx2.post(f"{gateway.url}/v1/chat/completions", json={"model": "default", "messages": HELLO})
    assert reply.status_code == 401
    assert "Authorization: Bearer" in reply.json()["error"]["message"]


def test_an_unknown_route_names_those_the_key_may_use(gateway: GatewayProcess) -> None:
    with openai_client(gateway, NARROW_KEY) as client, pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="no-such-route", messages=HELLO)
    assert caught.value.code == "model_not_found"
    assert "claude" in caught.value.message
    assert "default" not in caught.value.message


def test_a_route_the_key_may_not_use_is_a_permission_error(gateway: GatewayProcess) -> None:
    with openai_client(gateway, NARROW_KEY) as client, pytest.raises(openai.PermissionDeniedError) as caught:
        client.chat.completions.create(model="default", messages=HELLO)
    assert caught.value.code == "not_allowed"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"{not json", "JSON"),
        (b"[]", "object"),
        (b'{"messages": [{"role": "user", "content": "x"}]}', "model"),
        (b'{"model": 7, "messages": [{"role": "user", "content": "x"}]}', "model"),
        (b'{"model": "default"}', "messages"),
        (b'{"model": "default", "messages": "hi"}', "messages"),
        (b'{"model": "default", "messages": [{"role": "user", "content": "x"}], "stream": "yes"}', "stream"),
        (b'{"model": "default", "messages": [{"role": "user", "content": "\xff\xfe"}]}', "UTF-8"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_a_body_that_can_t_be_used_is_a_400_that_names_the_field(
    gateway: GatewayProcess, simulator: Simulator, path: str, body: bytes, named: str
) -> None:
    reply = httpx2.post(gateway.url + path, content=body, headers={"authorization": f"Bearer {AGENT_KEY}"})
    assert reply.status_code == 400
    assert named.lower() in reply.json()["error"]["message"].lower()
    assert simulator.log.rows() == []


def test_a_body_over_the_limit_is_a_413(gateway: GatewayProcess) -> None:
    body = b'{"model": "default", "messages": [{"role": "user", "content": "' + b"x" * (33 * 1024 * 1024) + b'"}]}'
    reply = httpx2.post(
        f"{gateway.url}/v1/chat/completions", content=body, headers={"authorization": f"Bearer {AGENT_KEY}"}
    )
    assert reply.status_code == 413
    assert reply.json()["error"]["code"] == "request_too_large"


def test_a_provider_s_400_keeps_its_own_message(gateway: GatewayProcess) -> None:
    with openai_client(gateway) as client, pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="openai-only", messages=HELLO, temperature=9)
    assert "temperature" in caught.value.message


def test_both_providers_down_is_a_503_that_lists_the_attempts(gateway: GatewayProcess, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, status=503))
    with openai_client(gateway) as client, pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="default", messages=HELLO)
    assert caught.value.status_code == 503
    assert caught.value.code == "all_targets_failed"
    assert "openai/gpt-4-turbo" in caught.value.message
    assert "anthropic/claude" in caught.value.message
    assert caught.value.response.headers["x-should-retry"] == "false"


def test_a_stream_that_breaks_raises_in_the_openai_sdk(gateway: GatewayProcess, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.CUT, after_tokens=5))
    with openai_client(gateway) as client:
        stream = client.chat.completions.create(
            model="openai-only", messages=[{"role": "user", "content": "[[tokens: 60]]"}], stream=True
        )
        with pytest.raises(openai.APIError):
            list(stream)


def test_a_stream_that_breaks_raises_in_the_anthropic_sdk(gateway: GatewayProcess, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.CUT, after_tokens=5))
    with anthropic_client(gateway) as client:
        stream = client.messages.create(
            model="anthropic-only",
            max_tokens=100,
            messages=[{"role": "user", "content": "[[tokens: 60]]"}],
            stream=True,
        )
        with pytest.raises(anthropic.APIError):
            list(stream)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/nothing", 404), ("GET", "/v1/messages", 405)])
def test_a_wrong_path_or_method_is_told_in_the_surface_s_shape(
    gateway: GatewayProcess, method: str, path: str, status: int
) -> None:
    reply = httpx2.request(method, gateway.url + path, headers={"authorization": f"Bearer {AGENT_KEY}"})
    assert reply.status_code == status
    assert reply.json()["error"]["message"]


def test_the_path_decides_the_shape_of_an_error_not_a_stray_header(gateway: GatewayProcess) -> None:
    headers = {"authorization": "Bearer unknown", "anthropic-version": "2023-06-01"}
    chat = httpx2.post(f"{gateway.url}/v1/chat/completions", json={}, headers=headers)
    models = httpx2.get(f"{gateway.url}/v1/models", headers=headers)
    assert chat.json()["error"]["code"] == "invalid_api_key"
    assert models.json()["type"] == "error"
