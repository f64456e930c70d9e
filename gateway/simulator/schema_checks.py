"""Whether something is a JSON schema at all, as far as the keywords reach that the simulator reads."""

from collections.abc import Callable
from typing import Any


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100_000


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_KEYWORDS: dict[str, Callable[[Any], bool]] = {
    "type": lambda value: value in _TYPES or (_is_strings(value) and bool(value) and set(value) <= set(_TYPES)),
    "enum": lambda value: isinstance(value, list) and bool(value),
    "required": _is_strings,
    "format": lambda value: isinstance(value, str),
    "$ref": lambda value: isinstance(value, str),
    "multipleOf": lambda value: _is_number(value) and value > 0,
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _is_number),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), _is_size),
}
_OF_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED_SCHEMAS = ("properties", "$defs", "definitions")


def problem(schema: Any, where: str = "schema") -> str | None:
    """The first thing wrong with a schema, or nothing."""
    if isinstance(schema, bool):
        return None
    if not isinstance(schema, dict):
        return f"{where} is not of type 'object', 'boolean'"
    for keyword, is_right in _KEYWORDS.items():
        if keyword in schema and not is_right(schema[keyword]):
            return f"{where}.{keyword} is not valid"
    return _inner_problem(schema, where)


def _inner_problem(schema: dict[str, Any], where: str) -> str | None:
    inner = [(f"{where}.items", schema["items"])] if "items" in schema else []
    for keyword in _OF_SCHEMAS:
        if keyword in schema:
            if not isinstance(schema[keyword], list) or not schema[keyword]:
                return f"{where}.{keyword} is not valid"
            inner += [(f"{where}.{keyword}.{index}", one) for index, one in enumerate(schema[keyword])]
    for keyword in _NAMED_SCHEMAS:
        if keyword in schema:
            if not isinstance(schema[keyword], dict):
                return f"{where}.{keyword} is not of type 'object'"
            inner += [(f"{where}.{keyword}.{name}", one) for name, one in schema[keyword].items()]
    return next((found for place, one in inner if (found := problem(one, place))), None)
