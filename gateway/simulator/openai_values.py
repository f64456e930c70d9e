"""How OpenAI refuses a value of the wrong type, size or choice, whichever endpoint it was sent to."""

from typing import Any

from gateway.simulator.errors import InvalidRequest

MAX_TOOLS = 128
TYPE_NAMES = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    list: "an array",
    dict: "an object",
}


def wrong_type(param: str, expected: str, value: Any) -> InvalidRequest:
    got = "null" if value is None else TYPE_NAMES.get(type(value), "an unknown type")
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


def check_type(name: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise wrong_type(name, TYPE_NAMES[kind], value)


def check_number(name: str, value: Any, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(name, "a decimal", value)
    if value > high:
        raise _out_of_bounds(name, value, "decimal above maximum", f"<= {high}", "decimal_above_max_value")
    if value < low:
        raise _out_of_bounds(name, value, "decimal below minimum", f">= {low}", "decimal_below_min_value")


def check_integer(name: str, value: Any, low: int, high: int | None) -> None:
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


def check_choice(name: str, value: Any, supported: tuple[str, ...]) -> None:
    check_type(name, value, str)
    if value not in supported:
        raise not_among(name, value, supported)


def check_tool_count(tools: list[Any]) -> None:
    if len(tools) > MAX_TOOLS:
        raise InvalidRequest(
            f"Invalid 'tools': array too long. Expected an array with maximum length {MAX_TOOLS}, but got an array "
            f"with length {len(tools)} instead.",
            param="tools",
            code="array_above_max_length",
        )


def check_tool_type(tool: Any, where: str, supported: tuple[str, ...]) -> None:
    if not isinstance(tool, dict):
        raise wrong_type(where, "an object", tool)
    if "type" not in tool:
        raise missing(f"{where}.type")
    if tool["type"] not in supported:
        raise not_among(f"{where}.type", tool["type"], supported)


def check_metadata(value: dict[str, Any]) -> None:
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
