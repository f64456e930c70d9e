"""What OpenAI's Responses API refuses, in OpenAI's words, except about ``input`` itself."""

from collections.abc import Mapping
from typing import Any

from gateway.simulator.catalogue import Model
from gateway.simulator.errors import InvalidRequest, WireError
from gateway.simulator.openai_schemas import check_definition, check_name
from gateway.simulator.openai_values import (
    check_choice,
    check_integer,
    check_metadata,
    check_number,
    check_tool_count,
    check_tool_type,
    check_type,
    missing,
    not_among,
    wrong_type,
)

_TYPES: dict[str, type] = {
    "background": bool,
    "conversation": object,
    "instructions": str,
    "include": list,
    "metadata": dict,
    "parallel_tool_calls": bool,
    "previous_response_id": str,
    "prompt": dict,
    "prompt_cache_key": str,
    "reasoning": dict,
    "safety_identifier": str,
    "store": bool,
    "stream": bool,
    "stream_options": dict,
    "text": dict,
    "tools": list,
    "user": str,
}
_NUMBERS = {"temperature": (0, 2), "top_p": (0, 1)}
_INTEGERS: dict[str, tuple[int, int | None]] = {
    "max_output_tokens": (16, None),
    "max_tool_calls": (1, None),
    "top_logprobs": (0, 20),
}
_CHOICES = {
    "prompt_cache_retention": ("in_memory", "24h"),
    "service_tier": ("auto", "default", "flex", "scale", "priority", "fast"),
    "truncation": ("auto", "disabled"),
}
_UNREAD = ("access_programs", "context_management", "image", "moderation", "prompt_cache_options")
_PARAMETERS = frozenset({"input", "model", "tool_choice", *_TYPES, *_NUMBERS, *_INTEGERS, *_CHOICES, *_UNREAD})
_MOVED = {
    "max_completion_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
}
_REASONING: dict[str, tuple[str, ...]] = {
    "context": ("auto", "current_turn", "all_turns"),
    "effort": ("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    "generate_summary": ("auto", "concise", "detailed"),
    "mode": ("standard", "pro"),
    "summary": ("auto", "concise", "detailed"),
}
_INCLUDABLE = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
)
# Accepted and never called: what they would do happens on OpenAI's own machines.
BUILT_IN_TOOLS = (
    "apply_patch",
    "code_interpreter",
    "computer",
    "computer_use_preview",
    "file_search",
    "image_generation",
    "local_shell",
    "mcp",
    "shell",
    "tool_search",
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
)
_TOOL_TYPES = ("function", "custom", *BUILT_IN_TOOLS)
_FORMATS = ("json_object", "json_schema", "text")


def check(body: Mapping[str, Any], model: Model) -> None:
    """Everything but ``input``, ``model`` and what ids refer to. Raises `InvalidRequest`, or a 404 `WireError` for
    the prompts and conversations no account of the simulator has.
    """
    for name in body:
        if name not in _PARAMETERS:
            raise _unknown(name)
    for name, value in body.items():
        if value is not None:
            _check_value(name, value)
    _check_model_limits(body, model)
    _check_stream_options(body)
    _check_tools(body.get("tools") or [])
    _check_tool_choice(body.get("tool_choice"), body.get("tools") or [])
    _check_text(body.get("text") or {})
    _check_not_simulated(body)


def _unknown(name: str) -> InvalidRequest:
    if name not in _MOVED:
        return InvalidRequest(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    return InvalidRequest(
        f"Unsupported parameter: '{name}'. In the Responses API, this parameter has moved to '{_MOVED[name]}'. Try "
        "again with the new parameter. See the API documentation for more information: "
        "https://platform.openai.com/docs/api-reference/responses/create.",
        param=name,
        code="unsupported_parameter",
    )


def _check_value(name: str, value: Any) -> None:
    if name in _NUMBERS:
        check_number(name, value, *_NUMBERS[name])
    elif name in _INTEGERS:
        check_integer(name, value, *_INTEGERS[name])
    elif name in _CHOICES:
        check_choice(name, value, _CHOICES[name])
    elif name in _TYPES and name != "conversation":
        check_type(name, value, _TYPES[name])
    if name == "metadata":
        check_metadata(value)
    elif name == "reasoning":
        _check_reasoning(value)
    elif name == "include":
        for index, one in enumerate(value):
            check_choice(f"include[{index}]", one, _INCLUDABLE)


def _check_reasoning(reasoning: dict[str, Any]) -> None:
    for name, value in reasoning.items():
        if name not in _REASONING:
            raise InvalidRequest(
                f"Unknown parameter: 'reasoning.{name}'.", param=f"reasoning.{name}", code="unknown_parameter"
            )
        if value is not None:
            check_choice(f"reasoning.{name}", value, _REASONING[name])


def _check_model_limits(body: Mapping[str, Any], model: Model) -> None:
    refused = [name for name in ("temperature", "top_p") if body.get(name) is not None] if model.reasoning else []
    if not model.reasoning and (body.get("reasoning") or {}).get("effort") not in (None, "none"):
        refused.append("reasoning.effort")
    if refused:
        raise InvalidRequest(
            f"Unsupported parameter: '{refused[0]}' is not supported with this model.",
            param=refused[0],
            code="unsupported_parameter",
        )
    asked = body.get("max_output_tokens")
    if asked is not None and asked > model.max_output_tokens:
        raise InvalidRequest(
            f"max_output_tokens is too large: {asked}. This model supports at most {model.max_output_tokens} "
            f"completion tokens, whereas you provided {asked}.",
            param="max_output_tokens",
            code="invalid_value",
        )


def _check_stream_options(body: Mapping[str, Any]) -> None:
    options = body.get("stream_options")
    if options is None:
        return
    if not body.get("stream"):
        raise InvalidRequest(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    for name, value in options.items():
        if name != "include_obfuscation":
            raise InvalidRequest(
                f"Unknown parameter: 'stream_options.{name}'.",
                param=f"stream_options.{name}",
                code="unknown_parameter",
            )
        check_type(f"stream_options.{name}", value, bool)


def _check_tools(tools: list[Any]) -> None:
    check_tool_count(tools)
    for index, tool in enumerate(tools):
        _check_tool(tool, f"tools[{index}]")


def _check_tool(tool: Any, where: str) -> None:
    check_tool_type(tool, where, _TOOL_TYPES)
    if tool["type"] == "function":
        check_definition(tool, where, "function")
    elif tool["type"] == "custom":
        check_name(tool.get("name"), f"{where}.name")


def _check_tool_choice(choice: Any, tools: list[Any]) -> None:
    if choice is None:
        return
    if isinstance(choice, str):
        if choice not in ("none", "auto", "required"):
            raise not_among("tool_choice", choice, ("none", "auto", "required"))
        if choice == "required" and not tools:
            raise InvalidRequest(
                "Tool choice 'required' must be specified with 'tools' parameter.", param="tool_choice"
            )
    elif isinstance(choice, dict):
        _check_choice_object(choice, tools)
    else:
        raise wrong_type("tool_choice", "one of a string or object", choice)


def _check_choice_object(choice: dict[str, Any], tools: list[Any]) -> None:
    kind = choice.get("type")
    if kind == "allowed_tools":
        check_choice("tool_choice.mode", choice.get("mode"), ("auto", "required"))
        if not isinstance(choice.get("tools"), list) or not all(isinstance(one, dict) for one in choice["tools"]):
            raise missing("tool_choice.tools")
    elif kind in ("function", "custom"):
        name = choice.get("name")
        if name is None:
            raise missing("tool_choice.name")
        if (kind, name) not in [(tool["type"], tool.get("name")) for tool in tools]:
            raise InvalidRequest(f"Tool choice '{name}' not found in 'tools' parameter.", param="tool_choice")
    elif kind not in BUILT_IN_TOOLS:
        raise not_among("tool_choice.type", kind, ("allowed_tools", *_TOOL_TYPES))
    elif kind not in [tool["type"] for tool in tools]:
        raise InvalidRequest(f"Tool choice '{kind}' not found in 'tools' parameter.", param="tool_choice")


def _check_text(text: Mapping[str, Any]) -> None:
    for name in text:
        if name not in ("format", "verbosity"):
            raise InvalidRequest(f"Unknown parameter: 'text.{name}'.", param=f"text.{name}", code="unknown_parameter")
    if text.get("verbosity") is not None:
        check_choice("text.verbosity", text["verbosity"], ("low", "medium", "high"))
    form = text.get("format")
    if form is None:
        return
    check_type("text.format", form, dict)
    if "type" not in form:
        raise missing("text.format.type")
    check_choice("text.format.type", form["type"], _FORMATS)
    if form["type"] == "json_schema":
        check_definition(form, "text.format", "response_format")
        if form.get("schema") is None:
            raise missing("text.format.schema")


def _check_not_simulated(body: Mapping[str, Any]) -> None:
    if body.get("background"):
        raise InvalidRequest(
            "Unsupported value: 'background' does not support true with this model.",
            param="background",
            code="unsupported_value",
        )
    for name in ("prompt", "conversation"):
        given = body.get(name)
        if given is not None:
            found = given.get("id") if isinstance(given, dict) else given
            what = name.capitalize()
            raise WireError(404, "invalid_request_error", f"{what} with id '{found}' not found.", param=name)
