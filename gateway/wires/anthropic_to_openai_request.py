"""An Anthropic Messages request as an OpenAI Chat Completions request.

Sources: Anthropic, "API reference: Create a Message", "Tool use", "Structured outputs", "Extended thinking", "Effort";
OpenAI, "API reference: Create chat completion", "Reasoning models" (parameters they refuse), "Structured outputs", and
its 400 "Function tools with reasoning_effort are not supported … in /v1/chat/completions".
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

from gateway.engine.catalogue import ModelTraits
from gateway.engine.errors import InvalidRequest
from gateway.engine.words import THREAD_NOT_FOUND, Wire
from gateway.wires.anthropic_to_openai_messages import to_openai_messages
from gateway.wires.jsons import dumps
from gateway.wires.parsing import optional
from gateway.wires.quoting import quoted
from gateway.wires.schemas import openai_parameters, openai_strict
from gateway.wires.tools import openai_name
from gateway.wires.vocabulary import EFFORTS, nearest_effort
from gateway.wires.words import Context, Translated, Untranslatable

MAX_STOP_SEQUENCES = 4
MAX_TOOLS = 128
MAX_USER_CHARACTERS = 64
# From a thinking budget in tokens to an effort: the first whose bound is not exceeded.
_EFFORT_OF_BUDGET = ((2048, "low"), (12000, "medium"))
_SERVICE_TIERS = {"auto": "auto", "standard_only": "default"}
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}

# Read by the translation itself; `cache_control` has no counterpart and loses nothing but a discount.
_HANDLED = frozenset(
    {
        "model", "messages", "system", "stream", "max_tokens", "temperature", "top_p", "top_k", "stop_sequences",
        "tools", "tool_choice", "metadata", "thinking", "output_config", "output_format", "service_tier",
        "cache_control", "inference_geo",
    }
)  # fmt: skip
_REFUSED = {
    "mcp_servers": "calls no MCP servers",
    "container": "has no containers",
    "inference_geo": "can't be bound to a region by the request",
}
_ANYWHERE = "global"  # Anthropic, "Data residency": what leaving `inference_geo` out means


def to_openai(payload: Mapping[str, Any], *, model: str, traits: ModelTraits, stream: bool) -> Translated:
    """Raises InvalidRequest for what makes no sense on any wire, Untranslatable for what this target can't do."""
    for name, reason in _REFUSED.items():
        if payload.get(name) and payload[name] != _ANYWHERE:
            raise Untranslatable(name, f"{name!r} can't be honoured: this target {reason}.")
    _check_thread(payload.get("thread"))
    dropped: list[str] = []
    body: dict[str, Any] = {
        "model": model,
        "messages": to_openai_messages(payload.get("system"), payload["messages"]),
    }
    body[traits.output_limit_field] = min(payload["max_tokens"], traits.max_output_tokens or payload["max_tokens"]) or 1
    names = _add_tools(body, payload, traits)
    _add_plain_fields(body, payload, traits, dropped)
    answer_tool = _add_format(body, payload, traits)
    _add_effort(body, payload, traits, dropped)
    _add_sampling(body, payload, traits, dropped)
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    dropped += [name for name, value in payload.items() if name not in _HANDLED and value]
    return Translated(dumps(body), tuple(dropped), _context(model, answer_tool, names))


def _check_thread(thread: Any) -> None:
    """A new thread is merely not kept (`thread` is dropped); one to be continued has turns that lie at Anthropic.

    Source: Anthropic, "Message threads" and its SDK, whose helpers answer this code with the whole conversation.
    """
    if isinstance(thread, dict) and thread.get("type") == "continue":
        raise Untranslatable("thread", "This target doesn't keep the turns before these.", code=THREAD_NOT_FOUND)


def _context(model: str, answer_tool: str | None, names: Mapping[str, str]) -> Context:
    return Context(
        surface=Wire.ANTHROPIC,
        kind=Wire.OPENAI,
        model=model,
        created_at=int(time.time()),
        wants_usage=True,
        answer_tool=answer_tool,
        tool_names=names,
    )


def _add_tools(body: dict[str, Any], payload: Mapping[str, Any], traits: ModelTraits) -> dict[str, str]:
    """The tools and how to choose among them; gives back the names that had to be shortened."""
    tools = [_tool(tool, f"tools[{at}]") for at, tool in enumerate(payload.get("tools") or ())]
    if not tools:
        return {}
    if len(tools) > MAX_TOOLS:
        raise Untranslatable("tools", f"This target takes at most {MAX_TOOLS} tools.")
    body["tools"] = tools
    choice = payload.get("tool_choice")
    if choice is not None:
        body["tool_choice"] = _choice(choice)
        if choice.get("disable_parallel_tool_use") is True:
            body["parallel_tool_calls"] = False
    names = [tool["name"] for tool in payload["tools"]]
    return {openai_name(name): name for name in names if openai_name(name) != name}


def _tool(tool: Mapping[str, Any], where: str) -> dict[str, Any]:
    if tool.get("type") not in (None, "custom"):
        raise Untranslatable(f"{where}.type", f"This target has no tools of type {quoted(tool['type'])}.")
    name, schema = tool.get("name"), tool.get("input_schema")
    if not isinstance(name, str) or not isinstance(schema, dict):
        raise InvalidRequest(f"'{where}' must have a 'name' and an 'input_schema'.", param=where)
    function: dict[str, Any] = {"name": openai_name(name), "parameters": openai_parameters(schema)}
    if isinstance(tool.get("description"), str):
        function["description"] = tool["description"]
    if tool.get("strict") is True and openai_strict(schema):
        function["strict"] = True
    return {"type": "function", "function": function}


def _choice(choice: Any) -> str | dict[str, Any]:
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind in _CHOICES:
        return _CHOICES[kind]
    if kind == "tool" and isinstance(choice.get("name"), str):
        return {"type": "function", "function": {"name": openai_name(choice["name"])}}
    raise InvalidRequest(
        "'tool_choice.type' must be 'auto', 'any', 'none' or 'tool' with a 'name'.", param="tool_choice"
    )


def _add_plain_fields(
    body: dict[str, Any], payload: Mapping[str, Any], traits: ModelTraits, dropped: list[str]
) -> None:
    stops = payload.get("stop_sequences")
    if stops:
        _add_stop(body, stops, traits, dropped)
    metadata = payload.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("user_id"), str):
        body["user"] = _user(metadata["user_id"])
    tier = optional(payload, "service_tier", str, "a string such as 'auto'")
    if tier in _SERVICE_TIERS:
        body["service_tier"] = _SERVICE_TIERS[tier]
    elif tier is not None:
        dropped.append("service_tier")


def _user(user_id: str) -> str:
    """OpenAI takes 64 characters; a longer id becomes a digest of it, the same one each time."""
    if len(user_id) <= MAX_USER_CHARACTERS:
        return user_id
    return hashlib.blake2s(user_id.encode("utf-8", "replace")).hexdigest()


def _add_stop(body: dict[str, Any], stops: Any, traits: ModelTraits, dropped: list[str]) -> None:
    if not isinstance(stops, list) or not all(isinstance(each, str) for each in stops):
        raise InvalidRequest("'stop_sequences' must be a list of strings.", param="stop_sequences")
    if not traits.takes_stop:
        dropped.append("stop_sequences")
    elif len(stops) > MAX_STOP_SEQUENCES:
        raise Untranslatable("stop_sequences", f"This target takes at most {MAX_STOP_SEQUENCES} stop sequences.")
    else:
        body["stop"] = stops


def _add_format(body: dict[str, Any], payload: Mapping[str, Any], traits: ModelTraits) -> str | None:
    """Structured output, natively or through a tool whose name is given back."""
    config = payload.get("output_config")
    wanted = (config.get("format") if isinstance(config, dict) else None) or payload.get("output_format")
    if wanted is None:
        return None
    schema = wanted.get("schema") if isinstance(wanted, dict) and wanted.get("type") == "json_schema" else None
    if not isinstance(schema, dict):
        raise InvalidRequest(
            '\'output_config.format\' must be {"type": "json_schema", "schema": …}.',
            param="output_config.format",
        )
    if traits.takes_json_schema:
        form = {"name": "answer", "schema": schema, "strict": openai_strict(schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
        return None
    return _force_answer(body, schema)


def _force_answer(body: dict[str, Any], schema: dict[str, Any]) -> str | None:
    if isinstance(body.get("tool_choice"), dict):
        return None
    own_tools = bool(body.get("tools")) and body.get("tool_choice") != "none"
    name = "json_answer"
    while any(tool["function"]["name"] == name for tool in body.get("tools", ())):
        name += "_"
    function = {"name": name, "description": "Give the answer in this form.", "parameters": openai_parameters(schema)}
    body["tools"] = [*body.get("tools", ()), {"type": "function", "function": function}]
    body["tool_choice"] = "required" if own_tools else {"type": "function", "function": {"name": name}}
    return name


def _add_effort(body: dict[str, Any], payload: Mapping[str, Any], traits: ModelTraits, dropped: list[str]) -> None:
    asked, kind, wanted = _effort_wanted(payload)
    silent = "none" in traits.efforts and (kind == "disabled" or (traits.tools_stop_reasoning and "tools" in body))
    if silent:
        body["reasoning_effort"] = "none"
    elif wanted and traits.reasoning:
        body["reasoning_effort"] = nearest_effort(wanted, traits.efforts or ("low", "medium", "high"))
    if asked and (silent or not traits.reasoning):
        dropped.append("output_config.effort")
    if kind in ("enabled", "adaptive") and (silent or not traits.reasoning):
        dropped.append("thinking")


def _effort_wanted(payload: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    """The effort asked for by name, the kind of thinking, and the effort that follows from the two."""
    config = optional(payload, "output_config", dict, "an object") or {}
    thinking = optional(payload, "thinking", dict, "an object such as {'type': 'adaptive'}") or {}
    asked, kind = config.get("effort"), thinking.get("type")
    if asked is not None and asked not in EFFORTS:
        raise InvalidRequest(
            "'output_config.effort' must be low, medium, high, xhigh or max.", param="output_config.effort"
        )
    return asked, kind, asked or (_effort_of(thinking) if kind == "enabled" else None)


def _effort_of(thinking: Mapping[str, Any]) -> str:
    budget = thinking.get("budget_tokens")
    if not isinstance(budget, int):
        raise InvalidRequest("'thinking.budget_tokens' must be a whole number.", param="thinking.budget_tokens")
    return next((effort for bound, effort in _EFFORT_OF_BUDGET if budget <= bound), "high")


def _add_sampling(body: dict[str, Any], payload: Mapping[str, Any], traits: ModelTraits, dropped: list[str]) -> None:
    """OpenAI has no `top_k`; its reasoning models refuse temperature and top_p."""
    for name in ("temperature", "top_p", "top_k"):
        value = payload.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InvalidRequest(f"{name!r} must be a number.", param=name)
        if name == "top_k" or not traits.takes_sampling:
            dropped.append(name)
        else:
            body[name] = value
