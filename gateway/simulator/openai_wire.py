"""OpenAI's Chat Completions: from a request's body to a prepared reply, and OpenAI's error bodies."""

import random
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from gateway.simulator.answer import Answer, Ask, Call, Finish, Tool, ToolChoice, compose
from gateway.simulator.bill import Usage
from gateway.simulator.catalogue import OPENAI_MODELS, Model, openai_model
from gateway.simulator.errors import InvalidRequest, WireError
from gateway.simulator.openai_checks import check, missing, wrong_type
from gateway.simulator.openai_messages import check_messages, texts, token_counts, turns
from gateway.simulator.prefixes import PrefixCache, boundaries
from gateway.simulator.reply import Event, Part, Reply
from gateway.simulator.tokens import count

NAME = "openai"
REFUSED_KEY = "sk-invalid"
_PRIMING_TOKENS = 3  # the reply's opening, counted as input
_CACHEABLE_TOKENS = 1024
_CACHE_STEP_TOKENS = 128
_CACHE_SECONDS = 600.0
_FINISH = {
    Finish.STOP: "stop",
    Finish.STOP_SEQUENCE: "stop",
    Finish.LENGTH: "length",
    Finish.TOOL_CALLS: "tool_calls",
}
_SYSTEM_FINGERPRINT = "fp_5d1m0a7e11"
_EFFORT_TOKENS = {"minimal": 16, "low": 64, "medium": 128, "high": 256, "xhigh": 512, "max": 1024}


class OpenAIWire:
    """One account at OpenAI. Errors leave as `WireError`."""

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

    def prepare(self, body: dict[str, Any], raw: bytes, headers: Mapping[str, str]) -> Reply:
        model = _model(body)
        if "messages" not in body:
            raise missing("messages")
        check_messages(body["messages"])
        check(body, model)
        _check_json_word(body)
        seed = zlib.crc32(raw)
        counts = list(token_counts(body["messages"]))
        prompt_tokens = sum(counts) + _PRIMING_TOKENS + _definition_tokens(body)
        _check_context(body, model, prompt_tokens)
        answers = [compose(_ask(body, model, seed + index)) for index in range(body.get("n") or 1)]
        usage = Usage(
            prompt_tokens, sum(answer.tokens for answer in answers), self._cached(body, counts, prompt_tokens)
        )
        return _Rendering(body, answers, usage).reply()

    def _cached(self, body: Mapping[str, Any], counts: list[int], prompt_tokens: int) -> int:
        """How much of a long prompt was seen before, in OpenAI's steps; remembers it for next time."""
        if prompt_tokens < _CACHEABLE_TOKENS:
            return 0
        blocks = [(orjson.dumps(message), size) for message, size in zip(body["messages"], counts, strict=True)]
        blocks.insert(0, (orjson.dumps(body.get("tools")), _definition_tokens(body)))
        places = boundaries(body["model"], blocks)
        found = self._cache.longest(places)
        for place in places:
            self._cache.remember(place, _CACHE_SECONDS)
        rounded = found // _CACHE_STEP_TOKENS * _CACHE_STEP_TOKENS
        return rounded if rounded >= _CACHEABLE_TOKENS else 0

    def count_tokens(self, body: dict[str, Any], headers: Mapping[str, str]) -> bytes:
        raise WireError(404, "invalid_request_error", "Unknown request URL.", code="unknown_url")

    def error(self, error: WireError) -> tuple[bytes, bytes]:
        """An error's headers and body."""
        headers = response_headers(error.retry_after)
        fields = {"message": error.message, "type": error.kind, "param": error.param, "code": error.code}
        return headers, orjson.dumps({"error": fields})

    def error_event(self, error: WireError) -> bytes:
        fields = {"message": error.message, "type": error.kind, "param": error.param, "code": error.code}
        return b"data: %b\n\n" % orjson.dumps({"error": fields})

    def models(self) -> bytes:
        return orjson.dumps({"object": "list", "data": [_model_entry(name) for name in OPENAI_MODELS]})

    def model(self, name: str) -> bytes:
        if openai_model(name) is None:
            raise _no_such_model(name)
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


def response_headers(retry_after: str | None = None) -> bytes:
    """The headers of every JSON reply."""
    extra = f"retry-after: {retry_after}\r\n".encode() if retry_after else b""
    return b"content-type: application/json\r\n%b%b" % (_common_headers(), extra)


def _common_headers() -> bytes:
    return (
        b"x-request-id: req_%032x\r\nopenai-processing-ms: 12\r\nopenai-version: 2020-10-01\r\n"
        b"x-ratelimit-limit-requests: 10000\r\nx-ratelimit-limit-tokens: 2000000\r\n"
        b"x-ratelimit-remaining-requests: 9999\r\nx-ratelimit-remaining-tokens: 1999000\r\n"
        b"x-ratelimit-reset-requests: 6ms\r\nx-ratelimit-reset-tokens: 30ms\r\n" % random.getrandbits(128)
    )


def _model(body: Mapping[str, Any]) -> Model:
    name = body.get("model")
    if name is None or name == "":
        raise InvalidRequest("you must provide a model parameter")
    if not isinstance(name, str):
        raise wrong_type("model", "a string", name)
    model = openai_model(name)
    if model is None:
        raise _no_such_model(name)
    return model


def _no_such_model(name: str) -> WireError:
    return WireError(
        404,
        "invalid_request_error",
        f"The model `{name}` does not exist or you do not have access to it.",
        code="model_not_found",
    )


def _model_entry(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_712_361_441, "owned_by": "system"}


def _check_json_word(body: Mapping[str, Any]) -> None:
    form = body.get("response_format")
    if not form or form["type"] != "json_object":
        return
    if not any("json" in texts(message.get("content")).lower() for message in body["messages"]):
        raise InvalidRequest(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            param="messages",
        )


def _check_context(body: Mapping[str, Any], model: Model, prompt_tokens: int) -> None:
    wanted = body.get("max_tokens") or body.get("max_completion_tokens") or 0
    if prompt_tokens + wanted <= model.context_tokens:
        return
    if prompt_tokens > model.context_tokens:
        said = f"your messages resulted in {prompt_tokens} tokens. Please reduce the length of the messages."
    else:
        said = (
            f"you requested {prompt_tokens + wanted} tokens ({prompt_tokens} in the messages, {wanted} in "
            f"the completion). "
            "Please reduce the length of the messages or completion."
        )
    raise InvalidRequest(
        f"This model's maximum context length is {model.context_tokens} tokens. However, {said}",
        param="messages",
        code="context_length_exceeded",
    )


def _definition_tokens(body: Mapping[str, Any]) -> int:
    """What tools and a response schema add to the input."""
    total = 0
    if body.get("tools"):
        total += count(orjson.dumps(body["tools"]).decode())
    form = body.get("response_format")
    if form and form["type"] == "json_schema":
        total += count(orjson.dumps(form["json_schema"]).decode())
    return total


def _ask(body: Mapping[str, Any], model: Model, seed: int) -> Ask:
    form = body.get("response_format") or {}
    stop = body.get("stop") or ()
    limit = body.get("max_tokens") or body.get("max_completion_tokens") or model.max_output_tokens
    thinking = _thinking_tokens(body, model)
    return Ask(
        seed=seed,
        turns=turns(body["messages"]),
        tools=_tools(body) if body.get("tools") else (),
        choice=_choice(body),
        json_schema=form["json_schema"]["schema"] if form.get("type") == "json_schema" else None,
        json_object=form.get("type") == "json_object",
        stops=(stop,) if isinstance(stop, str) else [one for one in stop if one],
        max_tokens=limit,
        thinking_tokens=min(thinking, limit // 2),
    )


def _tools(body: Mapping[str, Any]) -> list[Tool]:
    functions = [tool["function"] for tool in body["tools"] if tool["type"] == "function"]
    return [Tool(function["name"], function.get("parameters") or {}) for function in functions]


_AUTO = ToolChoice()


def _choice(body: Mapping[str, Any]) -> ToolChoice:
    parallel = body.get("parallel_tool_calls") is not False
    choice = body.get("tool_choice") or "auto"
    if choice == "auto" and parallel:
        return _AUTO
    if isinstance(choice, str):
        return ToolChoice(choice, (), parallel)
    if choice["type"] == "allowed_tools":
        allowed = choice["allowed_tools"]
        names = tuple(tool["function"]["name"] for tool in allowed["tools"] if tool.get("type") == "function")
        return ToolChoice(allowed.get("mode", "auto"), names, parallel)
    return ToolChoice("named", (choice[choice["type"]]["name"],), parallel)


def _thinking_tokens(body: Mapping[str, Any], model: Model) -> int:
    """Hidden reasoning: always with the o series, elsewhere where an effort is asked for."""
    if not model.reasoning:
        return 0
    effort = body.get("reasoning_effort") or ("medium" if model.id.startswith("o") else "none")
    return _EFFORT_TOKENS.get(effort, 0)


class _Rendering:
    """One reply's bytes, plain or streamed."""

    def __init__(self, body: Mapping[str, Any], answers: list[Answer], usage: Usage) -> None:
        self._model: str = body["model"]
        self._stream = bool(body.get("stream"))
        self._logprobs = bool(body.get("logprobs"))
        self._include_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        self._answers = answers
        self._usage = usage
        self._id = f"chatcmpl-{random.getrandbits(116):029x}"
        self._created = int(time.time())

    def reply(self) -> Reply:
        return Reply(
            model=self._model,
            stream=self._stream,
            usage=self._usage,
            headers=_event_stream_headers() if self._stream else response_headers(),
            plain=self._plain,
            events=self._events,
            malformed_event=_MALFORMED,
        )

    def _plain(self, with_usage: bool) -> bytes:
        body: dict[str, Any] = {
            "id": self._id,
            "object": "chat.completion",
            "created": self._created,
            "model": self._model,
            "choices": [self._choice(index, answer) for index, answer in enumerate(self._answers)],
        }
        if with_usage:
            body["usage"] = self._usage_fields()
        body["service_tier"] = "default"
        body["system_fingerprint"] = _SYSTEM_FINGERPRINT
        return orjson.dumps(body)

    def _choice(self, index: int, answer: Answer) -> dict[str, Any]:
        text = "".join(answer.text)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if answer.calls and not text else text,
            "refusal": None,
            "annotations": [],
        }
        if answer.calls:
            message["tool_calls"] = [
                {
                    "id": call_id(),
                    "type": "function",
                    "function": {"name": c.name, "arguments": "".join(c.pieces)},
                }
                for c in answer.calls
            ]
        return {
            "index": index,
            "message": message,
            "logprobs": {"content": [_logprob(p) for p in answer.text], "refusal": None} if self._logprobs else None,
            "finish_reason": _FINISH[answer.finish],
        }

    def _usage_fields(self) -> dict[str, Any]:
        usage = self._usage
        return {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": sum(len(answer.thinking) for answer in self._answers),
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def _events(self, with_usage: bool) -> Iterator[Event]:
        told = self._include_usage and with_usage
        head = self._head()
        tail = b',"usage":null}\n\n' if told else b"}\n\n"
        for index, answer in enumerate(self._answers):
            yield from self._choice_events(index, answer, head, tail)
        if told:
            usage = orjson.dumps(self._usage_fields())
            yield Event(b'%b"choices":[],"usage":%b}\n\n' % (head, usage), Part.USAGE)
        yield Event(b"data: [DONE]\n\n", Part.END)

    def _head(self) -> bytes:
        return (
            f'data: {{"id":"{self._id}","object":"chat.completion.chunk","created":{self._created},'
            f'"model":{orjson.dumps(self._model).decode()},"service_tier":"default",'
            f'"system_fingerprint":"{_SYSTEM_FINGERPRINT}",'
        ).encode()

    def _choice_events(self, index: int, answer: Answer, head: bytes, tail: bytes) -> Iterator[Event]:
        opening = b'%b"choices":[{"index":%d,"delta":' % (head, index)
        closing = b',"logprobs":null,"finish_reason":null}]' + tail
        content = b"null" if answer.calls and not answer.text else b'""'
        role = b'{"role":"assistant","content":%b,"refusal":null}' % content
        yield Event(opening + role + closing, Part.START, len(answer.thinking))
        for piece in answer.text:
            data = b'%b{"content":%b}%b' % (opening, orjson.dumps(piece), self._with_logprobs(piece, closing))
            yield Event(data, Part.TOKEN, 1)
        for position, call in enumerate(answer.calls):
            yield from _call_events(position, call, opening, closing)
        finish = b'{},"logprobs":null,"finish_reason":"%b"}]' % _FINISH[answer.finish].encode()
        yield Event(opening + finish + tail, Part.FINISH)

    def _with_logprobs(self, piece: str, closing: bytes) -> bytes:
        if not self._logprobs:
            return closing
        return closing.replace(b"null", orjson.dumps({"content": [_logprob(piece)], "refusal": None}), 1)


def _call_events(position: int, call: Call, opening: bytes, closing: bytes) -> Iterator[Event]:
    first = {
        "index": position,
        "id": call_id(),
        "type": "function",
        "function": {"name": call.name, "arguments": ""},
    }
    yield Event(b'%b{"tool_calls":[%b]}%b' % (opening, orjson.dumps(first), closing), Part.TOKEN, call.name_tokens)
    for piece in call.pieces:
        fragment = orjson.dumps({"index": position, "function": {"arguments": piece}})
        yield Event(b'%b{"tool_calls":[%b]}%b' % (opening, fragment, closing), Part.TOKEN, 1)


_MALFORMED = b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"con\n\n'


def _logprob(piece: str) -> dict[str, Any]:
    return {"token": piece, "logprob": -0.1, "bytes": list(piece.encode()), "top_logprobs": []}


def _event_stream_headers() -> bytes:
    return b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n" + _common_headers()


def call_id() -> str:
    return f"call_{random.getrandbits(96):024x}"
