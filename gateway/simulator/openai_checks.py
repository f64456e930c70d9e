"""What OpenAI's Chat Completions refuses, in OpenAI's words. Each check raises `InvalidRequest` or
returns.
"""

from collections.abc import Mapping
from typing import Any

from gateway.simulator.catalogue import Model
from gateway.simulator.errors import InvalidRequest
from gateway.simulator.openai_schemas import check_definition
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

_PARAMETERS = frozenset(
    [
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "modalities",
        "model",
        "moderation",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    ]
)


_NUMBERS = {"temperature": (0, 2), "top_p": (0, 1), "frequency_penalty": (-2, 2), "presence_penalty": (-2, 2)}


_INTEGERS: dict[str, tuple[int, int | None]] = {
    "n": (1, 128),
    "max_tokens": (1, None),
    "max_completion_tokens": (1, None),
    "top_logprobs": (0, 20),
}


_PLAIN_TYPES: dict[str, type] = {
    "stream": bool,
    "store": bool,
    "logprobs": bool,
    "parallel_tool_calls": bool,
    "seed": int,
    "user": str,
    "logit_bias": dict,
    "metadata": dict,
    "stream_options": dict,
    "response_format": dict,
    "tools": list,
    "functions": list,
}


_CHOICES = {
    "reasoning_effort": ("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    "service_tier": ("auto", "default", "flex", "scale", "priority", "fast"),
    "verbosity": ("low", "medium", "high"),
}


def check(body: Mapping[str, Any], model: Model) -> None:
    """Everything but the messages themselves and the context window."""
    for name in body:
        if name not in _PARAMETERS:
            raise InvalidRequest(f"Unrecognized request argument supplied: {name}")
    for name, value in body.items():
        if value is not None and name not in ("messages", "model"):
            _check_value(name, value)
    _check_model_limits(body, model)
    if body.get("stream_options") is not None:
        _check_stream_options(body)
    if body.get("tools") is not None:
        _check_tools(body["tools"])
        _check_effort_beside_tools(body, model)
    _check_tool_choice(body)
    if body.get("response_format") is not None:
        _check_response_format(body["response_format"])
    if body.get("functions") is not None or body.get("function_call") is not None:
        _check_functions(body)


def _check_value(name: str, value: Any) -> None:
    if name in _NUMBERS:
        check_number(name, value, *_NUMBERS[name])
    elif name in _INTEGERS:
        check_integer(name, value, *_INTEGERS[name])
    elif name in _CHOICES:
        check_choice(name, value, _CHOICES[name])
    elif name == "stop":
        _check_stop(value)
    elif name in _PLAIN_TYPES:
        check_type(name, value, _PLAIN_TYPES[name])
        if name == "metadata":
            check_metadata(value)


def _check_stop(value: Any) -> None:
    if isinstance(value, str):
        return
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise wrong_type("stop", "one of a string or array of strings", value)
    if len(value) > 4:
        raise InvalidRequest(
            f"Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with "
            f"length "
            f"{len(value)} instead.",
            param="stop",
            code="array_above_max_length",
        )


def _check_model_limits(body: Mapping[str, Any], model: Model) -> None:
    if model.reasoning:
        _check_reasoning_model(body)
    for name in ("max_tokens", "max_completion_tokens"):
        asked = body.get(name)
        if asked is not None and asked > model.max_output_tokens:
            raise InvalidRequest(
                f"{name} is too large: {asked}. This model supports at most {model.max_output_tokens} "
                f"completion tokens, "
                f"whereas you provided {asked}.",
                param=name,
                code="invalid_value",
            )
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        raise InvalidRequest(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            code="invalid_parameter_combination",
        )
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        raise InvalidRequest(
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", param="top_logprobs"
        )


def _check_reasoning_model(body: Mapping[str, Any]) -> None:
    if body.get("max_tokens") is not None:
        raise InvalidRequest(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        )
    for name in ("temperature", "top_p"):
        if body.get(name) not in (None, 1):
            raise InvalidRequest(
                f"Unsupported value: '{name}' does not support {body[name]} with this model. Only the "
                f"default (1) value is "
                "supported.",
                param=name,
                code="unsupported_value",
            )
    if body.get("stop"):
        raise InvalidRequest(
            "Unsupported parameter: 'stop' is not supported with this model.",
            param="stop",
            code="unsupported_parameter",
        )


def _check_effort_beside_tools(body: Mapping[str, Any], model: Model) -> None:
    if model.tools_stop_reasoning and body.get("tools") and body.get("reasoning_effort") != "none":
        raise InvalidRequest(
            f"Function tools with reasoning_effort are not supported for {model.id} in /v1/chat/completions. To use "
            "function tools, use /v1/responses or set reasoning_effort to 'none'.",
            param="reasoning_effort",
        )


def _check_stream_options(body: Mapping[str, Any]) -> None:
    if not body.get("stream"):
        raise InvalidRequest(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    for name, value in body["stream_options"].items():
        if name not in ("include_usage", "include_obfuscation"):
            raise InvalidRequest(
                f"Unknown parameter: 'stream_options.{name}'.",
                param=f"stream_options.{name}",
                code="unknown_parameter",
            )
        check_type(f"stream_options.{name}", value, bool)


def _check_tools(tools: list[Any]) -> None:
    if not tools:
        raise InvalidRequest(
            "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            param="tools",
            code="empty_array",
        )
    check_tool_count(tools)
    for index, tool in enumerate(tools):
        _check_tool(tool, f"tools[{index}]")


def _check_tool(tool: Any, where: str) -> None:
    check_tool_type(tool, where, ("function", "custom"))
    kind = tool["type"]
    if not isinstance(tool.get(kind), dict):
        raise (
            missing(f"{where}.{kind}")
            if tool.get(kind) is None
            else wrong_type(f"{where}.{kind}", "an object", tool[kind])
        )
    check_definition(tool[kind], f"{where}.{kind}", "function")


def _check_tool_choice(body: Mapping[str, Any]) -> None:
    for name in ("tool_choice", "parallel_tool_calls"):
        if body.get(name) is not None and not body.get("tools"):
            raise InvalidRequest(
                f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.",
                param=name,
            )
    choice = body.get("tool_choice")
    if choice is None:
        return
    if isinstance(choice, str):
        if choice not in ("none", "auto", "required"):
            raise not_among("tool_choice", choice, ("none", "auto", "required"))
    elif isinstance(choice, dict):
        _check_choice_object(choice, body["tools"])
    else:
        raise wrong_type("tool_choice", "one of a string or object", choice)


def _check_choice_object(choice: dict[str, Any], tools: list[Any]) -> None:
    kind = choice.get("type")
    if kind not in ("function", "custom", "allowed_tools"):
        raise not_among("tool_choice.type", kind, ("allowed_tools", "function", "custom"))
    if kind == "allowed_tools":
        if not isinstance(choice.get(kind), dict) or not isinstance(choice[kind].get("tools"), list):
            raise missing("tool_choice.allowed_tools.tools")
        return
    name = (choice.get(kind) or {}).get("name") if isinstance(choice.get(kind), dict) else None
    if name is None:
        raise missing(f"tool_choice.{kind}.name")
    if name not in [tool[tool["type"]].get("name") for tool in tools]:
        raise InvalidRequest(f"Tool choice '{name}' not found in 'tools' parameter.", param="tool_choice")


def _check_response_format(form: dict[str, Any]) -> None:
    if "type" not in form:
        raise missing("response_format.type")
    if form["type"] not in ("text", "json_object", "json_schema"):
        raise not_among("response_format.type", form["type"], ("json_object", "json_schema", "text"))
    if form["type"] != "json_schema":
        return
    if not isinstance(form.get("json_schema"), dict):
        raise missing("response_format.json_schema")
    check_definition(form["json_schema"], "response_format.json_schema", "response_format")
    if form["json_schema"].get("schema") is None:
        raise missing("response_format.json_schema.schema")


def _check_functions(body: Mapping[str, Any]) -> None:
    """The deprecated pair, which OpenAI's newer models no longer take."""
    name = "functions" if body.get("functions") is not None else "function_call"
    raise InvalidRequest(
        f"Unsupported parameter: '{name}' is not supported with this model. Use 'tools' and 'tool_choice' instead.",
        param=name,
        code="unsupported_parameter",
    )
