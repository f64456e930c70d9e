"""A response's bytes, plain or as the stream of typed events that builds it up."""

import base64
import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from gateway.simulator.answer import Answer, Call, Finish
from gateway.simulator.bill import Usage
from gateway.simulator.errors import WireError
from gateway.simulator.openai_account import error_fields, event_stream_headers, response_headers
from gateway.simulator.reply import Event, Part, Reply

Keep = Callable[[str, bytes, list[dict[str, Any]]], None]

_SUMMARY_TOKENS = 40  # of the reasoning, at most; they are not billed again
_ECHOED: dict[str, Any] = {  # what a response repeats of its request, with what it says where nothing was asked
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "model": "",
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "prompt_cache_retention": None,
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
# The codes a failed response may carry, see the SDK's ResponseError; any other failure is a server error there.
_FAILURE_CODES = ("server_error", "rate_limit_exceeded", "invalid_prompt")
_MALFORMED = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"\n\n'


class Rendering:
    """One reply. ``keep`` gets the id, the JSON and the output of a response that came to its end."""

    def __init__(self, body: Mapping[str, Any], answer: Answer, usage: Usage, keep: Keep) -> None:
        included = body.get("include") or ()
        self._body = body
        self._answer = answer
        self._usage = usage
        self._keep = keep
        self._logprobs = "message.output_text.logprobs" in included
        self._encrypted = "reasoning.encrypted_content" in included
        self._id = f"resp_{random.getrandbits(200):050x}"
        self._created = int(time.time())
        self._status = "incomplete" if answer.finish is Finish.LENGTH else "completed"
        self._items = self._output()
        self._sequence = 0

    def reply(self) -> Reply:
        stream = bool(self._body.get("stream"))
        return Reply(
            model=self._body["model"],
            stream=stream,
            usage=self._usage,
            headers=event_stream_headers() if stream else response_headers(),
            plain=self._plain,
            events=self._events,
            malformed_event=_MALFORMED,
            failure=self._failure,
        )

    def _plain(self, with_usage: bool) -> bytes:
        response = orjson.dumps(self._ended(with_usage))
        self._keep(self._id, response, self._items)
        return response

    # --- the response

    def _response(self, status: str) -> dict[str, Any]:
        asked = {name: value for name, value in self._body.items() if value is not None}
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "background": False,
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "output": [],
            "reasoning": {"effort": None, "summary": None, **asked.get("reasoning", {})},
            "service_tier": "default",
            "text": {"format": {"type": "text"}, "verbosity": "medium", **asked.get("text", {})},
            "usage": None,
            **{name: asked.get(name, default) for name, default in _ECHOED.items()},
        }

    def _ended(self, with_usage: bool) -> dict[str, Any]:
        response = self._response(self._status)
        response["output"] = self._items
        if self._status == "incomplete":
            response["incomplete_details"] = {"reason": "max_output_tokens"}
        else:
            response["completed_at"] = int(time.time())
        if with_usage:
            response["usage"] = self._usage_fields()
        return response

    def _usage_fields(self) -> dict[str, Any]:
        usage = self._usage
        return {
            "input_tokens": usage.input_tokens,
            "input_tokens_details": {"cached_tokens": usage.cached_input_tokens, "cache_write_tokens": 0},
            "output_tokens": usage.output_tokens,
            "output_tokens_details": {"reasoning_tokens": len(self._answer.thinking)},
            "total_tokens": usage.input_tokens + usage.output_tokens,
        }

    def _output(self) -> list[dict[str, Any]]:
        """The items, complete but for the last one's status where the answer was cut."""
        answer = self._answer
        items = [self._reasoning_item()] if answer.thinking else []
        if answer.text or not (answer.calls or (items and self._status == "incomplete")):
            items.append(self._message_item())
        items += [_call_item(call) for call in answer.calls]
        items[-1]["status"] = self._status
        return items

    def _reasoning_item(self) -> dict[str, Any]:
        thinking = self._answer.thinking
        asked = self._body.get("reasoning") or {}
        item: dict[str, Any] = {"id": _item_id("rs"), "type": "reasoning", "summary": [], "status": "completed"}
        if asked.get("summary") or asked.get("generate_summary"):
            item["summary"] = [{"type": "summary_text", "text": "".join(thinking[:_SUMMARY_TOKENS])}]
        if self._encrypted:
            item["encrypted_content"] = base64.b64encode("".join(thinking).encode()).decode()
        return item

    def _message_item(self) -> dict[str, Any]:
        return {
            "id": _item_id("msg"),
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [self._text_part("".join(self._answer.text), self._answer.text)],
        }

    def _text_part(self, text: str, pieces: list[str]) -> dict[str, Any]:
        logprobs = [_logprob(piece) for piece in pieces] if self._logprobs else []
        return {"type": "output_text", "annotations": [], "logprobs": logprobs, "text": text}

    # --- the stream

    def _event(self, kind: str, fields: dict[str, Any]) -> bytes:
        data = orjson.dumps({"type": kind, "sequence_number": self._sequence, **fields})
        self._sequence += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)

    def _events(self, with_usage: bool) -> Iterator[Event]:
        begun = {"response": self._response("in_progress")}
        yield Event(self._event("response.created", begun), Part.START)
        yield Event(self._event("response.in_progress", begun), Part.START)
        calls = iter(self._answer.calls)
        for index, item in enumerate(self._items):
            done = Part.FINISH if index == len(self._items) - 1 else Part.START
            if item["type"] == "reasoning":
                yield from self._reasoning_events(index, item)
            elif item["type"] == "message":
                yield from self._message_events(index, item, done)
            else:
                yield from self._call_events(index, item, next(calls), done)
            yield Event(self._event("response.output_item.done", {"output_index": index, "item": item}), done)
        response = self._ended(with_usage)
        self._keep(self._id, orjson.dumps(response), self._items)
        yield Event(self._event(f"response.{self._status}", {"response": response}), Part.END)

    def _added(self, index: int, item: dict[str, Any], **empty: Any) -> bytes:
        begun = {**item, **empty, "status": "in_progress"}
        return self._event("response.output_item.added", {"output_index": index, "item": begun})

    def _reasoning_events(self, index: int, item: dict[str, Any]) -> Iterator[Event]:
        """The thinking's tokens are generated when its item appears; a summary is told afterwards."""
        yield Event(self._added(index, item, summary=[]), Part.START, len(self._answer.thinking))
        where = {"item_id": item["id"], "output_index": index, "summary_index": 0}
        for part in item["summary"]:
            name = "response.reasoning_summary"
            opened = {**where, "part": {"type": "summary_text", "text": ""}}
            yield Event(self._event(f"{name}_part.added", opened), Part.START)
            for piece in self._answer.thinking[:_SUMMARY_TOKENS]:
                yield Event(self._event(f"{name}_text.delta", {**where, "delta": piece}), Part.START)
            yield Event(self._event(f"{name}_text.done", {**where, "text": part["text"]}), Part.START)
            yield Event(self._event(f"{name}_part.done", {**where, "part": part}), Part.START)

    def _message_events(self, index: int, item: dict[str, Any], done: Part) -> Iterator[Event]:
        where = {"item_id": item["id"], "output_index": index, "content_index": 0}
        opened = {**where, "part": self._text_part("", [])}
        yield Event(self._added(index, item, content=[]), Part.START)
        yield Event(self._event("response.content_part.added", opened), Part.START)
        for piece in self._answer.text:
            logprobs = [_logprob(piece)] if self._logprobs else []
            fields = {**where, "delta": piece, "logprobs": logprobs}
            yield Event(self._event("response.output_text.delta", fields), Part.TOKEN, 1)
        part = item["content"][0]
        whole = {**where, "text": part["text"], "logprobs": part["logprobs"]}
        yield Event(self._event("response.output_text.done", whole), done)
        yield Event(self._event("response.content_part.done", {**where, "part": part}), done)

    def _call_events(self, index: int, item: dict[str, Any], call: Call, done: Part) -> Iterator[Event]:
        where = {"item_id": item["id"], "output_index": index}
        yield Event(self._added(index, item, arguments=""), Part.TOKEN, call.name_tokens)
        for piece in call.pieces:
            fields = {**where, "delta": piece}
            yield Event(self._event("response.function_call_arguments.delta", fields), Part.TOKEN, 1)
        whole = {**where, "name": call.name, "arguments": item["arguments"]}
        yield Event(self._event("response.function_call_arguments.done", whole), done)

    def _failure(self, error: WireError) -> bytes:
        """An ``error`` event, nested as OpenAI really sends it rather than as it is documented (openai-dotnet issue
        881), then the failed response.
        """
        told = self._event("error", {"error": error_fields(error)})
        code = error.code if error.code in _FAILURE_CODES else "server_error"
        failed = {**self._response("failed"), "error": {"code": code, "message": error.message}}
        return told + self._event("response.failed", {"response": failed})


def _call_item(call: Call) -> dict[str, Any]:
    return {
        "id": _item_id("fc"),
        "type": "function_call",
        "status": "completed",
        "arguments": "".join(call.pieces),
        "call_id": f"call_{random.getrandbits(96):024x}",
        "name": call.name,
    }


def _item_id(prefix: str) -> str:
    return f"{prefix}_{random.getrandbits(200):050x}"


def _logprob(piece: str) -> dict[str, Any]:
    return {"token": piece, "logprob": -0.1, "bytes": list(piece.encode()), "top_logprobs": []}
