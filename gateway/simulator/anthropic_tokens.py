"""How many input tokens an Anthropic request has, by the same counting for messages and count_tokens."""

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.simulator.anthropic_checks import output_schema
from gateway.simulator.anthropic_messages import block_tokens, blocks, message_tokens
from gateway.simulator.tokens import count

# What Anthropic adds to a request with tools: its documented system prompt for tool use.
_TOOL_PROMPT_TOKENS = {"auto": 346, "any": 313, "tool": 313, "none": 346}


def input_tokens(body: Mapping[str, Any]) -> int:
    """All input tokens, cached ones included."""
    total = sum(message_tokens(message) for message in body["messages"])
    if body.get("system"):
        total += sum(map(block_tokens, blocks(body["system"])))
    if body.get("tools"):
        total += tools_prompt_tokens(body) + sum(map(tool_tokens, body["tools"]))
    schema = output_schema(body)
    if schema is not None:
        total += count(orjson.dumps(schema).decode())
    return total


def tools_prompt_tokens(body: Mapping[str, Any]) -> int:
    return _TOOL_PROMPT_TOKENS[(body.get("tool_choice") or {}).get("type", "auto")]


def tool_tokens(tool: Mapping[str, Any]) -> int:
    return count(orjson.dumps({key: value for key, value in tool.items() if key != "cache_control"}).decode())
