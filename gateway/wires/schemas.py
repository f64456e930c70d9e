"""JSON schemas as the providers' structured output takes them.

Sources: Anthropic, "Structured outputs: JSON schema limitations" (objects closed, no numeric or length bounds); OpenAI,
"Structured outputs: supported schemas" (strict needs closed objects with every property required), and its 400s
"object schema missing properties" and "array schema missing items" (code `invalid_function_parameters`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_UNSUPPORTED = frozenset(
    {
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength",
        "maxItems", "uniqueItems", "minProperties", "maxProperties", "patternProperties", "contains", "not", "if",
        "then", "else", "dependentRequired", "dependentSchemas", "propertyNames", "prefixItems",
    }
)  # fmt: skip
_NAMED = ("properties", "$defs", "definitions")
_LISTED = ("anyOf", "allOf")
_ALTERNATIVES = (*_LISTED, "oneOf")


def closed_schema(schema: Any) -> Any:
    """The schema with every object closed and the keywords that Anthropic refuses told in the description instead."""
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    told: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _UNSUPPORTED or (key == "minItems" and value not in (0, 1)):
            told[key] = value
        elif key == "oneOf" and isinstance(value, list):
            kept["anyOf"] = [closed_schema(each) for each in value]
        else:
            kept[key] = _closed_value(key, value)
    if "properties" in kept or kept.get("type") == "object":
        kept["additionalProperties"] = False
    if told:
        note = "{" + ", ".join(f"{key}: {value}" for key, value in told.items()) + "}"
        kept["description"] = f"{kept['description']}\n\n{note}" if kept.get("description") else note
    return kept


def _closed_value(key: str, value: Any) -> Any:
    if key in _NAMED and isinstance(value, dict):
        return {name: closed_schema(each) for name, each in value.items()}
    if key in _LISTED and isinstance(value, list):
        return [closed_schema(each) for each in value]
    if key == "items":
        return closed_schema(value)
    return value


def takes_strict(schema: Any) -> bool:
    """Whether Anthropic takes this tool schema with `strict` as it stands."""
    return isinstance(schema, dict) and bool(closed_schema(schema) == schema)


def openai_strict(schema: Any) -> bool:
    """Whether OpenAI takes this schema with `strict`: objects closed, every property required, all the way down."""
    if isinstance(schema, list):
        return all(openai_strict(each) for each in schema)
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" or isinstance(properties, dict):
        if schema.get("additionalProperties") is not False:
            return False
        if set(properties or ()) - set(schema.get("required") or ()):
            return False
    return all(openai_strict(inner) for inner in _inner(schema))


def openai_parameters(schema: dict[str, Any]) -> dict[str, Any]:
    """A function's parameters as OpenAI takes them; what is added allows what leaving it out allows.

    The outermost object names its properties, if only none, and every array its items.
    """
    completed: dict[str, Any] = _with_items(schema)
    return completed if "properties" in completed else {**completed, "properties": {}}


def _with_items(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    completed = {key: _items_within(key, value) for key, value in schema.items()}
    kind = schema.get("type")
    if (kind == "array" or (isinstance(kind, list) and "array" in kind)) and "items" not in schema:
        completed["items"] = {}
    return completed


def _items_within(key: str, value: Any) -> Any:
    if key in _NAMED and isinstance(value, dict):
        return {name: _with_items(each) for name, each in value.items()}
    if key in _ALTERNATIVES and isinstance(value, list):
        return [_with_items(each) for each in value]
    return _with_items(value) if key in ("items", "additionalProperties") else value


def _inner(schema: Mapping[str, Any]) -> list[Any]:
    named = [each for key in _NAMED if isinstance(schema.get(key), dict) for each in schema[key].values()]
    return [*named, *(schema[key] for key in ("items", "anyOf", "allOf", "oneOf") if key in schema)]
