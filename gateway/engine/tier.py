"""Whether a query is simple enough for a route's cheap model: a pure decision over facts that can be stored.

In order: the caller's own word, hard rules to the strong model, operations' table of workloads, and only then a rule
scorer with named, weighted features. What a prompt alone tells is a weak signal (docs/simple-model.md), hence this
order. A decision names the version of its rules and is stored with its facts, so that it can be decided again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

BUILT_IN_VERSION = 0
_SCORE_PLACES = 4


class Tier(StrEnum):
    SIMPLE = "simple"
    COMPLEX = "complex"


class Reason(StrEnum):
    """Why a decision is as it is; the hard rules are told apart."""

    CALLER = "caller"
    TOOLS = "tools"
    IMAGES = "images"
    DOCUMENTS = "documents"
    STRUCTURED_OUTPUT = "structured_output"
    MID_CONVERSATION = "mid_conversation"
    LONG_INPUT = "long_input"
    TOO_LITTLE = "too_little"
    WORKLOAD = "workload"
    SCORE = "score"


class Feature(StrEnum):
    """What the scorer looks at; each is measured as a number from 0 to 1."""

    LENGTH = "length"  # words of the query
    LINES = "lines"  # line breaks in it
    CODE = "code"  # fences, braces, keywords of programming languages
    MATHS = "maths"  # formulas and words of mathematics
    REASONING = "reasoning"  # words that ask to explain, compare, prove, plan
    CONSTRAINTS = "constraints"  # words that bound the answer
    QUESTIONS = "questions"  # more than one question
    LONG_WORDS = "long_words"  # how long its words are on average
    EASY_TASK = "easy_task"  # words that ask to look up, translate, classify, rephrase
    LONG_SYSTEM_PROMPT = "long_system_prompt"
    LONG_OUTPUT = "long_output"  # the limit that the client sets


DEFAULT_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        Feature.LENGTH.value: 0.35,
        Feature.LINES.value: 0.1,
        Feature.CODE.value: 0.4,
        Feature.MATHS.value: 0.35,
        Feature.REASONING.value: 0.4,
        Feature.CONSTRAINTS.value: 0.15,
        Feature.QUESTIONS.value: 0.15,
        Feature.LONG_WORDS.value: 0.1,
        Feature.EASY_TASK.value: -0.2,
        Feature.LONG_SYSTEM_PROMPT.value: 0.1,
        Feature.LONG_OUTPUT.value: 0.1,
    }
)


@dataclass(frozen=True, slots=True)
class Rules:
    """The scorer and the bounds of the hard rules. A score below `threshold` is simple.

    Input longer than `long_input_characters`, and queries of fewer than `least_words` words, go to the strong model.
    """

    version: int = BUILT_IN_VERSION
    threshold: float = 0.3
    long_input_characters: int = 4_000
    least_words: int = 3
    weights: Mapping[str, float] = field(default_factory=lambda: DEFAULT_WEIGHTS)


BUILT_IN_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision is made from. Nothing in it is the client's text.

    `caller` is the client's own word, `workload` the tier of the row of operations' table that matched and
    `workload_name` that row's name. `input_characters` counts all text of the request; it is None where there were more
    messages or parts than are looked at. `features` are measured from a bounded stretch of the last message.
    """

    caller: Tier | None = None
    tools: bool = False
    images: bool = False
    documents: bool = False
    structured_output: bool = False
    mid_conversation: bool = False
    input_characters: int | None = 0
    words: int = 0
    workload: Tier | None = None
    workload_name: str = ""
    features: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """`score` is None where the decision was made before the scorer; `features` are each feature's part of it."""

    tier: Tier
    reason: Reason
    score: float | None = None
    features: Mapping[str, float] = field(default_factory=dict)


def decide(facts: Facts, rules: Rules) -> Decision:
    if facts.caller is not None:
        return Decision(facts.caller, Reason.CALLER)
    hard = _hard_rule(facts, rules)
    if hard is not None:
        return Decision(Tier.COMPLEX, hard)
    if facts.workload is not None:
        return Decision(facts.workload, Reason.WORKLOAD)
    return _scored(facts.features, rules)


def _hard_rule(facts: Facts, rules: Rules) -> Reason | None:
    for holds, reason in (
        (facts.tools, Reason.TOOLS),
        (facts.images, Reason.IMAGES),
        (facts.documents, Reason.DOCUMENTS),
        (facts.structured_output, Reason.STRUCTURED_OUTPUT),
        (facts.mid_conversation, Reason.MID_CONVERSATION),
        (facts.input_characters is None, Reason.LONG_INPUT),
        ((facts.input_characters or 0) > rules.long_input_characters, Reason.LONG_INPUT),
        (facts.words < rules.least_words, Reason.TOO_LITTLE),
    ):
        if holds:
            return reason
    return None


def _scored(measured: Mapping[str, float], rules: Rules) -> Decision:
    parts = {
        name: round(rules.weights.get(name, 0.0) * value, _SCORE_PLACES)
        for name, value in sorted(measured.items())
        if value
    }
    score = round(math.fsum(parts.values()), _SCORE_PLACES)
    tier = Tier.SIMPLE if score < rules.threshold else Tier.COMPLEX
    return Decision(tier, Reason.SCORE, score, {name: part for name, part in parts.items() if part})


def needs_measuring(facts: Facts, rules: Rules) -> bool:
    """Whether the scorer will be asked: measuring the text is what a decision costs."""
    return facts.caller is None and facts.workload is None and _hard_rule(facts, rules) is None


def facts_as_json(facts: Facts) -> dict[str, Any]:
    """Only what differs from the defaults: most facts are absent from most requests."""
    found = {name: getattr(facts, name) for name in Facts.__dataclass_fields__}
    plain = {name: value for name, value in found.items() if value != getattr(_NO_FACTS, name)}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in plain.items()}


_NO_FACTS = Facts()


def facts_from_json(stored: Mapping[str, Any]) -> Facts:
    """Raises TypeError or ValueError for what `facts_as_json` never wrote."""
    facts = replace(_NO_FACTS, **stored)
    return replace(
        facts,
        caller=None if facts.caller is None else Tier(facts.caller),
        workload=None if facts.workload is None else Tier(facts.workload),
    )


def replayed(stored: Mapping[str, Any], rules: Rules) -> Decision:
    """The decision made again from what was stored of it (`services/simple.py`), by the rules of its version."""
    return decide(facts_from_json(stored["facts"]), rules)
