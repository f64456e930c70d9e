"""Short ways to ask the translations, and streams as the providers write them."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.engine.catalogue import ModelTraits, model_traits
from gateway.engine.exchange import Answer
from gateway.engine.words import Wire
from gateway.wires import Context, Translated, parse_request, stream_translator, translate_answer, translate_request

OPENAI, ANTHROPIC = Wire.OPENAI, Wire.ANTHROPIC
PAIRS = [(surface, kind) for surface in Wire for kind in Wire]
OLD_CLAUDE, NEW_CLAUDE = "claude-3-5-sonnet-20241022", "claude-sonnet-5-5"
OLD_GPT, NEW_GPT = "gpt-4-turbo", "gpt-6.1-sol"
DEFAULT_OUTPUT_TOKENS = 4000


def kind_of(model: str) -> Wire:
    return ANTHROPIC if model.startswith("claude") else OPENAI


def send(surface: Wire, payload: dict[str, Any], model: str, **options: Any) -> Translated:
    """Parse the payload as a client's body and translate it for `model`."""
    body = orjson.dumps(payload)
    parsed = parse_request(surface, body)
    traits: ModelTraits = options.pop("traits", model_traits(kind_of(model), model))
    return translate_request(
        surface,
        kind_of(model),
        parsed.payload,
        model=model,
        traits=traits,
        stream=parsed.stream,
        default_output_tokens=DEFAULT_OUTPUT_TOKENS,
        body=body,
        **options,
    )


def sent(surface: Wire, payload: dict[str, Any], model: str, **options: Any) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(send(surface, payload, model, **options).body)
    return body


def chat(*messages: dict[str, Any], **params: Any) -> dict[str, Any]:
    return {"model": "default", "messages": list(messages) or [user("hi")], **params}


def messages(*turns: dict[str, Any], **params: Any) -> dict[str, Any]:
    return {"model": "default", "max_tokens": 100, "messages": list(turns) or [user("hi")], **params}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


def call(call_id: str, name: str, arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def tool(call_id: str, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def tool_use(call_id: str, name: str, tool_input: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": tool_input}


def tool_result(call_id: str, content: Any = None, **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, **({"content": content} if content else {}), **fields}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def function_tool(name: str, parameters: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters or {"type": "object"}, **fields}}


def context(surface: Wire, kind: Wire, **fields: Any) -> Context:
    return Context(surface, kind, fields.pop("model", "m"), 1_700_000_000, **fields)


def answer(surface: Wire, body: dict[str, Any], **fields: Any) -> Answer:
    kind = ANTHROPIC if "content" in body else OPENAI
    return translate_answer(surface, kind, orjson.dumps(body), context(surface, kind, **fields))


def completion(message: dict[str, Any], finish: str = "stop", usage: dict[str, Any] | None = None) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "logprobs": None, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4-turbo-2024",
        "choices": [choice],
        "usage": usage or {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


def message(*content: dict[str, Any], stop: str = "end_turn", **fields: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-3-5-sonnet-20241022",
        "content": list(content),
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5},
        **fields,
    }


# Streams


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **fields: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4-turbo-2024", "choices": choices}
    return b"data: " + orjson.dumps({**event, **fields}) + b"\n\n"


def call_delta(index: int, arguments: str = "", **fields: Any) -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": fields.pop("name")} if "name" in fields else {})}
    return {"tool_calls": [{"index": index, **fields, "function": function}]}


USAGE_CHUNK = chunk(usage={"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15})
DONE = b"data: [DONE]\n\n"
OPENAI_STREAM = b"".join(
    [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Grüß "}),
        chunk({"content": "Gott 🌍"}),
        chunk(call_delta(0, id="call_1", type="function", name="look")),
        chunk(call_delta(0, '{"ci')),
        chunk(call_delta(0, 'ty":"Wien"}')),
        chunk(call_delta(1, id="call_2", type="function", name="book")),
        chunk(call_delta(1, '{"n":1}')),
        chunk({}, "tool_calls"),
        USAGE_CHUNK,
        DONE,
    ]
)


def event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **fields}))


def start(**usage: int) -> bytes:
    shape = {"input_tokens": 10, "output_tokens": 1, **usage}
    return event("message_start", message={**message(stop=""), "content": [], "stop_reason": None, "usage": shape})


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any]) -> bytes:
    return b"".join(
        [
            event("content_block_start", index=index, content_block=content),
            *(event("content_block_delta", index=index, delta=delta) for delta in deltas),
            event("content_block_stop", index=index),
        ]
    )


def text_block(index: int, *pieces: str) -> bytes:
    return block(index, text(""), *({"type": "text_delta", "text": piece} for piece in pieces))


def tool_block(index: int, call_id: str, name: str, *pieces: str) -> bytes:
    deltas = ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)
    return block(index, tool_use(call_id, name, {}), *deltas)


def end(stop: str = "end_turn", **fields: Any) -> bytes:
    return event(
        "message_delta", delta={"stop_reason": stop, "stop_sequence": None, **fields}, usage={"output_tokens": 5}
    )


STOP = event("message_stop")
ANTHROPIC_STREAM = b"".join(
    [
        start(),
        event("ping"),
        text_block(0, "Grüß ", "Gott 🌍"),
        tool_block(1, "toolu_1", "look", "", '{"ci', 'ty":"Wien"}'),
        tool_block(2, "toolu_2", "book", '{"n":1}'),
        end("tool_use"),
        STOP,
    ]
)
STREAM_OF = {OPENAI: OPENAI_STREAM, ANTHROPIC: ANTHROPIC_STREAM}


class Streamed:
    """A whole stream sent through a translator: the surface's bytes, the parsed data of each event, the translator."""

    def __init__(self, surface: Wire, reads: list[bytes], **fields: Any) -> None:
        kind = fields.pop("kind", None) or (ANTHROPIC if b"event:" in b"".join(reads) else OPENAI)
        fields.setdefault("wants_usage", True)
        self.translator = stream_translator(surface, kind, context(surface, kind, **fields))
        batches = [self.translator.feed(read) for read in reads]
        batches.append(self.translator.close())
        self.has_content = [batch.has_content for batch in batches]
        self.data = b"".join(batch.data for batch in batches)
        self.events = data_of(self.data)


def data_of(stream: bytes) -> list[dict[str, Any]]:
    lines = [line[5:] for line in stream.replace(b"\r", b"\n").split(b"\n") if line.startswith(b"data:")]
    return [orjson.loads(line) for line in lines if line.strip() != b"[DONE]"]


def collect_openai(events: list[dict[str, Any]]) -> dict[str, Any]:
    """What an OpenAI client puts together of its chunks."""
    whole: dict[str, Any] = {"text": "", "calls": {}, "finish": None, "usage": None, "refusal": "", "thought": ""}
    for each in events:
        whole["usage"] = each.get("usage") or whole["usage"]
        for choice in each["choices"]:
            delta = choice["delta"]
            whole["text"] += delta.get("content") or ""
            whole["refusal"] += delta.get("refusal") or ""
            whole["thought"] += delta.get("reasoning_content") or ""
            for piece in delta.get("tool_calls") or ():
                found = whole["calls"].setdefault(piece["index"], {"id": None, "name": None, "arguments": ""})
                found["id"] = piece.get("id") or found["id"]
                found["name"] = piece["function"].get("name") or found["name"]
                found["arguments"] += piece["function"].get("arguments") or ""
            whole["finish"] = choice.get("finish_reason") or whole["finish"]
    return whole


def collect_anthropic(events: list[dict[str, Any]]) -> dict[str, Any]:
    """What an Anthropic client puts together of its events; asserts their order."""
    assert events[0]["type"] == "message_start"
    whole: dict[str, Any] = {"blocks": [], "stop": None, "usage": None}
    is_open = False
    for each in events:
        if each["type"] == "content_block_start":
            assert not is_open
            assert each["index"] == len(whole["blocks"])
            whole["blocks"].append({**each["content_block"], "json": ""})
            is_open = True
        elif each["type"] == "content_block_delta":
            assert is_open
            assert each["index"] == len(whole["blocks"]) - 1
            delta, current = each["delta"], whole["blocks"][-1]
            if delta["type"] == "input_json_delta":
                current["json"] += delta["partial_json"]
            else:
                name = delta["type"].removesuffix("_delta")
                current[name] = current.get(name, "") + delta[name]
        elif each["type"] == "content_block_stop":
            assert is_open
            is_open = False
        elif each["type"] == "message_delta":
            whole["stop"], whole["usage"] = each["delta"]["stop_reason"], each["usage"]
    assert not is_open
    return whole
