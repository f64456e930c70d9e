"""Anthropic's Messages: from a request's body to a prepared reply, and Anthropic's error bodies."""

import random
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from gateway.simulator.answer import Answer, Ask, Call, Finish, Tool, ToolChoice, compose
from gateway.simulator.anthropic_cache import read_and_write
from gateway.simulator.anthropic_checks import check, check_fields, check_tools, check_version, output_schema
from gateway.simulator.anthropic_messages import check_messages, check_system, signature, turns
from gateway.simulator.anthropic_tokens import input_tokens
from gateway.simulator.bill import Usage
from gateway.simulator.catalogue import ANTHROPIC_MODELS, Model, anthropic_model
from gateway.simulator.errors import InvalidRequest, WireError
from gateway.simulator.prefixes import PrefixCache
from gateway.simulator.reply import Event, Part, Reply

NAME = "anthropic"
REFUSED_KEYS = ("sk-invalid", "sk-ant-invalid")
_ADAPTIVE_THINKING_TOKENS = 96
_FINISH = {
    Finish.STOP: "end_turn",
    Finish.STOP_SEQUENCE: "stop_sequence",
    Finish.LENGTH: "max_tokens",
    Finish.TOOL_CALLS: "tool_use",
}
_CHOICES = {"auto": "auto", "any": "required", "tool": "named", "none": "none"}


class AnthropicWire:
    """One account at Anthropic. Errors leave as `WireError`."""

    name = NAME

    def __init__(self, clock: Callable[[], float]) -> None:
        self._cache = PrefixCache(clock)

    def reset(self) -> None:
        self._cache.clear()

    def key(self, headers: Mapping[str, str]) -> str:
        if "x-api-key" in headers:
            return headers["x-api-key"].strip()
        scheme, _, key = headers.get("authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else ""

    def authenticate(self, headers: Mapping[str, str]) -> None:
        key = self.key(headers)
        if not key:
            raise WireError(401, "authentication_error", "x-api-key header is required")
        if key in REFUSED_KEYS:
            raise WireError(401, "authentication_error", "invalid x-api-key")

    def parse(self, raw: bytes) -> dict[str, Any]:
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise InvalidRequest(f"The request body is not valid JSON: {error}") from None
        if not isinstance(body, dict):
            raise InvalidRequest("Input should be a valid dictionary or object to extract fields from")
        return body

    def tag(self, body: Mapping[str, Any]) -> str | None:
        """The fault tag a request carries: its ``metadata.user_id``, the only field Anthropic's metadata
        has.
        """
        metadata = body.get("metadata")
        tag = metadata.get("user_id") if isinstance(metadata, dict) else None
        return tag if isinstance(tag, str) else None

    def prepare(self, body: dict[str, Any], raw: bytes, headers: Mapping[str, str]) -> Reply:
        version = check_version(headers)
        check_fields(body, counting=False)
        model = _model(body)
        check(body, model, version)
        check_system(body.get("system"))
        check_messages(body["messages"], model)
        total = input_tokens(body)
        _check_context(model, total, body["max_tokens"])
        cached, written_5m, written_1h = (
            read_and_write(self._cache, body, total) if b'"cache_control"' in raw else (0, 0, 0)
        )
        answer = compose(_ask(body, zlib.crc32(raw)))
        usage = Usage(total, answer.tokens, cached, written_5m, written_1h)
        return _Rendering(body, answer, usage).reply()

    def count_tokens(self, body: dict[str, Any], headers: Mapping[str, str]) -> bytes:
        check_version(headers)
        check_fields(body, counting=True)
        model = _model(body)
        if body.get("tools") is not None:
            check_tools(body["tools"])
        check_system(body.get("system"))
        check_messages(body["messages"], model)
        return orjson.dumps({"input_tokens": input_tokens(body)})

    def error(self, error: WireError) -> tuple[bytes, bytes]:
        """An error's headers and body."""
        request_id = _request_id()
        body = {
            "type": "error",
            "error": {"type": error.kind, "message": error.message},
            "request_id": request_id,
        }
        return response_headers(error.retry_after, request_id), orjson.dumps(body)

    def models(self) -> bytes:
        names = list(ANTHROPIC_MODELS)
        data = [_model_entry(model) for model in ANTHROPIC_MODELS.values()]
        return orjson.dumps({"data": data, "has_more": False, "first_id": names[0], "last_id": names[-1]})

    def model(self, name: str) -> bytes:
        return orjson.dumps(_model_entry(_model({"model": name})))


def _request_id() -> str:
    return f"req_{random.getrandbits(96):024x}"


def response_headers(retry_after: str | None = None, request_id: str | None = None) -> bytes:
    """The headers of every JSON reply."""
    extra = f"retry-after: {retry_after}\r\n".encode() if retry_after else b""
    return b"content-type: application/json\r\n%b%b" % (_common_headers(request_id or _request_id()), extra)


def _common_headers(request_id: str) -> bytes:
    return (
        b"request-id: %b\r\nanthropic-organization-id: 5d1c8a7e-0000-4000-8000-51a1a70e0000\r\n"
        b"anthropic-ratelimit-requests-limit: 4000\r\nanthropic-ratelimit-requests-remaining: 3999\r\n"
        b"anthropic-ratelimit-tokens-limit: 2000000\r\nanthropic-ratelimit-tokens-remaining: 1999000\r\n"
        % request_id.encode()
    )


def _model(body: Mapping[str, Any]) -> Model:
    name = body["model"]
    if not isinstance(name, str):
        raise InvalidRequest("model: Input should be a valid string")
    if not name:
        raise InvalidRequest("model: String should have at least 1 character")
    model = anthropic_model(name)
    if model is None:
        raise WireError(404, "not_found_error", f"model: {name}")
    return model


def _model_entry(model: Model) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.display_name,
        "created_at": "2026-01-15T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.max_output_tokens,
    }


def _check_context(model: Model, total: int, max_tokens: int) -> None:
    if total > model.context_tokens:
        raise InvalidRequest(f"prompt is too long: {total} tokens > {model.context_tokens} maximum")
    if total + max_tokens > model.context_tokens:
        raise InvalidRequest(
            f"input length and `max_tokens` exceed context limit: {total} + {max_tokens} > "
            f"{model.context_tokens}, decrease "
            "input length or `max_tokens` and try again"
        )


def _ask(body: Mapping[str, Any], seed: int) -> Ask:
    schema = output_schema(body)
    return Ask(
        seed=seed,
        turns=turns(body["messages"]),
        tools=[Tool(tool["name"], tool.get("input_schema") or {}) for tool in body.get("tools") or ()],
        choice=_choice(body),
        json_schema=schema,
        stops=body.get("stop_sequences") or (),
        max_tokens=body["max_tokens"],
        thinking_tokens=_thinking_tokens(body),
    )


_AUTO = ToolChoice()


def _choice(body: Mapping[str, Any]) -> ToolChoice:
    choice = body.get("tool_choice")
    if not choice:
        return _AUTO
    names = (choice["name"],) if choice["type"] == "tool" else ()
    return ToolChoice(_CHOICES[choice["type"]], names, not choice.get("disable_parallel_tool_use"))


def _thinking_tokens(body: Mapping[str, Any]) -> int:
    kind = (body.get("thinking") or {}).get("type")
    if kind not in ("enabled", "adaptive"):
        return 0
    return min(_ADAPTIVE_THINKING_TOKENS, int(body["max_tokens"]) // 2)


def _event(kind: str, fields: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **fields}))


class _Rendering:
    """One reply's bytes, plain or streamed."""

    def __init__(self, body: Mapping[str, Any], answer: Answer, usage: Usage) -> None:
        self._model: str = body["model"]
        self._stream = bool(body.get("stream"))
        self._hides_thinking = (body.get("thinking") or {}).get("display") == "omitted"
        self._answer = answer
        self._usage = usage
        self._id = f"msg_01{random.getrandbits(88):022x}"

    def reply(self) -> Reply:
        common = _common_headers(_request_id())
        kind = b"text/event-stream; charset=utf-8\r\ncache-control: no-cache" if self._stream else b"application/json"
        return Reply(
            model=self._model,
            stream=self._stream,
            usage=self._usage,
            headers=b"content-type: %b\r\n%b" % (kind, common),
            plain=self._plain,
            events=self._events,
            malformed_event=_MALFORMED,
            failure=_error_event,
        )

    def _message(self, content: list[dict[str, Any]], *, finished: bool) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": content,
            "stop_reason": _FINISH[self._answer.finish] if finished else None,
            "stop_sequence": self._answer.stop_sequence if finished else None,
        }

    def _plain(self, with_usage: bool) -> bytes:
        message = self._message(self._content(), finished=True)
        if with_usage:
            message["usage"] = self._usage_fields(self._usage.output_tokens)
        return orjson.dumps(message)

    def _content(self) -> list[dict[str, Any]]:
        answer = self._answer
        content: list[dict[str, Any]] = []
        if answer.thinking:
            thought = "".join(answer.thinking)
            shown = "" if self._hides_thinking else thought
            content.append({"type": "thinking", "thinking": shown, "signature": signature(thought)})
        if answer.text:
            content.append({"type": "text", "text": "".join(answer.text)})
        for call in answer.calls:
            content.append({"type": "tool_use", "id": _tool_id(), "name": call.name, "input": _input(call)})
        return content

    def _usage_fields(self, output_tokens: int) -> dict[str, Any]:
        usage = self._usage
        return {
            "input_tokens": usage.uncached_input_tokens,
            "cache_creation_input_tokens": usage.cache_write_tokens,
            "cache_read_input_tokens": usage.cached_input_tokens,
            "cache_creation": {
                "ephemeral_5m_input_tokens": usage.cache_write_5m_tokens,
                "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
            },
            "output_tokens": output_tokens,
            "service_tier": "standard",
        }

    def _events(self, with_usage: bool) -> Iterator[Event]:
        message = self._message([], finished=False)
        message["usage"] = self._usage_fields(min(1, self._usage.output_tokens)) if with_usage else {}
        yield Event(_event("message_start", {"message": message}), Part.START)
        for index, block in enumerate(self._block_events()):
            yield from self._one_block(index, block)
        delta = {"stop_reason": _FINISH[self._answer.finish], "stop_sequence": self._answer.stop_sequence}
        fields: dict[str, Any] = {"delta": delta}
        if with_usage:
            fields["usage"] = self._delta_usage()
        yield Event(_event("message_delta", fields), Part.FINISH)
        yield Event(_event("message_stop", {}), Part.END)

    def _delta_usage(self) -> dict[str, Any]:
        fields = self._usage_fields(self._usage.output_tokens)
        return {name: fields[name] for name in _DELTA_USAGE}

    def _block_events(self) -> "Iterator[_Block]":
        answer = self._answer
        if answer.thinking:
            yield self._thinking_block()
        if answer.text:
            yield _Block({"type": "text", "text": ""}, b'{"type":"text_delta","text":', answer.text)
        for call in answer.calls:
            start = {"type": "tool_use", "id": _tool_id(), "name": call.name, "input": {}}
            fragments = [] if call.pieces == ["{}"] else call.pieces
            yield _Block(start, b'{"type":"input_json_delta","partial_json":', fragments, call.tokens - len(fragments))

    def _thinking_block(self) -> "_Block":
        thinking = self._answer.thinking
        start = {"type": "thinking", "thinking": "", "signature": ""}
        closing = orjson.dumps({"type": "signature_delta", "signature": signature("".join(thinking))})
        if self._hides_thinking:
            return _Block(start, b"", [], len(thinking), closing)
        return _Block(start, b'{"type":"thinking_delta","thinking":', thinking, 0, closing)

    def _one_block(self, index: int, block: "_Block") -> Iterator[Event]:
        start = _event("content_block_start", {"index": index, "content_block": block.start})
        yield Event(start, Part.TOKEN if block.start_tokens else Part.START, block.start_tokens)
        if index == 0:
            yield Event(_event("ping", {}), Part.START)
        opening = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":' % index
        for piece in block.pieces:
            yield Event(b"%b%b%b}}\n\n" % (opening, block.delta, orjson.dumps(piece)), Part.TOKEN, 1)
        if block.closing:
            yield Event(b"%b%b}\n\n" % (opening, block.closing), Part.START)
        yield Event(_event("content_block_stop", {"index": index}), Part.START)


_MALFORMED = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"del\n\n'
_DELTA_USAGE = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")


class _Block:
    """One streamed block: its start, its fragments and how each is wrapped, and its last delta."""

    __slots__ = ("closing", "delta", "pieces", "start", "start_tokens")

    def __init__(
        self,
        start: dict[str, Any],
        delta: bytes,
        pieces: list[str],
        start_tokens: int = 0,
        closing: bytes = b"",
    ) -> None:
        self.start = start
        self.delta = delta
        self.pieces = pieces
        self.start_tokens = start_tokens
        self.closing = closing


def _tool_id() -> str:
    return f"toolu_01{random.getrandbits(88):022x}"


def _input(call: Call) -> Any:
    """A call's arguments; what a length limit cut off leaves an empty input, as it does at Anthropic."""
    try:
        return orjson.loads("".join(call.pieces))
    except orjson.JSONDecodeError:
        return {}


def _error_event(error: WireError) -> bytes:
    return _event("error", {"error": {"type": error.kind, "message": error.message}})
