"""What every endpoint of one OpenAI account shares: the key, the body, error bodies, the prompt cache, models."""

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from gateway.simulator.catalogue import EMBEDDING_MODELS, OPENAI_MODELS, Model, openai_model
from gateway.simulator.errors import InvalidRequest, WireError
from gateway.simulator.prefixes import PrefixCache, boundaries

NAME = "openai"
REFUSED_KEY = "sk-invalid"
CACHEABLE_TOKENS = 1024
_CACHE_STEP_TOKENS = 128
_CACHE_SECONDS = 600.0
_EFFORT_TOKENS = {"minimal": 16, "low": 64, "medium": 128, "high": 256, "xhigh": 512, "max": 1024}


class OpenAIAccount:
    """The part of OpenAI's wires that doesn't depend on the endpoint. Errors leave as `WireError`."""

    name = NAME

    def __init__(self, clock: Callable[[], float]) -> None:
        self._cache = PrefixCache(clock)

    def reset(self) -> None:
        self._cache.clear()

    def key(self, headers: Mapping[str, str]) -> str:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else ""

    def authenticate(self, headers: Mapping[str, str]) -> None:
        key = self.key(headers)
        if not key:
            raise WireError(401, "invalid_request_error", _NO_KEY)
        if key == REFUSED_KEY:
            raise WireError(401, "invalid_request_error", _WRONG_KEY, code="invalid_api_key")

    def parse(self, raw: bytes) -> dict[str, Any]:
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise InvalidRequest(_NOT_JSON) from None
        if not isinstance(body, dict):
            raise InvalidRequest(_NOT_JSON)
        return body

    def tag(self, body: Mapping[str, Any]) -> str | None:
        """The fault tag a request carries in its metadata."""
        metadata = body.get("metadata")
        tag = metadata.get("x-simulator-fault") if isinstance(metadata, dict) else None
        return tag if isinstance(tag, str) else None

    def cached_tokens(self, model: str, blocks: Iterable[tuple[bytes, int]], prompt_tokens: int) -> int:
        """How much of a long prompt was seen before, in OpenAI's steps; remembers it for next time.

        ``blocks`` are the prompt's parts in order, each with its token count.
        """
        if prompt_tokens < CACHEABLE_TOKENS:
            return 0
        places = boundaries(model, blocks)
        found = self._cache.longest(places)
        for place in places:
            self._cache.remember(place, _CACHE_SECONDS)
        rounded = found // _CACHE_STEP_TOKENS * _CACHE_STEP_TOKENS
        return rounded if rounded >= CACHEABLE_TOKENS else 0

    def count_tokens(self, body: dict[str, Any], headers: Mapping[str, str]) -> bytes:
        raise WireError(404, "invalid_request_error", "Unknown request URL.", code="unknown_url")

    def error(self, error: WireError) -> tuple[bytes, bytes]:
        """An error's headers and body."""
        headers = response_headers(error.retry_after)
        return headers, orjson.dumps({"error": error_fields(error)})

    def models(self) -> bytes:
        return orjson.dumps(
            {"object": "list", "data": [_model_entry(name) for name in (*OPENAI_MODELS, *EMBEDDING_MODELS)]}
        )

    def model(self, name: str) -> bytes:
        if openai_model(name) is None and name not in EMBEDDING_MODELS:
            raise no_such_model(name)
        return orjson.dumps(_model_entry(name))


_NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using "
    "Bearer auth (i.e. "
    "Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing "
    "the API from your "
    "browser and are prompted for a username and password. You can obtain an API key from "
    "https://platform.openai.com/account/api-keys."
)


_WRONG_KEY = "Incorrect API key provided: sk-inv***lid. You can find your API key at https://platform.openai.com/account/api-keys."


_NOT_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP "
    "library "
    "correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you have "
    "trouble figuring "
    "out how to fix this, please contact us through our help center at help.openai.com.)"
)


def error_fields(error: WireError) -> dict[str, Any]:
    return {"message": error.message, "type": error.kind, "param": error.param, "code": error.code}


def response_headers(retry_after: str | None = None) -> bytes:
    """The headers of every JSON reply."""
    extra = f"retry-after: {retry_after}\r\n".encode() if retry_after else b""
    return b"content-type: application/json\r\n%b%b" % (_common_headers(), extra)


def event_stream_headers() -> bytes:
    return b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n" + _common_headers()


def _common_headers() -> bytes:
    return (
        b"x-request-id: req_%032x\r\nopenai-processing-ms: 12\r\nopenai-version: 2020-10-01\r\n"
        b"x-ratelimit-limit-requests: 10000\r\nx-ratelimit-limit-tokens: 2000000\r\n"
        b"x-ratelimit-remaining-requests: 9999\r\nx-ratelimit-remaining-tokens: 1999000\r\n"
        b"x-ratelimit-reset-requests: 6ms\r\nx-ratelimit-reset-tokens: 30ms\r\n" % random.getrandbits(128)
    )


def no_such_model(name: str) -> WireError:
    return WireError(
        404,
        "invalid_request_error",
        f"The model `{name}` does not exist or you do not have access to it.",
        code="model_not_found",
    )


def _model_entry(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_712_361_441, "owned_by": "system"}


def thinking_tokens(model: Model, effort: str | None) -> int:
    """Hidden reasoning: always with the o series, elsewhere where an effort is asked for."""
    if not model.reasoning:
        return 0
    return _EFFORT_TOKENS.get(effort or ("medium" if model.id.startswith("o") else "none"), 0)
