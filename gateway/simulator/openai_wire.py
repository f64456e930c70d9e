"""OpenAI's Chat Completions: from a request's body to a prepared reply, and OpenAI's error bodies."""

import random
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from gateway.simulator.answer import Answer, Ask, Call, Finish, Tool, ToolChoice, compose
from gateway.simulator.bill import Usage
from gateway.simulator.catalogue import Model, openai_model
from gateway.simulator.errors import InvalidRequest, WireError
from gateway.simulator.openai_account import (
    CACHEABLE_TOKENS,
    OpenAIAccount,
    error_fields,
    event_stream_headers,
    no_such_model,
    response_headers,
    thinking_tokens,
)
from gateway.simulator.openai_checks import check
from gateway.simulator.openai_messages import check_messages, texts, token_counts, turns
from gateway.simulator.openai_values import missing, wrong_type
from gateway.simulator.reply import Event, Part, Reply
from gateway.simulator.tokens import count

_PRIMING_TOKENS = 3  # the reply's opening, counted as input
_FINISH = {
    Finish.STOP: "stop",
    Finish.STOP_SEQUENCE: "stop",
    Finish.LENGTH: "length",
    Finish.TOOL_CALLS: "tool_calls",
}
_SYSTEM_FINGERPRINT = "fp_5d1m0a7e11"


class OpenAIWire(OpenAIAccount):
    """Chat Completions. Errors leave as `WireError`."""

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
        if prompt_tokens < CACHEABLE_TOKENS:
            return 0
        blocks = [(orjson.dumps(message), size) for message, size in zip(body["messages"], counts, strict=True)]
        blocks.insert(0, (orjson.dumps(body.get("tools")), _definition_tokens(body)))
        return self.cached_tokens(body["model"], blocks, prompt_tokens)


def _model(body: Mapping[str, Any]) -> Model:
    name = body.get("model")
    if name is None or name == "":
        raise InvalidRequest("you must provide a model parameter")
    if not isinstance(name, str):
        raise wrong_type("model", "a string", name)
    model = openai_model(name)
    if model is None:
        raise no_such_model(name)
    return model


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
    thinking = thinking_tokens(model, body.get("reasoning_effort"))
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
            headers=event_stream_headers() if self._stream else response_headers(),
            plain=self._plain,
            events=self._events,
            malformed_event=_MALFORMED,
            failure=_error_event,
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


def _error_event(error: WireError) -> bytes:
    return b"data: %b\n\n" % orjson.dumps({"error": error_fields(error)})


_MALFORMED = b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"con\n\n'


def _logprob(piece: str) -> dict[str, Any]:
    return {"token": piece, "logprob": -0.1, "bytes": list(piece.encode()), "top_logprobs": []}


def call_id() -> str:
    return f"call_{random.getrandbits(96):024x}"
