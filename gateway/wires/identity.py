"""Which requests are the same: what of a body changes the answer, in one canonical spelling (docs/cache.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from gateway.engine.words import Operation
from gateway.wires.words import ParsedRequest

# Longer bodies would take more than a millisecond to spell and hash.
MAX_BODY_BYTES = 512 * 1024
CACHED_OPERATIONS = frozenset({Operation.CHAT, Operation.MESSAGES, Operation.EMBEDDINGS})
# How the answer travels, who asked, and hints to the provider's own caches; `model` only names the route.
_OPENAI_ASIDE = (
    "model", "stream", "stream_options", "user", "metadata", "safety_identifier", "prompt_cache_key",
    "prompt_cache_retention", "prompt_cache_options",
)  # fmt: skip
_ANTHROPIC_ASIDE = ("model", "stream", "metadata")


def bypass_reason(operation: Operation, parsed: ParsedRequest, body: bytes) -> str | None:
    """Why the answer to this request must not come from a cache, or None where it may."""
    payload = parsed.payload
    temperature = payload.get("temperature")
    if operation not in CACHED_OPERATIONS:
        return "operation"
    if len(body) > MAX_BODY_BYTES:
        return "size"
    if isinstance(temperature, int | float) and temperature > 0:
        return "temperature"
    if payload.get("store") or payload.get("thread"):
        return "kept at the provider"
    if parsed.unbounded is not None or parsed.has_fees:
        return "depends on more than the request"
    if isinstance(payload.get("seed"), float):  # a number too large to be told from its neighbours
        return "seed"
    return None


def request_digest(operation: Operation, parsed: ParsedRequest, body: bytes, terms: Mapping[str, Any]) -> str | None:
    """32 bytes in hex, the same for requests that differ in spelling or in what changes no answer only.

    `terms` are what beside the body tells answers apart. None where a key comes twice somewhere within the body: which
    of its values counts is each reader's choice, so no other request is the same.
    """
    aside_names = _ANTHROPIC_ASIDE if operation is Operation.MESSAGES else _OPENAI_ASIDE
    aside = {name: parsed.payload[name] for name in aside_names if name in parsed.payload}
    kept = {name: value for name, value in parsed.payload.items() if name not in aside}
    spelled = orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)
    if _quotes(body) != _quotes(spelled) + _quotes(orjson.dumps(aside)):
        return None
    digest = hashlib.blake2b(orjson.dumps([operation, terms], option=orjson.OPT_SORT_KEYS), digest_size=32)
    digest.update(b"\n" + spelled)
    return digest.hexdigest()


def _quotes(text: bytes) -> int:
    """Marks of strings. Spelling a text canonically keeps or lowers their number, leaving out a pair lowers it."""
    return text.count(b'"') - text.count(b'\\"')
