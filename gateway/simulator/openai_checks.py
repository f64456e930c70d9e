"""What OpenAI's Chat Completions refuses, in OpenAI's words. Each check raises `InvalidRequest` or
returns.
"""

import re
from collections.abc import Mapping
from typing import Any

from gateway.simulator.catalogue import Model
from gateway.simulator.errors import InvalidRequest
from gateway.simulator.schema_checks import problem as schema_problem

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
_TYPE_NAMES = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    list: "an array",
    dict: "an object",
}
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
_TOOL_NAME = re.compile(r"^[a-zA-Z0-9_-]+$")
MAX_TOOLS = 128


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
    _check_tool_choice(body)
    if body.get("response_format") is not None:
        _check_response_format(body["response_format"])
    if body.get("functions") is not None or body.get("function_call") is not None:
        _check_functions(body)


def wrong_type(param: str, expected: str, value: Any) -> InvalidRequest:
    got = "null" if value is None else _TYPE_NAMES.get(type(value), "an unknown type")
    return InvalidRequest(
        f"Invalid type for '{param}': expected {expected}, but got {got} instead.",
        param=param,
        code="invalid_type",
    )


def missing(param: str) -> InvalidRequest:
    return InvalidRequest(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def not_among(param: str, value: Any, supported: tuple[str, ...]) -> InvalidRequest:
    quoted = [f"'{one}'" for one in supported]
    listed = quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])}, and {quoted[-1]}"
    return InvalidRequest(
        f"Invalid value: '{value}'. Supported values are: {listed}.", param=param, code="invalid_value"
    )


def _check_value(name: str, value: Any) -> None:
    if name in _NUMBERS:
        _check_number(name, value, *_NUMBERS[name])
    elif name in _INTEGERS:
        _check_integer(name, value, *_INTEGERS[name])
    elif name in _CHOICES:
        _check_choice(name, value, _CHOICES[name])
    elif name == "stop":
        _check_stop(value)
    elif name in _PLAIN_TYPES:
        _check_type(name, value, _PLAIN_TYPES[name])
        if name == "metadata":
            _check_metadata(value)


def _check_type(name: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise wrong_type(name, _TYPE_NAMES[kind], value)


def _check_number(name: str, value: Any, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(name, "a decimal", value)
    if value > high:
        raise _out_of_bounds(name, value, "decimal above maximum", f"<= {high}", "decimal_above_max_value")
    if value < low:
        raise _out_of_bounds(name, value, "decimal below minimum", f">= {low}", "decimal_below_min_value")


def _check_integer(name: str, value: Any, low: int, high: int | None) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(name, "an integer", value)
    if value < low:
        raise _out_of_bounds(name, value, "integer below minimum", f">= {low}", "integer_below_min_value")
    if high is not None and value > high:
        raise _out_of_bounds(name, value, "integer above maximum", f"<= {high}", "integer_above_max_value")


def _out_of_bounds(name: str, value: Any, what: str, bound: str, code: str) -> InvalidRequest:
    return InvalidRequest(
        f"Invalid '{name}': {what} value. Expected a value {bound}, but got {value} instead.",
        param=name,
        code=code,
    )


def _check_choice(name: str, value: Any, supported: tuple[str, ...]) -> None:
    _check_type(name, value, str)
    if value not in supported:
        raise not_among(name, value, supported)


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


def _check_metadata(value: dict[str, Any]) -> None:
    if len(value) > 16:
        raise InvalidRequest(
            f"Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but "
            f"got an object "
            f"with {len(value)} properties instead.",
            param="metadata",
            code="object_above_max_properties",
        )
    for key, one in value.items():
        if not isinstance(one, str):
            raise wrong_type(f"metadata.{key}", "a string", one)


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
        _check_type(f"stream_options.{name}", value, bool)


def _check_tools(tools: list[Any]) -> None:
    if not tools:
        raise InvalidRequest(
            "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            param="tools",
            code="empty_array",
        )
    if len(tools) > MAX_TOOLS:
        raise InvalidRequest(
            f"Invalid 'tools': array too long. Expected an array with maximum length {MAX_TOOLS}, but got an "
            f"array with "
            f"length {len(tools)} instead.",
            param="tools",
            code="array_above_max_length",
        )
    for index, tool in enumerate(tools):
        _check_tool(tool, f"tools[{index}]")


def _check_tool(tool: Any, where: str) -> None:
    if not isinstance(tool, dict):
        raise wrong_type(where, "an object", tool)
    if "type" not in tool:
        raise missing(f"{where}.type")
    if tool["type"] not in ("function", "custom"):
        raise not_among(f"{where}.type", tool["type"], ("function", "custom"))
    kind = tool["type"]
    if not isinstance(tool.get(kind), dict):
        raise (
            missing(f"{where}.{kind}")
            if tool.get(kind) is None
            else wrong_type(f"{where}.{kind}", "an object", tool[kind])
        )
    _check_definition(tool[kind], f"{where}.{kind}", "function")


def _check_definition(definition: dict[str, Any], where: str, what: str) -> None:
    """A function or a named schema: name, parameters, strictness."""
    check_name(definition.get("name"), f"{where}.name")
    key = "parameters" if what == "function" else "schema"
    schema = definition.get(key)
    if schema is None:
        return
    if not isinstance(schema, dict):
        raise wrong_type(f"{where}.{key}", "an object", schema)
    if what == "function" and schema and schema.get("type") != "object":
        raise _bad_schema(
            what,
            definition["name"],
            f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{schema.get('type')}\"'.",
            where,
        )
    invalid = schema_problem(schema)
    if invalid:
        raise _bad_schema(what, definition["name"], invalid, where)
    if definition.get("strict"):
        problem = _strictness_problem(schema, ())
        if problem:
            raise _bad_schema(what, definition["name"], problem, where)


def check_name(name: Any, param: str) -> None:
    if name is None:
        raise missing(param)
    if not isinstance(name, str):
        raise wrong_type(param, "a string", name)
    if not _TOOL_NAME.match(name):
        raise InvalidRequest(
            f"Invalid '{param}': string does not match pattern. Expected a string that matches the pattern "
            f"'^[a-zA-Z0-9_-]+$'.",
            param=param,
            code="invalid_value",
        )
    if len(name) > 64:
        raise InvalidRequest(
            f"Invalid '{param}': string too long. Expected a string with maximum length 64, but got a string "
            f"with length "
            f"{len(name)} instead.",
            param=param,
            code="string_above_max_length",
        )


def _bad_schema(what: str, name: str, problem: str, where: str) -> InvalidRequest:
    key = "parameters" if what == "function" else "schema"
    param = f"{where}.{key}" if what == "function" else "response_format"
    return InvalidRequest(
        f"Invalid schema for {what} '{name}': {problem}",
        param=param,
        code="invalid_function_parameters" if what == "function" else "invalid_json_schema",
    )


def _strictness_problem(schema: Any, path: tuple[str, ...]) -> str | None:
    """Strict mode wants every object closed and every property required."""
    if not isinstance(schema, dict):
        return None
    if schema.get("type") == "object" or "properties" in schema:
        properties = schema.get("properties") or {}
        if schema.get("additionalProperties") is not False:
            return f"In context={path!r}, 'additionalProperties' is required to be supplied and to be false."
        lacking = [key for key in properties if key not in (schema.get("required") or ())]
        if lacking:
            return (
                f"In context={path!r}, 'required' is required to be supplied and to be an array including "
                f"every key in "
                f"properties. Missing '{lacking[0]}'."
            )
    for keys, inner in _inner_schemas(schema):
        problem = _strictness_problem(inner, path + keys)
        if problem:
            return problem
    return None


def _inner_schemas(schema: dict[str, Any]) -> list[tuple[tuple[str, ...], Any]]:
    found: list[tuple[tuple[str, ...], Any]] = [(("items",), schema.get("items"))]
    for key in ("properties", "$defs"):
        found += [((key, name), inner) for name, inner in (schema.get(key) or {}).items()]
    found += [(("anyOf", str(index)), inner) for index, inner in enumerate(schema.get("anyOf") or ())]
    return found


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
    _check_definition(form["json_schema"], "response_format.json_schema", "response_format")
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
