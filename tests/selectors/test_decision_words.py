from __future__ import annotations

from gateway.selectors.decision_words import Candidate, DecisionWords, decision_words


def test_an_empty_decision_says_nothing() -> None:
    assert decision_words({}) == DecisionWords("", (), ())


def test_targets_stand_in_the_order_of_trying_with_why_one_was_left_out() -> None:
    decision = {
        "route": "default",
        "reason": "asked by name",
        "targets": ["openai/a", "anthropic/b"],
        "left_out_without_price": ["anthropic/b"],
    }

    assert decision_words(decision) == DecisionWords(
        "asked by name", (Candidate("openai/a", ""), Candidate("anthropic/b", "no price is known for it")), ()
    )


def test_what_is_not_known_is_shown_in_plain_text() -> None:
    decision = {"simple_query": False, "tier": None, "limits": {"max_tokens": 5, "of": ["a", "b"]}}

    assert decision_words(decision).others == (
        ("simple query", "no"),
        ("tier", "—"),
        ("limits", "max tokens: 5; of: a, b"),
    )
