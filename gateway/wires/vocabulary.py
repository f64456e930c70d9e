"""Finish reasons, usage and efforts, each said in three ways: ours, OpenAI's, Anthropic's.

Sources: OpenAI, "API reference: Chat Completions, the chat completion object"; Anthropic, "Messages API: handling stop
reasons", "Prompt caching: tracking cache performance", "Effort"; OpenAI, "API reference: Responses, the response
object".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.engine.usage import Usage
from gateway.engine.words import FinishReason

FROM_OPENAI = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.REFUSAL,
}
FROM_ANTHROPIC = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.REFUSAL,
}
# A paused turn (only server tools pause one) is not a whole answer, so OpenAI clients are told it was cut.
OPENAI_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
ANTHROPIC_STOP = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
# No answer takes or gives so many; a report beyond it is an error of the provider's, and no row could hold its price.
MOST_TOKENS = 100_000_000
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def finish_from_openai(reason: Any) -> FinishReason | None:
    return FROM_OPENAI.get(reason, FinishReason.OTHER) if isinstance(reason, str) else None


def finish_from_anthropic(reason: Any) -> FinishReason | None:
    return FROM_ANTHROPIC.get(reason, FinishReason.OTHER) if isinstance(reason, str) else None


class _NotTold(Exception):
    """The usage isn't a report that anything can be charged by."""


def natural(value: Any) -> int | None:
    """A token count as reported, `50.0` as 50; None for anything that can't be one."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def _told(fields: Mapping[str, Any], name: str) -> int:
    """A count without which there is no report."""
    found = natural(fields.get(name))
    if found is None:
        raise _NotTold(name)
    return found


def _part_of(fields: Mapping[str, Any], name: str) -> int:
    """A count that may be left out, but not be nonsense."""
    return 0 if fields.get(name) is None else _told(fields, name)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _read(usage: Any, read: Callable[[Mapping[str, Any]], Usage]) -> Usage | None:
    """None where the provider didn't tell: no object, a count that is missing or can't be one, or no input at all,
    which no request has. What isn't told is estimated, so that a wrong report never makes an answer free."""
    try:
        found = read(_object(usage))
    except _NotTold:
        return None
    return found if found.input_tokens else None


def usage_from_openai(usage: Any) -> Usage | None:
    """`prompt_tokens` already includes cached tokens and those written to the cache."""
    return _read(usage, _openai)


def usage_from_embeddings(usage: Any) -> Usage | None:
    """Embeddings have no output."""
    return _read(usage, lambda fields: Usage(input_tokens=_told(fields, "prompt_tokens")))


def usage_from_responses(usage: Any, output: Any = None) -> Usage | None:
    """`input_tokens` already includes cached tokens and those written to the cache, unlike Anthropic's of that name.

    Searches are counted in the answer's `output`: its usage doesn't tell them. Looking at a page that was found is free
    (OpenAI, "Web search", "Tool calls and pricing").
    """
    found = _read(usage, _responses)
    searches = sum(map(_is_search, output)) if isinstance(output, list) else 0
    return replace(found, web_searches=searches) if found is not None and searches else found


def _is_search(item: Any) -> bool:
    is_call = isinstance(item, dict) and item.get("type") == "web_search_call"
    return is_call and _object(item.get("action")).get("type", "search") == "search"


def usage_from_anthropic(usage: Any) -> Usage | None:
    """`input_tokens` excludes what was read from and written to the cache; ours includes both."""
    return _read(usage, _anthropic)


def _openai(usage: Mapping[str, Any]) -> Usage:
    inputs, outputs = _object(usage.get("prompt_tokens_details")), _object(usage.get("completion_tokens_details"))
    return Usage(
        input_tokens=_told(usage, "prompt_tokens"),
        output_tokens=_told(usage, "completion_tokens"),
        cached_input_tokens=_part_of(inputs, "cached_tokens"),
        cache_write_tokens=_part_of(inputs, "cache_write_tokens"),
        reasoning_tokens=_part_of(outputs, "reasoning_tokens"),
    )


def _responses(usage: Mapping[str, Any]) -> Usage:
    inputs, outputs = _object(usage.get("input_tokens_details")), _object(usage.get("output_tokens_details"))
    return Usage(
        input_tokens=_told(usage, "input_tokens"),
        output_tokens=_told(usage, "output_tokens"),
        cached_input_tokens=_part_of(inputs, "cached_tokens"),
        cache_write_tokens=_part_of(inputs, "cache_write_tokens"),
        reasoning_tokens=_part_of(outputs, "reasoning_tokens"),
    )


def _anthropic(usage: Mapping[str, Any]) -> Usage:
    read, written = _part_of(usage, "cache_read_input_tokens"), _part_of(usage, "cache_creation_input_tokens")
    by_ttl = _object(usage.get("cache_creation"))
    long_lived = _part_of(by_ttl, "ephemeral_1h_input_tokens")
    written = max(written, long_lived + _part_of(by_ttl, "ephemeral_5m_input_tokens"))
    return Usage(
        input_tokens=_told(usage, "input_tokens") + read + written,
        output_tokens=_told(usage, "output_tokens"),
        cached_input_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=long_lived,
        reasoning_tokens=_part_of(_object(usage.get("output_tokens_details")), "thinking_tokens"),
        web_searches=_part_of(_object(usage.get("server_tool_use")), "web_search_requests"),
    )


def usage_to_openai(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def usage_to_anthropic(usage: Usage) -> dict[str, Any]:
    fresh = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    shape: dict[str, Any] = {
        "input_tokens": max(fresh, 0),
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
    }
    if usage.reasoning_tokens:
        shape["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return shape


def nearest_effort(asked: str, taken: Sequence[str]) -> str | None:
    """The strongest effort taken that is not above the one asked for, else the weakest; None if none is taken."""
    if asked not in EFFORTS or not taken:
        return None
    ranked = sorted(taken, key=EFFORTS.index)
    return next((effort for effort in reversed(ranked) if EFFORTS.index(effort) <= EFFORTS.index(asked)), ranked[0])
