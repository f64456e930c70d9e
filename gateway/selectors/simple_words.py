"""A stored decision about the cheap model (`gateway.services.simple`), in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_REASONS = {
    "caller": "the client said so in X-LLMOps-Tier",
    "tools": "it comes with tools",
    "images": "it holds an image",
    "documents": "it holds a document or another file",
    "structured_output": "it asks for structured output",
    "mid_conversation": "it goes on with a conversation",
    "long_input": "its input is long",
    "too_little": "there is too little of it to judge",
    "workload": "the workload {workload} of the table says so",
}
_CHOICES = {
    "sent": "{target} was asked before {instead_of}.",
    "kept": "It was outside the route's {mode}, so it went to {instead_of} as usual and counts as the comparison.",
    "shadow": "The route only watches (shadow), so nothing was changed; {target} would have been asked.",
    "strong": "{instead_of} was asked, as usual.",
}


def simple_sentences(decision: Mapping[str, Any]) -> Iterator[str]:
    simple = decision.get("simple")
    if not isinstance(simple, Mapping):
        return
    yield f"This query was judged {simple.get('tier')}: {_why(simple)}."
    words = _CHOICES.get(str(simple.get("choice")), "")
    if prompt := simple.get("system_prompt"):
        yield f"Its system prompt has the fingerprint {prompt} (what workloads go by)."
    yield words.format(target=simple.get("target"), instead_of=simple.get("instead_of"), mode=simple.get("mode"))


def _why(simple: Mapping[str, Any]) -> str:
    reason = str(simple.get("reason"))
    if reason != "score":
        facts = simple.get("facts")
        workload = facts.get("workload_name", "") if isinstance(facts, Mapping) else ""
        return _REASONS.get(reason, "{reason}").format(workload=workload, reason=reason)
    features = simple.get("features")
    parts = features.items() if isinstance(features, Mapping) else ()
    told = ", ".join(f"{name.replace('_', ' ')} {part:+g}" for name, part in parts) or "nothing stood out"
    return (
        f"its score of {simple.get('score')} is {'below' if simple.get('tier') == 'simple' else 'not below'} "
        f"{simple.get('threshold')} by rules version {simple.get('rules')} ({told})"
    )


_RULES = {
    "caller": "The client's own word",
    "tools": "Tools",
    "images": "An image",
    "documents": "A document or another file",
    "structured_output": "Structured output",
    "mid_conversation": "A later turn of a conversation",
    "long_input": "Long input",
    "too_little": "Too little to judge",
    "workload": "The table of workloads",
    "score": "The scorer",
}


def reason_words(reason: str) -> str:
    """The rule that decided, as a heading of its row."""
    return _RULES.get(reason, reason)
