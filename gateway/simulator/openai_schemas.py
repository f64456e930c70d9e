"""What OpenAI refuses about a function or a named schema: its name, its parameters, its strictness."""

import re
from typing import Any

from gateway.simulator.errors import InvalidRequest
from gateway.simulator.openai_values import missing, wrong_type
from gateway.simulator.schema_checks import problem as schema_problem

_TOOL_NAME = re.compile(r"^[a-zA-Z0-9_-]+$")


def check_definition(definition: dict[str, Any], where: str, what: str) -> None:
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
    if what == "function" and schema:
        lacking = _lacking(schema, ())
        if lacking:
            raise _bad_schema(what, definition["name"], lacking, where)
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
    param = "response_format" if where.startswith("response_format") else f"{where}.{key}"
    return InvalidRequest(
        f"Invalid schema for {what} '{name}': {problem}",
        param=param,
        code="invalid_function_parameters" if what == "function" else "invalid_json_schema",
    )


def _lacking(schema: Any, path: tuple[str, ...]) -> str | None:
    """Also without strict mode: the outermost object has properties, every array items."""
    if not isinstance(schema, dict):
        return None
    if not path and "properties" not in schema:
        return f"In context={path!r}, object schema missing properties."
    if schema.get("type") == "array" and "items" not in schema:
        return f"In context={path!r}, array schema missing items."
    return next(filter(None, (_lacking(inner, path + keys) for keys, inner in _inner_schemas(schema))), None)


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
