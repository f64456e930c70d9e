"""A routing decision, kept as JSON, put into words.

Known keys (`gateway.engine.routing`, `gateway.services.pricing`): `reason`, `targets` (names in the order of trying)
and `left_out_without_price` (names of them). Whatever else a decision holds is shown as it is: a page that explains
must not hide what it doesn't understand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_KNOWN = frozenset({"route", "reason", "targets", "left_out_without_price"})


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


def decision_words(decision: Mapping[str, Any]) -> DecisionWords:
    unpriced = _names(decision.get("left_out_without_price"))
    return DecisionWords(
        reason=str(decision.get("reason", "")),
        candidates=tuple(
            Candidate(name, "no price is known for it" if name in unpriced else "")
            for name in _names(decision.get("targets"))
        ),
        others=tuple((_title(key), _plain(value)) for key, value in decision.items() if key not in _KNOWN),
    )


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
