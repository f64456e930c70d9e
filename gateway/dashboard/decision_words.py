"""A routing decision, kept as JSON, put into sentences.

Known keys: `reason` (text) and `candidates` (a list of objects with `target`, `verdict`, `reason`). Whatever else a
decision holds is shown as it is: a page that explains must not hide what it doesn't understand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_KNOWN = frozenset({"reason", "candidates"})


@dataclass(frozen=True, slots=True)
class Candidate:
    target: str
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True)
class DecisionWords:
    reason: str
    candidates: tuple[Candidate, ...]
    others: tuple[tuple[str, str], ...]


def decision_words(decision: Mapping[str, Any]) -> DecisionWords:
    candidates = decision.get("candidates", ())
    return DecisionWords(
        reason=str(decision.get("reason", "")),
        candidates=tuple(_candidate(one) for one in candidates if isinstance(one, Mapping)),
        others=tuple((_title(key), _plain(value)) for key, value in decision.items() if key not in _KNOWN),
    )


def _candidate(one: Mapping[str, Any]) -> Candidate:
    return Candidate(str(one.get("target", "")), str(one.get("verdict", "")), str(one.get("reason", "")))


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
