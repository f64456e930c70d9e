"""What goes upstream: the right credentials per version, what may be passed on, and nothing else."""

from __future__ import annotations

import orjson
import pytest

from gateway.engine.words import Wire
from tests.providers.conftest import KEY, CallerFactory, an_ask, target_of
from tests.providers.raw_server import RawServer, Seen, reply
from tests.providers.test_answers import ANSWER

MESSAGE = orjson.dumps(
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [{"type": "text", "text": "hello"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 5, "output_tokens": 1},
    }
)
NOT_PASSED_ON = {
    "cookie": "session=secret",
    "authorization": "Bearer sk-llmops-client",
    "x-api-key": "sk-llmops-client",
    "openai-organization": "org-client",
    "openai-project": "proj-client",
    "user-agent": "curl/8",
    "x-forwarded-for": "10.0.0.1",
    "x-unknown": "1",
}
SAMPLING_MODEL, NEW_MODEL = "claude-3-5-sonnet-20241022", "claude-sonnet-5-5"


async def sent(
    raw: RawServer,
    caller_for: CallerFactory,
    kind: Wire,
    surface: Wire,
    headers: dict[str, str] | None = None,
    model: str | None = None,
    **settings: object,
) -> Seen:
    raw.will(reply(200, ANSWER if kind is Wire.OPENAI else MESSAGE))
    caller = caller_for(kind, raw.url, **settings)
    await caller.answer(an_ask(surface, headers=headers), target_of(caller, model))
    return raw.requests[-1]


async def test_openai_gets_its_key_as_a_bearer_token(raw: RawServer, caller_for: CallerFactory) -> None:
    seen = await sent(raw, caller_for, Wire.OPENAI, Wire.OPENAI)
    assert seen.line == "POST /chat/completions HTTP/1.1"
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert (seen.headers["content-type"], seen.headers["accept-encoding"]) == ("application/json", "identity")


@pytest.mark.parametrize(
    ("surface", "client", "model", "version", "auth"),
    [
        (Wire.ANTHROPIC, {"anthropic-version": "2023-06-01"}, SAMPLING_MODEL, "2023-06-01", "x-api-key"),
        (Wire.ANTHROPIC, {"anthropic-version": "2026-10-21"}, SAMPLING_MODEL, "2026-10-21", "authorization"),
        (Wire.ANTHROPIC, {}, SAMPLING_MODEL, "2023-06-01", "x-api-key"),
        (Wire.ANTHROPIC, {}, NEW_MODEL, "2026-10-21", "authorization"),
        (Wire.OPENAI, {}, SAMPLING_MODEL, "2023-06-01", "x-api-key"),
        (Wire.OPENAI, {}, NEW_MODEL, "2026-10-21", "authorization"),
        (Wire.OPENAI, {"anthropic-version": "2026-10-21"}, SAMPLING_MODEL, "2023-06-01", "x-api-key"),
    ],
)
async def test_anthropic_gets_the_version_and_with_it_the_key_in_that_versions_way(
    raw: RawServer,
    caller_for: CallerFactory,
    surface: Wire,
    client: dict[str, str],
    model: str,
    version: str,
    auth: str,
) -> None:
    seen = await sent(raw, caller_for, Wire.ANTHROPIC, surface, client, model)
    assert (seen.line, seen.headers["anthropic-version"]) == ("POST /v1/messages HTTP/1.1", version)
    value = KEY if auth == "x-api-key" else f"Bearer {KEY}"
    other = "authorization" if auth == "x-api-key" else "x-api-key"
    assert (seen.headers[auth], other in seen.headers) == (value, False)


@pytest.mark.parametrize(
    ("kind", "surface", "passed_on"),
    [
        (Wire.OPENAI, Wire.OPENAI, {"openai-beta", "traceparent"}),
        (Wire.OPENAI, Wire.ANTHROPIC, {"traceparent"}),
        (Wire.ANTHROPIC, Wire.ANTHROPIC, {"anthropic-beta", "traceparent"}),
        (Wire.ANTHROPIC, Wire.OPENAI, {"traceparent"}),
    ],
)
async def test_only_these_headers_of_the_client_are_passed_on(
    raw: RawServer, caller_for: CallerFactory, kind: Wire, surface: Wire, passed_on: set[str]
) -> None:
    client = {"openai-beta": "client's", "anthropic-beta": "client's", "traceparent": "client's"}
    seen = await sent(raw, caller_for, kind, surface, client)
    assert {name for name, value in seen.headers.items() if value == "client's"} == passed_on


@pytest.mark.parametrize("kind", list(Wire))
@pytest.mark.parametrize("surface", list(Wire))
async def test_nothing_else_of_the_client_goes_upstream(
    raw: RawServer, caller_for: CallerFactory, kind: Wire, surface: Wire
) -> None:
    seen = await sent(raw, caller_for, kind, surface, NOT_PASSED_ON)
    assert not set(seen.headers.values()) & set(NOT_PASSED_ON.values())
    assert "cookie" not in seen.headers


@pytest.mark.parametrize("kind", list(Wire))
async def test_a_providers_cookies_are_not_sent_back(raw: RawServer, caller_for: CallerFactory, kind: Wire) -> None:
    """They would tie the requests of different clients together."""
    body = ANSWER if kind is Wire.OPENAI else MESSAGE
    raw.will(reply(200, body, set_cookie="__cf_bm=abc; Path=/"))
    caller = caller_for(kind, raw.url)
    for _ in range(2):
        await caller.answer(an_ask(kind), target_of(caller))
    assert "cookie" not in raw.requests[1].headers


@pytest.mark.parametrize("kind", list(Wire))
async def test_a_providers_extra_headers_are_sent(raw: RawServer, caller_for: CallerFactory, kind: Wire) -> None:
    seen = await sent(raw, caller_for, kind, kind, extra_headers={"X-Team": "research", "User-Agent": "llmops"})
    assert (seen.headers["x-team"], seen.headers["user-agent"]) == ("research", "llmops")


@pytest.mark.parametrize("kind", list(Wire))
async def test_without_a_key_the_provider_is_asked_all_the_same_and_says_what_is_wrong(
    raw: RawServer, caller_for: CallerFactory, kind: Wire
) -> None:
    seen = await sent(raw, caller_for, kind, kind, {"anthropic-version": "2023-06-01"}, api_key=None)
    assert "no-key-configured" in seen.headers.get("x-api-key", "") + seen.headers.get("authorization", "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENAI_API_KEY", "of-somebody-else"),
        ("OPENAI_ORG_ID", "of-somebody-else"),
        ("OPENAI_PROJECT_ID", "of-somebody-else"),
        ("OPENAI_CUSTOM_HEADERS", "Authorization: of-somebody-else"),
        ("ANTHROPIC_API_KEY", "of-somebody-else"),
        ("ANTHROPIC_AUTH_TOKEN", "of-somebody-else"),
        ("ANTHROPIC_CUSTOM_HEADERS", "Authorization: of-somebody-else"),
    ],
)
@pytest.mark.parametrize("kind", list(Wire))
async def test_what_lies_around_in_the_environment_is_not_sent(
    raw: RawServer, caller_for: CallerFactory, kind: Wire, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The configuration says what goes where; the SDKs' own variables belong to somebody else."""
    monkeypatch.setenv(name, value)
    seen = await sent(raw, caller_for, kind, kind)
    assert "of-somebody-else" not in " ".join(seen.headers.values())
    assert KEY in (seen.headers.get("x-api-key"), seen.headers.get("authorization", "").removeprefix("Bearer "))


@pytest.mark.parametrize("kind", list(Wire))
async def test_only_the_model_changes_in_a_body_of_the_same_wire(
    raw: RawServer, caller_for: CallerFactory, kind: Wire
) -> None:
    seen = await sent(raw, caller_for, kind, kind)
    asked = orjson.loads(an_ask(kind).body)
    assert orjson.loads(seen.body) == {**asked, "model": orjson.loads(seen.body)["model"]}
    assert orjson.loads(seen.body)["model"] != "default"


@pytest.mark.parametrize("kind", list(Wire))
def test_a_key_shows_in_no_repr(kind: Wire, caller_for: CallerFactory) -> None:
    caller = caller_for(kind, "http://provider.invalid")
    assert KEY not in repr(caller) + repr(caller.provider) + repr(vars(caller).get("_url"))
