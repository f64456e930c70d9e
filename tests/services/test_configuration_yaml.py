"""The configuration file's YAML has no surprises."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.services.configuration_yaml import MAX_FILE_BYTES, YamlProblem, yaml_read, yaml_write


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("no", "no"),
        ("true", True),
        ("12:30", "12:30"),
        ("010", Decimal(10)),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("1e3", Decimal(1000)),
        ("0.1", Decimal("0.1")),
        ("2027-01-31", "2027-01-31"),
        ("null", None),
        ("~", None),
        (".inf", ".inf"),
        ('"10"', "10"),
    ],
)
def test_plain_words_mean_what_they_look_like(text: str, value: Any) -> None:
    assert yaml_read(f"key: {text}") == {"key": value}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "line 3, column 1: the key 'a' appears twice"),
        ("a: {b: 1, b: 2}", "line 1, column 11: the key 'b' appears twice"),
        ("a: &x 1\nb: *x", "anchors and aliases"),
        ("a: !!python/object:os.system {}", "could not determine a constructor"),
        ("? [1, 2]\n: 3", "a key must be a plain word"),
        ("a: [", "line 1, column 5"),
        ("a: 1\n---\nb: 2", "found another document"),
        ("[" * 50 + "]" * 50, "nested too deeply"),
        ("a: \x00", "not YAML"),
        ("a: " + "x" * MAX_FILE_BYTES, "larger than 1024 KiB"),
    ],
)
def test_what_is_not_plain_data_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(YamlProblem) as caught:
        yaml_read(text)
    assert message in str(caught.value)


def test_a_syntax_error_repeats_nothing_of_the_line() -> None:
    with pytest.raises(YamlProblem) as caught:
        yaml_read('api_key: "sk-very-secret\nnext: [')
    assert "secret" not in str(caught.value)


@given(st.text(min_size=1).filter(lambda text: text.isprintable()))
def test_any_text_survives_writing_and_reading(text: str) -> None:
    assert yaml_read(yaml_write({"name": text})) == {"name": text}
