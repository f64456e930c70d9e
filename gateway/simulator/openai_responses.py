"""OpenAI's Responses: from a request's body to a prepared reply, and the responses it keeps."""

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from gateway.simulator.answer import Ask, Tool, ToolChoice, compose
from gateway.simulator.bill import Usage
from gateway.simulator.catalogue import Model, openai_model
from gateway.simulator.errors import InvalidRequest
from gateway.simulator.openai_account import OpenAIAccount, thinking_tokens
from gateway.simulator.openai_values import missing, wrong_type
from gateway.simulator.reply import Reply
from gateway.simulator.responses_checks import check
from gateway.simulator.responses_items import check_dialogue, is_reference, items_of, texts, token_counts, turns
from gateway.simulator.responses_rendering import Rendering
from gateway.simulator.responses_store import ResponseStore, Stored
from gateway.simulator.tokens import count

_INSTRUCTION_TOKENS = 3  # what the format adds to the instructions
_PRIMING_TOKENS = 3  # the reply's opening, counted as input


class ResponsesWire(OpenAIAccount):
    """The Responses endpoint. Errors leave as `WireError`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._store = ResponseStore()

    def reset(self) -> None:
        super().reset()
        self._store.clear()

    def prepare(self, body: dict[str, Any], raw: bytes, headers: Mapping[str, str]) -> Reply:
        model = _model(body)
        check(body, model)
        items = self._dialogue(body)
        _check_json_word(body, items)
        items, prompt_tokens = _fitted(body, items, model)
        answer = compose(_ask(body, items, model, zlib.crc32(raw)))
        usage = Usage(prompt_tokens, answer.tokens, self._cached(body, items, prompt_tokens))

        def keep(response_id: str, response: bytes, output: list[dict[str, Any]]) -> None:
            if body.get("store") is not False:
                stored = Stored(response, [*items, *output], output, len(raw) + len(response))
                self._store.keep(response_id, stored)

        return Rendering(body, answer, usage, keep).reply()

    def retrieve(self, response_id: str) -> bytes:
        return self._store.body(response_id)

    def delete(self, response_id: str) -> bytes:
        self._store.delete(response_id)
        return orjson.dumps({"id": response_id, "object": "response", "deleted": True})

    def _dialogue(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The items before and of this request, references resolved."""
        previous = body.get("previous_response_id")
        given = body.get("input")
        if previous is None and given is None:
            raise _NO_INPUT
        before = [] if previous is None else self._store.dialogue(previous)
        items = [self._store.item(item["id"]) if is_reference(item) else item for item in items_of(given or [])]
        if not before and not items:
            raise _NO_INPUT
        check_dialogue([*before, *items])
        return [*before, *items]

    def _cached(self, body: Mapping[str, Any], items: list[dict[str, Any]], prompt_tokens: int) -> int:
        opening = orjson.dumps([body.get("tools"), body.get("instructions")])
        blocks = [(orjson.dumps(item), size) for item, size in zip(items, token_counts(items), strict=True)]
        return self.cached_tokens(body["model"], [(opening, _opening_tokens(body)), *blocks], prompt_tokens)


_NO_INPUT = InvalidRequest(
    "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation_id' must be provided.",
    param="input",
    code="missing_required_parameter",
)


def _model(body: Mapping[str, Any]) -> Model:
    name = body.get("model")
    if name is None or name == "":
        raise missing("model")
    if not isinstance(name, str):
        raise wrong_type("model", "a string", name)
    model = openai_model(name)
    if model is None:
        raise InvalidRequest(f"The requested model '{name}' does not exist.", param="model", code="model_not_found")
    return model


def _format(body: Mapping[str, Any]) -> dict[str, Any]:
    return (body.get("text") or {}).get("format") or {}


def _check_json_word(body: Mapping[str, Any], items: list[dict[str, Any]]) -> None:
    if _format(body).get("type") != "json_object":
        return
    if not any("json" in texts(item.get("content")).lower() for item in items if "role" in item):
        raise InvalidRequest(
            "Response input messages must contain the word 'json' in some form to use 'text.format' of type "
            "'json_object'.",
            param="input",
        )


def _fitted(body: Mapping[str, Any], items: list[dict[str, Any]], model: Model) -> tuple[list[dict[str, Any]], int]:
    """The items the model reads and the prompt's tokens. ``truncation: auto`` drops the oldest of a dialogue that
    doesn't fit; otherwise it is refused.
    """
    sizes = list(token_counts(items))
    total = sum(sizes) + _PRIMING_TOKENS + _opening_tokens(body)
    dropped = 0
    if body.get("truncation") == "auto":
        while total > model.context_tokens and dropped < len(items) - 1:
            total -= sizes[dropped]
            dropped += 1
    if total > model.context_tokens:
        raise InvalidRequest(
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
            param="input",
            code="context_length_exceeded",
        )
    return items[dropped:], total


def _opening_tokens(body: Mapping[str, Any]) -> int:
    """What instructions, tools and a schema add to the input."""
    total = count(orjson.dumps(body["tools"]).decode()) if body.get("tools") else 0
    if body.get("instructions"):
        total += _INSTRUCTION_TOKENS + count(body["instructions"])
    if _format(body).get("type") == "json_schema":
        total += count(orjson.dumps(_format(body)).decode())
    return total


def _ask(body: Mapping[str, Any], items: list[dict[str, Any]], model: Model, seed: int) -> Ask:
    form = _format(body)
    limit = body.get("max_output_tokens") or model.max_output_tokens
    thinking = thinking_tokens(model, (body.get("reasoning") or {}).get("effort"))
    functions = [tool for tool in body.get("tools") or () if tool["type"] == "function"]
    return Ask(
        seed=seed,
        turns=turns(items),
        tools=[Tool(function["name"], function.get("parameters") or {}) for function in functions],
        choice=_choice(body),
        json_schema=form["schema"] if form.get("type") == "json_schema" else None,
        json_object=form.get("type") == "json_object",
        max_tokens=limit,
        thinking_tokens=min(thinking, limit // 2),
    )


def _choice(body: Mapping[str, Any]) -> ToolChoice:
    parallel = body.get("parallel_tool_calls") is not False
    choice = body.get("tool_choice") or "auto"
    if isinstance(choice, str):
        return ToolChoice(choice, (), parallel)
    if choice["type"] == "allowed_tools":
        names = tuple(tool["name"] for tool in choice["tools"] if tool.get("type") == "function" and "name" in tool)
        return ToolChoice(choice["mode"], names, parallel) if names else ToolChoice("none")
    return ToolChoice("named", (choice["name"],), parallel) if choice["type"] == "function" else ToolChoice("none")
