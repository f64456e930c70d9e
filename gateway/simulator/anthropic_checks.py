"""What Anthropic's Messages refuses outside the messages, in Anthropic's words."""

import re
from collections.abc import Mapping
from typing import Any

from gateway.simulator.catalogue import Model
from gateway.simulator.errors import InvalidRequest
from gateway.simulator.schema_checks import problem

_FIELDS = frozenset(
    [
        "cache_control",
        "container",
        "diagnostics",
        "inference_geo",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "output_config",
        "output_format",
        "service_tier",
        "speed",
        "stop_sequences",
        "stream",
        "system",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
        "user_profile_id",
        "workspace_id",
        "mcp_servers",
        "context_management",
    ]
)
_COUNT_FIELDS = frozenset(
    [
        "cache_control",
        "messages",
        "model",
        "output_config",
        "output_format",
        "speed",
        "system",
        "thinking",
        "tool_choice",
        "tools",
        "user_profile_id",
        "workspace_id",
        "mcp_servers",
        "context_management",
    ]
)
_SAMPLING = ("temperature", "top_p", "top_k")
_TOOL_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,128}$")
_SEARCHES_CACHE = 4
LEAST_THINKING_TOKENS = 1024
FIRST_VERSION = "2023-06-01"
NO_SAMPLING_VERSION = "2026-10-21"
VERSIONS = (FIRST_VERSION, NO_SAMPLING_VERSION)


def check_version(headers: Mapping[str, str]) -> str:
    """The ``anthropic-version`` sent."""
    version = headers.get("anthropic-version")
    if not version:
        raise InvalidRequest("anthropic-version: header is required")
    if version not in VERSIONS:
        raise InvalidRequest(
            f'anthropic-version: "{version}" is not a valid version. Please use one of: {", ".join(VERSIONS)}'
        )
    return version


def check_fields(body: Mapping[str, Any], *, counting: bool) -> None:
    """Required fields are there and no unknown ones are."""
    for name in body:
        if name not in (_COUNT_FIELDS if counting else _FIELDS):
            raise InvalidRequest(f"{name}: Extra inputs are not permitted")
    for name in ("model", "messages") if counting else ("model", "max_tokens", "messages"):
        if name not in body:
            raise InvalidRequest(f"{name}: Field required")


def check(body: Mapping[str, Any], model: Model, version: str) -> None:
    """Everything but the messages, the system prompt and the context window."""
    _check_numbers(body, model)
    _check_sampling(body, version)
    if body.get("stream") is not None and not isinstance(body["stream"], bool):
        raise InvalidRequest("stream: Input should be a valid boolean")
    _check_stop_sequences(body.get("stop_sequences"))
    _check_metadata(body.get("metadata"))
    if body.get("tools") is not None:
        check_tools(body["tools"])
    if body.get("tool_choice") is not None:
        _check_tool_choice(body)
        _check_forced(body["tool_choice"], model)
    if body.get("thinking") is not None:
        _check_thinking(body)
    check_output_format(body)


def _check_numbers(body: Mapping[str, Any], model: Model) -> None:
    if "max_tokens" in body:
        limit = body["max_tokens"]
        _check_integer("max_tokens", limit, 1)
        if limit > model.max_output_tokens:
            raise InvalidRequest(
                f"max_tokens: {limit} > {model.max_output_tokens}, which is the maximum allowed number of "
                f"output tokens for "
                f"{model.id}"
            )
    if body.get("top_k") is not None:
        _check_integer("top_k", body["top_k"], 0)


def _check_integer(name: str, value: Any, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequest(f"{name}: Input should be a valid integer")
    if value < low:
        raise InvalidRequest(f"{name}: Input should be greater than or equal to {low}")


def _check_sampling(body: Mapping[str, Any], version: str) -> None:
    for name in _SAMPLING:
        if body.get(name) is not None and version == NO_SAMPLING_VERSION:
            raise InvalidRequest(f"{name}: Extra inputs are not permitted")
    for name in ("temperature", "top_p"):
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidRequest(f"{name}: Input should be a valid number")
        if value > 1:
            raise InvalidRequest(f"{name}: Input should be less than or equal to 1")
        if value < 0:
            raise InvalidRequest(f"{name}: Input should be greater than or equal to 0")


def _check_stop_sequences(value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, list):
        raise InvalidRequest("stop_sequences: Input should be a valid list")
    for index, one in enumerate(value):
        if not isinstance(one, str):
            raise InvalidRequest(f"stop_sequences.{index}: Input should be a valid string")
        if not one.strip():
            raise InvalidRequest("stop_sequences: each stop sequence must contain non-whitespace")


def _check_metadata(value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        raise InvalidRequest("metadata: Input should be a valid dictionary or object to extract fields from")
    for name in value:
        if name != "user_id":
            raise InvalidRequest(f"metadata.{name}: Extra inputs are not permitted")


def check_tools(tools: Any) -> None:
    if not isinstance(tools, list):
        raise InvalidRequest("tools: Input should be a valid list")
    names = []
    for index, tool in enumerate(tools):
        if not isinstance(tool, dict):
            raise InvalidRequest(f"tools.{index}: Input should be a valid dictionary or object to extract fields from")
        if tool.get("type", "custom") in (None, "custom"):
            _check_custom_tool(tool, f"tools.{index}.custom")
        if not isinstance(tool.get("name"), str):
            raise InvalidRequest(f"tools.{index}.name: Field required")
        names.append(tool["name"])
    if len(set(names)) < len(names):
        raise InvalidRequest("tools: Tool names must be unique.")


_TOOL_FIELDS = frozenset(
    [
        "name",
        "description",
        "input_schema",
        "type",
        "cache_control",
        "strict",
        "defer_loading",
        "allowed_callers",
        "eager_input_streaming",
        "input_examples",
    ]
)


def _check_custom_tool(tool: dict[str, Any], where: str) -> None:
    for name in tool:
        if name not in _TOOL_FIELDS:
            raise InvalidRequest(f"{where}.{name}: Extra inputs are not permitted")
    for name in ("name", "input_schema"):
        if name not in tool:
            raise InvalidRequest(f"{where}.{name}: Field required")
    if not isinstance(tool["name"], str):
        raise InvalidRequest(f"{where}.name: Input should be a valid string")
    if not _TOOL_NAME.match(tool["name"]):
        raise InvalidRequest(f"{where}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    if not isinstance(tool["input_schema"], dict):
        raise InvalidRequest(
            f"{where}.input_schema: Input should be a valid dictionary or object to extract fields from"
        )
    if "type" not in tool["input_schema"]:
        raise InvalidRequest(f"{where}.input_schema.type: Field required")
    if tool["input_schema"]["type"] != "object":
        raise InvalidRequest(f"{where}.input_schema.type: Input should be 'object'")
    if any(name in tool["input_schema"] for name in ("oneOf", "allOf", "anyOf")):
        raise InvalidRequest(
            f"{where}.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level"
        )
    _check_schema(tool["input_schema"], f"{where}.input_schema")


def _check_schema(schema: Any, where: str) -> None:
    invalid = problem(schema)
    if invalid:
        raise InvalidRequest(f"{where}: JSON schema is invalid. It must match JSON Schema draft 2020-12 ({invalid})")


def _check_tool_choice(body: Mapping[str, Any]) -> None:
    choice = body["tool_choice"]
    kinds = ("auto", "any", "tool", "none")
    if not isinstance(choice, dict) or choice.get("type") not in kinds:
        got = choice.get("type") if isinstance(choice, dict) else choice
        raise InvalidRequest(
            f"tool_choice: Input tag '{got}' found using 'type' does not match any of the expected tags: "
            f"'auto', 'any', "
            "'tool', 'none'"
        )
    if not body.get("tools") and choice["type"] != "none":
        raise InvalidRequest("tool_choice: tool_choice may only be specified while providing tools")
    if choice["type"] == "tool":
        if not isinstance(choice.get("name"), str):
            raise InvalidRequest("tool_choice.tool.name: Field required")
        if choice["name"] not in [tool.get("name") for tool in body["tools"]]:
            raise InvalidRequest(f"tool_choice.tool.name: Tool '{choice['name']}' not found in provided tools")
    allowed = {"type", "name"} if choice["type"] == "tool" else {"type"}
    for name in set(choice) - allowed - ({"disable_parallel_tool_use"} if choice["type"] != "none" else set()):
        raise InvalidRequest(f"tool_choice.{choice['type']}.{name}: Extra inputs are not permitted")


def _check_forced(choice: Mapping[str, Any], model: Model) -> None:
    if choice["type"] in ("any", "tool") and not model.forced_tools:
        raise InvalidRequest(f"tool_choice.type: '{choice['type']}' is not supported for this model. Use 'auto'.")


def _check_thinking(body: Mapping[str, Any]) -> None:
    thinking = body["thinking"]
    kind = thinking.get("type") if isinstance(thinking, dict) else thinking
    if not isinstance(thinking, dict) or kind not in ("enabled", "disabled", "adaptive", "between_tools"):
        raise InvalidRequest(
            f"thinking: Input tag '{kind}' found using 'type' does not match any of the expected tags: "
            f"'adaptive', "
            "'between_tools', 'disabled', 'enabled'"
        )
    if kind == "enabled":
        _check_budget(thinking, body.get("max_tokens"))
    if kind in ("enabled", "adaptive"):
        _check_with_thinking(body)


def _check_budget(thinking: dict[str, Any], max_tokens: int | None) -> None:
    if "budget_tokens" not in thinking:
        raise InvalidRequest("thinking.enabled.budget_tokens: Field required")
    budget = thinking["budget_tokens"]
    _check_integer("thinking.enabled.budget_tokens", budget, LEAST_THINKING_TOKENS)
    if max_tokens is not None and budget >= max_tokens:
        raise InvalidRequest("`max_tokens` must be greater than `thinking.budget_tokens`.")


def _check_with_thinking(body: Mapping[str, Any]) -> None:
    if body.get("temperature") not in (None, 1):
        raise InvalidRequest("`temperature` may only be set to 1 when thinking is enabled.")
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        raise InvalidRequest("Thinking may not be enabled when tool_choice forces tool use.")


def output_schema(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The JSON schema the answer must satisfy, from either spelling."""
    form = body.get("output_format") or (body.get("output_config") or {}).get("format")
    return form["schema"] if form else None


def check_output_format(body: Mapping[str, Any]) -> None:
    config = body.get("output_config")
    if config is not None and not isinstance(config, dict):
        raise InvalidRequest("output_config: Input should be a valid dictionary or object to extract fields from")
    for name in config or ():
        if name not in ("effort", "format"):
            raise InvalidRequest(f"output_config.{name}: Extra inputs are not permitted")
    where = "output_format" if body.get("output_format") else "output_config.format"
    form = body.get("output_format") or (config or {}).get("format")
    if form is None:
        return
    if not isinstance(form, dict) or form.get("type") != "json_schema":
        raise InvalidRequest(f"{where}.type: Input should be 'json_schema'")
    if not isinstance(form.get("schema"), dict):
        raise InvalidRequest(f"{where}.schema: Field required")
    _check_schema(form["schema"], f"{where}.schema")


def check_cache_controls(marks: list[Any]) -> None:
    """All the request's ``cache_control`` values, in order."""
    for mark in marks:
        if not isinstance(mark, dict) or mark.get("type") != "ephemeral":
            raise InvalidRequest("cache_control.ephemeral.type: Input should be 'ephemeral'")
        if mark.get("ttl", "5m") not in ("5m", "1h"):
            raise InvalidRequest("cache_control.ephemeral.ttl: Input should be '5m' or '1h'")
    if len(marks) > _SEARCHES_CACHE:
        raise InvalidRequest(
            f"A maximum of {_SEARCHES_CACHE} blocks with cache_control may be provided. Found {len(marks)}."
        )
    if sorted(mark.get("ttl", "5m") for mark in marks) != [mark.get("ttl", "5m") for mark in marks]:
        raise InvalidRequest("cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' block.")
