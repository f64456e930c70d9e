"""The request that a dry run asks about: a body such as agents send, made from a few answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from gateway.engine.errors import InvalidRequest
from gateway.engine.tier import Tier
from gateway.engine.words import Operation
from gateway.services.call import Call, new_request_id
from gateway.services.simple import TIER_HEADER
from gateway.services.snapshot import ApiKey, Snapshot

SAMPLE_TEXT = "What is the capital of France, and since when?"
MAX_TEXT_CHARACTERS = 20_000
MAX_INPUT_TOKENS = 2_000_000
MAX_OUTPUT_TOKENS = 1_000_000
# English prose; what is reserved for it is more, since the ledger counts a token per byte.
BYTES_PER_TOKEN = 4
OPERATIONS = (Operation.CHAT, Operation.MESSAGES, Operation.RESPONSES, Operation.EMBEDDINGS)
# Anthropic's wire has no request without a limit.
MESSAGES_OUTPUT_TOKENS = 1_024
NOBODY = "(no key)"

_PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_TOOL = {"name": "get_weather", "description": "The weather in a city."}


@dataclass(frozen=True, slots=True)
class Question:
    """`model` is the name asked for, the route's own or an alias. `input_tokens` fills the text up to so many tokens.

    `key` is the name of the key that asks; empty stands for one of no team that has spent nothing and may use every
    route. The text is looked at by the rules for simple queries, and forgotten.
    """

    model: str
    operation: Operation = Operation.CHAT
    key: str = ""
    tier: Tier | None = None
    stream: bool = False
    tools: bool = False
    text: str = SAMPLE_TEXT
    input_tokens: int | None = None
    max_output_tokens: int | None = None
    conversation: str = ""

    @property
    def likely_input_tokens(self) -> int:
        return self.input_tokens or len(self.text.encode("utf-8", "replace")) // BYTES_PER_TOKEN + 1


def question_call(question: Question, snapshot: Snapshot) -> Call:
    """The call as it would arrive. Raises InvalidRequest for an unknown key."""
    headers = {}
    if question.tier is not None:
        headers[TIER_HEADER] = question.tier.value
    if question.conversation:
        headers["x-conversation-id"] = question.conversation
    body = orjson.dumps(_body(question))
    return Call(question.operation, body, headers, _key(question.key, snapshot), new_request_id())


def _key(name: str, snapshot: Snapshot) -> ApiKey:
    if not name:
        return ApiKey(0, NOBODY, None, "", None, "agent", None, False)
    found = next((key for key in snapshot.keys.values() if key.name == name), None)
    if found is None:
        raise InvalidRequest(f"There is no API key named {name[:100]!r} in use.", param="api_key")
    return found


def _body(question: Question) -> dict[str, Any]:
    text = _filled(question)
    if question.operation is Operation.EMBEDDINGS:
        return {"model": question.model, "input": text}
    body: dict[str, Any] = {"model": question.model, "stream": question.stream}
    if question.operation is Operation.RESPONSES:
        body["input"] = text
    else:
        body["messages"] = [{"role": "user", "content": text}]
    if question.tools:
        body["tools"] = [_tool(question.operation)]
    return body | _limit(question)


def _filled(question: Question) -> str:
    """The text, followed by words until it has as many bytes as so many tokens usually take."""
    text = question.text.encode("utf-8", "replace")
    missing = (question.input_tokens or 0) * BYTES_PER_TOKEN - len(text)
    return text.decode() + " etc" * max(0, missing // BYTES_PER_TOKEN)


def _tool(operation: Operation) -> dict[str, Any]:
    if operation is Operation.MESSAGES:
        return {**_TOOL, "input_schema": _PARAMETERS}
    function = {**_TOOL, "parameters": _PARAMETERS}
    return (
        {"type": "function", "function": function} if operation is Operation.CHAT else {"type": "function"} | function
    )


def _limit(question: Question) -> dict[str, int]:
    limit = question.max_output_tokens
    if question.operation is Operation.MESSAGES:
        return {"max_tokens": limit or MESSAGES_OUTPUT_TOKENS}
    name = "max_output_tokens" if question.operation is Operation.RESPONSES else "max_completion_tokens"
    return {} if limit is None else {name: limit}
