"""Anthropic's prompt cache: what ``cache_control`` reads and writes.

The rules (Anthropic's prompt caching guide): tools, system and messages form one prefix in that order; a
request writes up to each marked block and reads the longest prefix written before; prompts below a minimum
are not cached; the time to live is five minutes or, asked for, an hour, and reading renews it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from gateway.simulator.anthropic_checks import check_cache_controls
from gateway.simulator.anthropic_messages import Block, block_tokens, blocks
from gateway.simulator.anthropic_tokens import tool_tokens, tools_prompt_tokens
from gateway.simulator.prefixes import PrefixCache, boundaries

_TTL_SECONDS = {"5m": 300.0, "1h": 3600.0}
_LEAST_TOKENS = 1024
_LEAST_TOKENS_HAIKU = 2048


def read_and_write(cache: PrefixCache, body: Mapping[str, Any], total: int) -> tuple[int, int, int]:
    """Tokens read, written for five minutes, and written for an hour."""
    pieces = list(_pieces(body))
    marks = [mark for _, _, mark in pieces]
    if body.get("cache_control") is not None:
        marks[-1] = marks[-1] or body["cache_control"]
    check_cache_controls([mark for mark in marks if mark is not None])
    places = boundaries(body["model"], [(content, tokens) for content, tokens, _ in pieces])
    least = _LEAST_TOKENS_HAIKU if "haiku" in body["model"] else _LEAST_TOKENS
    marked = [
        (place, mark.get("ttl", "5m"))
        for place, mark in zip(places, marks, strict=True)
        if mark is not None and place.tokens >= least
    ]
    if not marked:
        return 0, 0, 0
    last = marked[-1][0]
    read = done = cache.longest([place for place in places if least <= place.tokens <= last.tokens])
    written = {"5m": 0, "1h": 0}
    for place, ttl in marked:
        if place.tokens > done:
            written[ttl] += place.tokens - done
            done = place.tokens
        cache.remember(place, _TTL_SECONDS[ttl])
    return read, written["5m"], written["1h"]


def _pieces(body: Mapping[str, Any]) -> Iterator[tuple[bytes, int, Any]]:
    """Each cacheable block in prompt order: its bytes, its tokens, its mark."""
    for index, tool in enumerate(body.get("tools") or ()):
        extra = tools_prompt_tokens(body) if index == 0 else 0
        yield _bare(tool), tool_tokens(tool) + extra, tool.get("cache_control")
    for block in blocks(body.get("system") or ()):
        yield b"system" + _bare(block), block_tokens(block), block.get("cache_control")
    for message in body["messages"]:
        opening = message["role"].encode()
        tokens = 3
        for block in blocks(message["content"]):
            yield opening + _bare(block), block_tokens(block) + tokens, block.get("cache_control")
            tokens = 0


def _bare(block: Block) -> bytes:
    return orjson.dumps({key: value for key, value in block.items() if key != "cache_control"})
