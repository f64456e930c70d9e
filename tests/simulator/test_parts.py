"""The pieces answers are made of: tokens, texts, orders, schema instances."""

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulator.schema import instance
from gateway.simulator.schema_checks import problem
from gateway.simulator.text import Turn, orders, text_of_length
from gateway.simulator.tokens import count, split


@given(st.text())
def test_splitting_loses_nothing_and_never_exceeds_the_bytes(text: str) -> None:
    assert "".join(split(text)) == text
    assert count(text) == len(split(text)) <= len(text.encode())


def test_english_has_about_four_characters_to_a_token() -> None:
    text = "The quick brown fox jumps over the lazy dog, and nobody in the village was surprised by it."
    assert 3.5 < len(text) / count(text) < 5


@pytest.mark.parametrize("tokens", [0, 1, 7, 1000])
def test_an_ordered_length_is_exact_and_begins_the_longer_ones(tokens: int) -> None:
    text = text_of_length(tokens)
    assert count(text) == tokens
    assert text_of_length(tokens + 50).startswith(text)


@pytest.mark.parametrize(
    ("said", "text", "calls"),
    [
        ("[[say: yes]]", "yes", ()),
        ("please [[say: two\nlines]] now", "two\nlines", ()),
        ("[[say: [1, [2]]]]", "[1, [2]]", ()),
        ("[[tokens: 2]]", "The short", ()),
        ("[[tool: a]]", None, (("a", "{}"),)),
        (
            '[[tool: a {"x": [1, [2]]}]] [[tool: b {"y": {}}]]',
            None,
            (("a", '{"x": [1, [2]]}'), ("b", '{"y": {}}')),
        ),
        ("[[say: ok]][[tool: a]]", "ok", (("a", "{}"),)),
        ("[[frobnicate]]", None, ()),
        ("nothing", None, ()),
    ],
)
def test_a_message_orders_what_its_brackets_say(said: str, text: str | None, calls: Any) -> None:
    assert orders([Turn("user", said)]) == (text, calls)


@pytest.mark.parametrize(
    ("turns", "text"),
    [
        ([("user", "[[say: abc]]"), ("assistant", "a")], "bc"),
        ([("user", "[[say: abc]]"), ("assistant", "a"), ("user", "go on")], "bc"),
        ([("user", "[[say: abc]]"), ("assistant", "abc"), ("user", "and?")], None),
        ([("user", "[[say: abc]]"), ("assistant", "x"), ("user", "and?")], None),
        ([("user", "[[say: abc]]"), ("assistant", "a"), ("user", "[[say: z]]")], "z"),
        ([("user", "[[say: abc]]"), ("assistant", ""), ("tool", "result")], None),
        ([("user", "x"), ("assistant", "[[say: abc]]"), ("user", "y")], None),
    ],
)
def test_an_interrupted_order_is_continued_and_a_finished_one_is_over(turns: Any, text: str | None) -> None:
    assert orders([Turn(*turn) for turn in turns]).text == text


TREE: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "child": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
    "required": ["name", "child"],
    "additionalProperties": False,
}
SCHEMAS: list[dict[str, Any]] = [
    {
        "type": "object",
        "properties": {"a": {"type": "string", "minLength": 8, "maxLength": 9}},
        "required": ["a"],
    },
    {"type": "object", "properties": {"a": {"enum": [1, "two"]}, "b": {"const": 3}}, "required": ["a", "b"]},
    {"type": "integer", "minimum": 5, "maximum": 6},
    {"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7},
    {"type": "integer", "maximum": -3},
    {"type": "integer", "minimum": 10, "multipleOf": 7},
    {"type": "number", "minimum": 0.5, "maximum": 0.7},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 3, "maxItems": 4},
    {"type": ["string", "null"]},
    {"oneOf": [{"type": "integer"}, {"type": "string"}]},
    {"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"type": "integer"}}}]},
    {"$defs": {"d": {"type": "string", "format": "date"}}, "type": "array", "items": {"$ref": "#/$defs/d"}},
    {"type": "object", "required": ["free"]},
    TREE,
]


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_instance_satisfies_its_schema(schema: dict[str, Any], seed: int) -> None:
    jsonschema.validate(instance(schema, seed), schema)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_good_schema_has_no_problem(schema: dict[str, Any]) -> None:
    assert problem(schema) is None


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        ("text", "schema is not of type"),
        ({"type": "thing"}, "schema.type is not valid"),
        ({"enum": []}, "schema.enum is not valid"),
        ({"minimum": "low"}, "schema.minimum is not valid"),
        ({"anyOf": []}, "schema.anyOf is not valid"),
        ({"properties": []}, "schema.properties is not of type"),
        ({"properties": {"a": {"items": 5}}}, "schema.properties.a.items is not of type"),
    ],
)
def test_a_bad_schema_is_told_where(schema: Any, found: str) -> None:
    assert (problem(schema) or "").startswith(found)
