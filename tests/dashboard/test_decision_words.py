from __future__ import annotations

from gateway.dashboard.decision_words import Candidate, DecisionWords, decision_words


def test_an_empty_decision_says_nothing() -> None:
    assert decision_words({}) == DecisionWords("", (), ())


def test_a_reason_and_candidates_become_sentences() -> None:
    decision = {"reason": "in order", "candidates": [{"target": "a/b", "verdict": "planned", "reason": "closed"}]}

    assert decision_words(decision) == DecisionWords("in order", (Candidate("a/b", "planned", "closed"),), ())


def test_what_is_not_known_is_shown_in_plain_text() -> None:
    decision = {"simple_query": False, "tier": None, "limits": {"max_tokens": 5, "of": ["a", "b"]}}

    assert decision_words(decision).others == (
        ("simple query", "no"),
        ("tier", "—"),
        ("limits", "max tokens: 5; of: a, b"),
    )
