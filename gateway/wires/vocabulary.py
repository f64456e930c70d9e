"""Finish reasons, usage and efforts, each said in three ways: ours, OpenAI's, Anthropic's.

Sources: OpenAI, "API reference: Chat Completions, the chat completion object"; Anthropic, "Messages API: handling stop
reasons", "Prompt caching: tracking cache performance", "Effort"; OpenAI, "API reference: Responses, the response
object".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def finish_from_openai(reason: Any) -> FinishReason | None:
    return FROM_OPENAI.get(reason, FinishReason.OTHER) if isinstance(reason, str) else None


def finish_from_anthropic(reason: Any) -> FinishReason | None:
    return FROM_ANTHROPIC.get(reason, FinishReason.OTHER) if isinstance(reason, str) else None


def count(value: Any) -> int:
    """A token count as reported; anything but a natural number counts as none."""
    return value if type(value) is int and value > 0 else 0


def _part(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def usage_from_openai(usage: Any) -> Usage | None:
    """`prompt_tokens` already includes cached tokens and those written to the cache."""
    if not isinstance(usage, dict):
        return None
    inputs, outputs = _part(usage.get("prompt_tokens_details")), _part(usage.get("completion_tokens_details"))
    return Usage(
        input_tokens=count(usage.get("prompt_tokens")),
        output_tokens=count(usage.get("completion_tokens")),
        cached_input_tokens=count(inputs.get("cached_tokens")),
        cache_write_tokens=count(inputs.get("cache_write_tokens")),
        reasoning_tokens=count(outputs.get("reasoning_tokens")),
    )


def usage_from_responses(usage: Any, output: Any = None) -> Usage | None:
    """`input_tokens` already includes cached tokens and those written to the cache, unlike Anthropic's of that name.

    Searches are counted in the answer's `output`: its usage doesn't tell them. Looking at a page that was found is free
    (OpenAI, "Web search", "Tool calls and pricing").
    """
    if not isinstance(usage, dict):
        return None
    inputs, outputs = _part(usage.get("input_tokens_details")), _part(usage.get("output_tokens_details"))
    return Usage(
        input_tokens=count(usage.get("input_tokens")),
        output_tokens=count(usage.get("output_tokens")),
        cached_input_tokens=count(inputs.get("cached_tokens")),
        cache_write_tokens=count(inputs.get("cache_write_tokens")),
        reasoning_tokens=count(outputs.get("reasoning_tokens")),
        web_searches=sum(map(_is_search, output)) if isinstance(output, list) else 0,
    )


def _is_search(item: Any) -> bool:
    is_call = isinstance(item, dict) and item.get("type") == "web_search_call"
    return is_call and _part(item.get("action")).get("type", "search") == "search"


def usage_from_anthropic(usage: Any) -> Usage | None:
    """`input_tokens` excludes what was read from and written to the cache; ours includes both."""
    if not isinstance(usage, dict):
        return None
    read, written = (
        count(usage.get("cache_read_input_tokens")),
        count(usage.get("cache_creation_input_tokens")),
    )
    by_ttl = _part(usage.get("cache_creation"))
    long_lived, short_lived = (
        count(by_ttl.get("ephemeral_1h_input_tokens")),
        count(by_ttl.get("ephemeral_5m_input_tokens")),
    )
    written = max(written, long_lived + short_lived)
    return Usage(
        input_tokens=count(usage.get("input_tokens")) + read + written,
        output_tokens=count(usage.get("output_tokens")),
        cached_input_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=long_lived,
        reasoning_tokens=count(_part(usage.get("output_tokens_details")).get("thinking_tokens")),
        web_searches=count(_part(usage.get("server_tool_use")).get("web_search_requests")),
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
