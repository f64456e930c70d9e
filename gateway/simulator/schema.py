"""An instance that satisfies a JSON schema, for tool arguments and structured output."""

import random
from collections.abc import Callable, Mapping
from typing import Any

_MAX_DEPTH = 12
_OPTIONAL_DEPTH = 3  # deeper objects get their required properties only, so recursive schemas end

_BELIEVABLE = {
    "city": "Paris",
    "location": "Paris, France",
    "country": "France",
    "name": "Ada",
    "email": "ada@example.com",
    "query": "open incidents",
    "q": "open incidents",
    "date": "2026-11-02",
    "language": "en",
    "currency": "EUR",
    "url": "https://example.com/",
    "reason": "requested by the user",
    "summary": "all checks passed",
    "title": "Status report",
}
_FORMATS = {
    "date": "2026-11-02",
    "date-time": "2026-11-02T09:30:00Z",
    "time": "09:30:00Z",
    "duration": "PT1H",
    "email": "ada@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "3f2b8c1e-6d4a-4b5e-9f0a-1c2d3e4f5a6b",
}
_WORDS = ("alpha", "bravo", "delta", "harbour", "lantern", "meadow", "orchid", "quartz", "summit", "willow")


def instance(schema: Mapping[str, Any], seed: int) -> Any:
    """A value the schema accepts; the same seed gives the same value. ``pattern`` and ``not`` are not
    honoured.
    """
    return _Maker(schema, seed).make(schema, "", 0)


class _Maker:
    def __init__(self, root: Mapping[str, Any], seed: int) -> None:
        self._root = root
        self._random = random.Random(seed)
        self._by_type: dict[str, Callable[[Mapping[str, Any], str, int], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
            "boolean": self._boolean,
            "null": _null,
        }

    def make(self, schema: Any, name: str, depth: int) -> Any:
        if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
            return None
        if "$ref" in schema:
            return self.make(self._resolve(schema["$ref"]), name, depth + 1)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            choices: list[Any] = schema["enum"]
            return self._random.choice(choices)
        for union in ("anyOf", "oneOf"):
            if schema.get(union):
                return self.make(self._shallowest(schema[union], depth), name, depth + 1)
        if schema.get("allOf"):
            return self.make(_merged(schema, [self._followed(part) for part in schema["allOf"]]), name, depth + 1)
        return self._by_type.get(_type(schema), self._by_type["string"])(schema, name, depth)

    def _resolve(self, reference: Any) -> Any:
        node: Any = self._root
        for step in str(reference).removeprefix("#").split("/")[1:]:
            node = node.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(node, Mapping) else None
        return node

    def _followed(self, schema: Any) -> Any:
        return self._resolve(schema["$ref"]) if isinstance(schema, Mapping) and "$ref" in schema else schema

    def _shallowest(self, options: Any, depth: int) -> Any:
        if depth < _OPTIONAL_DEPTH:
            return options[0]
        nulls = [option for option in options if isinstance(option, Mapping) and option.get("type") == "null"]
        return nulls[0] if nulls else options[0]

    def _object(self, schema: Mapping[str, Any], name: str, depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = list(schema.get("required") or ())
        wanted = list(properties) if depth < _OPTIONAL_DEPTH else [key for key in properties if key in required]
        wanted += [key for key in required if key not in properties]
        return {key: self.make(properties.get(key, {"type": "string"}), key, depth + 1) for key in wanted}

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        prefix = [self.make(item, name, depth + 1) for item in schema.get("prefixItems") or ()]
        fewest = int(schema.get("minItems", 1 if depth < _OPTIONAL_DEPTH else 0))
        wanted = min(fewest, int(schema.get("maxItems", fewest))) - len(prefix)
        items = schema.get("items", {"type": "string"})
        return prefix + [self.make(items, name, depth + 1) for _ in range(wanted)]

    def _string(self, schema: Mapping[str, Any], name: str, depth: int) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        text = _BELIEVABLE.get(name.lower()) or self._random.choice(_WORDS)
        text = text.ljust(int(schema.get("minLength", 0)), "x")
        return text[: int(schema.get("maxLength", len(text)))]

    def _boolean(self, schema: Mapping[str, Any], name: str, depth: int) -> bool:
        return self._random.random() < 0.5

    def _integer(self, schema: Mapping[str, Any], name: str, depth: int) -> int:
        step = int(schema.get("multipleOf", 1)) or 1
        low, high = _bounds(schema, 1)
        first = -(-low // step) * step
        return int(min(first + step * self._random.randrange(4), max(first, high // step * step)))

    def _number(self, schema: Mapping[str, Any], name: str, depth: int) -> float:
        if "multipleOf" in schema:
            return float(schema["multipleOf"] * self._integer({"minimum": 1, "maximum": 4}, name, depth))
        low, high = _bounds(schema, 0.01)
        return float(min(low + self._random.randrange(4) * 0.5, high))


def _null(schema: Mapping[str, Any], name: str, depth: int) -> None:
    return None


def _type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if kind is None:
        return "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(kind)


def _bounds(schema: Mapping[str, Any], gap: float) -> tuple[Any, Any]:
    low = schema.get("minimum", 0)
    if "exclusiveMinimum" in schema:
        low = max(low, schema["exclusiveMinimum"] + gap)
    high = schema.get("maximum", max(low, 0) + 100)
    if "exclusiveMaximum" in schema:
        high = min(high, schema["exclusiveMaximum"] - gap)
    return min(low, high) if "minimum" not in schema and "exclusiveMinimum" not in schema else low, high


def _merged(schema: Mapping[str, Any], parts: list[Any]) -> dict[str, Any]:
    whole: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
    for part in (part for part in parts if isinstance(part, Mapping)):
        properties = {**whole.get("properties", {}), **part.get("properties", {})}
        required = [*whole.get("required", ()), *part.get("required", ())]
        whole.update(part)
        if properties:
            whole.update(properties=properties, required=required)
    return whole
