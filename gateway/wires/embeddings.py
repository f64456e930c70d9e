"""OpenAI's Embeddings API: passed through and metered. Only OpenAI's wire has it.

Source: OpenAI, "API reference: Create embeddings".
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import orjson

from gateway.engine.errors import InvalidRequest
from gateway.engine.exchange import Answer
from gateway.engine.words import Operation, Wire
from gateway.wires import vocabulary
from gateway.wires.parsing import model_of, parse_object
from gateway.wires.splice import with_model
from gateway.wires.unreadable import answer_object, unreadable
from gateway.wires.words import Context, ParsedRequest, Translated

_GUARDED = (b'"model"', b'"input"')


def parse_embeddings(body: bytes) -> ParsedRequest:
    """Read a request. Raises InvalidRequest, naming the field and what would be right."""
    payload = parse_object(body, _GUARDED)
    given = payload.get("input")
    if type(given) not in (str, list) or not given:
        raise InvalidRequest(
            "'input' must be a text, a list of texts, or a list of tokens, and not empty.", param="input"
        )
    return ParsedRequest(
        payload=payload,
        model=model_of(payload),
        stream=False,
        conversation_id=None,
        max_output_tokens=0,
        choices=1,
        has_tools=False,
        wants_usage=True,
    )


def pass_embeddings(payload: Mapping[str, Any], body: bytes, *, model: str) -> Translated:
    """The client's bytes with the target's model."""
    sent = body if payload["model"] == model else with_model(body, orjson.dumps(model))
    context = Context(Wire.OPENAI, Wire.OPENAI, model, int(time.time()), operation=Operation.EMBEDDINGS)
    return Translated(sent, (), context)


def read_embeddings(body: bytes, context: Context) -> Answer:
    """Raises UpstreamError(UNREADABLE) where the answer breaks its API's promise."""
    parsed = answer_object(body)
    if not isinstance(parsed.get("data"), list):
        raise unreadable("The provider's answer has no list of embeddings.")
    return Answer(
        body=body,
        usage=vocabulary.usage_from_embeddings(parsed.get("usage")),
        finish_reason=None,
        model=str(parsed.get("model") or context.model),
    )
