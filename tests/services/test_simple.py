"""The cheap model for simple queries: the decision, the route's mode, and its replay."""

from __future__ import annotations

import json
import random
from typing import Any

import orjson
import pytest

from gateway.engine.errors import InvalidRequest
from gateway.engine.tier import (
    BUILT_IN_RULES,
    Decision,
    Facts,
    Reason,
    Tier,
    decide,
    facts_as_json,
    replayed,
)
from gateway.engine.words import Wire
from gateway.services.simple import Choice, _bucket, choice_of, tier_asked
from gateway.wires import parse_request
from gateway.wires.tier_facts import read_for_tier, with_features

EASY = "What is the capital of France?"
HARD = "Explain step by step why this function is slow, compare two designs and prove that `x = y ^ 2` holds."
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
SIMPLE = Decision(Tier.SIMPLE, Reason.SCORE, 0.1)


def facts(content: Any, **fields: Any) -> Facts:
    messages = fields.pop("messages", [{"role": "user", "content": content}])
    parsed = parse_request(Wire.OPENAI, orjson.dumps({"model": "default", "messages": messages, **fields}))
    return with_features(read_for_tier(Wire.OPENAI, parsed), parsed).facts


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (facts(EASY, tools=[TOOL]), Reason.TOOLS),
        (facts([{"type": "text", "text": EASY}, IMAGE]), Reason.IMAGES),
        (facts([{"type": "text", "text": EASY}, {"type": "file", "file": {}}]), Reason.DOCUMENTS),
        (facts(EASY, response_format={"type": "json_object"}), Reason.STRUCTURED_OUTPUT),
        (facts("", messages=[{"role": "assistant", "content": "Hi"}, {"role": "user", "content": EASY}]),
         Reason.MID_CONVERSATION),
        (facts("word " * 1_000), Reason.LONG_INPUT),
        (facts("", messages=[{"role": "user", "content": EASY}] * 40), Reason.LONG_INPUT),
        (facts("Go on"), Reason.TOO_LITTLE),
    ],
)  # fmt: skip
def test_hard_rules_send_to_the_strong_model(found: Facts, reason: Reason) -> None:
    assert decide(found, BUILT_IN_RULES) == Decision(Tier.COMPLEX, reason)


def test_the_callers_word_comes_before_the_hard_rules() -> None:
    assert decide(Facts(caller=Tier.SIMPLE, tools=True), BUILT_IN_RULES).tier is Tier.SIMPLE


@pytest.mark.parametrize(("text", "tier"), [(EASY, Tier.SIMPLE), (HARD, Tier.COMPLEX)])
def test_the_scorer_tells_an_easy_query_from_a_demanding_one(text: str, tier: Tier) -> None:
    assert decide(facts(text), BUILT_IN_RULES).tier is tier


def test_a_thousand_stored_decisions_replay_to_the_same_choice() -> None:
    dice = random.Random(7)
    words = (EASY + " " + HARD + " translate code must solve def ``` = ?").split()
    for _ in range(1_000):
        found = facts(" ".join(dice.choices(words, k=dice.randint(1, 60))))
        decision = decide(found, BUILT_IN_RULES)
        stored = json.loads(json.dumps({"facts": facts_as_json(found)}))
        assert replayed(stored, BUILT_IN_RULES) == decision


@pytest.mark.parametrize(
    ("mode", "bucket", "choice"),
    [
        ("shadow", 0, Choice.SHADOW),
        ("on", 99, Choice.SENT),
        ("25%", 24, Choice.SENT),
        ("25%", 25, Choice.KEPT),
        ("0%", 0, Choice.KEPT),
        ("100%", 99, Choice.SENT),
    ],
)
def test_the_mode_says_what_becomes_of_a_simple_query(mode: str, bucket: int, choice: Choice) -> None:
    assert choice_of(SIMPLE, mode, bucket) is choice


def test_the_dice_are_even_and_a_conversation_keeps_its_number() -> None:
    buckets = [_bucket(1, "default", f"talk-{number}") for number in range(2_000)]
    assert 400 < sum(bucket < 25 for bucket in buckets) < 600
    assert buckets == [_bucket(1, "default", f"talk-{number}") for number in range(2_000)]


def test_a_word_that_is_neither_is_refused_with_both() -> None:
    with pytest.raises(InvalidRequest, match="'simple' or 'complex'"):
        tier_asked({"x-llmops-tier": "cheap"})
