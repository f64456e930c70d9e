"""Tokens without a tokenizer: a bound that can be proved, and a fair guess."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.engine.exchange import Answer
from gateway.wires.unreadable import answer_object, unreadable
from gateway.wires.words import Context

_BYTES_PER_TOKEN = 3.5  # between English prose (4) and code or JSON (3)
_TOKENS_PER_MESSAGE = 4
_TOKENS_PER_MEDIUM = 1600  # an image of about a megapixel; Anthropic, "Vision: evaluate image size"
_MEDIA = ("image", "image_url", "document", "file")


def input_token_bound(body: bytes) -> int:
    """No tokenizer makes more than one token of a byte."""
    return len(body)


def count_tokens_estimate(payload: Mapping[str, Any]) -> int:
    """For `count_tokens` where the target has no such call: text by its length, images and files at a usual size."""
    size, media = 0, 0
    for part in ("system", "messages", "tools"):
        text_bytes, found = _weigh(payload.get(part))
        size, media = size + text_bytes, media + found
    messages = payload.get("messages")
    turns = len(messages) if isinstance(messages, list) else 0
    return max(1, round(size / _BYTES_PER_TOKEN) + turns * _TOKENS_PER_MESSAGE + media * _TOKENS_PER_MEDIUM)


def read_token_count(body: bytes, context: Context) -> Answer:
    """A provider's answer to `count_tokens`. Raises UpstreamError(UNREADABLE) where it has no number."""
    if type(answer_object(body).get("input_tokens")) is not int:
        raise unreadable("The provider's answer has no number of tokens.")
    return Answer(body=body, usage=None, finish_reason=None, model=context.model)


def _weigh(value: Any) -> tuple[int, int]:
    """Bytes of text, and the number of images and files, of any JSON value."""
    size, media = 0, 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            size += len(item.encode("utf-8", "replace"))
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            if item.get("type") in _MEDIA and not _is_written_out(item):
                media += 1
                continue
            size += sum(map(len, item))
            waiting += item.values()
        elif item is not None:
            size += len(orjson.dumps(item))
    return size, media


def _is_written_out(part: Mapping[str, Any]) -> bool:
    """A document that is given as text, or as blocks that are weighed one by one."""
    source = part.get("source")
    return isinstance(source, dict) and source.get("type") in ("text", "content")
