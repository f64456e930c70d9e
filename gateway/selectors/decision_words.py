"""A routing decision, kept as JSON, put into words.

Known keys (`gateway.engine.routing`, `gateway.services.pricing`, `gateway.services.fitting`): `reason`, `targets`
(names in the order of trying), `left_out_…` (names), `stepped_down` and `shrunk_output`. Whatever else a decision holds
is shown as it is: a page that explains must not hide what it doesn't understand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.selectors.simple_words import simple_sentences

_LEFT_OUT = {
    "left_out_without_price": "no price is known for it",
    "left_out_for_full_budgets": "its provider's budget has no room",
    "left_out_for_room": "it may cost more than a budget has room for",
}
_KNOWN = frozenset({"route", "reason", "targets", "stepped_down", "shrunk_output", "simple", *_LEFT_OUT})


@dataclass(frozen=True, slots=True)
class Candidate:
    """A target of the route; `left_out` says why it could not be used, "" if it could."""

    target: str
    left_out: str


@dataclass(frozen=True, slots=True)
class DecisionWords:
    reason: str
    candidates: tuple[Candidate, ...]
    others: tuple[tuple[str, str], ...]
    budgets: tuple[str, ...] = ()
    simple: tuple[str, ...] = ()


def decision_words(decision: Mapping[str, Any]) -> DecisionWords:
    left_out = left_out_reasons(decision)
    return DecisionWords(
        reason=str(decision.get("reason", "")),
        candidates=tuple(Candidate(name, left_out.get(name, "")) for name in _names(decision.get("targets"))),
        budgets=tuple(budget_sentences(decision)),
        simple=tuple(simple_sentences(decision)),
        others=tuple((_title(key), _plain(value)) for key, value in decision.items() if key not in _KNOWN),
    )


def left_out_reasons(decision: Mapping[str, Any]) -> dict[str, str]:
    """By target why it could not be used."""
    return {name: why for key, why in _LEFT_OUT.items() for name in _names(decision.get(key))}


def budget_sentences(decision: Mapping[str, Any]) -> Iterator[str]:
    """What budgets made of the request (`gateway.services.fitting`)."""
    stepped, shrunk = decision.get("stepped_down"), decision.get("shrunk_output")
    if isinstance(stepped, Mapping):
        reached = f"has reached {stepped.get('at_percent')} %"
        why = reached if stepped.get("because") == "share_reached" else "had no room for the dearer targets"
        yield f"Budget {stepped.get('budget')} {why}, so the cheap target {stepped.get('to')} was to be asked first."
    if isinstance(shrunk, Mapping):
        limit = shrunk.get("output_limit_tokens")
        yield f"Budget {shrunk.get('budget')} had room for {limit} tokens of output, so the answer was limited to them."


def _names(value: object) -> tuple[str, ...]:
    return tuple(str(name) for name in value) if isinstance(value, list | tuple) else ()


def _title(key: str) -> str:
    return key.replace("_", " ")


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{_title(str(key))}: {_plain(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(inner) for inner in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "—" if value is None else str(value)
