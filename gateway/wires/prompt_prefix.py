"""Marks the stable prefix of a request to Anthropic, so that the provider reads it from its cache the next time.

Anthropic, "Prompt caching": tools, system and messages form one prefix in that order; `cache_control` on a block writes
everything up to it for five minutes, at 1.25 times the input price, and reads it at a tenth. Short prefixes (1,024
tokens, 2,048 and more with some models) are ignored there, empty text blocks and deferred tools refuse the mark.
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway.wires.jsons import dumps
from gateway.wires.splice import with_values

EPHEMERAL = {"type": "ephemeral"}


def with_prompt_prefix(body: bytes) -> bytes:
    """An Anthropic request with its last system block marked, or its last tool where there is no system prompt.

    Whoever sets a `cache_control` anywhere knows better: then nothing is changed, and the rest never is.
    """
    if b'"cache_control"' in body:
        return body
    payload = orjson.loads(body)
    system = payload.get("system")
    blocks = [{"type": "text", "text": system}] if isinstance(system, str) else system
    for name, found, able in (("system", blocks, _has_text), ("tools", payload.get("tools"), _is_loaded)):
        marked = _last_marked(found, able)
        if marked is not None:
            return with_values(body, {name: dumps(marked)})
    return body


def _last_marked(found: Any, able: Any) -> list[Any] | None:
    """The list with its last able entry marked; None where there is none."""
    if not isinstance(found, list):
        return None
    place = next((place for place in reversed(range(len(found))) if able(found[place])), None)
    if place is None:
        return None
    return [*found[:place], {**found[place], "cache_control": EPHEMERAL}, *found[place + 1 :]]


def _has_text(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "text" and bool(block.get("text"))


def _is_loaded(tool: Any) -> bool:
    return isinstance(tool, dict) and not tool.get("defer_loading")
