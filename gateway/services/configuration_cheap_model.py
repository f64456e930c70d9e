"""What the configuration file says of the cheap model: a route's mode, the scorer's rules (docs/simple-model.md)."""
# ruff: noqa: RUF009 - `item` is dataclasses.field with a reader; its defaults are immutable

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from gateway import bounds
from gateway.engine.tier import BUILT_IN_RULES, DEFAULT_WEIGHTS, Feature
from gateway.services.configuration_readers import Wrong, entry, item, leaf, number, shown, whole


@leaf
def simple_mode(value: Any) -> str:
    """off, shadow, on (also as false and true) or a percentage; always written like "25%"."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if value in ("off", "shadow", "on"):
        return str(value)
    digits = str(value).removesuffix("%")
    if not re.fullmatch(r"[0-9]{1,3}", digits) or int(digits) > 100:
        raise Wrong(f"must be off, shadow, on or a percentage such as 25, not {shown(value)}")
    return f"{int(digits)}%"


def _weight(feature: Feature) -> float:
    default: float = item(number(bounds.SCORE_WEIGHT), DEFAULT_WEIGHTS[feature.value])
    return default


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsEntry:
    """One field for each feature of the scorer."""

    length: float = _weight(Feature.LENGTH)
    lines: float = _weight(Feature.LINES)
    code: float = _weight(Feature.CODE)
    maths: float = _weight(Feature.MATHS)
    reasoning: float = _weight(Feature.REASONING)
    constraints: float = _weight(Feature.CONSTRAINTS)
    questions: float = _weight(Feature.QUESTIONS)
    long_words: float = _weight(Feature.LONG_WORDS)
    easy_task: float = _weight(Feature.EASY_TASK)
    long_system_prompt: float = _weight(Feature.LONG_SYSTEM_PROMPT)
    long_output: float = _weight(Feature.LONG_OUTPUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleRulesEntry:
    threshold: float = item(number(bounds.SCORE), BUILT_IN_RULES.threshold)
    long_input_characters: int = item(whole(bounds.LONG_INPUT_CHARACTERS), BUILT_IN_RULES.long_input_characters)
    least_words: int = item(whole(bounds.LEAST_WORDS), BUILT_IN_RULES.least_words)
    weights: WeightsEntry = item(entry(WeightsEntry), WeightsEntry())
