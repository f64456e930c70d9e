"""JSON schemas as the providers' structured output takes them.

Sources: Anthropic, "Structured outputs: JSON schema limitations" (objects closed, no numeric or length bounds, no
recursion, some formats), and its error for tools, "input_schema does not support oneOf, allOf, or anyOf at the top
level"; OpenAI, "Structured outputs: supported schemas" (strict needs closed objects with every property required), and
its 400s "object schema missing properties" and "array schema missing items" (code `invalid_function_parameters`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.wires.jsons import dumps, dumps_text

# What Anthropic knows; anything else is told in words, as its own SDKs do (`transform_schema`).
_SUPPORTED = frozenset(
    {
        "$schema", "$ref", "$defs", "definitions", "type", "title", "description", "default", "enum", "const", "format",
        "pattern", "items", "minItems", "properties", "required", "additionalProperties", "anyOf", "allOf",
    }
)  # fmt: skip
_NAMED = ("properties", "$defs", "definitions")
_LISTED = ("anyOf", "allOf")
_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)  # fmt: skip
_COMBINATIONS = (*_LISTED, "oneOf")


def closed_schema(schema: Any) -> Any:
    """The schema with every object closed and the keywords that Anthropic refuses told in the description instead."""
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    told: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "oneOf" and isinstance(value, list):
            kept["anyOf"] = [closed_schema(each) for each in value]
        elif key not in _SUPPORTED or _is_refused(key, value):
            told[key] = value
        else:
            kept[key] = _closed_value(key, value)
    if "properties" in kept or kept.get("type") == "object":
        kept["additionalProperties"] = False
    if told:
        note = "{" + ", ".join(f"{key}: {value}" for key, value in told.items()) + "}"
        kept["description"] = f"{kept['description']}\n\n{note}" if kept.get("description") else note
    return kept


def _is_refused(key: str, value: Any) -> bool:
    return (key == "minItems" and value not in (0, 1)) or (key == "format" and value not in _FORMATS)


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
    return isinstance(schema, dict) and bool(closed_schema(schema) == schema) and can_be_closed(schema)


def can_be_closed(schema: Mapping[str, Any]) -> bool:
    """Whether closing every object leaves the schema's meaning: none is open by intent, none holds itself."""
    return not _is_open(schema) and not _is_recursive(schema, schema, frozenset(), set())


def _is_open(schema: Any) -> bool:
    """Whether it or a schema in it is an object of any properties, such as a map from names to numbers."""
    if isinstance(schema, list):
        return any(map(_is_open, schema))
    if not isinstance(schema, dict):
        return schema is True
    if schema.get("type") == "object" or "properties" in schema:
        beyond = schema.get("additionalProperties")
        if isinstance(beyond, dict) or beyond is True or (beyond is None and not schema.get("properties")):
            return True
    return any(map(_is_open, _inner(schema)))


def _is_recursive(schema: Any, root: Mapping[str, Any], under: frozenset[str], done: set[str]) -> bool:
    """`under` holds the references that were followed to get here, `done` those that need no second look."""
    if isinstance(schema, list):
        return any(_is_recursive(each, root, under, done) for each in schema)
    if not isinstance(schema, dict):
        return False
    reference = schema.get("$ref")
    if isinstance(reference, str):
        if reference in under or reference == "#":
            return True
        if reference in done:
            return False
        done.add(reference)
        return _is_recursive(_resolved(reference, root), root, under | {reference}, done)
    properties = schema.get("properties")
    inner = list(properties.values()) if isinstance(properties, dict) else []
    inner += [schema[key] for key in ("items", *_COMBINATIONS) if key in schema]
    return any(_is_recursive(each, root, under, done) for each in inner)


def _resolved(reference: str, root: Mapping[str, Any]) -> Any:
    """What a reference within the schema points to, None where it points to nothing."""
    found: Any = root
    for step in reference.removeprefix("#/").split("/"):
        found = found.get(step) if isinstance(found, dict) else None
    return found


def tool_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """A tool's schema as Anthropic takes it: `type` is said at the top, where alternatives must not stand.

    Alternatives at the top become one object with the properties of all of them, of which those are required that all
    require; what that loses is told in the description.
    """
    combined = {key: schema[key] for key in _COMBINATIONS if key in schema}
    if not combined:
        return schema if schema.get("type") == "object" else {**schema, "type": "object"}
    merged = {key: value for key, value in schema.items() if key not in combined} | {"type": "object"}
    properties: dict[str, Any] = {}
    required = dict.fromkeys(schema.get("required") or ())
    for key, branches in combined.items():
        found = [_object_of(branch, schema) for branch in branches]
        properties |= _properties_of(found, "allOf" if key == "allOf" else "anyOf")
        required |= dict.fromkeys(_required_by(found, all_hold=key == "allOf"))
    merged["properties"] = properties | (schema.get("properties") or {})
    if required:
        merged["required"] = list(required)
    note = "The input must match this JSON schema: " + dumps_text(combined)
    merged["description"] = f"{schema['description']}\n\n{note}" if schema.get("description") else note
    return merged


def _properties_of(branches: list[Mapping[str, Any]], combination: str) -> dict[str, Any]:
    """The properties of all branches; one that they define differently gets the combination of its definitions."""
    told: dict[str, dict[bytes, Any]] = {}
    for branch in branches:
        for name, definition in (branch.get("properties") or {}).items():
            told.setdefault(name, {})[dumps(definition)] = definition
    kinds = {name: list(known.values()) for name, known in told.items()}
    return {name: known[0] if len(known) == 1 else {combination: known} for name, known in kinds.items()}


def _object_of(branch: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(branch, dict) and isinstance(branch.get("$ref"), str):
        branch = _resolved(branch["$ref"], root)
    return branch if isinstance(branch, dict) else {}


def _required_by(branches: list[Mapping[str, Any]], *, all_hold: bool) -> list[str]:
    """What all of the branches together demand, or what each of them does."""
    demanded = [dict.fromkeys(branch.get("required") or ()) for branch in branches]
    if all_hold:
        return [name for names in demanded for name in names]
    shared = set.intersection(*map(set, demanded)) if demanded else set()
    return [name for name in demanded[0] if name in shared] if shared else []


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
    if key in _COMBINATIONS and isinstance(value, list):
        return [_with_items(each) for each in value]
    return _with_items(value) if key in ("items", "additionalProperties") else value


def _inner(schema: Mapping[str, Any]) -> list[Any]:
    named = [each for key in _NAMED if isinstance(schema.get(key), dict) for each in schema[key].values()]
    return [*named, *(schema[key] for key in ("items", "anyOf", "allOf", "oneOf") if key in schema)]
